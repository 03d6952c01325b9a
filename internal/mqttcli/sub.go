package mqttcli

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"sync"
	"time"
)

// subscribe runs the command.
func subscribe(ctx context.Context, o *options, s Streams) error {
	sub := &subscriber{o: o, s: s, out: bufio.NewWriter(s.Out), watch: newWatch(o, s.Err),
		done: make(chan struct{}), clearing: make(chan struct{}, 1)}
	var timeout <-chan time.Time
	if o.timeout > 0 {
		t := time.NewTimer(o.timeout)
		defer t.Stop()
		timeout = t.C
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, o.timeout+time.Second) // also while a connection is tried
		defer cancel()
	}
	if err := sub.connect(ctx, !o.persist); err != nil {
		if o.timeout > 0 && errors.Is(ctx.Err(), context.DeadlineExceeded) {
			return exitf(exitTimedOut, "timed out")
		}
		return err
	}
	return sub.loop(ctx, timeout)
}

// subscriber prints messages. handle runs on the link's goroutine, the rest on the command's.
type subscriber struct {
	o     *options
	s     Streams
	watch *watch
	link  link

	done     chan struct{} // closed when no more is to be printed
	clearing chan struct{} // says that clear is not empty

	mu       sync.Mutex // guards what follows, and out
	out      *bufio.Writer
	count    int
	finished bool
	last     *message // whose acknowledgement must leave before we do
	failed   error
	clear    []string // topics whose retained message is to be removed
}

func (s *subscriber) connect(ctx context.Context, clean bool) error {
	l, _, err := connect(ctx, s.o, s.watch, clean, s.handle)
	if err != nil {
		return err
	}
	s.link = l
	if err := s.subscribe(ctx); err != nil {
		l.disconnect(false)
		return err
	}
	return nil
}

func (s *subscriber) subscribe(ctx context.Context) error {
	if len(s.o.topics) > 0 {
		codes, err := s.link.subscribe(ctx, s.o.topics)
		if err != nil {
			return exitf(exitLost, "subscribe: %s", err)
		}
		denied := 0
		for i, c := range codes {
			if c >= 0x80 {
				denied++
				if !s.o.quiet {
					fmt.Fprintf(s.s.Err, "tarsd sub: subscription to %q refused: %s\n", s.o.topics[i], reason(c, ""))
				}
			}
		}
		if denied == len(codes) {
			return exitf(int(codes[0]), "all subscription requests were denied")
		}
		if s.o.debug {
			fmt.Fprintf(s.s.Err, "Subscribed: %v\n", codes)
		}
	}
	if len(s.o.unsubscribe) > 0 {
		if err := s.link.unsubscribe(ctx, s.o.unsubscribe); err != nil {
			return exitf(exitLost, "unsubscribe: %s", err)
		}
	}
	if s.o.exitAfterSub {
		s.mu.Lock()
		s.finish(nil)
		s.mu.Unlock()
	}
	return nil
}

func (s *subscriber) loop(ctx context.Context, timeout <-chan time.Time) error {
	for {
		select {
		case <-s.done:
			return s.leave()
		default: // before anything else: a server may go right after the last message
		}
		select {
		case <-s.done:
			return s.leave()
		case <-timeout:
			s.link.disconnect(true)
			return exitf(exitTimedOut, "timed out")
		case <-ctx.Done():
			s.link.disconnect(true)
			return s.ended(ctx, nil)
		case <-s.clearing:
			s.removeRetained(ctx)
		case <-s.link.lost():
			cause := s.link.err()
			if e := (*serverEnd)(nil); errors.As(cause, &e) && e.final() {
				return exitf(exitLost, "%s", cause)
			}
			if err := reconnect(ctx, s.o, s.s.Err, cause, func() error { return s.connect(ctx, !s.o.persist) }); err != nil {
				return s.ended(ctx, err)
			}
		}
	}
}

// ended turns the end of the time into the error that says so.
func (s *subscriber) ended(ctx context.Context, err error) error {
	switch why := ctx.Err(); {
	case why == nil:
		return err
	case errors.Is(why, context.DeadlineExceeded):
		return exitf(exitTimedOut, "timed out")
	default:
		return nil // interrupted, which is a way to end
	}
}

// leave disconnects when the last acknowledgement has gone out.
func (s *subscriber) leave() error {
	s.mu.Lock()
	last, failed := s.last, s.failed
	s.mu.Unlock()
	if last != nil && last.qos > 0 {
		s.watch.waitAcked(last.id, s.link.lost())
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	s.removeRetained(ctx)
	s.link.disconnect(false)
	return failed
}

// removeRetained sends an empty retained message for each topic that asked for it, and waits for
// the answers.
func (s *subscriber) removeRetained(ctx context.Context) {
	s.mu.Lock()
	topics := s.clear
	s.clear = nil
	s.mu.Unlock()
	for _, t := range topics {
		result, err := s.link.publish(ctx, &message{topic: t, qos: 1, retain: true})
		if err == nil {
			select {
			case err = <-result:
			case <-s.link.lost():
				return
			case <-ctx.Done():
				return
			}
		}
		if err != nil && !s.o.quiet {
			fmt.Fprintf(s.s.Err, "tarsd sub: retained message on %s not removed: %s\n", t, err)
		}
	}
}

// finish ends the printing; mu is held.
func (s *subscriber) finish(err error) {
	if !s.finished {
		s.finished, s.failed = true, err
		close(s.done)
	}
}

// handle takes one message; false means that it must not be acknowledged, because nobody saw it.
func (s *subscriber) handle(m *message) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.finished {
		return false
	}
	if s.o.retainedOnly && !m.retain {
		s.finish(nil)
		return false
	}
	for _, f := range s.o.filterOut {
		if matches(f, m.topic) {
			return true
		}
	}
	if s.o.removeRetained && m.retain {
		s.clear = append(s.clear, m.topic)
		select {
		case s.clearing <- struct{}{}:
		default:
		}
	}
	if s.o.skipRetained && m.retain {
		return true
	}
	if s.o.random == 0 || rand.Float64()*100 < s.o.random {
		if err := s.print(m); err != nil {
			s.finish(fmt.Errorf("write: %w", err))
			return false
		}
	}
	if s.count++; s.o.count > 0 && s.count == s.o.count {
		s.last = m
		s.finish(nil)
	}
	return true
}

// print writes a message as asked for, and flushes, so that a pipe gets it at once.
func (s *subscriber) print(m *message) error {
	o := s.o
	if o.format != nil {
		b := o.format.append(s.out.AvailableBuffer(), m, time.Now(), o.pretty, func(err error) {
			if !o.quiet {
				fmt.Fprintf(s.s.Err, "tarsd sub: %s\n", err)
			}
		})
		_, _ = s.out.Write(b) // Flush tells
		return s.end(o.noNewline)
	}
	if len(m.payload) == 0 {
		if o.verbose && !o.noNewline {
			_, _ = io.WriteString(s.out, m.topic+" (null)")
			return s.end(false)
		}
		return nil
	}
	if o.verbose {
		_, _ = io.WriteString(s.out, m.topic+" ")
	}
	_, _ = s.out.Write(m.payload)
	return s.end(o.noNewline)
}

func (s *subscriber) end(bare bool) error {
	if !bare {
		_ = s.out.WriteByte('\n')
	}
	return s.out.Flush()
}
