package stt

import (
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tarsd/tarsd/services/client"
	"github.com/tarsd/tarsd/services/contract"
)

// story moves microphones through time, in milliseconds since the beginning.
type story struct {
	t  *testing.T
	ms *mics
	t0 time.Time
}

func newStory(t *testing.T, sites ...string) *story {
	t.Helper()
	o := Defaults()
	s := &story{t, newMics(&o), time.Unix(1_790_000_000, 0)}
	for _, site := range append([]string{Room}, sites...) {
		s.ms.join(s.at(0), site)
	}
	return s
}

func (s *story) at(ms int) time.Time { return s.t0.Add(time.Duration(ms) * time.Millisecond) }

func (s *story) is(ms int, site string, want gate, why ...any) {
	s.t.Helper()
	names := []string{"shut", "cut", "rest", "open"}
	assert.Equal(s.t, names[want], names[s.ms.gate(site, s.at(ms))], "at %d ms: %v", ms, why)
}

func (s *story) wake(ms int, origin, kind string) {
	s.ms.wake(s.at(ms), kind, client.Turn{ID: "t-" + origin, Origin: origin})
}

func (s *story) mic(ms int, origin, action, reason string, ttl int) {
	c := contract.MicCommand{Action: action, Reason: reason}
	if ttl >= 0 {
		c.TTLMS = &ttl
	}
	s.ms.command(s.at(ms), c, origin)
}

func (s *story) tts(ms int, origin, event, utt string, change ...func(*contract.SpeechStatus)) {
	c := contract.SpeechStatus{Event: event, UttID: &utt, Text: "Hello there, my friend."}
	for _, f := range change {
		f(&c)
	}
	s.ms.status(s.at(ms), c, origin)
}

func ack(s *contract.SpeechStatus)      { s.WakeAck = new(true) }
func announce(s *contract.SpeechStatus) { s.SystemAnnounce = new(true) }

func (s *story) router(ms int, state string, left int, live bool) {
	s.ms.dialogue(s.at(ms), contract.Dialogue{State: state, Reason: state, Live: live}, time.Duration(left)*time.Millisecond, false)
}

func TestMicStories(t *testing.T) {
	t.Parallel()
	for name, tell := range map[string]func(s *story){
		"closed at the start": func(s *story) {
			s.is(0, Room, rest)
			s.is(1_000_000, Room, rest)
		},
		"a wake word opens it for a while": func(s *story) {
			s.wake(1000, Room, "wake")
			s.is(999, Room, rest, "sound that comes late is still from before")
			s.is(1000, Room, open, "and no guard eats the first second")
			s.is(8999, Room, open)
			s.is(9000, Room, rest)
		},
		"a command has its own time": func(s *story) {
			s.wake(0, Room, "wake")
			s.mic(10, Room, "unmute", "wake", 3000)
			s.is(3009, Room, open)
			s.is(3010, Room, rest)
			s.mic(5000, Room, "unmute", "page", -1)
			s.is(5000+10*60*1000-1, Room, open, "for good has a limit")
			s.is(5000+10*60*1000, Room, rest)
		},
		"the router's window is longer": func(s *story) {
			s.wake(0, Room, "wake")
			s.mic(10, Room, "unmute", "wake", 3000)
			s.router(20, "listening", 8000, false)
			s.is(8019, Room, open)
			s.is(8020, Room, rest)
			s.router(5000, "idle", 0, false)
			s.is(5000, Room, rest, "and it may end it")
		},
		"an idle router does not end a command's time": func(s *story) {
			s.mic(0, Room, "unmute", "page", 3000)
			s.router(20, "idle", 0, false)
			s.is(2000, Room, open)
			s.router(30, "thinking", 0, false)
			s.is(2000, Room, rest, "an answer in the making does")
		},
		"timeout and cancel": func(s *story) {
			s.wake(0, Room, "wake")
			s.wake(100, Room, "timeout")
			s.is(100, Room, rest)
			s.wake(200, Room, "wake")
			s.wake(300, Room, "cancelled")
			s.is(300, Room, rest)
			s.wake(400, Room, "resume")
			s.wake(400, Room, "error")
			s.is(400, Room, rest, "they open nothing")
		},
		"mute": func(s *story) {
			s.wake(0, Room, "wake")
			s.mic(100, Room, "mute", "page", -1)
			s.is(100, Room, shut)
			s.router(200, "listening", 100_000_000, true)
			s.is(200, Room, shut, "live mode does not open what somebody has closed")
			s.is(99_999_999, Room, shut)
			s.mic(300, Room, "unmute", "page", 1000)
			s.is(300, Room, open)
			s.mic(400, Room, "mute", "page", -1)
			s.wake(500, Room, "wake")
			s.is(500, Room, open, "who says the wake word wants to be heard")
		},
		"mute for a time": func(s *story) {
			s.wake(0, Room, "wake")
			s.mic(100, Room, "mute", "page", 1000)
			s.is(1099, Room, shut)
			s.is(1100, Room, open, "what it was open for goes on")
			s.is(8000, Room, rest)
			s.mic(10_000, Room, "mute", "page", 1000)
			s.is(11_000, Room, rest, "and the end of a mute opens nothing")
		},
		"mute without origin is for all": func(s *story) {
			s.wake(0, "kitchen", "wake")
			s.wake(0, Room, "wake")
			s.mic(10, "", "mute", "page", -1)
			s.is(10, Room, shut)
			s.is(10, "kitchen", shut)
		},
		"letting go of the button": func(s *story) {
			s.wake(0, Room, "wake")
			s.mic(10, Room, "unmute", "push_to_talk", 10_000)
			s.mic(500, Room, "mute", "push_to_talk", -1)
			s.is(500, Room, cut, "what was said before is meant")
		},
		"half duplex": func(s *story) {
			s.mic(0, Room, "unmute", "page", 60_000)
			s.tts(1000, Room, "speaking_start", "a")
			s.is(999, Room, open, "sound from before, that comes late")
			s.is(1000, Room, cut)
			s.tts(2000, Room, "speaking_end", "a")
			s.is(2199, Room, cut, "the room still sounds")
			s.is(2200, Room, open)
		},
		"live mode is half duplex, too": func(s *story) {
			s.router(0, "listening", 600_000, true)
			s.is(0, Room, open)
			s.is(0, "kitchen", open)
			s.tts(1000, Room, "speaking_start", "a")
			s.is(1000, Room, cut)
			s.is(1000, "kitchen", open, "it is the room's speaker")
			s.router(1000, "thinking", 45_000, true)
			s.is(1000, "kitchen", open)
			s.router(2000, "idle", 0, false)
			s.is(2000, "kitchen", rest)
		},
		"live mode ends with its router": func(s *story) {
			s.router(0, "listening", 600_000, true)
			s.is(604_999, Room, open)
			s.is(605_000, Room, rest)
			s.router(0, "listening", 0, true)
			s.is(0, Room, rest, "one of long ago")
		},
		"an answer opens a window": func(s *story) {
			s.tts(0, Room, "speaking_start", "a")
			s.tts(1000, Room, "speaking_end", "a")
			s.is(1200, Room, open)
			s.is(11_199, Room, open)
			s.is(11_200, Room, rest)
		},
		"not while the router goes on": func(s *story) {
			s.router(0, "speaking", 0, false)
			s.tts(0, Room, "speaking_start", "a")
			s.tts(1000, Room, "speaking_end", "a")
			s.is(1200, Room, rest, "another part may follow")
			s.router(1100, "listening", 10_000, false)
			s.is(1199, Room, cut)
			s.is(1200, Room, open)
			s.is(11_100, Room, rest)
		},
		"an announcement opens nothing": func(s *story) {
			s.tts(0, Room, "speaking_start", "a", announce)
			s.is(10, Room, cut)
			s.tts(1000, Room, "speaking_end", "a", announce)
			s.is(2000, Room, rest)
		},
		"what was stopped opens nothing": func(s *story) {
			s.tts(0, Room, "speaking_start", "a")
			s.tts(900, Room, "stopped", "a")
			s.tts(1000, Room, "speaking_end", "a")
			s.is(2000, Room, rest)
		},
		"the answer to a wake word closes nothing": func(s *story) {
			s.wake(0, Room, "wake")
			s.tts(100, Room, "speaking_start", "ack", ack)
			s.is(200, Room, open)
			s.tts(600, Room, "speaking_end", "ack", ack)
			s.is(601, Room, open)
			s.is(8000, Room, rest, "and makes it no longer")
		},
		"interrupt": func(s *story) {
			s.tts(0, Room, "speaking_start", "a")
			s.wake(1000, Room, "interrupt")
			s.is(999, Room, cut, "what comes late from before is ours")
			s.is(1000, Room, open, "at once")
			s.tts(1100, Room, "paused", "a")
			s.is(1101, Room, open, "without a guard")
			s.tts(3500, Room, "resumed", "a")
			s.is(3500, Room, cut)
			s.tts(5000, Room, "speaking_end", "a")
			s.is(5100, Room, cut)
			s.is(5200, Room, open, "for the answer")
		},
		"interrupt, and stop": func(s *story) {
			s.router(0, "speaking", 0, false)
			s.tts(0, Room, "speaking_start", "a")
			s.wake(1000, Room, "interrupt")
			s.tts(1100, Room, "paused", "a")
			s.router(1100, "interrupted", 4000, false)
			s.tts(2000, Room, "stopped", "a")
			s.tts(2000, Room, "speaking_end", "a")
			s.is(2001, Room, open)
			s.router(2100, "idle", 0, false)
			s.is(2100, Room, rest)
		},
		"a wake word does the same": func(s *story) {
			s.tts(0, Room, "speaking_start", "a")
			s.wake(1000, Room, "wake")
			s.is(1000, Room, open, "push to talk while the robot speaks")
			s.tts(1500, Room, "speaking_start", "b")
			s.is(1500, Room, cut, "which does not hold for the next utterance")
		},
		"paused by somebody": func(s *story) {
			s.tts(0, Room, "speaking_start", "a")
			s.tts(1000, Room, "paused", "a")
			s.is(1100, Room, cut)
			s.is(1200, Room, rest, "silent, and nobody asked")
		},
		"speech without an end": func(s *story) {
			s.mic(0, Room, "unmute", "page", 600_000)
			s.tts(0, Room, "speaking_start", "a")
			s.is(12_000+2300-1, Room, cut)
			s.is(12_000+2300, Room, open, "by its text, which has 23 characters, it must be over")
			s.ms.progress(s.at(10_000), contract.SpeechProgress{UttID: new("a"), Text: "More."}, Room)
			s.is(22_499, Room, cut, "unless it shows that it goes on")
			s.is(22_500, Room, open)
			s.tts(30_000, Room, "speaking_start", "b")
			s.ms.progress(s.at(30_000), contract.SpeechProgress{UttID: new("b"), Text: "A"}, Room)
			s.is(30_000+14_299, Room, cut, "a short sentence makes it no shorter")
		},
		"many utterances without an end": func(s *story) {
			for i := range 100 {
				s.tts(i, Room, "speaking_start", string(rune('0'+i)))
			}
			assert.LessOrEqual(s.t, len(s.ms.all[Room].voices), maxVoices)
		},
		"ends and resumes of others": func(s *story) {
			s.tts(0, Room, "speaking_end", "x")
			s.tts(0, Room, "stopped", "x")
			s.tts(0, Room, "paused", "x")
			s.is(300, Room, rest)
			s.tts(1000, Room, "resumed", "x")
			s.is(1000, Room, cut, "it began before we did")
		},
		"each site for itself": func(s *story) {
			s.wake(0, "kitchen", "wake")
			s.is(0, "kitchen", open)
			s.is(0, Room, rest)
			s.tts(100, "kitchen", "speaking_start", "a")
			s.is(100, "kitchen", cut)
			s.tts(1000, "kitchen", "speaking_end", "a")
			s.is(1300, "kitchen", open)
			s.is(1300, Room, rest)
			s.router(1300, "thinking", 0, false)
			s.router(1400, "listening", 5000, false)
			s.is(1500, "kitchen", open, "where the last answer was heard")
			s.is(1500, Room, rest)
			s.is(1500, "cellar", shut, "there is none")
		},
		"a page without a microphone": func(s *story) {
			s.wake(0, "page-1", "wake")
			s.mic(10, "page-1", "unmute", "push_to_talk", 5000)
			s.is(100, Room, open)
			s.tts(200, "page-1", "speaking_start", "a")
			s.is(200, Room, cut, "its speaker is the room's")
		},
		"a microphone that comes with the wake word": func(s *story) {
			s.wake(0, "page-1", "wake")
			s.is(100, Room, open)
			s.ms.join(s.at(500), "page-1")
			s.is(500, "page-1", open)
			s.is(500, Room, rest)
			s.ms.leave(s.at(600), "page-1")
			s.is(600, "page-1", shut)
			s.ms.join(s.at(700), "page-1")
			s.is(700, "page-1", rest, "once")
			s.wake(1000, "page-2", "wake")
			s.ms.join(s.at(5000), "page-2")
			s.is(5000, "page-2", rest, "that was something else")
		},
		"a mute outlives an absence": func(s *story) {
			s.mic(0, "kitchen", "mute", "night", -1)
			s.router(0, "listening", 100_000_000, true)
			s.ms.leave(s.at(100), "kitchen")
			assert.Len(s.t, s.ms.states(s.at(100)), 1)
			s.mic(200, "kitchen", "unmute", "page", 1000) // the room's: that of the kitchen is not there
			s.is(200, Room, open)
			s.ms.join(s.at(1000), "kitchen")
			s.is(1000, "kitchen", shut, "live mode does not open it")
			s.wake(1100, "kitchen", "wake")
			s.is(1100, "kitchen", open)
			s.mic(2000, "kitchen", "mute", "night", 1000)
			s.ms.leave(s.at(2100), "kitchen")
			s.ms.leave(s.at(3000), "nobody")
			assert.Len(s.t, s.ms.all, 1, "it is over")
			for i := range 2 * maxMics {
				name := strconv.Itoa(i)
				s.ms.join(s.at(3000), name)
				s.mic(3000, name, "mute", "night", -1)
				s.ms.leave(s.at(3000), name)
			}
			assert.Len(s.t, s.ms.all, maxMics)
		},
		"a wake word ends the mute of who comes with it": func(s *story) {
			s.mic(0, "kitchen", "mute", "night", -1)
			s.ms.leave(s.at(100), "kitchen")
			s.wake(200, "kitchen", "wake")
			s.is(200, Room, open)
			s.ms.join(s.at(300), "kitchen")
			s.is(300, "kitchen", open)
			s.is(300, Room, rest)
		},
		"transcripts without a router": func(s *story) {
			s.wake(0, Room, "wake")
			s.ms.transcribed(s.at(2000), Room)
			s.is(2000, Room, rest)
			s.router(3000, "listening", 5000, false)
			s.ms.transcribed(s.at(3500), Room)
			s.is(3500, Room, open, "it says itself when it thinks")
		},
		"retained state opens nothing": func(s *story) {
			s.ms.dialogue(s.at(0), contract.Dialogue{State: "listening"}, time.Minute, true)
			s.is(1, Room, rest)
			s.ms.dialogue(s.at(0), contract.Dialogue{State: "listening", Live: true}, time.Minute, true)
			s.is(1, Room, open, "but live mode does")
		},
		"a router that goes": func(s *story) {
			s.router(0, "speaking", 0, false)
			s.ms.dialogue(s.at(1), contract.Dialogue{State: "idle", Reason: "stopped"}, 0, false)
			s.tts(10, Room, "speaking_start", "a")
			s.tts(1000, Room, "speaking_end", "a")
			s.is(1200, Room, open, "then speech says when to listen")
		},
		"huge times": func(s *story) {
			s.mic(0, Room, "unmute", "x", 1<<62)
			s.is(10*60*1000-1, Room, open)
			s.is(10*60*1000, Room, rest)
			s.mic(0, Room, "mute", "x", 1<<62)
			s.is(10*60*1000-1, Room, shut)
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			tell(newStory(t, "kitchen"))
		})
	}
}

func TestTurns(t *testing.T) {
	t.Parallel()
	s := newStory(t)
	s.wake(0, Room, "wake")
	turn, woken := s.ms.begins(Room, s.at(100))
	assert.Equal(t, "t-"+Room, turn.ID)
	assert.True(t, woken)
	turn, woken = s.ms.begins(Room, s.at(5000))
	assert.Empty(t, turn.ID, "the second utterance is a turn of its own")
	assert.False(t, woken)
	s.wake(6000, Room, "wake")
	s.mic(6100, Room, "mute", "page", -1)
	turn, _ = s.ms.begins(Room, s.at(9000))
	assert.Empty(t, turn.ID, "nothing was said in it")
	for name, closes := range map[string]func(s *story){
		"timeout": func(s *story) { s.wake(1000, Room, "timeout") }, "cancelled": func(s *story) { s.wake(1000, Room, "cancelled") },
		"thinking": func(s *story) { s.router(1000, "thinking", 0, false) }, "nobody": func(*story) {},
	} {
		for after, opens := range map[string]func(s *story){
			"live mode": func(s *story) { s.router(20_000, "listening", 9000, true) }, "a button": func(s *story) { s.mic(20_000, Room, "unmute", "page", 9000) },
			"a window": func(s *story) { s.router(20_000, "listening", 9000, false) },
		} {
			s := newStory(t)
			s.wake(0, Room, "wake")
			closes(s)
			opens(s)
			s.is(21_000, Room, open)
			turn, _ = s.ms.begins(Room, s.at(21_000))
			assert.Empty(t, turn.ID, "%s, and %s: that is no answer to the wake word", name, after)
		}
	}
	s.wake(40_000, Room, "wake")
	s.mic(40_100, Room, "unmute", "push_to_talk", 9000)
	s.router(40_200, "listening", 9000, false)
	turn, _ = s.ms.begins(Room, s.at(47_000))
	assert.Equal(t, "t-"+Room, turn.ID, "it was open all the time")
	turn, woken = s.ms.begins("cellar", s.at(0))
	assert.Zero(t, turn)
	assert.False(t, woken)
}

func TestStates(t *testing.T) {
	t.Parallel()
	s := newStory(t, "kitchen\n"+string(make([]byte, 100)))
	s.wake(0, Room, "wake")
	states := s.ms.states(s.at(0))
	require.Len(t, states, 2)
	assert.Equal(t, "room open (wake)", states[1])
	assert.NotContains(t, states[0], "\n")
	assert.Less(t, len(states[0]), 100)
	s.ms.leave(s.at(0), Room)
	assert.Len(t, s.ms.states(s.at(0)), 1)
	s.ms.join(s.at(0), Room)
	s.tts(10, Room, "speaking_start", "a")
	assert.Contains(t, s.ms.states(s.at(20)), "room closed (own speech)")
	s.mic(30, Room, "mute", "night", -1)
	assert.Contains(t, s.ms.states(s.at(40)), "room muted (night)")
	s.mic(50, Room, "unmute", "day", 100)
	s.tts(60, Room, "stopped", "a")
	s.tts(60, Room, "speaking_end", "a")
	assert.Contains(t, s.ms.states(s.at(2000)), "room closed (day)")
	s.router(2000, "listening", 1, false)
	s.router(2001, "listening", 1000, true)
	assert.Contains(t, s.ms.states(s.at(5000)), "room open (live)")
}
