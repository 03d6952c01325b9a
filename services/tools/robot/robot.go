// Package robot is the robot's own tools: motion, persona, memory, camera, speech and status, each a
// schema and a function over topics. It is used by the service that carries out the model's calls and
// by the MCP server alike, and knows neither.
package robot

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/tarsd/tarsd/services/client"
	"github.com/tarsd/tarsd/services/contract"
	"github.com/tarsd/tarsd/services/tools/tool"
)

// Servers of the robot's own tools. The first two are those of the reference, whose names of tools
// are kept.
const (
	Movement  = "tars-movement"
	Character = "tars-character"
	Other     = "tars"
)

// Bounds of waiting.
const (
	answerWait = 8 * time.Second // for another service
	settleWait = time.Second     // after New, for what is retained
	stopWait   = 2 * time.Second // for the word that everything is off
	maxPeers   = 256             // whose health is kept
)

// Options of New.
type Options struct {
	Bus      *client.Client
	Motion   time.Duration  // how long a move may take before its tool answers without its end
	Location *time.Location // of the robot
}

// Robot is what the tools know of the robot. mu guards what follows it.
type Robot struct {
	o       Options
	started time.Time

	mu      sync.Mutex
	peers   map[string]contract.HealthPing
	motion  *contract.MotionInfo
	persona *contract.Character
	waiting map[string]chan contract.MovementUpdate // by request id
	stops   map[chan contract.MovementUpdate]bool   // those who wait for an emergency stop
	changed chan struct{}                           // closed and made anew when something is learnt
}

// New subscribes to what the tools need. The caller then makes the client ready.
func New(o Options) (*Robot, error) {
	r := &Robot{
		o: o, started: time.Now(), peers: map[string]contract.HealthPing{}, changed: make(chan struct{}),
		waiting: map[string]chan contract.MovementUpdate{}, stops: map[chan contract.MovementUpdate]bool{},
	}
	var errs []error
	add := func(_ *client.Subscription, err error) { errs = append(errs, err) }
	add(client.Subscribe(o.Bus, contract.Health, r.onHealth))
	add(client.Subscribe(o.Bus, contract.MovementInfo, func(_ context.Context, m client.Message[contract.MotionInfo]) error {
		r.learn(func() { r.motion = &m.Data })
		return nil
	}))
	add(client.Subscribe(o.Bus, contract.CharacterCurrent, func(_ context.Context, m client.Message[contract.Character]) error {
		r.learn(func() { r.persona = &m.Data })
		return nil
	}))
	add(client.Subscribe(o.Bus, contract.MovementStatus, r.onMovement))
	return r, errors.Join(errs...)
}

// Tools are all of them, the most useful ones first: a model with a small window is offered no more
// than fit.
func (r *Robot) Tools() []tool.Tool {
	return slices.Concat(r.motionTools(), r.memoryTools(), r.characterTools(), r.otherTools())
}

// learn changes what is known.
func (r *Robot) learn(change func()) {
	r.mu.Lock()
	defer r.mu.Unlock()
	change()
	close(r.changed)
	r.changed = make(chan struct{})
}

// await waits until known says so, which it does under mu, but only as long as retained messages
// take after a start.
func (r *Robot) await(ctx context.Context, known func() bool) {
	ctx, cancel := context.WithDeadline(ctx, r.started.Add(settleWait))
	defer cancel()
	for {
		r.mu.Lock()
		ok, changed := known(), r.changed
		r.mu.Unlock()
		if ok {
			return
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return
		}
	}
}

func (r *Robot) onHealth(_ context.Context, m client.Message[contract.HealthPing]) error {
	name := m.Topic[len("system/health/"):]
	r.learn(func() {
		if _, known := r.peers[name]; known || len(r.peers) < maxPeers {
			r.peers[name] = m.Data
		}
	})
	return nil
}

// need says in words why none of the peers that could do something is up; nil if one is.
func (r *Robot) need(ctx context.Context, what string, names ...string) error {
	up := func() bool {
		return slices.ContainsFunc(names, func(n string) bool { return r.peers[n].OK })
	}
	r.await(ctx, up)
	r.mu.Lock()
	defer r.mu.Unlock()
	if up() {
		return nil
	}
	why := "it is not running"
	for _, n := range names {
		if p, known := r.peers[n]; known {
			if why = contract.Value(p.Err); why == "" {
				why = "it says " + contract.Value(p.Event)
			}
			break
		}
	}
	return fmt.Errorf("there is no %s now: %s", what, tool.Cut(why, 200))
}

// ask is a request to another service, with the time that a tool has for it.
func ask[Q, A any](ctx context.Context, r *Robot, q contract.Topic[Q], a contract.Topic[A], data Q) (A, error) {
	ctx, cancel := context.WithTimeout(ctx, answerWait)
	defer cancel()
	m, err := client.Request(ctx, r.o.Bus, q, a, data)
	if errors.Is(err, client.ErrNoReply) {
		return m.Data, fmt.Errorf("no answer within %s", answerWait)
	}
	return m.Data, err
}

// health is a copy of what is known of peers.
func (r *Robot) health() map[string]contract.HealthPing {
	r.mu.Lock()
	defer r.mu.Unlock()
	return maps.Clone(r.peers)
}
