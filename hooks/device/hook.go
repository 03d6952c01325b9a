package device

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"github.com/tarsd/tarsd/hooks/delivery"
	"github.com/tarsd/tarsd/hooks/limit"
	"github.com/tarsd/tarsd/internal/wire"
)

// ReasonRate is the reason under which messages above a device's rate are counted.
const ReasonRate = "device_rate"

// Hook gives devices their terms, presence and probes. It implements delivery.Hook.
type Hook struct {
	profiles []*profile
	now      func() time.Time

	mu     sync.Mutex
	engine *delivery.Engine
	online map[string]int  // connections by presence topic
	open   map[string]bool // topics whose last connection was taken over by one that has not begun yet
}

var (
	_ delivery.Adviser = (*Hook)(nil)
	_ delivery.Binder  = (*Hook)(nil)
)

// New checks the profiles; of several that match a client the first counts.
func New(profiles []Profile) (*Hook, error) {
	h := &Hook{now: time.Now, online: map[string]int{}, open: map[string]bool{}}
	var errs []error
	for i, p := range profiles {
		c, err := compile(p)
		if err == nil && p.Messages+p.Bytes > 0 {
			c.limit, err = limit.New(limit.Options{Messages: p.Messages, Bytes: p.Bytes})
		}
		if err != nil {
			errs = append(errs, fmt.Errorf("profile %d (%s): %w", i, p.Name, err))
		}
		h.profiles = append(h.profiles, c)
	}
	return h, errors.Join(errs...)
}

// Name implements delivery.Hook.
func (h *Hook) Name() string { return "device" }

func (h *Hook) profileOf(peer *delivery.Peer) *profile {
	for _, p := range h.profiles {
		if matches(p.Match, peer.ID) && (!p.OnlyV3 || peer.Version < wire.V5) {
			return p
		}
	}
	return nil
}

// Terms implements delivery.Adviser.
func (h *Hook) Terms(p *delivery.Peer) *delivery.Terms {
	if c := h.profileOf(p); c != nil {
		return &c.terms
	}
	return nil
}

// Attach implements delivery.Hook.
func (h *Hook) Attach(p *delivery.Peer) delivery.Inspector {
	c := h.profileOf(p)
	if c == nil {
		return nil
	}
	in := &inspector{h: h, p: c, peer: p, presence: strings.ReplaceAll(c.Presence, "%c", p.ID)}
	if strings.ContainsAny(in.presence, "+#\x00") { // the id is the client's choice
		in.presence = ""
	}
	if c.limit != nil {
		in.limit = c.limit.Attach(p)
	}
	return in
}

// Bind implements delivery.Binder. Nobody is connected yet: what the last run left of a presence is put
// right.
func (h *Hook) Bind(e *delivery.Engine) {
	h.mu.Lock()
	h.engine = e
	clear(h.online)
	clear(h.open)
	h.mu.Unlock()
	for _, p := range h.profiles {
		filter := strings.ReplaceAll(p.Presence, "%c", "+")
		if filter == "" || !wire.ValidFilter(filter) {
			continue
		}
		for topic, ok := range h.said(filter) {
			if ok {
				h.say(topic, false, "disconnected")
			}
		}
	}
}

// said is what the retained messages of a filter say.
func (h *Hook) said(filter string) map[string]bool {
	all := map[string]bool{}
	h.engine.EachRetained(filter, func(s delivery.Sight) bool {
		var m struct {
			OK   bool `json:"ok"`
			Data struct {
				OK bool `json:"ok"`
			} `json:"data"`
		}
		all[s.Topic] = json.Unmarshal(s.Payload, &m) == nil && (m.OK || m.Data.OK)
		return true
	})
	return all
}

// say publishes a presence, in the form of the firmware's own messages.
func (h *Hook) say(topic string, ok bool, event string) {
	b, err := json.Marshal(struct {
		OK        bool   `json:"ok"`
		Event     string `json:"event"`
		Timestamp int64  `json:"timestamp"` // Unix seconds
	}{ok, event, h.now().Unix()})
	if err == nil {
		h.engine.Publish(topic, b, 1, true)
	}
}

// arrived notes a connection. If the retained message says something else than that all is well, it is
// corrected; a device that has said so itself is left alone.
func (h *Hook) arrived(topic string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.online[topic]++
	delete(h.open, topic)
	if !h.said(topic)[topic] {
		h.say(topic, true, "reconnected")
	}
}

// left notes the end of a connection, present or not, and says that a device is away unless there is
// another connection.
func (h *Hook) left(topic, reason string, present bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if present {
		h.online[topic]--
	}
	switch {
	case h.online[topic] > 0 || !present && !h.open[topic]:
	case reason == delivery.TakenOver: // it is back already, or as good as: that connection comes here too
		h.open[topic] = true
	default:
		delete(h.online, topic)
		delete(h.open, topic)
		h.say(topic, false, "disconnected")
	}
}
