package dialogue

import (
	"context"
	"sync"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/stretchr/testify/require"

	"github.com/tarsd/tarsd/services/client"
	"github.com/tarsd/tarsd/services/contract"
)

// perChar is how long the played voice takes for a character, about twenty times as fast as a real one.
const perChar = 4 * time.Millisecond

// speaker plays the speech service: one text after the other, each with its begin and its end, and
// pause, resume and stop as the real one's. One goroutine owns it; inputs come as functions.
type speaker struct {
	c      *client.Client
	inputs chan func()
	timer  *time.Timer

	queue   []contract.Say
	current *contract.Say
	paused  bool
	held    bool // what is spoken does not end until it is let go
	dead    bool // takes texts and says nothing
}

func newSpeaker(t testing.TB, c *client.Client) *speaker {
	t.Helper()
	s := &speaker{c: c, inputs: make(chan func(), 1000), timer: time.NewTimer(time.Hour)}
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { s.run(ctx) })
	t.Cleanup(func() {
		cancel()
		wg.Wait()
	})
	// One subscription for both topics: what comes first is handled first.
	_, err := c.SubscribeRaw("tts/+", 1, func(_ context.Context, m client.RawMessage) error {
		switch m.Topic {
		case contract.TTSSay.Name:
			if d, err := contract.TTSSay.Decode(m.Payload); err == nil {
				s.inputs <- func() { s.say(d.Data) }
			}
		case contract.TTSControl.Name:
			if d, err := contract.TTSControl.Decode(m.Payload); err == nil {
				s.inputs <- func() { s.control(d.Data) }
			}
		}
		return nil
	})
	require.NoError(t, err)
	require.NoError(t, c.Ready(t.Context()))
	return s
}

func (s *speaker) run(ctx context.Context) {
	defer s.timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case f := <-s.inputs:
			f()
		case <-s.timer.C:
			if s.current != nil && !s.paused && !s.held {
				s.end("")
			}
		}
	}
}

func (s *speaker) say(d contract.Say) {
	if s.dead {
		return
	}
	s.queue = append(s.queue, d)
	s.next()
}

func (s *speaker) next() {
	if s.current != nil || len(s.queue) == 0 {
		return
	}
	d := s.queue[0]
	s.queue = s.queue[1:]
	s.current = &d
	s.status(contract.SpeakingStart, "")
	s.sound()
}

// sound lets the present text come to its end, if nothing holds it.
func (s *speaker) sound() {
	if s.current != nil && !s.paused && !s.held {
		s.timer.Reset(20*time.Millisecond + time.Duration(utf8.RuneCountInString(s.current.Text))*perChar)
	}
}

func (s *speaker) end(reason string) {
	s.status(contract.SpeakingEnd, reason)
	s.current = nil
	s.next()
}

func (s *speaker) status(event, reason string) {
	st := contract.SpeechStatus{
		Event: event, Text: s.current.Text, UttID: s.current.UttID, WakeAck: s.current.WakeAck, SystemAnnounce: s.current.SystemAnnounce,
	}
	if reason != "" {
		st.Reason = &reason
	}
	_, _ = client.Publish(context.Background(), s.c, contract.TTSStatus, st) // QoS 0: the broker may be away
}

func (s *speaker) control(d contract.SpeechControl) {
	ours := s.current != nil && (d.ID == nil || contract.Value(s.current.UttID) == *d.ID)
	switch d.Action {
	case contract.ActionPause:
		if ours && !s.paused {
			s.paused = true
			s.status(contract.SpeechPaused, d.Reason)
		}
	case contract.ActionResume:
		if ours && s.paused {
			s.paused = false
			s.status(contract.SpeechResumed, d.Reason)
			s.sound()
		}
	case contract.ActionStop:
		var kept []contract.Say
		for _, q := range s.queue {
			if d.ID != nil && contract.Value(q.UttID) != *d.ID {
				kept = append(kept, q)
			}
		}
		s.queue = kept
		if ours {
			s.paused = false
			s.status(contract.SpeechStopped, d.Reason)
			s.end(d.Reason)
		}
	}
}

// set changes how it speaks: hold, go, off or on.
func (s *speaker) set(how string) {
	done := make(chan struct{})
	s.inputs <- func() {
		switch how {
		case "hold":
			s.held = true
		case "go":
			s.held = false
			s.sound()
		case "off":
			s.dead = true
		case "on":
			s.dead = false
		}
		close(done)
	}
	<-done
}
