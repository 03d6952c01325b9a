package stt

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// cutUp has a segmenter hear sound, and returns the utterances that are long enough.
func cutUp(o Options, pcm []int16) (utterances [][]int16) {
	s := &segmenter{o: &o}
	keep := func() { utterances = append(utterances, append([]int16(nil), s.sound[:s.ready]...)) }
	for ; len(pcm) >= BlockLen; pcm = pcm[BlockLen:] {
		b := pcm[:BlockLen]
		level, p := rms(b), loudness{}.Process(b)
		s.noise(p, level)
		if !s.in {
			if !s.begins(b, p, level) {
				s.remember(b, 4800)
			}
			continue
		}
		switch s.add(b, p, level) {
		case goesOn:
		case over:
			if s.enough() {
				s.finish()
				keep()
			}
			s.in = false
		case tooLong:
			tail := s.split()
			keep()
			s.goOn(tail)
		}
	}
	return utterances
}

func join(parts ...[]int16) (all []int16) {
	for _, p := range parts {
		all = append(all, p...)
	}
	return all
}

func seconds(pcm []int16) float64 { return float64(len(pcm)) / 16000 }

func TestSegments(t *testing.T) {
	t.Parallel()
	ms := func(n int) time.Duration { return time.Duration(n) * time.Millisecond }
	for name, v := range map[string]struct {
		sound []int16
		want  []float64
	}{
		"silence":                   {hush(ms(5000)), nil},
		"one":                       {join(hush(ms(2000)), hum(ms(1000)), hush(ms(2000))), []float64{0.3 + 1 + 0.7}},
		"a short word":              {join(hush(ms(2000)), hum(ms(200)), hush(ms(2000))), []float64{0.3 + 0.2 + 0.7}},
		"a click":                   {join(hush(ms(2000)), hum(ms(60)), hush(ms(2000))), nil},
		"a pause in it":             {join(hush(ms(2000)), hum(ms(500)), hush(ms(600)), hum(ms(500)), hush(ms(2000))), []float64{0.3 + 1.6 + 0.7}},
		"two":                       {join(hush(ms(2000)), hum(ms(500)), hush(ms(900)), hum(ms(500)), hush(ms(2000))), []float64{1.5, 1.4}},
		"at once":                   {join(hum(ms(500)), hush(ms(2000))), []float64{1.2}},
		"a click before":            {join(hush(ms(2000)), hum(ms(40)), hush(ms(300)), hum(ms(500)), hush(ms(1000))), []float64{0.3 + 0.84 + 0.7}},
		"too quiet to be speech":    {join(hush(ms(2000)), wave(ms(1000), 50), hush(ms(1000))), nil},
		"a rest that was cut off":   {join(hush(ms(2000)), hum(ms(13000)), hush(ms(100)), hum(ms(1650)), hush(ms(2000))), []float64{13.35, 0.05 + 1.65 + 0.7}},
		"the longest, and its rest": {join(hush(ms(2000)), hum(ms(13000)), hush(ms(100)), hum(ms(6000)), hush(ms(2000))), []float64{13.35, 0.05 + 6 + 0.7}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := cutUp(Defaults(), v.sound)
			require.Equal(t, len(v.want), len(got))
			for i, w := range v.want {
				assert.InDelta(t, w, seconds(got[i]), 0.08, "utterance %d", i)
			}
		})
	}
}

// TestCutLosesNothing: pieces of somebody who does not stop are, one after the other, what was said.
func TestCutLosesNothing(t *testing.T) {
	t.Parallel()
	pcm := make([]int16, 100*16000)
	r := rand.New(rand.NewPCG(1, 2))
	for i := range pcm { // loud, and never the same
		pcm[i] = int16(8000*math.Sin(float64(i)/7)) + int16(r.IntN(2000)-1000)
	}
	got := cutUp(Defaults(), pcm)
	require.GreaterOrEqual(t, len(got), 6)
	var all []int16
	for _, u := range got {
		assert.LessOrEqual(t, seconds(u), 15.1)
		assert.GreaterOrEqual(t, seconds(u), 11.9)
		all = append(all, u...)
	}
	assert.True(t, slices.Equal(pcm[:len(all)], all))
}

// TestFloor: it follows noise within seconds, and speech does not lift it.
func TestFloor(t *testing.T) {
	t.Parallel()
	var f floor
	feed := func(pcm []int16) {
		for ; len(pcm) >= BlockLen; pcm = pcm[BlockLen:] {
			f.add(rms(pcm[:BlockLen]))
		}
	}
	assert.Zero(t, f.value())
	feed(wave(500*time.Millisecond, 100))
	assert.Zero(t, f.value(), "it is not known yet")
	feed(wave(2*time.Second, 100))
	assert.InDelta(t, 70, f.value(), 5)
	for range 20 { // words, with the pauses between them
		feed(hum(800 * time.Millisecond))
		feed(wave(200*time.Millisecond, 100))
	}
	assert.Less(t, f.value(), 1000.0)
	feed(wave(4*time.Second, 100))
	assert.InDelta(t, 70, f.value(), 5)
	feed(wave(5*time.Second, 1000))
	assert.InDelta(t, 700, f.value(), 20, "a fan was switched on")
	o := Defaults()
	s := segmenter{o: &o, floor: f}
	assert.False(t, s.begins(wave(32*time.Millisecond, 1200), 0.9, 850), "hardly louder than the fan")
	assert.True(t, s.begins(wave(32*time.Millisecond, 2000), 0.9, 1400))
	assert.False(t, (&segmenter{o: &o}).begins(hum(32*time.Millisecond), 0.49, 4000))
}

// TestHysteresis: who speaks is believed to go on below what it takes to begin.
func TestHysteresis(t *testing.T) {
	t.Parallel()
	o := Defaults()
	s := segmenter{o: &o}
	require.True(t, s.begins(hum(32*time.Millisecond), 0.5, 4000))
	s.add(hum(32*time.Millisecond), 0.36, 4000)
	assert.Zero(t, s.silence)
	s.add(hum(32*time.Millisecond), 0.34, 4000)
	assert.Equal(t, BlockLen, s.silence)
	assert.Equal(t, 2*BlockLen, s.voiced)
	assert.InDelta(t, 0.43, s.mean(), 1e-6)
}

func TestUrgentSegment(t *testing.T) {
	t.Parallel()
	o := Defaults()
	s := segmenter{o: &o}
	require.True(t, s.begins(hum(32*time.Millisecond), 0.9, 4000))
	for range 10 {
		require.Equal(t, goesOn, s.add(hum(32*time.Millisecond), 0.9, 4000))
	}
	n := 0
	s.limit = o.UrgentSilence
	for s.add(hush(32*time.Millisecond), 0.1, 40) == goesOn {
		n++
	}
	assert.InDelta(t, 250, n*32, 33)
}
