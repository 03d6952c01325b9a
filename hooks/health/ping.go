package health

import (
	"encoding/json"
	"math"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/tarsd/tarsd/services/contract"
)

// Bounds of what a health message may bring. In bytes.
const (
	maxPayload = 16 << 10
	maxEvent   = 64
	maxErr     = 512
)

// source is the envelope's source of the broker's own messages.
const source = "tarsd"

// ping is what a health message or a heartbeat says.
type ping struct {
	from  string // client id; empty: the server
	at    time.Time
	ok    bool
	event string
	err   string
	id    string // of the envelope, or message_id
	time  float64
	bare  bool
	data  json.RawMessage // the payload object
}

// parsePing reads an envelope or a bare payload. Unlike contract.Health it takes unknown keys: a
// watcher has to understand the messages of strangers, not to judge their form.
func parsePing(b []byte) (ping, bool) {
	if len(b) > maxPayload {
		return ping{}, false
	}
	top, ok := object(b)
	if !ok {
		return ping{}, false
	}
	p := ping{bare: true, data: b}
	data := top
	if inner, ok := object(top["data"]); ok && top["type"] != nil {
		data, p.bare, p.data = inner, false, top["data"]
		p.id = text(top["id"], maxName)
	}
	if json.Unmarshal(data["ok"], &p.ok) != nil || string(data["ok"]) == "null" {
		return ping{}, false
	}
	p.event, p.err = text(data["event"], maxEvent), text(data["err"], maxErr)
	if p.id == "" {
		p.id = text(data["message_id"], maxName)
	}
	if json.Unmarshal(data["timestamp"], &p.time) != nil || math.IsInf(p.time, 0) {
		p.time = 0
	}
	return p, true
}

func object(b []byte) (map[string]json.RawMessage, bool) {
	var m map[string]json.RawMessage
	if len(b) == 0 || json.Unmarshal(b, &m) != nil || m == nil {
		return nil, false
	}
	return m, true
}

// text is a JSON string as something to show: short, in one line, without control characters.
func text(raw json.RawMessage, most int) string {
	var s string
	if json.Unmarshal(raw, &s) != nil {
		return ""
	}
	return tidy(s, most)
}

func tidy(s string, most int) string {
	s = strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return ' '
		}
		return r
	}, s)
	s = strings.TrimSpace(s)
	if len(s) <= most {
		return s
	}
	s = s[:most-len("…")]
	for !utf8.ValidString(s) {
		s = s[:len(s)-1]
	}
	return s + "…"
}

// encode writes a health message for a topic level, in an envelope or bare.
func (p ping) encode(name, from string) ([]byte, error) {
	t := contract.Health.At(name)
	if p.bare {
		t.Form = contract.Bare
	}
	d := contract.HealthPing{MessageID: p.id, OK: p.ok, Timestamp: p.time}
	if p.event != "" {
		d.Event = &p.event
	}
	if p.err != "" {
		d.Err = &p.err
	}
	return t.Encode(contract.Envelope{ID: p.id, TS: unix(p.at), Source: from}, d)
}

func unix(t time.Time) float64 { return float64(t.UnixMicro()) / 1e6 }

// clockFrom is the least timestamp that a synchronised clock can give; boards without one count
// from their start or from the year 2000.
const clockFrom = 1_600_000_000

// latency is how long the message took by its own timestamp, in a range that makes sense.
func (p ping) latency() (time.Duration, bool) {
	if p.time < clockFrom || p.time > 1e11 {
		return 0, false
	}
	d := time.Duration((unix(p.at) - p.time) * float64(time.Second))
	if d < -50*time.Millisecond || d > time.Minute {
		return 0, false // that clock is wrong, or ours
	}
	return max(d, 0), true
}
