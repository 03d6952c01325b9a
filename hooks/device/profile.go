package device

import (
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/tarsd/tarsd/hooks/delivery"
	"github.com/tarsd/tarsd/internal/wire"
)

// KeepAlive says what ends a silent connection.
type KeepAlive byte

// The ways.
const (
	Packets    KeepAlive = iota // the keep alive of MQTT, as for everybody
	Connection                  // the system, when the link is dead
	Probing                     // the keep alive of MQTT, which answers to probes satisfy
)

// Probe is a message that does nothing but make the device answer.
type Probe struct {
	Topic    string
	Payload  string
	Interval time.Duration // silence after which one is sent, where probes keep the connection up
	Wake     bool          // one is sent after each CONNECT without a clean session
	// ReplyTopic and Reply tell the answer: a JSON object on that topic with the same values for all keys
	// of Reply. Empty: answers are not taken out.
	ReplyTopic string
	Reply      string
}

// Profile says how the broker treats the devices whose client id matches. A zero field changes nothing.
type Profile struct {
	Name          string
	Match         string // client id, * for anything
	OnlyV3        bool   // only clients that speak MQTT 3.1 or 3.1.1
	Window        int    // see delivery.Terms
	Queue         int
	MaxAge        time.Duration
	Fresh         bool
	Clear         []string
	Nested        bool
	Settle        time.Duration
	KeepAlive     KeepAlive
	Link          time.Duration // with Connection: a dead link is noticed within this time
	Probe         Probe
	Subscriptions []wire.Filter
	Presence      string   // topic; %c stands for the client id
	Withhold      []string // filters of topics of whose messages it gets an empty object and nothing else
	Bare          []string // filters of topics whose messages it gets without their envelope
	Enveloped     []string // filters of topics whose messages it gets in an envelope
	HoldRefusal   time.Duration
	Messages      float64 // that the device may publish a second; more are acknowledged and dropped. 0: any
	Bytes         float64 // the same of topics and payloads
}

// ESP32 is the profile for the unmodified firmware of the servo controller.
func ESP32() Profile {
	return Profile{
		Name:      "esp32",
		Match:     "tars-esp32*",
		Window:    1,
		Queue:     256,
		MaxAge:    10 * time.Second,
		Fresh:     true,
		Clear:     []string{"movement/stop"},
		Nested:    true,
		Settle:    2 * time.Second,
		KeepAlive: Connection,
		Link:      25 * time.Second,
		Probe: Probe{
			Topic: "movement/frame", Payload: "{}", Interval: 12 * time.Second, Wake: true,
			ReplyTopic: "movement/state", Reply: `{"event":"frame_applied","channels":0}`,
		},
		Subscriptions: []wire.Filter{{Name: "movement/frame", QoS: 1}, {Name: "movement/test", QoS: 1}, {Name: "movement/stop", QoS: 1}},
		Presence:      "system/health/movement-esp32",
		HoldRefusal:   2 * time.Second,
		Messages:      200,
	}
}

// profile is a checked Profile in the form in which it is used.
type profile struct {
	Profile
	terms delivery.Terms
	reply map[string]any
	limit delivery.Hook // nil: any rate
}

// matches reports whether a pattern matches a client id.
func matches(pattern, id string) bool {
	head, rest, star := strings.Cut(pattern, "*")
	if !star {
		return pattern == id
	}
	if !strings.HasPrefix(id, head) {
		return false
	}
	id = id[len(head):]
	for {
		part, next, more := strings.Cut(rest, "*")
		if !more {
			return strings.HasSuffix(id, part)
		}
		i := strings.Index(id, part)
		if i < 0 {
			return false
		}
		id, rest = id[i+len(part):], next
	}
}

// compile checks a profile.
func compile(p Profile) (*profile, error) {
	c := &profile{Profile: p}
	var errs []error
	bad := func(format string, args ...any) { errs = append(errs, fmt.Errorf(format, args...)) }
	switch {
	case p.Match == "":
		bad("match: must be set")
	case p.Window < 0 || p.Window > 65535 || p.Queue < 0:
		bad("window, queue: below 0 or above 65535")
	case p.KeepAlive == Connection && p.Link < 5*time.Second:
		bad("link: %s is below 5s", p.Link)
	}
	for _, f := range p.Subscriptions {
		if _, filter, _, ok := wire.SplitShare(f.Name); !ok || !wire.ValidFilter(filter) || f.QoS > 2 {
			bad("subscriptions: %q at QoS %d", f.Name, f.QoS)
		}
	}
	for _, f := range slices.Concat(p.Withhold, p.Bare, p.Enveloped) {
		if !wire.ValidFilter(f) {
			bad("withhold, bare, enveloped: %q is not a topic filter", f)
		}
	}
	for _, t := range []struct{ key, topic string }{{"presence", p.Presence}, {"probe.topic", p.Probe.Topic}, {"probe.reply_topic", p.Probe.ReplyTopic}} {
		if t.topic != "" && (strings.ContainsAny(t.topic, "+#\x00") || t.topic[0] == '$') {
			bad("%s: %q is not a topic", t.key, t.topic)
		}
	}
	if p.Probe.Topic == "" && (p.KeepAlive == Probing || p.Probe.Wake) {
		bad("probe.topic: must be set")
	}
	if p.KeepAlive == Probing && p.Probe.Interval < time.Second {
		bad("probe.interval: %s is below 1s", p.Probe.Interval)
	}
	if p.Probe.Reply != "" {
		if err := json.Unmarshal([]byte(p.Probe.Reply), &c.reply); err != nil || c.reply == nil {
			bad("probe.reply: %q is not a JSON object", p.Probe.Reply)
		}
	}
	c.terms = delivery.Terms{
		Window: p.Window, Queue: p.Queue, MaxAge: p.MaxAge, Fresh: p.Fresh, Clear: p.Clear, Nested: p.Nested, Settle: p.Settle,
		Attach: p.Subscriptions, HoldRefusal: p.HoldRefusal,
	}
	if p.KeepAlive == Connection {
		c.terms.Link = p.Link
	}
	if len(p.Withhold)+len(p.Bare)+len(p.Enveloped) > 0 {
		c.terms.Rewrite = (&form{p.Withhold, p.Bare, p.Enveloped}).rewrite
	}
	return c, errors.Join(errs...)
}

// answers reports whether a payload is an answer to a probe.
func (p *profile) answers(payload []byte) bool {
	const most = 1024 // bytes; an answer is short
	var m map[string]any
	if len(payload) > most || json.Unmarshal(payload, &m) != nil {
		return false
	}
	for k, want := range p.reply {
		if have, ok := m[k]; !ok || !same(have, want) {
			return false
		}
	}
	return true
}

// same compares JSON values that are not compared in Go: an object is never the same.
func same(a, b any) bool {
	switch a.(type) {
	case string, float64, bool, nil:
		return a == b
	}
	return false
}
