package stt

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/tarsd/tarsd/services/contract"
	"github.com/tarsd/tarsd/services/stt/recognise"
)

func TestJudge(t *testing.T) {
	t.Parallel()
	o := Defaults()
	j := newJudge(&o)
	sure, faint := metrics{voiced: time.Second, mean: 0.95}, metrics{voiced: time.Second, mean: 0.6}
	for _, v := range []struct {
		text string
		conf float64
		m    metrics
		why  string // empty: it passes
	}{
		{"yes", 0.5, faint, ""}, {"No.", 0.5, sure, ""}, {"stop", 0.4, faint, ""}, {"Turn left", 0.5, sure, ""}, {"turn on the lights", 0.5, sure, ""},
		{"what", -1, sure, ""}, {"never mind", -1, faint, ""}, {"explain quantum entanglement", -1, sure, ""}, {"Hi", 0.9, sure, ""}, {"okay", -1, faint, ""},
		{"12:30", 0.9, sure, ""}, {"Größe", 0.9, sure, ""}, {"thank you", 0.9, sure, ""}, {"はい。", 0.9, sure, ""},
		{"", 1, sure, "no words"}, {"... !?", 1, sure, "no words"}, {"♪♪", 1, sure, "no words"},
		{"mumble", 0.1, sure, "confidence"}, {"stop", 0.1, sure, "confidence"},
		{"Thank you.", 0.9, faint, "doubtful"}, {"you", -1, faint, "doubtful"},
		{"a ♪ ♪ ♪ ♪", 1, sure, "letters"}, {"a, b!? c...", 1, sure, "letters"}, {"a.b.c.d.ef", 1, sure, "marks"},
	} {
		got := j.reject(v.text, recognise.Result{Confidence: v.conf}, v.m)
		if v.why == "" {
			assert.Empty(t, got, v.text)
		} else {
			assert.Contains(t, got, v.why, v.text)
		}
	}
	assert.Empty(t, j.reject("you", recognise.Result{Confidence: 0.9, Command: true}, faint), "the engine expects it")
}

func TestRepeats(t *testing.T) {
	t.Parallel()
	o := Defaults()
	at := func(s int) metrics {
		return metrics{from: time.Unix(int64(s), 0), to: time.Unix(int64(s)+1, 0), mean: 1}
	}
	j := newJudge(&o)
	j.published("Hello friend", at(0))
	assert.Empty(t, j.reject("hello friend", recognise.Result{Confidence: -1}, at(2)), "people repeat themselves")
	o.Repeat = 8 * time.Second
	j.published("Hello friend", at(0))
	assert.Equal(t, "repeated", j.reject("hello, friend!", recognise.Result{Confidence: -1}, at(2)))
	assert.Empty(t, j.reject("hello, friend!", recognise.Result{Confidence: -1}, at(9)))
	j.published("stop", at(0))
	assert.Empty(t, j.reject("stop", recognise.Result{Confidence: -1}, at(1)), "a stop is never one too many")
}

func TestClean(t *testing.T) {
	t.Parallel()
	o := Defaults()
	j := newJudge(&o)
	assert.Equal(t, "what time is it", j.clean("  what\ttime\nis it\x00 ", false))
	assert.Equal(t, "ab", j.clean("a\xffb", false))
	assert.LessOrEqual(t, len(j.clean(strings.Repeat("long ", 5000), false)), maxText)
	const woken = true
	assert.Equal(t, "what time is it?", j.clean("Tars, what time is it?", woken))
	assert.Equal(t, "Hey Tars, what time is it?", j.clean("Hey Tars, what time is it?", woken), "that is the router's")
	assert.Equal(t, "Tars is a robot", j.clean("Tars is a robot", false), "only right after the wake word")
	assert.Empty(t, j.clean("tars", woken))
}

func TestAlike(t *testing.T) {
	t.Parallel()
	for _, v := range []struct {
		a, b string
		want float64
	}{
		{"what time is it", "It is what time is it now", 1}, {"a b c d", "x a b d y", 0.75}, {"a b", "b a", 0.5}, {"a", "", 0}, {"", "a", 0},
		{"one two three", "four five six", 0}, {"a b c d", "a x b c d", 0.75}, {"it's", "it’s", 1},
	} {
		assert.InDelta(t, v.want, alike(words(v.a), words(v.b)), 1e-9, "%s in %s", v.a, v.b)
	}
}

func TestSkipWords(t *testing.T) {
	t.Parallel()
	assert.Equal(t, "what's up?", skipWords("Hmm? Yes — what's up?", 2))
	assert.Empty(t, skipWords("one two", 2))
	assert.Equal(t, "one", skipWords(" one", 0))
}

func TestEchoes(t *testing.T) {
	t.Parallel()
	t0 := time.Unix(1_790_000_000, 0)
	at := func(ms int) time.Time { return t0.Add(time.Duration(ms) * time.Millisecond) }
	o := Defaults()
	es := echoes{o: &o}
	es.say(at(0), Room, "a", "The weather will be fine today. Shall I say stop?", false)
	judge := func(site, text string, from, to int) string {
		left, own := es.heard(site, text, at(from), at(to))
		if own {
			return "own"
		}
		return left
	}
	assert.Equal(t, "the weather will be fine today", judge(Room, "the weather will be fine today", 50, 100), "it has not been said yet")
	es.sounds(at(100), Room, "a", "The weather will be fine today.", false)
	assert.Equal(t, "own", judge(Room, "the weather will be fine today", 200, 2000))
	assert.Equal(t, "own", judge(Room, "weather will be fined today", 200, 2000), "misheard by one word of five")
	assert.Equal(t, "what will the answer be", judge(Room, "what will the answer be", 200, 2000))
	assert.Equal(t, "the weather will be fine today", judge("kitchen", "the weather will be fine today", 200, 2000), "it is not heard there")
	assert.Equal(t, "own", judge(Room, "stop", 200, 400))
	es.silent(at(3000), "a")
	assert.Equal(t, "own", judge(Room, "shall i say stop", 3500, 4500), "of a speaker that is late")
	assert.Equal(t, "stop", judge(Room, "stop", 3500, 4000), "an answer")
	assert.Equal(t, "own", judge(Room, "stop", 3200, 4000), "while it still sounds")
	assert.Equal(t, "the weather will be fine today", judge(Room, "the weather will be fine today", 6001, 7000), "long ago")
	assert.Equal(t, "the weather will be fine today", judge(Room, "the weather will be fine today", -900, 50), "before")

	es.sounds(at(10_000), Room, "ack-1", "Hmm?", true)
	es.silent(at(10_500), "ack-1")
	assert.Equal(t, "own", judge(Room, "Hmm.", 10_100, 10_600))
	assert.Equal(t, "what time is it", judge(Room, "Hmm, what time is it", 10_100, 12_000))
	assert.Equal(t, "Hmm, what time is it", judge(Room, "Hmm, what time is it", 12_100, 14_000))

	es.sounds(at(20_000), Room, "lost", "This utterance never ends.", false)
	assert.Equal(t, "own", judge(Room, "this utterance never ends", 100_000, 101_000))
	assert.Equal(t, "this utterance never ends", judge(Room, "this utterance never ends", 200_000, 201_000), "that cannot be")

	for i := range 100 {
		es.say(at(i), Room, string(rune('a'+i)), strings.Repeat("word and ", 1000), false)
		es.say(at(i), Room, "", "", false)
	}
	assert.LessOrEqual(t, len(es.all), maxEchoes)
	for _, e := range es.all {
		assert.LessOrEqual(t, len(e.words), maxEchoWords)
	}
}

func FuzzWords(f *testing.F) {
	f.Add("Hmm, what time is it?", "Hmm", 1)
	f.Fuzz(func(t *testing.T, a, b string, n int) {
		o := Defaults()
		m := metrics{mean: 1}
		j := newJudge(&o)
		text := j.clean(a, n%2 == 0)
		j.reject(text, recognise.Result{Text: text, Confidence: -1}, m)
		skipWords(a, n%50)
		if same := alike(words(a), words(b)); same < 0 || same > 1 {
			t.Fatal(same)
		}
	})
}

// TestSilence: how long somebody who may have said all is waited for.
func TestSilence(t *testing.T) {
	t.Parallel()
	o := Defaults()
	o.Expected = []string{"turn left", "what time is it"}
	j := newJudge(&o)
	for text, want := range map[string]time.Duration{
		"": 700 * time.Millisecond, "turn": 700 * time.Millisecond, "Turn left.": 450 * time.Millisecond, "turn left and": 700 * time.Millisecond,
		"stop": 250 * time.Millisecond, "What time is it?": 450 * time.Millisecond,
	} {
		assert.Equal(t, want, j.silence(text), text)
	}
	o.Silence = 300 * time.Millisecond
	assert.Equal(t, o.Silence, j.silence("turn left"))
	assert.Equal(t, o.UrgentSilence, j.silence("stop"))
}

// TestUrgentEcho: what the robot says itself is no transcript, but for a stop.
func TestUrgentEcho(t *testing.T) {
	t.Parallel()
	o := Defaults()
	s := scribe{o: &o, site: Room, mics: newMics(&o), judge: newJudge(&o)}
	now := time.Now()
	for _, text := range []string{"Stop!", "Hello."} {
		s.mics.status(now, contract.SpeechStatus{Event: contract.SpeakingStart, Text: text, UttID: &text}, Room)
	}
	u := &utterance{m: metrics{from: now, to: now.Add(time.Second)}}
	for text, want := range map[string]string{"stop": "", "hello": "own speech", "goodbye": ""} {
		_, why := s.decide(recognise.Result{Text: text, Confidence: 0.9}, u)
		assert.Equal(t, want, why, text)
	}
}
