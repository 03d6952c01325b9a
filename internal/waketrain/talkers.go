package waketrain

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"runtime"
	"slices"
	"strings"
	"sync"

	"github.com/tarsd/tarsd/internal/audio"
	"github.com/tarsd/tarsd/internal/engine/flite"
	"github.com/tarsd/tarsd/services/tts/voice"
)

// use is what a voice is for. Each is in one of them only.
type use int

const (
	forTraining use = iota // the head learns from it
	forChoosing            // decides when to stop, and the threshold
	forJudging             // gives the figures
	uses
)

// talker is a voice.
type talker struct {
	engine string // flite or espeak-ng
	voice  string
	use    use
}

func (t talker) name() string { return t.engine + " " + t.voice }

// fliteTalkers are its voices. rms is kept for judging, and kal, who is kal16 on the telephone, for choosing.
var fliteTalkers = []talker{
	{"flite", "slt", forTraining}, {"flite", "awb", forTraining}, {"flite", "kal16", forTraining}, {"flite", "kal", forChoosing}, {"flite", "rms", forJudging},
}

// espeakTalkers are accents in the voices of different people.
func espeakTalkers() []talker {
	accents := []string{"en-us", "en-gb", "en-gb-x-rp", "en-us-nyc", "en-gb-scotland", "en-gb-x-gbclan", "en-029", "en-gb-x-gbcwmd"}
	var out []talker
	add := func(u use, perVoice int, voices ...string) {
		for i, v := range voices {
			for k := range perVoice {
				out = append(out, talker{"espeak-ng", accents[(i*3+k*2)%len(accents)] + "+" + v, u})
			}
		}
	}
	add(forTraining, 2, "m1", "m3", "m4", "m6", "m7", "f1", "f3", "f4", "klatt", "klatt3", "Andy", "Alex", "linda", "steph", "rob", "michael", "david", "edward")
	add(forChoosing, 1, "m5", "f5", "klatt2", "Annie", "max", "ed")
	add(forJudging, 1, "m2", "f2", "klatt4", "belinda", "Mike", "shelby", "victor", "anika")
	return out
}

// line is one text in one voice, at one pace.
type line struct {
	talker talker
	style  string // slow, fast or none, as package voice has it
	text   string
}

// studio makes sound of lines, and keeps it.
type studio struct {
	flite  *flite.Engine
	espeak bool
	sounds map[line][]int16 // at audio.Rate, without silence around it
}

// ErrSpeech is wrapped when too little can be made to train on.
var ErrSpeech = errors.New("nothing speaks")

func newStudio(espeak string) (*studio, []talker, error) {
	e, err := flite.Open()
	if err != nil {
		return nil, nil, fmt.Errorf("%w: %w", ErrSpeech, err)
	}
	s, talkers := &studio{flite: e, sounds: map[line][]int16{}}, slices.Clone(fliteTalkers)
	if espeak != "" {
		if _, err := voice.NewEspeak(espeak, ""); err != nil {
			return nil, nil, errors.Join(err, e.Close())
		}
		s.espeak = true
		talkers = append(talkers, espeakTalkers()...)
	}
	return s, talkers, nil
}

func (s *studio) close() error { return s.flite.Close() }

// record makes the sound of all lines that it does not have yet, those of one voice after the other.
func (s *studio) record(ctx context.Context, espeak string, lines []line) error {
	todo := map[line]bool{}
	for _, l := range lines {
		if s.sounds[l] == nil {
			todo[l] = true
		}
	}
	sorted := slices.SortedFunc(maps.Keys(todo), func(a, b line) int {
		return strings.Compare(a.talker.name()+"\x00"+a.style+"\x00"+a.text, b.talker.name()+"\x00"+b.style+"\x00"+b.text)
	})
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	var (
		wg sync.WaitGroup
		mu sync.Mutex // guards sounds
	)
	next := make(chan line)
	for range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			for l := range next {
				pcm, err := s.speak(ctx, espeak, l)
				if err != nil {
					cancel(fmt.Errorf("%s says %.40q: %w", l.talker.name(), l.text, err))
					continue
				}
				mu.Lock()
				s.sounds[l] = pcm
				mu.Unlock()
			}
		})
	}
	for _, l := range sorted {
		if ctx.Err() != nil {
			break
		}
		next <- l
	}
	close(next)
	wg.Wait()
	return context.Cause(ctx)
}

// speak makes the sound of one line.
func (s *studio) speak(ctx context.Context, espeak string, l line) ([]int16, error) {
	var (
		pcm  []int16
		rate int
		err  error
	)
	if l.talker.engine == "flite" {
		stretch := map[string]float64{"slow": 1.2, "": 1, "fast": 0.85}[l.style]
		err = s.flite.Speak(ctx, flite.Request{Text: l.text, Voice: l.talker.voice, Stretch: stretch}, func(r int, p []int16) error {
			rate, pcm = r, append(pcm, p...)
			return nil
		})
	} else {
		var e *voice.Espeak
		if e, err = voice.NewEspeak(espeak, l.talker.voice); err == nil {
			err = e.Speak(ctx, voice.Text{Text: l.text, Style: l.style}, func(p voice.Sound) error {
				rate, pcm = p.Rate, append(pcm, p.PCM...)
				return nil
			})
		}
	}
	if err != nil {
		return nil, err
	}
	if pcm, err = audio.Resample(pcm, rate, audio.Rate); err != nil {
		return nil, err
	}
	if pcm = trim(pcm); len(pcm) == 0 {
		return nil, errors.New("no sound")
	}
	return pcm, nil
}

// trim takes off what is before and behind the speech: all that is 40 dB below the loudest 10 ms.
func trim(pcm []int16) []int16 {
	const piece, below = 160, 0.01
	most := 0.0
	for i := 0; i+piece <= len(pcm); i += piece {
		most = max(most, audio.Measure(pcm[i:i+piece]).RMS)
	}
	if most == 0 {
		return nil
	}
	first, last := -1, 0
	for i := 0; i+piece <= len(pcm); i += piece {
		if audio.Measure(pcm[i:i+piece]).RMS >= most*below {
			if first < 0 {
				first = i
			}
			last = i + piece
		}
	}
	return pcm[first:last]
}
