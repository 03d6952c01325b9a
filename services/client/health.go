package client

import (
	"context"
	"fmt"
	"net"
	"strings"
	"sync/atomic"
	"time"

	"github.com/eclipse/paho.golang/paho"
	paholog "github.com/eclipse/paho.golang/paho/log"

	"github.com/tarsd/tarsd/services/contract"
)

// health is what the service has said of itself. Client.mu guards it.
type health struct {
	old   bool // said before Reset
	set   bool // Health has been called, or Ready
	ok    bool
	event string
	err   string
}

// healthMessage makes a message on the health topic.
func (c *Client) healthMessage(ok bool, event, problem string) (*publication, error) {
	t := contract.Health.At(c.opts.Name)
	ping := contract.HealthPing{OK: ok}
	if event != "" {
		ping.Event = &event
	}
	if problem != "" {
		ping.Err = &problem
	}
	now := unix(time.Now())
	e := contract.Envelope{ID: c.opts.NewID(), Type: t.Type, TS: now, Source: c.opts.Name}
	t.Fill(&ping, e.ID, c.opts.NewID, now)
	b, err := t.Encode(e, ping)
	if err != nil {
		return nil, fmt.Errorf("health: %w", err)
	}
	return &publication{topic: t.Name, payload: b, qos: t.QoS, retain: t.Retain, id: e.ID}, nil
}

// Ready is called once, after subscribing. It waits until the broker has confirmed the
// subscriptions, returns the refusal if it has refused one, and publishes health "ready". From
// then on a reconnect publishes "reconnected", or the error that Health has set.
func (c *Client) Ready(ctx context.Context) error {
	c.mu.RLock()
	subs := c.subs
	c.mu.RUnlock()
	if err := c.standing(ctx, subs...); err != nil {
		return fmt.Errorf("ready: %w", err)
	}
	c.mu.Lock()
	failed := c.health.set && !c.health.ok && !c.health.old
	c.mu.Unlock()
	if failed {
		return nil // an error was set before, and stays until Health clears it
	}
	return c.Health(ctx, true, "ready", nil)
}

// Health publishes how the service is, retained, on system/health/<name>, and remembers it: after
// a reconnect an error is published again. ok clears it. Without a connection it is published
// with the next one.
func (c *Client) Health(ctx context.Context, ok bool, event string, err error) error {
	if c.opts.NoHealth {
		return nil
	}
	h := health{set: true, ok: ok, event: event}
	if err != nil {
		h.err = strings.ToValidUTF8(err.Error(), "\uFFFD") // of a library or a peer, perhaps
	}
	c.mu.Lock()
	c.health = h
	up := c.up
	c.mu.Unlock()
	if !up {
		return nil
	}
	p, perr := c.healthMessage(ok, event, h.err)
	if perr != nil {
		return perr
	}
	if _, perr = c.out.publish(ctx, p); perr != nil {
		return fmt.Errorf("publish %q: %w", p.topic, perr)
	}
	return nil
}

// sayAgain says how the service is on a new connection, if it has said anything. mu is held.
func (c *Client) sayAgain(first bool) {
	h := c.health
	if c.opts.NoHealth || !h.set || c.closing() {
		return
	}
	event := h.event
	if h.ok && !first {
		event = "reconnected"
	}
	p, err := c.healthMessage(h.ok, event, h.err)
	if err == nil {
		err = c.out.post(p)
	}
	if err != nil {
		c.opts.Log.Error().Err(err).Str("client", c.opts.ID).Msg("health not published")
	}
}

// goodbye says shutdown, if the broker has ever heard of us.
func (c *Client) goodbye(ctx context.Context) {
	c.mu.RLock()
	say := c.up && c.health.set && !c.opts.NoHealth
	c.mu.RUnlock()
	if !say {
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), goodbyeTime) // also after a drain that took all of its time
	defer cancel()
	p, err := c.healthMessage(false, "shutdown", "")
	if err == nil {
		_, err = c.out.publish(ctx, p)
	}
	if err != nil {
		c.opts.Log.Warn().Err(err).Str("client", c.opts.ID).Msg("shutdown not announced")
	}
}

// pinger is paho's ping handler, and the watchdog: heartbeats and pings go out together, and when
// three in a row have no answer the connection is cut. A PINGRESP proves that the broker has read
// what was sent before it, the heartbeat too; a link that is open on one side only, a broker that
// does not read and one that does not write all have none. A broker that answers pings and nothing
// else is found by the acknowledgements it owes.
type pinger struct {
	c    *Client
	pong atomic.Int64 // nanoseconds after start of the last PINGRESP, or the connection's beginning
	base time.Time
}

var _ paho.Pinger = (*pinger)(nil)

// Run implements paho.Pinger. Its error ends the connection.
func (p *pinger) Run(ctx context.Context, conn net.Conn, keepAlive uint16) error {
	l := conn.(*link)
	o := &p.c.opts
	every := time.Duration(keepAlive) * time.Second * 3 / 4
	if every == 0 {
		every = o.KeepAlive
	}
	if o.Heartbeat > 0 {
		every = min(every, o.Heartbeat)
	}
	p.base = time.Now()
	p.pong.Store(0)
	t := time.NewTicker(every)
	defer t.Stop()
	for {
		p.beat(l)
		select {
		case <-ctx.Done():
			return nil
		case <-t.C:
		}
		if quiet := time.Since(p.base) - time.Duration(p.pong.Load()); quiet >= 3*every {
			return fmt.Errorf("no answer to heartbeats for %s", quiet.Round(time.Millisecond))
		}
		if o.AckTimeout > 0 {
			if owed := p.c.out.stuck(); owed >= o.AckTimeout {
				return fmt.Errorf("no acknowledgement for %s", owed.Round(time.Millisecond))
			}
		}
	}
}

// beat sends a heartbeat and a PINGREQ. The heartbeat is left out when the link is full.
func (p *pinger) beat(l *link) {
	if p.c.opts.Heartbeat > 0 {
		t := contract.Keepalive.At(p.c.opts.ID)
		b, err := t.Encode(contract.Envelope{}, contract.Heartbeat{OK: true, Event: "heartbeat", Timestamp: unix(time.Now())})
		if err == nil {
			m := publication{topic: t.Name, payload: b}
			_, err = l.tryPush(func(b []byte) []byte { return m.appendTo(b, 0, 0, false, 0) })
		}
		if err != nil {
			p.c.opts.Log.Debug().Err(err).Msg("heartbeat not sent")
		}
	}
	l.push([]byte{12 << 4, 0})
}

// PingResp implements paho.Pinger.
func (p *pinger) PingResp() { p.pong.Store(int64(time.Since(p.base))) }

// PacketSent implements paho.Pinger.
func (*pinger) PacketSent() {}

// PacketReceived implements paho.Pinger.
func (*pinger) PacketReceived() {}

// SetDebug implements paho.Pinger.
func (*pinger) SetDebug(paholog.Logger) {}

// unix is t in Unix seconds, to the microsecond.
func unix(t time.Time) float64 { return float64(t.UnixMicro()) / 1e6 }
