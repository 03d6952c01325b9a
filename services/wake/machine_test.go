package wake

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tarsd/tarsd/services/contract"
)

// stage drives a machine by hand.
type stage struct {
	t   *testing.T
	m   *machine
	now time.Time
}

func newStage(t *testing.T) *stage {
	t.Helper()
	o, n := Defaults(), 0
	return &stage{t: t, now: time.Unix(1000, 0), m: newMachine(&o, func() string { n++; return fmt.Sprint("turn-", n) })}
}

// expect takes what the machine wanted done, one word for each.
func (s *stage) expect(st state, want ...string) *stage {
	s.t.Helper()
	got := []string{}
	for _, e := range s.m.out {
		switch {
		case e.event != nil:
			got = append(got, strings.TrimSpace(fmt.Sprintf("%s %s %s", e.event.Type, contract.Value(e.event.Cause), contract.Value(e.event.TTSID))))
		case e.mic != nil:
			got = append(got, fmt.Sprintf("%s %s %d", e.mic.Action, e.mic.Reason, *e.mic.TTLMS))
		case e.control != nil:
			got = append(got, strings.TrimSpace(fmt.Sprintf("%s %s %s", e.control.Action, e.control.Reason, contract.Value(e.control.ID))))
		}
	}
	s.m.out = nil
	if want == nil {
		want = []string{}
	}
	require.Equal(s.t, want, got)
	require.Equal(s.t, st, s.m.state)
	require.Equal(s.t, st == idle, s.m.deadline.IsZero(), "every state but idle has a limit")
	return s
}

func (s *stage) after(d time.Duration) *stage {
	s.now = s.now.Add(d)
	s.m.tick(s.now)
	return s
}

func (s *stage) wake() *stage {
	s.m.detected(s.now, detection{site: "room", confidence: 0.9, energy: 0.1})
	return s
}

func (s *stage) status(event, utt string) *stage {
	s.m.spoken(s.now, event, speech{utt: utt, site: "room", ack: strings.HasPrefix(utt, "ack")})
	return s
}

func (s *stage) hears(text string) *stage {
	s.m.final(s.now, "room", text)
	return s
}

func (s *stage) voice() *stage {
	s.m.voice(s.now, "room")
	return s
}

func (s *stage) heard() *stage {
	s.t.Helper()
	return s.wake().expect(listening, "wake wake_phrase", "unmute wake 8000")
}

func (s *stage) interrupted() *stage {
	s.t.Helper()
	s.status("speaking_start", "u1").expect(idle)
	return s.wake().expect(interrupted, "interrupt double_wake u1", "unmute wake 8000", "pause wake_interrupt u1").status("paused", "u1").expect(interrupted)
}

func TestWake(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]func(s *stage){
		"nobody speaks": func(s *stage) {
			s.heard().after(7900*time.Millisecond).expect(listening).after(100*time.Millisecond).expect(idle, "timeout silence")
		},
		"measured from the end of speech": func(s *stage) {
			s.heard().after(7*time.Second).voice().after(7*time.Second).expect(listening).after(time.Second).expect(idle, "timeout silence")
		},
		"not without an end": func(s *stage) {
			s.heard()
			for range 16 {
				s.after(time.Second).voice()
			}
			s.expect(listening).after(7*time.Second).expect(idle, "timeout silence")
		},
		"the robot's voice is not somebody's": func(s *stage) {
			s.heard().after(7*time.Second).status("speaking_start", "ack-1").voice().after(time.Second).expect(idle, "timeout silence")
		},
		"after the answer to it": func(s *stage) {
			s.heard().status("speaking_start", "ack-1").after(3*time.Second).status("speaking_end", "ack-1").after(7 * time.Second).expect(listening)
			s.after(time.Second).expect(idle, "timeout silence")
		},
		"an answer to it that goes on": func(s *stage) { // its flag is on the first and the last status only
			s.heard().m.spoken(s.now, "speaking_start", speech{utt: "x", site: "room", ack: true})
			s.status("paused", "x").status("resumed", "x").expect(listening)
		},
		"a partial transcript": func(s *stage) {
			s.heard().after(7 * time.Second)
			s.m.partial(s.now, "room", "what")
			s.after(7 * time.Second).expect(listening)
		},
		"an empty one": func(s *stage) {
			s.heard().after(7 * time.Second)
			s.m.partial(s.now, "room", " ")
			s.after(time.Second).expect(idle, "timeout silence")
		},
		"one of somewhere else": func(s *stage) {
			s.heard().after(7 * time.Second)
			s.m.partial(s.now, "page", "x")
			s.after(time.Second).expect(idle, "timeout silence")
		},
		"somebody speaks":       func(s *stage) { s.heard().hears("what time is it").expect(idle).after(time.Minute).expect(idle) },
		"cancel is for routers": func(s *stage) { s.heard().hears("cancel").expect(idle) },
		"only noise":            func(s *stage) { s.heard().hears(" .").expect(listening) },
		"an answer":             func(s *stage) { s.heard().status("speaking_start", "u1").expect(idle) },
		"again":                 func(s *stage) { s.heard().after(5 * time.Second).heard().after(5 * time.Second).expect(listening) },
		"the microphone goes": func(s *stage) {
			s.heard()
			s.m.lost(s.now, "page")
			s.expect(listening)
			s.m.lost(s.now, "room")
			s.expect(idle, "timeout silence")
		},
		"speech elsewhere": func(s *stage) {
			s.m.spoken(s.now, "speaking_start", speech{utt: "u1", site: "page"})
			s.heard()
		},
		"speech without an end": func(s *stage) { s.status("speaking_start", "u1").after(11 * time.Minute).heard() },
		"paused by others":      func(s *stage) { s.status("speaking_start", "u1").status("paused", "u1").heard() },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c(newStage(t))
		})
	}
}

func TestInterrupt(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]func(s *stage){
		"nobody speaks": func(s *stage) {
			s.after(2400*time.Millisecond).expect(interrupted).after(100*time.Millisecond).expect(idle, "resume timeout u1", "resume wake_resume u1")
			s.after(time.Minute).expect(idle)
		},
		"somebody is speaking": func(s *stage) {
			s.after(2 * time.Second).voice().after(2 * time.Second).expect(interrupted).voice().after(2400 * time.Millisecond).expect(interrupted)
			s.after(time.Second).expect(idle, "resume timeout u1", "resume wake_resume u1")
		},
		"cancel": func(s *stage) {
			s.hears("Never mind!").expect(idle, "stop wake_cancel u1", "cancelled cancel u1").after(time.Minute).expect(idle)
		},
		"other speech": func(s *stage) {
			s.hears("what time is it").expect(settling).status("stopped", "u1").expect(idle).after(time.Minute).expect(idle)
		},
		"and an answer": func(s *stage) {
			s.hears("what time is it").expect(settling).status("speaking_start", "u2").expect(idle)
		},
		"and nobody answers": func(s *stage) {
			s.hears("what time is it").expect(settling).after(4*time.Second).expect(settling).after(time.Second).expect(idle, "stop wake_superseded u1")
		},
		"others resume": func(s *stage) { s.status("resumed", "u1").expect(idle).after(time.Minute).expect(idle) },
		"others stop": func(s *stage) {
			s.status("stopped", "u1").expect(listening).after(time.Minute).expect(idle, "timeout silence")
		},
		"again": func(s *stage) {
			s.after(2*time.Second).wake().expect(interrupted, "interrupt double_wake u1", "unmute wake 8000").after(2*time.Second).expect(interrupted).after(time.Second).expect(idle, "resume timeout u1", "resume wake_resume u1")
		},
		"again, and nobody has answered": func(s *stage) {
			s.hears("hm, no").expect(settling).after(time.Second).wake().expect(interrupted, "interrupt double_wake u1", "unmute wake 8000")
			s.hears("what time is it").expect(settling).status("stopped", "u1").expect(idle)
		},
		"called from elsewhere": func(s *stage) {
			s.m.detected(s.now, detection{site: "page"})
			s.expect(listening, "resume wake_resume u1", "wake wake_phrase", "unmute wake 8000")
		},
		"the service ends":    func(s *stage) { s.m.stop(); s.expect(interrupted, "resume wake_timeout u1") },
		"the microphone goes": func(s *stage) { s.m.lost(s.now, "room"); s.expect(idle, "resume timeout u1", "resume wake_resume u1") },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c(newStage(t).interrupted())
		})
	}
}

// TestInterruptWithoutID: a stop without an id would be one of the answer, too.
func TestInterruptWithoutID(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.status("speaking_start", "").wake().expect(interrupted, "interrupt double_wake", "unmute wake 8000", "pause wake_interrupt")
	s.hears("what time is it").expect(settling).after(settleTime).expect(idle, "resume wake_resume")
}

func TestTurns(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.status("speaking_start", "u1").wake()
	first := s.m.out[0].call
	for _, e := range s.m.out {
		assert.Same(t, first, e.call)
	}
	assert.Equal(t, "turn-1", first.id)
	assert.Equal(t, "room", first.site)
	assert.InDelta(t, 0.9, *s.m.out[0].event.Confidence, 1e-9)
	s.m.out = nil
	s.after(3 * time.Second)
	assert.Same(t, first, s.m.out[0].call, "what becomes of a call belongs to it")
	s.wake()
	assert.NotEqual(t, first.id, s.m.out[len(s.m.out)-1].call.id)
}

func TestNormal(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{"  Never   mind. ": "never mind", "STOP!": "stop", "": "", "…": "", "don't": "don't"} {
		assert.Equal(t, want, normal(in))
	}
	assert.True(t, isCancel(normal("Cancel, please.")))
	assert.False(t, isCancel("stop the motor"))
}
