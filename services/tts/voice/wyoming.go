package voice

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"strings"
	"time"
)

// Wyoming speaks by a peer of that protocol, such as wyoming-piper: a connection for each sentence, one
// synthesize event there, and sound in events back.
type Wyoming struct {
	network, address string
	voice            string
}

var _ Engine = (*Wyoming)(nil)

// NewWyoming takes an address like tcp://HOST:PORT or unix:///PATH. It opens no connection.
func NewWyoming(address, voice string) (*Wyoming, error) {
	scheme, rest, _ := strings.Cut(address, "://")
	switch {
	case scheme == "unix" && strings.HasPrefix(rest, "/"):
		return &Wyoming{"unix", rest, voice}, nil
	case scheme == "tcp":
		if _, port, err := net.SplitHostPort(rest); err == nil && port != "" {
			return &Wyoming{"tcp", rest, voice}, nil
		}
	}
	return nil, errors.New("wyoming: the address is not like tcp://127.0.0.1:10200 or unix:///run/piper.sock")
}

// Limits of one event.
const (
	wyomingHeader  = 64 << 10
	wyomingData    = 256 << 10
	wyomingPayload = 1 << 20
	wyomingEvents  = 20_000 // of one sentence
)

// wyomingEvent is a line of JSON, and what follows it.
type wyomingEvent struct {
	Type          string          `json:"type"`
	Data          json.RawMessage `json:"data,omitempty"`
	DataLength    int             `json:"data_length,omitempty"`
	PayloadLength int             `json:"payload_length,omitempty"`

	payload []byte
}

// ID implements Engine.
func (e *Wyoming) ID() string { return "wyoming " + e.address + " " + e.voice }

// Close implements Engine.
func (e *Wyoming) Close() error { return nil }

// Speak implements Engine.
func (e *Wyoming) Speak(ctx context.Context, t Text, emit func(Sound) error) error {
	d := net.Dialer{Timeout: connectTime}
	c, err := d.DialContext(ctx, e.network, e.address)
	if err != nil {
		return err
	}
	defer c.Close()
	defer context.AfterFunc(ctx, func() { _ = c.SetDeadline(time.Unix(1, 0)) })()
	err = e.speak(c, t, emit)
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return err
}

func (e *Wyoming) speak(c io.ReadWriter, t Text, emit func(Sound) error) error {
	type voiceOf struct {
		Name     string `json:"name,omitempty"`
		Language string `json:"language,omitempty"`
	}
	v := voiceOf{e.voice, t.Lang}
	if v.Name != "" && !english(t.Lang) {
		v.Name = "" // a voice for the language
	}
	q := map[string]any{"text": t.Text}
	if v != (voiceOf{}) {
		q["voice"] = v
	}
	data, err := json.Marshal(q)
	if err != nil {
		return err
	}
	line, err := json.Marshal(wyomingEvent{Type: "synthesize", Data: data})
	if err != nil {
		return err
	}
	if _, err := c.Write(append(line, '\n')); err != nil {
		return err
	}
	return readWyoming(bufio.NewReaderSize(c, wyomingHeader), emit)
}

// readWyoming reads events up to the end of the sound.
func readWyoming(r *bufio.Reader, emit func(Sound) error) error {
	total := 0
	for range wyomingEvents {
		ev, err := readEvent(r)
		if err != nil {
			return err
		}
		switch ev.Type {
		case "audio-stop":
			return nil
		case "error":
			var d struct{ Text string }
			_ = json.Unmarshal(ev.Data, &d) // no text is no text
			return fmt.Errorf("the peer says: %.200q", d.Text)
		case "audio-chunk":
			s, err := ev.sound()
			if err != nil {
				return err
			}
			if total += len(s.PCM); total > maxSamples {
				return errTooLong()
			}
			if err := emit(s); err != nil {
				return err
			}
		}
	}
	return fmt.Errorf("%w: too many events for one sentence", ErrSound)
}

func readEvent(r *bufio.Reader) (ev wyomingEvent, err error) {
	line, err := r.ReadSlice('\n')
	if errors.Is(err, bufio.ErrBufferFull) {
		return ev, errors.New("a header of more than 64 KiB")
	}
	if err != nil {
		return ev, fmt.Errorf("read event: %w", noEOF(err))
	}
	if err := json.Unmarshal(line, &ev); err != nil {
		return ev, fmt.Errorf("read event: %w", err)
	}
	if ev.DataLength < 0 || ev.DataLength > wyomingData || ev.PayloadLength < 0 || ev.PayloadLength > wyomingPayload {
		return ev, fmt.Errorf("an event with %d bytes of data and %d of sound is too large", ev.DataLength, ev.PayloadLength)
	}
	more := make([]byte, ev.DataLength)
	ev.payload = make([]byte, ev.PayloadLength)
	if _, err := io.ReadFull(r, more); err != nil {
		return ev, fmt.Errorf("read event: %w", noEOF(err))
	}
	if _, err := io.ReadFull(r, ev.payload); err != nil {
		return ev, fmt.Errorf("read event: %w", noEOF(err))
	}
	if len(more) > 0 { // peers send the one or the other
		ev.Data = more
	}
	return ev, nil
}

// sound is that of an audio-chunk: of several channels the first.
func (ev *wyomingEvent) sound() (s Sound, err error) {
	var d struct{ Rate, Width, Channels int }
	if err := json.Unmarshal(ev.Data, &d); err != nil {
		return s, fmt.Errorf("audio-chunk: %w", err)
	}
	if d.Width != 2 || d.Channels < 1 || d.Channels > 8 || d.Rate < MinRate || d.Rate > MaxRate {
		return s, fmt.Errorf("%w: %d Hz, %d bytes, %d channels", ErrSound, d.Rate, d.Width, d.Channels)
	}
	all := samples(ev.payload)
	if d.Channels == 1 {
		return Sound{d.Rate, all}, nil
	}
	for i := 0; i+d.Channels <= len(all); i += d.Channels {
		s.PCM = append(s.PCM, all[i])
	}
	s.Rate = d.Rate
	return s, nil
}

func noEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}
