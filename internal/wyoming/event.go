// Package wyoming is the Wyoming protocol, by which the parts of a voice assistant meet: events of a
// line of JSON each, with sound behind it, over TCP, a unix socket, or the standard input and output
// of a program. It has both sides: Dial for peers, Server for those who call us. It knows events,
// not what is done with them.
//
// The specification is the page of the Python package wyoming, https://pypi.org/project/wyoming; what
// is here follows 1.10.2. The protocol has no authentication: who can connect can use it.
package wyoming

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
)

// Event is one message.
type Event struct {
	Type    string          // such as audio-chunk
	Data    json.RawMessage // a JSON object; empty: none
	Payload []byte          // such as sound
}

// Limits bound, in bytes, what Reader takes and Writer gives.
type Limits struct {
	Header  int // the line of JSON, with the data that is in it
	Data    int // the data behind the line
	Payload int
}

// DefaultLimits leave room for what real peers send: wyoming-piper lists hundreds of voices in one
// event, and nobody sends more than a few seconds of sound at once.
func DefaultLimits() Limits { return Limits{Header: 64 << 10, Data: 1 << 20, Payload: 1 << 20} }

const maxType = 64 // bytes of the name of an event; the longest of the specification has 22

// header is the line. Peers write more into it, such as their version, which is ignored.
type header struct {
	Type          string          `json:"type"`
	Data          json.RawMessage `json:"data,omitempty"`
	DataLength    int             `json:"data_length,omitempty"`
	PayloadLength int             `json:"payload_length,omitempty"`
}

// Reader reads events. It is for one goroutine.
type Reader struct {
	b      *bufio.Reader
	limits Limits
}

// NewReader returns a reader of r, which it reads ahead of.
func NewReader(r io.Reader, l Limits) *Reader {
	return &Reader{bufio.NewReaderSize(r, l.Header), l}
}

// Read returns the next event, or an error that is io.EOF when the stream has ended behind the last
// one. After another error it is unknown where an event begins: the stream is of no more use. Memory is taken only for
// what has come, never for what is announced.
func (r *Reader) Read() (Event, error) {
	line, err := r.b.ReadSlice('\n')
	switch {
	case errors.Is(err, io.EOF) && len(line) == 0:
		return Event{}, err
	case errors.Is(err, bufio.ErrBufferFull):
		return Event{}, fmt.Errorf("read event: a header of more than %d KiB", r.limits.Header>>10)
	case err != nil:
		return Event{}, fmt.Errorf("read event: %w", cut(err))
	}
	ev, err := r.event(line)
	if err != nil {
		return Event{}, fmt.Errorf("read event: %w", err)
	}
	return ev, nil
}

func (r *Reader) event(line []byte) (ev Event, err error) {
	var h header
	if err := json.Unmarshal(line, &h); err != nil {
		return ev, err
	}
	if h.Type == "" || len(h.Type) > maxType {
		return ev, fmt.Errorf("a type of %d bytes", len(h.Type))
	}
	if h.DataLength < 0 || h.DataLength > r.limits.Data || h.PayloadLength < 0 || h.PayloadLength > r.limits.Payload {
		return ev, fmt.Errorf("%q with %d bytes of data and %d behind it is too large", h.Type, h.DataLength, h.PayloadLength)
	}
	beside, err := r.take(h.DataLength)
	if err != nil {
		return ev, err
	}
	ev = Event{Type: h.Type}
	if ev.Data, err = merge(h.Data, beside); err != nil {
		return ev, fmt.Errorf("data of %q: %w", h.Type, err)
	}
	ev.Payload, err = r.take(h.PayloadLength)
	return ev, err
}

// take returns the next n bytes; nil for none.
func (r *Reader) take(n int) ([]byte, error) {
	if n == 0 {
		return nil, nil
	}
	var b bytes.Buffer
	_, err := io.CopyN(&b, r.b, int64(n))
	return b.Bytes(), cut(err)
}

// merge puts the data behind the line on top of that in it, field by field, as the specification has it.
func merge(in, beside json.RawMessage) (json.RawMessage, error) {
	if string(in) == "null" {
		in = nil
	}
	if len(beside) == 0 {
		return in, nil
	}
	var top map[string]json.RawMessage
	if err := json.Unmarshal(beside, &top); err != nil {
		return nil, err
	}
	if len(in) == 0 {
		return beside, nil
	}
	all := map[string]json.RawMessage{}
	if err := json.Unmarshal(in, &all); err != nil {
		return nil, err
	}
	maps.Copy(all, top)
	return json.Marshal(all)
}

// cut makes an error of an end in the middle of an event.
func cut(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// Writer writes events, each with one Write. It is for one goroutine.
type Writer struct {
	w      io.Writer
	limits Limits
	buf    []byte
}

// NewWriter returns a writer to w.
func NewWriter(w io.Writer, l Limits) *Writer { return &Writer{w: w, limits: l} }

// inline is the most data that goes into the line. Every peer reads it there, but the Python ones
// give up on lines of 64 KiB.
const inline = 8 << 10

// Write writes an event. One beyond the limits, or whose data is no JSON, is an error and not written.
func (w *Writer) Write(e Event) error {
	h := header{Type: e.Type, Data: e.Data, PayloadLength: len(e.Payload)}
	var beside []byte
	if len(e.Data) > inline {
		beside, h.Data, h.DataLength = e.Data, nil, len(e.Data)
	}
	switch {
	case e.Type == "" || len(e.Type) > maxType:
		return fmt.Errorf("write event: a type of %d bytes", len(e.Type))
	case len(beside) > w.limits.Data || len(e.Payload) > w.limits.Payload:
		return fmt.Errorf("write event: %q with %d bytes of data and %d behind it is too large", e.Type, len(e.Data), len(e.Payload))
	case len(beside) > 0 && !json.Valid(beside):
		return fmt.Errorf("write event: data of %q is no JSON", e.Type)
	}
	line, err := json.Marshal(h)
	if err != nil {
		return fmt.Errorf("write event: %w", err)
	}
	w.buf = append(append(w.buf[:0], line...), '\n')
	w.buf = append(append(w.buf, beside...), e.Payload...)
	if _, err := w.w.Write(w.buf); err != nil {
		return fmt.Errorf("write event: %w", err)
	}
	return nil
}
