package mqttcli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/eclipse/paho.golang/paho"
)

const maxPayload = 268435455 // bytes; more does not fit into a packet

// publish runs the command.
func publish(ctx context.Context, o *options, s Streams) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel() // ends the source, unless it waits for standard input, which cannot be interrupted
	p := &publisher{o: o, s: s, watch: newWatch(o, s.Err)}
	if err := p.load(); err != nil {
		return err
	}
	if err := p.connect(ctx, !o.persist); err != nil {
		return err
	}
	defer func() { p.link.disconnect(false) }()
	source := make(chan payload)
	go p.source(ctx, source)
	return p.loop(ctx, source)
}

// publisher sends messages and keeps those that were not acknowledged. One goroutine owns it.
type publisher struct {
	o      *options
	s      Streams
	watch  *watch
	link   link
	body   []byte // of the modes with one message
	window []pending
	failed error // the first refusal
}

type payload struct {
	body []byte
	err  error
}

type pending struct {
	m      *message
	result <-chan error // nil while it could not be sent
}

// load reads the message of the modes that have one.
func (p *publisher) load() error {
	var err error
	switch p.o.mode {
	case fromArgument:
		p.body = []byte(p.o.text)
	case fromFile:
		p.body, err = os.ReadFile(p.o.text)
	case fromStdin:
		p.body, err = io.ReadAll(io.LimitReader(p.s.In, maxPayload+1))
	}
	if err == nil && len(p.body) > maxPayload {
		err = errors.New("the message is too long for MQTT")
	}
	return err
}

// source makes the payloads, one line or one repetition at a time, and closes the channel.
func (p *publisher) source(ctx context.Context, to chan<- payload) {
	defer close(to)
	give := func(v payload) bool {
		select {
		case to <- v:
			return true
		case <-ctx.Done():
			return false
		}
	}
	if p.o.mode != fromLines {
		for i := range p.o.repeat {
			if i > 0 && p.o.repeatDelay > 0 {
				select {
				case <-time.After(p.o.repeatDelay):
				case <-ctx.Done():
					return
				}
			}
			if !give(payload{body: p.body}) {
				return
			}
		}
		return
	}
	r := bufio.NewReaderSize(p.s.In, 64<<10)
	for {
		line, err := readLine(r)
		if err == nil || len(line) > 0 {
			if !give(payload{body: line}) {
				return
			}
		}
		if err != nil {
			if !errors.Is(err, io.EOF) {
				give(payload{err: err})
			}
			return
		}
	}
}

// readLine reads up to a newline, which is not part of the line.
func readLine(r *bufio.Reader) ([]byte, error) {
	var line []byte
	for {
		part, err := r.ReadSlice('\n')
		line = append(line, part...)
		if len(line) > maxPayload+1 {
			return nil, errors.New("a line is too long for MQTT")
		}
		switch {
		case err == nil:
			return line[:len(line)-1], nil
		case !errors.Is(err, bufio.ErrBufferFull):
			return line, err
		}
	}
}

func (p *publisher) connect(ctx context.Context, clean bool) error {
	l, _, err := connect(ctx, p.o, p.watch, clean, func(*message) bool { return true })
	if err != nil {
		return err
	}
	p.link = l
	return nil
}

// loop sends until the source is dry and everything is acknowledged.
func (p *publisher) loop(ctx context.Context, source <-chan payload) error {
	for source != nil || len(p.window) > 0 {
		in := source
		if len(p.window) >= p.o.inflight {
			in = nil
		}
		var oldest <-chan error
		if len(p.window) > 0 {
			oldest = p.window[0].result
		}
		select {
		case v, ok := <-in:
			if !ok {
				source = nil
				continue
			}
			if v.err != nil {
				return v.err
			}
			if err := p.send(ctx, p.message(v.body)); err != nil {
				return err
			}
		case err := <-oldest:
			p.window = p.window[1:]
			if err != nil && p.failed == nil {
				p.failed = err
			}
			if err != nil && p.o.mode == fromLines && !p.o.quiet { // the others tell at the end
				fmt.Fprintf(p.s.Err, "tarsd pub: %s\n", err)
			}
		case <-p.link.lost():
			if err := p.recover(ctx); err != nil {
				return err
			}
		case <-ctx.Done():
			return exitf(130, "")
		}
	}
	if p.failed != nil && p.o.mode == fromLines {
		return silent(p.failed)
	}
	return p.failed
}

// silent keeps the exit code of an error that was printed already.
func silent(err error) error {
	code := exitUsage
	if e := (*exitError)(nil); errors.As(err, &e) {
		code = e.code
	}
	return exitf(code, "")
}

func (p *publisher) message(body []byte) *message {
	m := &message{topic: p.o.topics[0], payload: body, qos: p.o.qos, retain: p.o.retain}
	if p.o.props.any {
		m.props = &p.o.props.publish
	}
	return m
}

// send hands a message to the connection. When that breaks the message stays in the window, and
// the end of the connection is seen by the loop.
func (p *publisher) send(ctx context.Context, m *message) error {
	result, err := p.link.publish(ctx, m)
	if errors.Is(err, paho.ErrInvalidArguments) {
		return err // the server said in its CONNACK that it does not take this
	}
	if ctx.Err() != nil {
		return exitf(130, "")
	}
	p.window = append(p.window, pending{m, result})
	return nil
}

// recover makes a new connection for a stream of lines and sends again what was not acknowledged.
// The session starts anew: with an old one the server could take our packet identifiers, which
// start anew too, for those of messages that it has already.
func (p *publisher) recover(ctx context.Context) error {
	cause := p.link.err()
	if e := (*serverEnd)(nil); p.o.mode != fromLines || errors.As(cause, &e) && e.final() {
		return exitf(exitLost, "connection lost before the message was acknowledged: %s", cause)
	}
	if err := reconnect(ctx, p.o, p.s.Err, cause, func() error { return p.connect(ctx, true) }); err != nil {
		return err
	}
	again := p.window
	p.window = nil
	for _, w := range again {
		if err := p.send(ctx, w.m); err != nil {
			return err
		}
	}
	return nil
}

// reconnect tries again, first after a second and then ever more slowly, until it works, the
// server refuses for good, or ctx ends.
func reconnect(ctx context.Context, o *options, to io.Writer, cause error, try func() error) error {
	if !o.quiet {
		fmt.Fprintf(to, "tarsd %s: connection lost: %s; connecting again\n", o.name, cause)
	}
	for wait := time.Second; ; wait = min(2*wait, 30*time.Second) {
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return exitf(130, "")
		}
		err := try()
		if e := (*exitError)(nil); err == nil || errors.As(err, &e) && forGood(e.code) {
			return err
		}
	}
}

// forGood tells whether a refusal with this code will be the same next time.
func forGood(code int) bool {
	switch code {
	case exitUsage, 3, 0x88, 0x89, 0x8B, 0x97, 0x9F: // no connection, unavailable, busy, shutting down, quota, rate
		return false
	}
	return true
}
