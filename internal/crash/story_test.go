package crash

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"
)

// kind is what happened.
type kind byte

const (
	evConnected kind = iota
	evResumed
	evLostConn
	evKilled
	evSent
	evResent
	evPuback
	evPubrec
	evPubrel
	evPubcomp
	evGot
	evGotAgain
	evGotHeld
	evAckQueued
	evRecQueued
	evReleased
	evSuback
)

var kindNames = [...]string{
	evConnected: "connected, no session", evResumed: "connected, session resumed", evLostConn: "connection ended", evKilled: "broker killed",
	evSent: "PUBLISH sent", evResent: "PUBLISH sent again with DUP", evPuback: "PUBACK came", evPubrec: "PUBREC came", evPubrel: "PUBREL sent", evPubcomp: "PUBCOMP came",
	evGot: "delivered", evGotAgain: "delivered again", evGotHeld: "came again before PUBREL, not delivered",
	evAckQueued: "PUBACK sent", evRecQueued: "PUBREC sent", evReleased: "PUBREL came, PUBCOMP sent", evSuback: "SUBACK came",
}

// event is one line of a story, kept small because there are millions.
type event struct {
	at     int64 // ns since the test began
	seq    uint32
	stream uint16
	packet uint16 // packet identifier
	kind   kind
	dup    bool
	code   byte
}

// about says that an event concerns a connection or the broker and no message.
func (e event) about() bool { return e.kind <= evKilled }

// ring keeps the last events of one client.
type ring struct {
	client string
	begin  time.Time
	mu     sync.Mutex
	events []event
	n      int // events ever written
}

const ringLen = 1 << 16

func newRing(client string, begin time.Time) *ring { return &ring{client: client, begin: begin} }

func (r *ring) add(e event) {
	e.at = int64(time.Since(r.begin))
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.events) < ringLen {
		r.events = append(r.events, e)
	} else {
		r.events[r.n%ringLen] = e
	}
	r.n++
}

func (r *ring) each(f func(e event)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	start := 0
	if len(r.events) == ringLen {
		start = r.n % ringLen
	}
	for i := range r.events {
		f(r.events[(start+i)%len(r.events)])
	}
}

type line struct {
	event
	client string
}

const storyLines = 80

// tell writes the story of one message: everything that its publisher and the client that
// complains know about it and its neighbours, their connections, and every other message
// that had the same packet identifier at that client.
func tell(rings []*ring, client string, st *stream, seq uint32) string {
	var lines []line
	ids := map[uint16]bool{}
	if st != nil {
		for _, r := range rings {
			if r.client == client {
				r.each(func(e event) {
					if !e.about() && e.stream == st.id && e.seq == seq {
						ids[e.packet] = true
					}
				})
			}
		}
	}
	for _, r := range rings {
		mine := r.client == client
		r.each(func(e event) {
			switch {
			case e.about():
				if !mine && (st == nil || st.pub != r.client) && e.kind != evKilled {
					return
				}
			case st == nil:
				if !mine {
					return
				}
			case e.stream == st.id && e.seq+1 >= seq && e.seq <= seq+1: // neighbours show the order
			case mine && ids[e.packet]:
			default:
				return
			}
			lines = append(lines, line{e, r.client})
		})
	}
	slices.SortFunc(lines, func(a, b line) int { return cmp.Compare(a.at, b.at) })
	if n := len(lines) - storyLines; n > 0 {
		lines = lines[n:]
	}
	var b strings.Builder
	fmt.Fprintf(&b, "the story (the last %d lines, time since the start):\n", len(lines))
	for _, l := range lines {
		fmt.Fprintf(&b, "%12.6f  %-8s %s", float64(l.at)/1e9, l.client, kindNames[l.kind])
		if !l.about() {
			fmt.Fprintf(&b, ", stream %d message %d, packet id %d", l.stream, l.seq, l.packet)
		}
		if l.dup {
			b.WriteString(", DUP")
		}
		if l.code != 0 {
			fmt.Fprintf(&b, ", code %#02x", l.code)
		}
		b.WriteByte('\n')
	}
	return b.String()
}
