package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/tarsd/tarsd/internal/crash/daemon"
	"github.com/tarsd/tarsd/internal/crash/rawmqtt"
)

// target is a running broker.
type target struct {
	name string
	dir  string // data
	d    *daemon.Daemon
	cmd  []string
}

// settings of tarsd that a measurement needs; everything else is as installed.
var settings = []string{"limits.connections_per_address=10000", "limits.connections=20000"}

// startLimit bounds the wait for a broker to accept.
const startLimit = 30 * time.Second

// start runs a fresh broker on a free port of loopback.
func (b *bench) start(ctx context.Context, name string, set ...string) (*target, error) {
	addr, err := daemon.FreeAddr()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp(b.tmp, name)
	if err != nil {
		return nil, err
	}
	t := &target{name: name, dir: dir}
	switch name {
	case theirs:
		conf := filepath.Join(dir, "mosquitto.conf")
		if err := daemon.MosquittoConfig(conf, dir, addr); err != nil {
			return nil, err
		}
		t.cmd = []string{b.mosquitto, "-c", conf}
	case ours:
		t.cmd = daemon.Tarsd(b.tarsd, dir, addr, append(settings[:len(settings):len(settings)], set...)...)
	}
	return t, b.launch(ctx, t, addr)
}

// launch starts the process of t and waits until it accepts.
func (b *bench) launch(ctx context.Context, t *target, addr string) error {
	var err error
	if t.d, err = daemon.Start(daemon.Options{Command: t.cmd, Addr: addr}); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, startLimit)
	defer cancel()
	if err := t.d.Ready(ctx); err != nil {
		t.d.Kill()
		return err
	}
	return nil
}

// both starts the pair that a paired measurement compares.
func (b *bench) both(ctx context.Context, set ...string) ([]*target, error) {
	m, err := b.start(ctx, theirs)
	if err != nil {
		return nil, err
	}
	t, err := b.start(ctx, ours, set...)
	if err != nil {
		m.d.Kill()
		return nil, err
	}
	return []*target{m, t}, nil
}

func kill(targets []*target) {
	for _, t := range targets {
		t.d.Kill()
	}
}

// restart stops t nicely and starts it again; it returns the time from exec to the first
// CONNACK.
func (b *bench) restart(ctx context.Context, t *target) (time.Duration, error) {
	addr := t.d.Addr
	stop, cancel := context.WithTimeout(ctx, startLimit)
	defer cancel()
	if _, err := t.d.Stop(stop); err != nil {
		return 0, err
	}
	d, err := daemon.Start(daemon.Options{Command: t.cmd, Addr: addr})
	if err != nil {
		return 0, err
	}
	t.d = d
	for end := time.Now().Add(startLimit); ; {
		c, err := rawmqtt.Dial(ctx, addr, rawmqtt.ConnectOptions{ID: "first", Clean: true})
		if err == nil {
			took := time.Since(d.Started)
			c.Finish()
			return took, nil
		}
		var op *net.OpError
		if !errors.As(err, &op) || time.Now().After(end) {
			return 0, fmt.Errorf("no CONNACK after a restart: %w\n%s", err, tailOf(d.Log(), 500))
		}
		select { // nobody listens yet
		case <-d.Done():
			return 0, fmt.Errorf("%w\n%s", daemon.ErrEnded, tailOf(d.Log(), 500))
		case <-ctx.Done():
			return 0, ctx.Err()
		case <-time.After(500 * time.Microsecond):
		}
	}
}
