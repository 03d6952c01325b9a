package config

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
)

// Devices are the peers whose faults the broker makes up for.
type Devices struct {
	ESP32    bool     `yaml:"esp32" doc:"The built-in profile for the servo controller's firmware as it is, for client ids tars-esp32*. See devices.md."`
	Legacy   bool     `yaml:"legacy" doc:"The built-in profiles for the Python services that tarsd replaces, each of which reads some messages in one form only. See devices.md."`
	Profiles []Device `yaml:"profiles" shown:"none" doc:"Profiles of your own, asked before the built-in ones; the first whose match fits a client id holds. See devices.md."`
}

// Device is a profile: how the broker treats clients whose id matches. What is not set is as for
// everybody, or as in the profile of Like.
type Device struct {
	Name          string       `yaml:"name"`
	Match         string       `yaml:"match"`         // client id; * stands for anything
	Like          string       `yaml:"like"`          // esp32: what is not set is taken from the built-in profile
	Window        int          `yaml:"window"`        // messages under way to it
	Queue         int          `yaml:"queue"`         // messages that wait for it while it is connected
	MaxAge        Duration     `yaml:"max_age"`       // how long a message may wait for it
	Fresh         bool         `yaml:"fresh"`         // nothing of before its connection reaches it
	Clear         []string     `yaml:"clear"`         // topics whose messages drop what waits before them
	Nested        bool         `yaml:"nested"`        // it handles messages while it waits for a PUBACK
	Settle        Duration     `yaml:"settle"`        // silence after its CONNECT before it gets messages
	KeepAlive     KeepAlive    `yaml:"keep_alive"`    // packets, connection or probe
	Link          Duration     `yaml:"link"`          // with connection: a dead link is noticed within this time
	Probe         DeviceProbe  `yaml:"probe"`         // a message that does nothing but make it answer
	Subscriptions []Subscribed `yaml:"subscriptions"` // FILTER or FILTER QOS, attached when it lacks them
	Presence      string       `yaml:"presence"`      // topic; %c stands for the client id
	Bare          []string     `yaml:"bare"`          // filters of topics whose messages it gets without envelope
	Enveloped     []string     `yaml:"enveloped"`     // filters of topics whose messages it gets in one
	HoldRefusal   Duration     `yaml:"hold_refusal"`  // how long a refused CONNECT takes
	Rate          Rate         `yaml:"rate"`          // that it may publish; more is acknowledged and dropped
}

// DeviceProbe is the probe of a profile.
type DeviceProbe struct {
	Topic      string   `yaml:"topic"`
	Payload    string   `yaml:"payload"`
	Interval   Duration `yaml:"interval"`
	Wake       bool     `yaml:"wake"` // one after each CONNECT without a clean session
	ReplyTopic string   `yaml:"reply_topic"`
	Reply      string   `yaml:"reply"` // JSON object: an answer has the same values for its keys
}

// KeepAlive says what ends the connection of a silent device.
type KeepAlive string

// The ways.
const (
	KeepPackets    KeepAlive = "packets"
	KeepConnection KeepAlive = "connection"
	KeepProbe      KeepAlive = "probe"
)

// UnmarshalText implements encoding.TextUnmarshaler.
func (k *KeepAlive) UnmarshalText(b []byte) error {
	return choice(k, b, KeepPackets, KeepConnection, KeepProbe)
}

// Subscribed is a topic filter with a QoS.
type Subscribed struct {
	Filter string
	QoS    byte
}

// UnmarshalText implements encoding.TextUnmarshaler.
func (s *Subscribed) UnmarshalText(b []byte) error {
	filter, qos, there := strings.Cut(strings.TrimSpace(string(b)), " ")
	n := uint64(1)
	if there {
		var err error
		if n, err = strconv.ParseUint(strings.TrimSpace(qos), 10, 8); err != nil || n > 2 {
			return fmt.Errorf("%q is not a filter and a QoS, such as movement/test 1", b)
		}
	}
	*s = Subscribed{filter, byte(n)}
	return nil
}

// MarshalText implements encoding.TextMarshaler.
func (s Subscribed) MarshalText() ([]byte, error) {
	return fmt.Appendf(nil, "%s %d", s.Filter, s.QoS), nil
}

func (d Devices) check(ps *Problems) {
	for i, p := range d.Profiles {
		p.check(fmt.Sprintf("devices.profiles[%d]", i), ps)
	}
}

func (d Device) check(key string, ps *Problems) {
	if d.Match == "" {
		ps.add(key+".match", "", "must be set: a client id, * for anything")
	}
	if d.Like != "" && d.Like != "esp32" {
		ps.add(key+".like", "", "there is no built-in profile %q; there is esp32", d.Like)
	}
	for _, r := range []struct {
		key    string
		v, top int64
	}{
		{"window", int64(d.Window), 65535},
		{"queue", int64(d.Queue), 1_000_000},
		{"rate.messages", int64(d.Rate.Messages), 1_000_000_000},
	} {
		if r.v < 0 || r.v > r.top {
			ps.add(key+"."+r.key, "", "%d is not from 0 to %d", r.v, r.top)
		}
	}
	if d.HoldRefusal > Duration(30e9) {
		ps.add(key+".hold_refusal", "", "%s is above 30s", d.HoldRefusal)
	}
	if d.KeepAlive == KeepConnection && d.Like == "" && d.Link == 0 || d.Link > 0 && d.Link < Duration(5e9) {
		ps.add(key+".link", "", "must be 5s or more")
	}
	for i, s := range d.Subscriptions {
		if err := checkFilter(s.Filter); err != nil {
			ps.add(fmt.Sprintf("%s.subscriptions[%d]", key, i), "", "%s", err)
		}
	}
	for _, fs := range []struct {
		key     string
		filters []string
	}{{"bare", d.Bare}, {"enveloped", d.Enveloped}} {
		for i, f := range fs.filters {
			if err := checkFilter(f); err != nil {
				ps.add(fmt.Sprintf("%s.%s[%d]", key, fs.key, i), "", "%s", err)
			}
		}
	}
	for i, t := range d.Clear {
		if t == "" || strings.ContainsAny(t, "+#\x00") {
			ps.add(fmt.Sprintf("%s.clear[%d]", key, i), "", "%q is not a topic", t)
		}
	}
	d.Probe.check(key+".probe", d, ps)
	for _, t := range []struct{ key, topic string }{
		{"presence", d.Presence}, {"probe.topic", d.Probe.Topic}, {"probe.reply_topic", d.Probe.ReplyTopic},
	} {
		if strings.ContainsAny(t.topic, "+#\x00") || strings.HasPrefix(t.topic, "$") {
			ps.add(key+"."+t.key, "", "%q is not a topic to publish to", t.topic)
		}
	}
}

func (p DeviceProbe) check(key string, d Device, ps *Problems) {
	if p.Topic == "" && d.Like == "" && (p.Wake || d.KeepAlive == KeepProbe) {
		ps.add(key+".topic", "", "must be set")
	}
	if d.KeepAlive == KeepProbe && d.Like == "" && p.Interval == 0 || p.Interval > 0 && p.Interval < Duration(1e9) {
		ps.add(key+".interval", "", "must be 1s or more")
	}
	if p.Reply != "" {
		var m map[string]any
		if err := json.Unmarshal([]byte(p.Reply), &m); err != nil || m == nil {
			ps.add(key+".reply", "", "%q is not a JSON object", p.Reply)
		}
	}
}
