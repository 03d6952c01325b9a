package waketrain

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"

	"github.com/tarsd/tarsd/internal/audio"
)

// sceneTime is how long a scene is planned to be; it ends with its last utterance.
const sceneTime = 28 * audio.Rate

// utterance is something that somebody says in a scene.
type utterance struct {
	gap   int     // samples of quiet before it
	line  line    // what is said, or
	sound []int16 // a recording
	name  string  // of the recording
	rest  line    // what follows the phrase in line; no text: nothing does
	wake  bool    // it has the phrase, at its beginning
	speed int     // percent: faster is higher, too
	level float64 // dB, of this utterance over others
}

// scene is half a minute of sound, as it is planned.
type scene struct {
	seed     uint64
	said     []utterance
	noise    int     // kind
	snr      float64 // dB of speech over noise; clean is 60
	level    float64 // dBFS of the speech
	echo     float64 // seconds; 0 for none
	behind   []line  // others who speak all the time,
	behindBy float64 // this many dB below
	length   int     // samples; 0: as long as what is said
}

// call is a place in a scene where the phrase ends.
type call struct {
	end int // sample
	who string
}

// cast is who can speak.
type cast struct {
	phrase  string
	words   []string
	nearly  []string
	talkers []talker
	records recordings
}

// pick returns a voice for a use. Those of flite come as often as those of espeak-ng: they are more like people.
func (c *cast) pick(r *rand.Rand, u use) talker {
	var engines [2][]talker
	for _, t := range c.talkers {
		if t.use == u {
			i := 0
			if t.engine != "flite" {
				i = 1
			}
			engines[i] = append(engines[i], t)
		}
	}
	from := engines[r.IntN(2)]
	if len(from) == 0 {
		from = append(engines[0], engines[1]...)
	}
	return from[r.IntN(len(from))]
}

var styles = []string{"", "", "slow", "fast"}

// phraseTexts are ways to write the phrase, which are spoken with another melody.
func (c *cast) phraseText(r *rand.Rand) string {
	switch r.IntN(5) {
	case 0:
		return c.phrase + "?"
	case 1:
		return c.phrase + "!"
	case 2:
		if len(c.words) > 1 {
			return c.words[0] + ", " + strings.Join(c.words[1:], " ")
		}
	}
	return c.phrase
}

// wake plans a call.
func (c *cast) wake(r *rand.Rand, u use, who talker) []utterance {
	first := utterance{gap: audio.Rate/3 + r.IntN(2*audio.Rate), wake: true, speed: 88 + 4*r.IntN(8), level: 6*r.Float64() - 3}
	if own := ofUse(c.records.positive, u); len(own) > 0 && r.IntN(3) == 0 {
		x := own[r.IntN(len(own))]
		first.sound, first.name = x.pcm, x.name
		return []utterance{first}
	}
	style, request := styles[r.IntN(len(styles))], requests[r.IntN(len(requests))]
	first.line = line{who, style, c.phraseText(r)}
	switch r.IntN(3) {
	case 0: // in one breath
		first.line.text = c.phrase + " " + request
		first.rest = line{who, style, request}
	case 1:
		next := first
		next.wake, next.gap, next.line = false, r.IntN(audio.Rate/2), line{who, style, request}
		return []utterance{first, next}
	}
	return []utterance{first}
}

// calls plans count calls.
func (c *cast) calls(r *rand.Rand, u use, count int) [][]utterance {
	out := make([][]utterance, count)
	for i := range out {
		out[i] = c.wake(r, u, c.pick(r, u))
	}
	return out
}

// again is a call at another pace, loudness and time.
func again(r *rand.Rand, call []utterance) []utterance {
	out := slices.Clone(call)
	speed, level := 88+4*r.IntN(8), 6*r.Float64()-3
	for i := range out {
		out[i].speed, out[i].level = speed, level
	}
	out[0].gap = audio.Rate/3 + r.IntN(2*audio.Rate)
	return out
}

func ofUse(all []recording, u use) (out []recording) {
	for _, x := range all {
		if x.use == u {
			out = append(out, x)
		}
	}
	return out
}

// poolShare is how many lines there are for a scene. Each comes a few times, at another pace and in other
// noise: to speak takes longer than to listen.
const poolShare = 4

// pool makes lines without the phrase. near says how many of 100 are like it.
func (c *cast) pool(r *rand.Rand, u use, count, near int) []line {
	out := make([]line, count)
	for i := range out {
		out[i] = line{c.pick(r, u), styles[r.IntN(len(styles))], sentence(r, c.phrase)}
		if r.IntN(100) < near {
			out[i].text = c.nearly[r.IntN(len(c.nearly))]
		}
	}
	return out
}

// other plans something that is not the phrase.
func (c *cast) other(r *rand.Rand, u use, pool []line) utterance {
	o := utterance{gap: r.IntN(3 * audio.Rate / 2), speed: 88 + 4*r.IntN(8), level: 6*r.Float64() - 3}
	if own := ofUse(c.records.negative, u); len(own) > 0 && r.IntN(4) == 0 {
		x := own[r.IntN(len(own))]
		n := min(len(x.pcm), 3*audio.Rate+r.IntN(5*audio.Rate))
		at := r.IntN(len(x.pcm) - n + 1)
		o.sound, o.name, o.speed = x.pcm[at:at+n], x.name, 100
		return o
	}
	o.line = pool[r.IntN(len(pool))]
	return o
}

// surround plans noise and room.
func (c *cast) surround(r *rand.Rand, s *scene, u use, pool []line) {
	s.noise, s.level, s.snr = r.IntN(noises), -14-22*r.Float64(), []float64{60, 30, 20, 15, 10, 5}[r.IntN(6)]
	if r.IntN(2) == 0 {
		s.echo = 0.1 + 0.5*r.Float64()
	}
	if r.IntN(4) == 0 {
		for range 6 {
			s.behind = append(s.behind, pool[r.IntN(len(pool))])
		}
		s.behindBy = 2 + 14*r.Float64()
	}
}

// plan makes scenes. calls is the share of utterances with the phrase and near that of those like it,
// of 100.
func (c *cast) plan(seed uint64, u use, count, calls, near int) []scene {
	out := make([]scene, count)
	pool := c.pool(rand.New(rand.NewPCG(seed, uint64(u)<<32|1<<31)), u, poolShare*count, near) //nolint:gosec // as below
	known := c.calls(rand.New(rand.NewPCG(seed, uint64(u)<<32|1<<30)), u, 2*count)             //nolint:gosec // as below
	for i := range out {
		r := rand.New(rand.NewPCG(seed, uint64(u)<<32|uint64(i))) //nolint:gosec // it must be the same each time
		s := scene{seed: r.Uint64()}
		for n := 0; n < sceneTime; {
			said := []utterance{c.other(r, u, pool)}
			if r.IntN(100) < calls {
				said = again(r, known[r.IntN(len(known))])
			}
			for _, o := range said {
				n += o.gap + audio.Rate/2 + len(o.line.text)*audio.Rate/14 // as a guess
			}
			s.said = append(s.said, said...)
		}
		c.surround(r, &s, u, pool)
		out[i] = s
	}
	return out
}

// lines are all that scenes need.
func lines(scenes []scene) (out []line) {
	for _, s := range scenes {
		for _, u := range s.said {
			if u.sound == nil {
				out = append(out, u.line)
			}
			if u.rest.text != "" {
				out = append(out, u.rest)
			}
		}
		out = append(out, s.behind...)
	}
	return out
}

// play makes the sound of a scene, and says where the phrase ends in it.
func (s *studio) play(sc *scene) (sound []int16, calls []call, err error) {
	r := rand.New(rand.NewPCG(sc.seed, 1)) //nolint:gosec // it must be the same each time
	mix := make([]float32, 2*audio.Rate, sceneTime+10*audio.Rate)
	for i := range sc.said {
		u := &sc.said[i]
		x, end, err := s.utter(u)
		if err != nil {
			return nil, nil, err
		}
		mix = append(mix, make([]float32, u.gap)...)
		if u.wake {
			calls = append(calls, call{len(mix) + end, u.who()})
		}
		mix = append(mix, x...)
	}
	mix = append(mix, make([]float32, max(audio.Rate, sc.length-len(mix)))...)
	if sc.echo > 0 {
		mix = echo(r, mix, sc.echo, 0.03+0.12*r.Float64())
	}
	if err := s.crowd(sc, mix); err != nil {
		return nil, nil, err
	}
	by := decibels(-sc.snr)
	for i, v := range noise(r, sc.noise, len(mix)) {
		mix[i] += float32(by) * v
	}
	by = decibels(sc.level)
	for i := range mix {
		mix[i] *= float32(by)
	}
	return pcm(mix), calls, nil
}

func (u *utterance) who() string {
	if u.sound != nil {
		return "recordings"
	}
	return u.line.talker.name()
}

// utter is one utterance with an RMS of about 1, and the sample at which the phrase ends.
func (s *studio) utter(u *utterance) (x []float32, end int, err error) {
	sound := u.sound
	if sound == nil {
		sound = s.sounds[u.line]
	}
	end = len(sound)
	if u.rest.text != "" { // what is said before takes as long as what is missing without it
		end = max(len(sound)-len(s.sounds[u.rest]), audio.Rate/5)
	}
	if u.speed != 100 {
		if sound, err = audio.Resample(sound, audio.Rate*u.speed/100, audio.Rate); err != nil {
			return nil, 0, fmt.Errorf("speed of %d %%: %w", u.speed, err)
		}
		end = end * 100 / u.speed
	}
	x = make([]float32, len(sound))
	for i, v := range sound {
		x[i] = float32(v)
	}
	scaleTo(x, decibels(u.level))
	return x, end, nil
}

// crowd adds those who speak behind.
func (s *studio) crowd(sc *scene, mix []float32) error {
	at := 0
	for n := 0; len(sc.behind) > 0 && at < len(mix); n++ {
		x, _, err := s.utter(&utterance{line: sc.behind[n%len(sc.behind)], speed: 100, level: -sc.behindBy})
		if err != nil {
			return err
		}
		for i := range min(len(x), len(mix)-at) {
			mix[at+i] += x[i]
		}
		at += len(x) + audio.Rate/4
	}
	return nil
}
