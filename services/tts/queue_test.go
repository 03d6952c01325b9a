package tts

import (
	"errors"
	"fmt"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tarsd/tarsd/services/contract"
	"github.com/tarsd/tarsd/services/tts/voice"
)

// rig is a queue with a player that obeys the test: every sentence is a second of sound.
type rig struct {
	t       *testing.T
	q       *queue
	now     time.Time
	log     []string // statuses, and what is done
	unheard time.Duration
	wanted  []*part // that were to be synthesized
}

func newRig(t *testing.T) *rig {
	t.Helper()
	o := Defaults()
	return &rig{t: t, q: newQueue(&o), now: time.Unix(1000, 0)}
}

func second() voice.Sound {
	pcm := make([]int16, 16000)
	for i := range pcm {
		pcm[i] = 1000
	}
	return voice.Sound{Rate: 16000, PCM: pcm}
}

// do carries out what the queue wants.
func (r *rig) do() {
	for len(r.q.out) > 0 {
		out := r.q.out
		r.q.out = nil
		for _, e := range out {
			switch e := e.(type) {
			case synthesize:
				r.wanted = append(r.wanted, e.p)
				require.NoError(r.t, e.p.clip.add(second()))
				e.p.clip.finish("fake", nil)
			case play:
				r.log = append(r.log, "play "+e.p.text)
			case drainOut:
				r.log = append(r.log, "drain")
			case halt:
				r.log = append(r.log, "halt")
				if e.again {
					r.q.halted(r.unheard)
				}
			case status:
				s := e.event + " " + e.u.utt
				if e.reason != "" {
					s += " (" + e.reason + ")"
				}
				if e.event == contract.SpeakingEnd {
					s += ": " + e.text
				}
				r.log = append(r.log, s)
			}
		}
	}
}

// took returns what has been done since it was last called.
func (r *rig) took() []string {
	log := r.log
	r.log = nil
	return log
}

func (r *rig) say(utt string, texts ...string) {
	for _, s := range texts {
		r.q.add(r.now, text{say: contract.Say{Text: s, UttID: &utt}, parts: []string{s}, received: r.now})
		r.do()
	}
}

func (r *rig) ack(utt, s string) {
	r.q.add(r.now, text{say: contract.Say{Text: s, UttID: &utt, WakeAck: new(true)}, parts: []string{s}, received: r.now})
	r.do()
}

func (r *rig) control(action, utt string) {
	r.q.control(r.now, action, utt, "because", r.now)
	r.do()
}

// hear lets the player hand on the sentence that it has.
func (r *rig) hear() {
	r.t.Helper()
	p := r.q.playing
	require.NotNil(r.t, p, "nothing is played")
	_, n := p.clip.given()
	p.clip.gave(16000 - n)
	r.q.sounds(p)
	r.now = r.now.Add(time.Second)
	r.q.played(r.now, p, nil)
	r.do()
}

// part lets it hand on half a second of it.
func (r *rig) half() {
	p := r.q.playing
	p.clip.gave(8000)
	r.q.sounds(p)
	r.now = r.now.Add(time.Second / 2)
	r.do()
}

func (r *rig) drained() {
	require.True(r.t, r.q.drain)
	r.q.drained(r.now)
	r.do()
}

func (r *rig) wait(d time.Duration) {
	end := r.now.Add(d)
	for {
		at := r.q.next()
		if at.IsZero() || at.After(end) {
			break
		}
		r.now = later(at, r.now)
		r.q.tick(r.now)
		r.do()
	}
	r.now = end
}

func TestOneStartAndOneEnd(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.say("a", "One.", "Two.")
	assert.Equal(t, []string{"play One."}, r.took())
	assert.Len(t, r.wanted, 2, "the next one is made meanwhile")
	r.hear()
	r.say("a", "Three.")
	r.hear()
	r.hear()
	r.drained()
	r.wait(time.Second)
	assert.Equal(t, []string{
		"speaking_start a", "play Two.", "play Three.", "drain", "speaking_end a: One. Two. Three.",
	}, r.took())
}

func TestGapsOfTheModel(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.q.making(r.now, "a")
	r.say("a", "One.")
	r.hear()
	r.drained()
	r.wait(3 * time.Second)
	assert.NotContains(t, r.took(), "speaking_end a: One.", "the model still writes")
	r.say("a", "Two.")
	r.hear()
	r.drained()
	r.q.made(r.now, "a")
	r.do()
	assert.Equal(t, []string{"play Two.", "drain"}, r.took(), "what the router makes of the end may be on its way")
	r.wait(350 * time.Millisecond)
	assert.Equal(t, []string{"speaking_end a: One. Two."}, r.took())

	r.q.making(r.now, "b")
	r.say("b", "Long ago.")
	r.hear()
	r.drained()
	r.took()
	r.wait(4 * time.Second)
	assert.Equal(t, []string{"speaking_end b: Long ago."}, r.took(), "but nobody waits for ever")
}

func TestPauseAndResume(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.say("a", "One.", "Two.")
	r.hear()
	r.half()
	r.took()
	r.unheard = 250 * time.Millisecond
	r.control("pause", "a")
	r.control("pause", "a")
	assert.Equal(t, []string{"halt", "paused a (because)"}, r.took(), "a repeat changes nothing")
	_, at := r.q.cur.parts[r.q.cur.next].clip.given()
	assert.Equal(t, 4000, at, "what was in the device is heard again")
	r.control("resume", "other")
	assert.Empty(t, r.took())
	r.control("resume", "")
	assert.Equal(t, []string{"resumed a (because)", "play Two."}, r.took())
	r.hear()
	r.drained()
	assert.Equal(t, []string{"drain", "speaking_end a: One. Two."}, r.took(), "no second start")
}

// TestPauseOverTheEdge: the device still had the end of the sentence before.
func TestPauseOverTheEdge(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.say("a", "One.", "Two.", "Three.")
	r.hear()
	r.hear()
	r.q.playing.clip.gave(1600)
	r.took()
	r.unheard = 300 * time.Millisecond
	r.control("pause", "")
	r.control("resume", "")
	assert.Equal(t, []string{"halt", "paused a (because)", "resumed a (because)", "play Two."}, r.took())
	_, at := r.q.playing.clip.given()
	assert.Equal(t, 16000-3200, at)
}

func TestPauseWhileDraining(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.say("a", "One.")
	r.hear()
	r.took()
	r.unheard = 300 * time.Millisecond
	r.control("pause", "")
	r.control("resume", "")
	r.hear()
	r.drained()
	assert.Equal(t, []string{"halt", "paused a (because)", "resumed a (because)", "play One.", "drain", "speaking_end a: One."}, r.took())
	r.say("b", "Two.")
	r.hear()
	r.took()
	r.unheard = 0
	r.control("pause", "")
	r.control("resume", "")
	r.drained()
	assert.Equal(t, []string{"halt", "paused b (because)", "resumed b (because)", "drain", "speaking_end b: Two."}, r.took(), "all of it was heard")
}

func TestForgottenPause(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.say("a", "One.")
	r.half()
	r.control("pause", "a")
	r.say("b", "Two.")
	r.took()
	r.wait(2 * time.Minute)
	assert.Equal(t, []string{"stopped a (pause_timeout)", "speaking_end a (pause_timeout): One.", "play Two."}, r.took())
}

func TestPauseOfWhatWaits(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.say("a", "One.")
	r.say("b", "Two.")
	r.control("pause", "b")
	r.hear()
	r.drained()
	assert.Equal(t, []string{"play One.", "paused b (because)", "speaking_start a", "drain", "speaking_end a: One."}, r.took())
	r.control("resume", "b")
	assert.Equal(t, []string{"resumed b (because)", "play Two."}, r.took())
}

func TestStop(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		utt  string
		want []string
	}{
		"one":     {"a", []string{"halt", "stopped a (because)", "speaking_end a (because): One.", "play Later."}},
		"another": {"b", []string{"stopped b (because)"}},
		"all":     {"", []string{"halt", "stopped a (because)", "speaking_end a (because): One.", "stopped b (because)"}},
		"unknown": {"x", nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			r.say("a", "One.", "Two.")
			r.say("b", "Later.")
			r.half()
			r.took()
			r.control("stop", c.utt)
			r.control("stop", c.utt)
			assert.Equal(t, c.want, r.took(), "a repeat finds nothing")
		})
	}
}

// TestStopOvertakes: topics are handled side by side, so that a stop may be looked at before the text
// that came before it. One that came after it is spoken, also under the same id.
func TestStopOvertakes(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	came := r.now
	r.now = r.now.Add(time.Millisecond)
	r.control("stop", "a")
	r.q.add(r.now, text{say: contract.Say{Text: "Old.", UttID: new("a")}, parts: []string{"Old."}, received: came})
	r.do()
	assert.Empty(t, r.took())
	r.now = r.now.Add(time.Millisecond)
	r.say("a", "New.")
	assert.Equal(t, []string{"play New."}, r.took())
}

func TestWakeAckOverPause(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.say("a", "One.", "Two.")
	r.half()
	r.say("b", "Later.")
	r.control("pause", "a")
	r.took()
	r.ack("w", "Yes?")
	r.hear()
	r.drained()
	assert.Equal(t, []string{"play Yes?", "speaking_start w", "drain", "speaking_end w: Yes?"}, r.took())
	r.control("resume", "")
	assert.Equal(t, []string{"resumed a (because)", "play One."}, r.took())
	r.ack("w2", "Hm?")
	r.hear()
	r.hear()
	r.drained()
	r.wait(time.Second)
	assert.Contains(t, r.took(), "play Hm?")
	assert.Equal(t, "Hm?", r.q.playing.text, "before what waits")
}

func TestFailures(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.say("a", "One.", "Two.")
	r.q.played(r.now, r.q.playing, errors.New("boom"))
	r.do()
	r.hear()
	r.drained()
	assert.Equal(t, []string{"play One.", "play Two.", "speaking_start a", "drain", "speaking_end a (not spoken: boom): Two."}, r.took(), "the rest is spoken")

	r.say("b", "One.")
	r.q.played(r.now, r.q.playing, errors.New("boom"))
	r.do()
	r.drained()
	r.wait(time.Second)
	assert.Equal(t, []string{"play One.", "drain", "speaking_start b", "speaking_end b (not spoken: boom): "}, r.took(), "who waits for an end gets it")
}

func TestNothingToSay(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	r.q.add(r.now, text{say: contract.Say{Text: " ", UttID: new("a")}})
	r.do()
	assert.Empty(t, r.took())
	r.q.add(r.now, text{say: contract.Say{Text: "😀", UttID: new("a")}})
	r.do()
	assert.Equal(t, []string{"speaking_start a", "speaking_end a (nothing_to_say): "}, r.took())
}

// TestHundredSentences: all are spoken, in order; what does not fit any more is refused in words.
func TestHundredSentences(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	for i := range 100 {
		r.say("u"+strconv.Itoa(i/4), fmt.Sprintf("This is %d.", i))
	}
	for range 25 {
		for range 4 {
			r.hear()
		}
		r.drained()
	}
	starts, ends := 0, 0
	for i, n := 0, 0; i < len(r.log); i++ {
		switch {
		case r.log[i] == fmt.Sprintf("play This is %d.", n):
			n++
		case len(r.log[i]) > 14 && r.log[i][:14] == "speaking_start":
			starts++
		case len(r.log[i]) > 12 && r.log[i][:12] == "speaking_end":
			ends++
		}
		if i == len(r.log)-1 {
			assert.Equal(t, 100, n)
		}
	}
	assert.Equal(t, 25, starts)
	assert.Equal(t, 25, ends)
	assert.LessOrEqual(t, len(r.wanted), 100)
	r.took()
	for i := range maxParts + 2 {
		r.say("v", strconv.Itoa(i))
	}
	r.say("w", "too much")
	assert.Equal(t, []string{"play 0", "speaking_start w", "speaking_end w (queue_full): "}, r.took())
	assert.Equal(t, reasonFull, r.q.cur.reason)
}

// TestStopStorm: stops and texts in any order leave nothing behind.
func TestStopStorm(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	for i := range 500 {
		r.now = r.now.Add(time.Millisecond)
		r.say("u"+strconv.Itoa(i), "One.", "Two.")
		if i%3 == 0 {
			r.half()
		}
		r.control("stop", "")
	}
	assert.Nil(t, r.q.cur)
	assert.Nil(t, r.q.playing)
	assert.Empty(t, r.q.waiting)
	assert.LessOrEqual(t, len(r.q.stops), maxStops)
	starts, ends := 0, 0
	for _, s := range r.took() {
		switch {
		case len(s) > 14 && s[:14] == "speaking_start":
			starts++
		case len(s) > 12 && s[:12] == "speaking_end":
			ends++
		}
	}
	assert.Equal(t, 167, starts)
	assert.Equal(t, starts, ends)
	r.now = r.now.Add(time.Millisecond)
	r.say("after", "Still here.")
	assert.Equal(t, []string{"play Still here."}, r.took())
}

func TestOpenAnswersAreBounded(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	for i := range 1000 {
		r.now = r.now.Add(time.Second)
		r.q.making(r.now, strconv.Itoa(i))
		if i%2 == 0 {
			r.q.made(r.now, strconv.Itoa(i))
		}
	}
	assert.LessOrEqual(t, len(r.q.open), maxOpen)
	assert.LessOrEqual(t, len(r.q.shut), maxOpen)
}
