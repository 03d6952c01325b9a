package waketrain

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tarsd/tarsd/internal/audio"
	"github.com/tarsd/tarsd/internal/engine/enginetest"
	"github.com/tarsd/tarsd/internal/engine/flite"
	"github.com/tarsd/tarsd/internal/engine/openwakeword"
	"github.com/tarsd/tarsd/internal/engine/openwakeword/train"
)

func testCast(records recordings) *cast {
	ws := []string{"hey", "tars"}
	return &cast{phrase: "hey tars", words: ws, nearly: nearly(ws), talkers: append(espeakTalkers(), fliteTalkers...), records: records}
}

// TestPlan: the seed decides everything, and no voice is in two of the three sets.
func TestPlan(t *testing.T) {
	t.Parallel()
	c := testCast(recordings{})
	assert.Equal(t, c.plan(1, forTraining, 6, 40, 45), c.plan(1, forTraining, 6, 40, 45))
	assert.NotEqual(t, c.plan(1, forTraining, 6, 40, 45), c.plan(2, forTraining, 6, 40, 45))
	used := map[string]use{}
	for u := range uses {
		calls := 0
		for _, s := range c.plan(1, u, 20, 40, 45) {
			for _, x := range s.said {
				if x.wake {
					calls++
				} else {
					assert.NotContains(t, x.line.text, "hey tars")
				}
				was, ok := used[x.line.talker.name()]
				assert.True(t, !ok || was == u, "%s is in two sets", x.line.talker.name())
				used[x.line.talker.name()] = u
			}
		}
		assert.Greater(t, calls, 40, "of set %d", u)
	}
	assert.Greater(t, len(used), 40)
}

// TestScene: the place of the phrase is where its sound ends.
func TestScene(t *testing.T) {
	t.Parallel()
	s := &studio{sounds: map[line][]int16{}}
	who := talker{"flite", "slt", forTraining}
	tone := func(seconds float64) []int16 {
		return beep(seconds, audio.Rate)[audio.Rate/2 : audio.Rate/2+int(seconds*audio.Rate)]
	}
	s.sounds[line{who, "", "hey tars"}] = tone(0.8)
	s.sounds[line{who, "", "hey tars stop"}] = tone(1.3)
	s.sounds[line{who, "", "stop"}] = tone(0.5)
	sc := scene{seed: 1, snr: 60, level: -20, said: []utterance{
		{gap: 16000, line: line{who, "", "hey tars"}, wake: true, speed: 100},
		{gap: 8000, line: line{who, "", "hey tars stop"}, rest: line{who, "", "stop"}, wake: true, speed: 100},
		{gap: 8000, line: line{who, "", "hey tars"}, wake: true, speed: 80},
	}}
	sound, calls, err := s.play(&sc)
	require.NoError(t, err)
	require.Len(t, calls, 3)
	const first = 2*audio.Rate + 16000 + 12800 // scenes begin with two seconds of noise alone
	assert.Equal(t, call{first, "flite slt"}, calls[0])
	assert.Equal(t, first+8000+12800, calls[1].end, "before the rest of it")
	assert.InDelta(t, first+8000+20800+8000+16000, calls[2].end, 10, "slower is longer")
	assert.InDelta(t, -20, audio.Measure(sound[first-12800:first]).DBFS(), 0.2)
	assert.Less(t, audio.Measure(sound[:15000]).DBFS(), -70.0)
	again, _, err := s.play(&sc)
	require.NoError(t, err)
	assert.Equal(t, sound, again)
	sc.snr = 10
	sound, _, err = s.play(&sc)
	require.NoError(t, err)
	assert.InDelta(t, -30, audio.Measure(sound[:15000]).DBFS(), 1.5, "the noise is that far below")
}

// TestExamples: which windows of a scene are examples, and of what.
func TestExamples(t *testing.T) {
	t.Parallel()
	h := heard{features: make([]float32, 100*dim), calls: []call{{end: 50 * chunk}}}
	wake, others := 0, 0
	for _, x := range h.examples() {
		require.Len(t, x.Features, window*dim)
		if x.Wake {
			wake++
		} else {
			others++
		}
	}
	assert.Equal(t, 4, wake, "at the end, and a quarter of a second behind it")
	assert.Equal(t, 100-(window-1)-15, others, "between the two kinds nothing is sure")
}

func TestThreshold(t *testing.T) {
	t.Parallel()
	head := openwakeword.NewHead("x", 0.5, 1) // its score is what the first number of the last embedding says
	head.Hidden.W[(window-1)*dim] = 1
	head.Out.W[0] = 1
	at := func(logits ...float32) (h heard) {
		h.features = make([]float32, 120*dim)
		for i, v := range logits {
			for k := range 3 { // a detector takes the mean of three
				h.features[(20+15*i+k)*dim] = v
			}
		}
		return h
	}
	head.Out.B[0] = -3 // silence scores 0.05
	h := at(2, 5, 8)   // 0.27, 0.88, 0.99
	h.calls = []call{{end: 51 * chunk}}
	s := h.judge(head)
	require.Len(t, s.calls, 1)
	assert.InDelta(t, 0.993, s.calls[0], 0.001)
	assert.InDelta(t, 0.881, max(s.others[0], s.others[1], s.others[2]), 0.001)
	assert.InDelta(t, 0.882, threshold([]heard{h}, head), 0.001, "above everything else")
	h.calls[0].end = 36 * chunk // the other one is the call
	assert.InDelta(t, 0.881, threshold([]heard{h}, head), 0.001, "but not above the calls")
	h.calls[0].end = 41 * chunk
	assert.Less(t, h.judge(head).calls[0], 0.7, "what comes 0.8 s behind it is no detection of it")
	even := []heard{{features: make([]float32, 20*dim)}}
	assert.InDelta(t, 0.501, threshold(even, openwakeword.NewHead("x", 0.5, 1)), 1e-6, "without a call")
	assert.InDelta(t, leastThreshold, threshold(nil, head), 1e-6, "and without anything")
}

func TestTrainRefuses(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		o    Options
		want string
	}{
		"no phrase":  {Options{}, "none was given"},
		"phrase":     {Options{Phrase: "hey 2"}, "something other"},
		"scenes":     {Options{Phrase: "hey tars", Scenes: 1}, "scenes"},
		"evaluate":   {Options{Phrase: "hey tars", Evaluate: 48 * time.Hour}, "evaluate"},
		"recordings": {Options{Phrase: "hey tars", Recordings: "/no/such/folder"}, "/no/such/folder"},
		"bad espeak": {Options{Phrase: "hey tars", Espeak: "/no/such/espeak"}, "/no/such/espeak"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, _, err := Train(t.Context(), c.o)
			require.ErrorContains(t, err, c.want)
		})
	}
}

// TestTrain makes a head of very little, twice: the bytes are the same.
func TestTrain(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("slow")
	}
	if !flite.BuiltIn() {
		t.Skip(flite.ErrNoProgram)
	}
	enginetest.Open(t, openwakeword.Open, openwakeword.ErrNoWeights)
	o := Options{Phrase: "hey tars", Scenes: 4, Evaluate: 20 * time.Second, Seed: 3}
	var files [2]bytes.Buffer
	for i := range files {
		head, report, err := Train(t.Context(), o)
		require.NoError(t, err)
		require.NoError(t, head.Write(&files[i]))
		assert.Equal(t, "hey tars", head.Phrase)
		assert.InDelta(t, head.Threshold, report.Threshold, 1e-9)
		require.Len(t, report.Recall, 1)
		assert.Equal(t, "flite rms", report.Recall[0].Who)
		assert.Equal(t, callsEach, report.Recall[0].Calls)
		assert.GreaterOrEqual(t, report.Evaluated, 20*time.Second)
		text := report.String()
		for _, want := range []string{"flite rms", "false accepts", "an hour", "phrase        hey tars"} {
			assert.Contains(t, text, want)
		}
		t.Log(text)
	}
	assert.Equal(t, files[0].Bytes(), files[1].Bytes())
}

// TestJudgingKeepsLittle: a day of sound does not need the memory for it.
func TestJudgingKeepsLittle(t *testing.T) {
	t.Parallel()
	if !flite.BuiltIn() {
		t.Skip(flite.ErrNoProgram)
	}
	chain := enginetest.Open(t, openwakeword.Open, openwakeword.ErrNoWeights)
	s, talkers, err := newStudio("")
	require.NoError(t, err)
	defer func() { assert.NoError(t, s.close()) }()
	c := testCast(recordings{})
	c.talkers = talkers
	o := Options{Evaluate: time.Minute, Log: func(string, ...any) {}}
	judge, report := &run{o: o, studio: s, chain: chain, cast: *c, portion: 1}, Report{}
	require.NoError(t, judge.falseHits(t.Context(), openwakeword.NewHead("hey tars", 0.5, 1), &report))
	assert.GreaterOrEqual(t, report.Evaluated, time.Minute)
	assert.LessOrEqual(t, len(s.sounds), poolShare, "the lines of one scene")
	assert.NotEmpty(t, report.Loudest)
}

func TestTrainEnds(t *testing.T) {
	t.Parallel()
	if !flite.BuiltIn() {
		t.Skip(flite.ErrNoProgram)
	}
	enginetest.Open(t, openwakeword.Open, openwakeword.ErrNoWeights)
	ctx, cancel := context.WithCancelCause(t.Context())
	cancel(errors.New("enough"))
	_, _, err := Train(ctx, Options{Phrase: "hey tars", Scenes: 4})
	require.ErrorContains(t, err, "enough")
}

// TestEspeak: if it is there, all of its voices speak.
func TestEspeak(t *testing.T) {
	t.Parallel()
	path, err := exec.LookPath("espeak-ng")
	if err != nil || !flite.BuiltIn() {
		t.Skip("no espeak-ng, or no flite")
	}
	s, talkers, err := newStudio(path)
	require.NoError(t, err)
	defer func() { assert.NoError(t, s.close()) }()
	var lines []line
	for _, who := range talkers {
		lines = append(lines, line{who, "", "hey tars"})
	}
	require.NoError(t, s.record(t.Context(), path, lines))
	for _, l := range lines {
		assert.InDelta(t, 0.8, float64(len(s.sounds[l]))/audio.Rate, 0.5, l.talker.name())
	}
	err = s.record(t.Context(), path, []line{{talker{"espeak-ng", "xx-none+m1", forTraining}, "", "hello"}})
	require.ErrorContains(t, err, "espeak-ng xx-none+m1")
}

func TestReport(t *testing.T) {
	t.Parallel()
	r := Report{
		Phrase: "hey tars", Threshold: 0.5, Recall: []Recall{{"a", 10, 9}, {"b", 10, 10}}, Evaluated: 2 * time.Hour, FalseHits: 1,
		Windows: train.Report{Examples: 5},
	}
	assert.Equal(t, Recall{"all", 20, 19}, r.Total())
	assert.InDelta(t, 95, r.Total().Percent(), 1e-9)
	assert.InDelta(t, 0.5, r.PerHour(), 1e-9)
	assert.Zero(t, Report{}.PerHour())
	assert.Contains(t, r.String(), fmt.Sprintf("%-36s %3d of %3d", "all", 19, 20))
	assert.True(t, strings.HasSuffix(Report{}.String(), "0 of 0"), Report{}.String())
}
