package audio

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"
)

// reopenEvery bounds how often a lost device is tried: a Write in between fails at once.
const reopenEvery = 250 * time.Millisecond

// reviver is a sink that opens its device again after it was lost.
type reviver struct {
	open func(context.Context) (Sink, error)
	turn sync.Mutex // held while opening; before mu

	mu     sync.Mutex // guards what follows
	sink   Sink       // nil: lost
	closed bool
	tried  time.Time
	err    error // why it is lost
}

// reviving opens the device for the first time.
func reviving(ctx context.Context, open func(context.Context) (Sink, error)) (*reviver, error) {
	s, err := open(ctx)
	if err != nil {
		return nil, err
	}
	return &reviver{open: open, sink: s}, nil
}

// current returns the device, opened again if need be.
func (r *reviver) current(ctx context.Context) (Sink, error) {
	r.turn.Lock()
	defer r.turn.Unlock()
	r.mu.Lock()
	s, closed, wait, err := r.sink, r.closed, time.Since(r.tried) < reopenEvery, r.err
	r.mu.Unlock()
	switch {
	case closed:
		return nil, ErrClosed
	case s != nil:
		return s, nil
	case wait:
		return nil, err
	}
	s, err = r.open(ctx)
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed && err == nil {
		return nil, errors.Join(ErrClosed, s.Close())
	}
	r.tried, r.err = time.Now(), err
	if err != nil {
		return nil, err
	}
	r.sink = s
	return s, nil
}

// judge closes s when err says that the device is lost.
func (r *reviver) judge(s Sink, err error) error {
	if err == nil || !errors.Is(err, errLost) {
		return err
	}
	r.mu.Lock()
	if r.sink == s {
		r.sink, r.err = nil, err
	}
	r.mu.Unlock()
	s.Close()
	return err
}

// errLost is wrapped by errors of a device that has to be opened again.
var errLost = fmt.Errorf("%w: lost", ErrNoDevice)

func (r *reviver) Write(ctx context.Context, pcm []int16) error {
	s, err := r.current(ctx)
	if err != nil {
		return err
	}
	return r.judge(s, s.Write(ctx, pcm))
}

func (r *reviver) Drain(ctx context.Context) error {
	r.mu.Lock()
	s := r.sink
	r.mu.Unlock()
	if s == nil {
		return nil // what was lost was reported, and has no rest
	}
	return r.judge(s, s.Drain(ctx))
}

func (r *reviver) Flush() error {
	r.mu.Lock()
	s := r.sink
	r.mu.Unlock()
	if s == nil {
		return nil
	}
	return r.judge(s, s.Flush())
}

func (r *reviver) Close() error {
	r.mu.Lock()
	s := r.sink
	r.sink, r.closed = nil, true
	r.mu.Unlock()
	if s == nil {
		return nil
	}
	return s.Close()
}
