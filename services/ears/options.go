package ears

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/tarsd/tarsd/internal/audio"
)

// None is the microphone of a robot that has none of its own.
const None = "none"

// maxSites bounds Options.MaxSites: each site costs its listeners about as much as a microphone.
const maxSites = 64

// Options of New. Start from Defaults.
type Options struct {
	Microphone string // as audio.OpenSource has it, or None
	Room       string // site of that microphone: the origin of what is said to it

	MaxSites int           // that send sound at a time; 0: none
	Idle     time.Duration // a site that has sent nothing for that long has gone

	// OpenSource takes the place of audio.OpenSource in tests.
	OpenSource func(ctx context.Context, spec string) (audio.Source, error)
}

// Defaults hear the first microphone of this machine and up to eight sites.
func Defaults() Options {
	return Options{Microphone: "auto", Room: "room", MaxSites: 8, Idle: 30 * time.Second, OpenSource: audio.OpenSource}
}

// Validate reports every option that makes no sense.
func (o *Options) Validate() error {
	var errs []error
	if o.Microphone == "" {
		errs = append(errs, errors.New("microphone: must be set; none is a robot without one"))
	}
	if !siteName(o.Room) {
		errs = append(errs, fmt.Errorf("room: %q is no name of a site", o.Room))
	}
	if o.MaxSites < 0 || o.MaxSites > maxSites {
		errs = append(errs, fmt.Errorf("max_sites: %d is not from 0 to %d", o.MaxSites, maxSites))
	}
	if o.Idle < time.Second || o.Idle > time.Hour {
		errs = append(errs, fmt.Errorf("idle: %v is not from 1s to 1h", o.Idle))
	}
	return errors.Join(errs...)
}
