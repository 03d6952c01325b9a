package mqttcli

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strconv"
	"time"
	"unicode/utf8"
)

const maxDepth = 1000 // of a payload, as in cJSON

// writer writes JSON as mosquitto_sub does, so that the two can be exchanged in a script.
type writer struct {
	b      []byte
	pretty bool
	depth  int
	comma  bool
}

// appendJSON writes a message as one JSON object. With quote the payload is a string, without it
// the payload must be JSON itself.
func appendJSON(b []byte, m *message, now time.Time, quote, pretty bool) ([]byte, error) {
	w := &writer{b: b, pretty: pretty}
	w.open()
	w.key("tst")
	w.string(now.Format("2006-01-02T15:04:05.000000Z-0700"))
	w.key("topic")
	w.string(m.topic)
	w.int("qos", int(m.qos))
	retain := 0
	if m.retain {
		retain = 1
	}
	w.int("retain", retain)
	w.int("payloadlen", len(m.payload))
	if m.qos > 0 {
		w.int("mid", int(m.id))
	}
	w.properties(m)
	w.key("payload")
	switch {
	case len(m.payload) == 0:
		w.raw("null")
	case quote:
		w.payload(m.payload)
	default:
		if err := w.copy(m.payload); err != nil {
			return nil, fmt.Errorf("message payload is not valid JSON on topic %s", m.topic)
		}
	}
	w.close()
	return w.b, nil
}

// payload is a string, or an array of bytes if it is not text (Mosquitto 2.1 does so; 2.0 cuts
// it at a NUL and writes what is not JSON).
func (w *writer) payload(p []byte) {
	if utf8.Valid(p) {
		w.string(string(p))
		return
	}
	w.b = append(w.b, '[')
	for i, c := range p {
		if i > 0 {
			w.separator()
		}
		w.b = strconv.AppendInt(w.b, int64(c), 10)
	}
	w.b = append(w.b, ']')
}

func (w *writer) properties(m *message) {
	p := m.props
	if p == nil {
		return
	}
	w.key("properties")
	w.open()
	if p.PayloadFormat != nil {
		w.int("payload-format-indicator", int(*p.PayloadFormat))
	}
	if p.MessageExpiry != nil {
		w.int("message-expiry-interval", int(*p.MessageExpiry))
	}
	text := func(name, v string) {
		if v != "" {
			w.key(name)
			w.string(v)
		}
	}
	text("content-type", p.ContentType)
	text("response-topic", p.ResponseTopic)
	text("correlation-data", string(bytes.ToValidUTF8(p.CorrelationData, []byte("\uFFFD"))))
	if p.SubscriptionIdentifier != nil {
		w.int("subscription-identifier", *p.SubscriptionIdentifier)
	}
	if p.TopicAlias != nil {
		w.int("topic-alias", int(*p.TopicAlias))
	}
	if len(p.User) > 0 {
		w.key("user-properties")
		w.open()
		for _, u := range p.User {
			w.key(u.Key)
			w.string(u.Value)
		}
		w.close()
	}
	w.close()
}

func (w *writer) raw(s string) { w.b = append(w.b, s...) }

func (w *writer) int(name string, n int) {
	w.key(name)
	w.b = strconv.AppendInt(w.b, int64(n), 10)
}

func (w *writer) separator() {
	w.b = append(w.b, ',')
	if w.pretty {
		w.b = append(w.b, ' ')
	}
}

func (w *writer) open() {
	w.b = append(w.b, '{')
	if w.pretty {
		w.b = append(w.b, '\n')
	}
	w.depth++
	w.comma = false
}

// key starts a member of the object that is open.
func (w *writer) key(name string) {
	if w.comma {
		w.b = append(w.b, ',')
		if w.pretty {
			w.b = append(w.b, '\n')
		}
	}
	if w.pretty {
		w.b = appendRepeat(w.b, '\t', w.depth)
	}
	w.string(name)
	w.b = append(w.b, ':')
	if w.pretty {
		w.b = append(w.b, '\t')
	}
	w.comma = true
}

func (w *writer) close() {
	w.depth--
	if w.pretty {
		if w.comma {
			w.b = append(w.b, '\n')
		}
		w.b = appendRepeat(w.b, '\t', w.depth)
	}
	w.b = append(w.b, '}')
	w.comma = true
}

func (w *writer) string(s string) {
	w.b = append(w.b, '"')
	for i := 0; i < len(s); i++ {
		switch c := s[i]; c {
		case '"', '\\':
			w.b = append(w.b, '\\', c)
		case '\b':
			w.raw(`\b`)
		case '\f':
			w.raw(`\f`)
		case '\n':
			w.raw(`\n`)
		case '\r':
			w.raw(`\r`)
		case '\t':
			w.raw(`\t`)
		default:
			if c < ' ' {
				w.b = fmt.Appendf(w.b, `\u%04x`, c)
				continue
			}
			w.b = append(w.b, c)
		}
	}
	w.b = append(w.b, '"')
}

// copy writes a JSON text anew: members stay in order, also repeated ones, space goes.
func (w *writer) copy(text []byte) error {
	if !utf8.Valid(text) {
		return errors.New("not UTF-8")
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	if err := w.value(d, 0); err != nil {
		return err
	}
	if _, err := d.Token(); err != io.EOF {
		return errors.New("something follows the value")
	}
	return nil
}

func (w *writer) value(d *json.Decoder, depth int) error {
	t, err := d.Token()
	if err != nil {
		return err
	}
	if depth > maxDepth {
		return errors.New("too deep")
	}
	switch t := t.(type) {
	case json.Delim:
		if t == '[' {
			return w.array(d, depth)
		}
		w.open()
		for d.More() {
			k, err := d.Token()
			if err != nil {
				return err
			}
			name, _ := k.(string)
			w.key(name)
			if err := w.value(d, depth+1); err != nil {
				return err
			}
			w.comma = true
		}
		if _, err := d.Token(); err != nil {
			return err
		}
		w.close()
	case string:
		w.string(t)
	case json.Number:
		w.b = appendNumber(w.b, t.String())
	case bool:
		w.raw(strconv.FormatBool(t))
	default:
		w.raw("null")
	}
	return nil
}

func (w *writer) array(d *json.Decoder, depth int) error {
	w.b = append(w.b, '[')
	w.depth++
	for first := true; d.More(); first = false {
		if !first {
			w.separator()
		}
		if err := w.value(d, depth+1); err != nil {
			return err
		}
	}
	w.depth--
	w.b = append(w.b, ']')
	_, err := d.Token()
	return err
}
