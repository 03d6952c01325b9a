package legacy

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"math"
	"strings"
)

// Entry is one thing that was said.
type Entry struct {
	Text      string
	Role      string  // user or assistant
	TS        float64 // Unix seconds; 0 if the file does not say
	MessageID string
	Lang      string
}

// Sniff reports whether what r begins with looks like such a file: a pickle, or something that gzip
// has compressed. It reads nothing off r.
func Sniff(r *bufio.Reader) bool {
	head, err := r.Peek(2)
	return err == nil && (bytes.Equal(head, []byte{0x1f, 0x8b}) || (head[0] == 0x80 && head[1] <= 5))
}

// Read reads a memory file. The error wraps ErrRefused if it is not one, or not a harmless one.
func Read(r io.Reader) ([]Entry, error) {
	b := bufio.NewReader(r)
	if head, _ := b.Peek(2); bytes.Equal(head, []byte{0x1f, 0x8b}) {
		z, err := gzip.NewReader(b)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", ErrRefused, err)
		}
		b = bufio.NewReader(z)
	}
	v, err := unpickle(b)
	if err != nil {
		return nil, err
	}
	top, ok := v.(*dict)
	if !ok {
		return nil, fmt.Errorf("%w: no object with vectors and documents", ErrRefused)
	}
	docs, ok := top.values["documents"].(*list)
	if !ok {
		return nil, fmt.Errorf("%w: no list of documents", ErrRefused)
	}
	var out []Entry
	for _, doc := range docs.items {
		out = append(out, entries(doc)...)
	}
	return out, nil
}

// entries makes what was said of one document: what was heard, what was answered, or a pair of both.
// Empty ones give nothing.
func entries(doc any) (out []Entry) {
	add := func(e Entry) {
		if e.Text = strings.TrimSpace(e.Text); e.Text != "" {
			out = append(out, e)
		}
	}
	if text, ok := doc.(string); ok {
		add(Entry{Text: text, Role: "user"})
		return out
	}
	d, ok := doc.(*dict)
	if !ok {
		return nil
	}
	text := func(key string) string { s, _ := d.values[key].(string); return s }
	base := Entry{TS: d.time("ts", "stt_ts", "timestamp"), MessageID: text("message_id"), Lang: text("lang")}
	asked, answered := base, base
	asked.Role, asked.Text = "user", text("user_input")
	answered.Role, answered.Text = "assistant", text("bot_response")
	add(asked)
	add(answered)
	if len(out) > 0 {
		return out
	}
	base.Text, base.Role = text("text"), "user"
	if _, spoken := d.values["stt_ts"]; spoken { // only what the robot said has it
		base.Role = "assistant"
	}
	add(base)
	return out
}

// time is the first of the keys that holds a time.
func (d *dict) time(keys ...string) float64 {
	for _, key := range keys {
		switch v := d.values[key].(type) {
		case float64:
			if v > 0 && !math.IsInf(v, 0) {
				return v
			}
		case int64:
			if v > 0 {
				return float64(v)
			}
		}
	}
	return 0
}
