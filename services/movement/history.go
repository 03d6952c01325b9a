package movement

import (
	"slices"
	"sync"
	"time"

	"github.com/tarsd/tarsd/services/client"
	"github.com/tarsd/tarsd/services/contract"
)

// Bounds of the history, which are those of its topic.
const (
	maxRequests = 20
	maxEvents   = 32
)

// Who carries a request out, and who said something about it.
const (
	byFrames   = "frames"
	byDevice   = "device"
	fromHost   = "host"
	fromDevice = "device"
)

// entry is one request: what is said about it, and to whom answers belong.
type entry struct {
	id, command string // as they were asked for
	turn        client.Turn
	silent      bool // the device says on movement/status what becomes of it

	h   *history
	req contract.MotionRequest // guarded by h.mu
}

// history are the latest requests, in the order of their arrival.
type history struct {
	changed func()

	mu   sync.Mutex
	list []*entry
}

func (h *history) add(e *entry, speed float64, source, by string) *entry {
	e.h = h
	e.req = contract.MotionRequest{ID: e.id, Command: e.command, Speed: speed, By: by, State: "queued"}
	if source != "" {
		e.req.Source = &source
	}
	h.mu.Lock()
	h.list = append(h.list, e)
	if len(h.list) > maxRequests {
		h.list = slices.Delete(h.list, 0, len(h.list)-maxRequests)
	}
	h.mu.Unlock()
	return e
}

// note adds an event. An end is final: what a device says later is noted, and changes nothing.
func (e *entry) note(event, from, state, detail string) {
	e.h.mu.Lock()
	if len(e.req.Events) < maxEvents {
		e.req.Events = append(e.req.Events, contract.MotionEvent{Event: event, TS: now(), From: from})
	}
	if state != "" && !ended(e.req.State) {
		e.req.State = state
		if detail != "" {
			e.req.Detail = &detail
		}
	}
	e.h.mu.Unlock()
	e.h.changed()
}

// frame counts a pose.
func (e *entry) frame() {
	e.h.mu.Lock()
	defer e.h.mu.Unlock()
	e.req.Frames++
}

func ended(state string) bool {
	return state == "completed" || state == "failed" || state == "cancelled"
}

// requests is a copy.
func (h *history) requests() []contract.MotionRequest {
	h.mu.Lock()
	defer h.mu.Unlock()
	out := make([]contract.MotionRequest, 0, len(h.list))
	for _, e := range h.list {
		r := e.req
		r.Events = slices.Clone(r.Events)
		out = append(out, r)
	}
	return out
}

// now is the time in Unix seconds.
func now() float64 { return float64(time.Now().UnixMicro()) / 1e6 }

// seen remembers ids of the last messages of a kind: our own, or those that were dealt with.
type seen struct {
	mu  sync.Mutex
	ids []string
}

const maxSeen = 256

// add reports whether the id is new.
func (s *seen) add(id string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if slices.Contains(s.ids, id) {
		return false
	}
	if len(s.ids) == maxSeen {
		s.ids = slices.Delete(s.ids, 0, maxSeen/2)
	}
	s.ids = append(s.ids, id)
	return true
}

func (s *seen) has(id string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Contains(s.ids, id)
}
