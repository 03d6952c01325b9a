package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"sync"
	"time"

	"github.com/tarsd/tarsd/internal/crash/daemon"
	"github.com/tarsd/tarsd/internal/crash/rawmqtt"
)

// measure runs all rounds.
func (c config) measure(ctx context.Context) (report, error) {
	r := report{Config: c}
	var cpu []float64
	for range c.Rounds {
		rate, us, lost, err := c.round(ctx)
		if err != nil {
			return r, err
		}
		r.Rates, r.Lost = append(r.Rates, rate), r.Lost+lost
		cpu = append(cpu, us)
	}
	r.PerSec, r.CPUPerMsg = median(r.Rates), median(cpu)
	return r, nil
}

func median(v []float64) float64 {
	s := slices.Sorted(slices.Values(v))
	if n := len(s); n%2 == 0 {
		return (s[n/2-1] + s[n/2]) / 2
	}
	return s[len(s)/2]
}

func topic(i int) string { return fmt.Sprintf("durable/%d", i) }

// round publishes everything once. cpu is in microseconds for each message.
func (c config) round(ctx context.Context) (rate, cpu float64, lost int, err error) {
	subs := make([]*rawmqtt.Conn, c.Publishers)
	for i := range subs {
		if subs[i], err = c.subscriber(ctx, i); err != nil {
			return 0, 0, 0, err
		}
		if c.Offline {
			subs[i].Finish()
		} else {
			defer subs[i].Close()
		}
	}
	pubs := make([]*rawmqtt.Conn, c.Publishers)
	for i := range pubs {
		if pubs[i], err = rawmqtt.Dial(ctx, c.Addr, rawmqtt.ConnectOptions{ID: fmt.Sprintf("durable-pub%d", i), Clean: true}); err != nil {
			return 0, 0, 0, err
		}
		defer pubs[i].Close()
	}

	left := make([]int, len(subs)) // of each subscriber's messages
	var reading, writing sync.WaitGroup
	if !c.Offline {
		for i, s := range subs {
			reading.Go(func() { left[i] = c.take(s) })
		}
	}
	errs := make([]error, len(pubs))
	before, t0 := c.cpu(), time.Now()
	for i, p := range pubs {
		writing.Go(func() { errs[i] = c.publish(p, topic(i)) })
	}
	writing.Wait()
	took := time.Since(t0)
	after := c.cpu()
	if err := errors.Join(errs...); err != nil {
		return 0, 0, 0, err
	}
	for _, s := range subs {
		if !c.Offline {
			if err := s.SetReadDeadline(time.Now().Add(drainLimit)); err != nil {
				return 0, 0, 0, err
			}
		}
	}
	reading.Wait()
	for _, n := range left {
		lost += n
	}
	total := float64(c.Publishers * c.Count)
	if err := c.forget(ctx); err != nil {
		return 0, 0, 0, err
	}
	return total / took.Seconds(), float64((after - before).Microseconds()) / total, lost, nil
}

// cpu is the processor time of the broker so far, 0 if its process is not known.
func (c config) cpu() time.Duration {
	if c.PID == 0 {
		return 0
	}
	d, err := daemon.CPU(c.PID)
	if err != nil {
		return 0
	}
	return d
}

func subscriberID(i int) string { return fmt.Sprintf("durable-sub%d", i) }

// subscriber begins a persistent session.
func (c config) subscriber(ctx context.Context, i int) (*rawmqtt.Conn, error) {
	s, err := rawmqtt.Dial(ctx, c.Addr, rawmqtt.ConnectOptions{ID: subscriberID(i), Version: rawmqtt.V5, Clean: true, Expiry: 3600})
	if err != nil {
		return nil, err
	}
	s.Send(func(b []byte) []byte { return rawmqtt.AppendSubscribe(b, rawmqtt.V5, 1, 1, topic(i)) })
	f, err := s.Next()
	if err == nil && f.Type != rawmqtt.Suback {
		err = fmt.Errorf("packet type %d where a SUBACK was due", f.Type)
	}
	if err != nil {
		s.Close()
		return nil, err
	}
	return s, nil
}

// forget ends the sessions, so that each round begins with empty queues.
func (c config) forget(ctx context.Context) error {
	for i := range c.Publishers {
		s, err := rawmqtt.Dial(ctx, c.Addr, rawmqtt.ConnectOptions{ID: subscriberID(i), Version: rawmqtt.V5, Clean: true})
		if err != nil {
			return err
		}
		s.Finish()
	}
	return nil
}

// take acknowledges messages until all have come, and returns how many did not.
func (c config) take(s *rawmqtt.Conn) (left int) {
	for left = c.Count; left > 0; {
		f, err := s.Next()
		if err != nil {
			return left
		}
		m, err := f.Message(rawmqtt.V5)
		if err != nil {
			return left
		}
		if !m.Dup {
			left--
		}
		s.Queue(func(b []byte) []byte { return rawmqtt.AppendAck(b, rawmqtt.Puback, m.ID) })
		if s.Buffered() == 0 || left == 0 {
			s.Flush()
		}
	}
	return 0
}

// publish sends Count messages with a window and waits for every PUBACK.
func (c config) publish(p *rawmqtt.Conn, topic string) error {
	payload, name := make([]byte, c.Size), []byte(topic)
	for sent, acked := 0, 0; acked < c.Count; {
		for ; sent < c.Count && sent-acked < c.Inflight; sent++ {
			p.Queue(func(b []byte) []byte {
				return rawmqtt.AppendPublish(b, rawmqtt.V311, rawmqtt.Message{Topic: name, Payload: payload, ID: uint16(sent%65535 + 1), QoS: 1})
			})
		}
		p.Flush()
		if err := p.SetReadDeadline(time.Now().Add(drainLimit)); err != nil {
			return err
		}
		for first := true; first || p.Buffered() > 0; first = false {
			f, err := p.Next()
			if errors.Is(err, os.ErrDeadlineExceeded) {
				return fmt.Errorf("no acknowledgement for %v", drainLimit)
			}
			if err != nil {
				return err
			}
			if f.Type != rawmqtt.Puback {
				return fmt.Errorf("packet type %d where a PUBACK was due", f.Type)
			}
			acked++
		}
	}
	return nil
}
