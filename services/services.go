// Package services is what a service of tarsd is, and the supervisor that keeps services running:
// each with a client of its own, started anew when it fails, stopped in order. It does not know
// which services there are; internal/app has the list.
package services

import (
	"context"

	"github.com/rs/zerolog"

	"github.com/tarsd/tarsd/services/client"
)

// Service is one part of the robot's brain. It meets the others on topics only, so that it runs
// as well in another process or on another machine.
type Service interface {
	// Name is short and the same everywhere: in the configuration, as the source of envelopes and
	// in system/health/NAME. It is a word of lower-case letters, digits and -.
	Name() string
	// Run works until ctx ends, and returns nil then. Whatever it opens, it closes before it
	// returns; subscriptions on the client of rt end without its help. An error, a panic or an
	// early return makes the supervisor call it again, so that all state of a run is made in it.
	Run(ctx context.Context, rt Runtime) error
}

// Runtime is what a service gets for one run.
type Runtime struct {
	Bus *client.Client // the service's own; the supervisor closes it
	Log zerolog.Logger
	// Ready is called once, after subscribing. It blocks until the broker has the subscriptions,
	// or the run ends, and then says on the health topic that the service is ready.
	Ready func()
}

// StopsFirst is implemented by a service that moves something: it is stopped and waited for
// before the others are.
type StopsFirst interface{ StopFirst() }

// Checker is implemented by a service that can tell, without running, whether it would work. It
// changes nothing and ends soon after ctx.
type Checker interface {
	Check(ctx context.Context) []Finding
}

// Verdict of a finding.
type Verdict string

// The verdicts. A Failure keeps the service from working, a Warning is worth a look.
const (
	Fine    Verdict = "ok"
	Warning Verdict = "warning"
	Failure Verdict = "FAILED"
)

// Finding is one thing that a Checker looked at.
type Finding struct {
	Verdict Verdict
	Text    string // one line
}
