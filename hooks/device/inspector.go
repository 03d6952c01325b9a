package device

import (
	"sync"
	"time"

	"github.com/tarsd/tarsd/hooks/delivery"
)

// maxPending bounds the answers that are taken out: more probes than that are never unanswered, but for a
// device that hangs.
const maxPending = 4

// inspector is one connection of a device.
type inspector struct {
	h        *Hook
	p        *profile
	peer     *delivery.Peer
	presence string             // topic; empty: none
	limit    delivery.Inspector // nil: any rate

	mu      sync.Mutex // what follows; before Hook.mu and the engine's locks
	line    *delivery.Line
	timer   *time.Timer // the next probe; nil: none
	pending int         // probes without an answer
	present bool        // its presence was published
	ended   bool
}

var _ delivery.Companion = (*inspector)(nil)

// OnMessage implements delivery.Inspector.
func (in *inspector) OnMessage(m *delivery.Message) delivery.Verdict {
	if in.answered(m) {
		return delivery.Verdict{Action: delivery.Absorb}
	}
	if in.limit == nil {
		return delivery.Verdict{}
	}
	v := in.limit.OnMessage(m)
	if v.Action != delivery.Deliver {
		// The end of the connection, which the limit wants for MQTT 3, would make matters worse.
		v.Action, v.Reason = delivery.Ignore, ReasonRate
	}
	return v
}

// answered reports whether a message answers a probe.
func (in *inspector) answered(m *delivery.Message) bool {
	if in.p.reply == nil || m.Topic != in.p.Probe.ReplyTopic {
		return false
	}
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.pending == 0 || m.Retain || !in.p.answers(m.Payload) {
		return false
	}
	in.pending--
	return true
}

// Began implements delivery.Companion.
func (in *inspector) Began(l *delivery.Line) {
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.ended { // another connection has taken over
		return
	}
	in.line = l
	if in.presence != "" && l.MayPublish(in.presence) { // a client id alone gives nobody a voice
		in.present = true
		in.h.arrived(in.presence)
	}
	if in.p.Probe.Wake && !in.peer.Clean {
		in.probe()
	}
	if in.probes() {
		in.timer = time.AfterFunc(in.p.Probe.Interval, in.tick)
	}
}

// probes reports whether probes keep the connection up. mu is held.
func (in *inspector) probes() bool {
	switch {
	case in.p.Probe.Topic == "" || in.p.Probe.Interval <= 0:
		return false
	case in.p.KeepAlive == Connection:
		return !in.line.Watched()
	}
	return in.p.KeepAlive == Probing
}

// probe sends one. mu is held.
func (in *inspector) probe() {
	if in.line.Send(in.p.Probe.Topic, []byte(in.p.Probe.Payload)) {
		in.pending = min(in.pending+1, maxPending)
	}
}

// tick sends a probe if the device has been silent.
func (in *inspector) tick() {
	in.mu.Lock()
	defer in.mu.Unlock()
	if in.ended {
		return
	}
	next := in.p.Probe.Interval - in.h.now().Sub(in.line.LastPacket())
	if next <= 0 {
		if in.pending < maxPending { // one that answers none is left to its keep alive
			in.probe()
		}
		next = in.p.Probe.Interval
	}
	in.timer.Reset(next)
}

// Ended implements delivery.Companion.
func (in *inspector) Ended(reason string) {
	in.mu.Lock()
	in.ended = true
	if in.timer != nil {
		in.timer.Stop()
	}
	present := in.present
	in.mu.Unlock()
	if in.presence != "" {
		in.h.left(in.presence, reason, present)
	}
}
