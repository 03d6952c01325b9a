package waketrain

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/tarsd/tarsd/internal/audio"
	"github.com/tarsd/tarsd/internal/engine/openwakeword"
	"github.com/tarsd/tarsd/internal/engine/openwakeword/train"
)

// Options say what to train.
type Options struct {
	Phrase     string // up to MaxPhrase bytes in the letters a to z
	Recordings string // folder with positive/*.wav and negative/*.wav; empty for none
	Seed       uint64
	Espeak     string        // the program; empty: flite speaks alone
	Scenes     int           // of half a minute to train on; 0: DefaultScenes
	Evaluate   time.Duration // how much sound without the phrase the head is judged with
	// Log hears what is going on.
	Log func(format string, args ...any)
}

// DefaultScenes is an hour and a half, which take some minutes.
const DefaultScenes = 180

// MaxEvaluate bounds Options.Evaluate: a day takes an hour.
const MaxEvaluate = 24 * time.Hour

func (o *Options) check() error {
	if o.Scenes == 0 {
		o.Scenes = DefaultScenes
	}
	if o.Log == nil {
		o.Log = func(string, ...any) {}
	}
	if o.Scenes < 4 || o.Scenes > 5000 {
		return fmt.Errorf("%d scenes are not from 4 to 5000", o.Scenes)
	}
	if o.Evaluate < 0 || o.Evaluate > MaxEvaluate {
		return fmt.Errorf("evaluate: %s is not from 0 to %s", o.Evaluate, MaxEvaluate)
	}
	return nil
}

// Recall is how many calls of one voice were heard.
type Recall struct {
	Who         string
	Calls, Hits int
}

// Report is the card of a head.
type Report struct {
	Phrase      string
	Threshold   float32
	Voices      []string // that it was trained on
	Trained     time.Duration
	Windows     train.Report
	Recall      []Recall // of held-back voices
	Near        Recall   // texts like the phrase, of held-back voices; hits are mistakes
	Evaluated   time.Duration
	FalseHits   int
	Loudest     []float64 // the highest scores without the phrase, falling
	Recorded    int       // files of recordings
	HeldTalkers []string
}

// run is one training.
type run struct {
	o      Options
	studio *studio
	cast   cast
	chain  *openwakeword.Chain
	// portion is of how many scenes without the phrase the sound is kept at once.
	portion int
}

// Train makes a head and says how good it is.
func Train(ctx context.Context, o Options) (head *openwakeword.Head, report Report, err error) {
	if err := o.check(); err != nil {
		return nil, report, err
	}
	ws, err := phraseWords(o.Phrase)
	if err != nil {
		return nil, report, err
	}
	records, err := readRecordings(o.Recordings)
	if err != nil {
		return nil, report, err
	}
	chain, err := openwakeword.Open()
	if err != nil {
		return nil, report, err
	}
	s, talkers, err := newStudio(o.Espeak)
	if err != nil {
		return nil, report, err
	}
	defer func() { err = errors.Join(err, s.close()) }()
	t := &run{o: o, studio: s, chain: chain, portion: 40, cast: cast{
		phrase: strings.Join(ws, " "), words: ws, nearly: nearly(ws), talkers: talkers, records: records,
	}}
	return t.train(ctx)
}

func (t *run) train(ctx context.Context) (*openwakeword.Head, Report, error) {
	r := Report{Phrase: t.cast.phrase, Recorded: len(t.cast.records.positive) + len(t.cast.records.negative)}
	for _, x := range t.cast.talkers {
		switch x.use {
		case forTraining:
			r.Voices = append(r.Voices, x.name())
		default:
			r.HeldTalkers = append(r.HeldTalkers, x.name())
		}
	}
	const calls, near = 35, 30
	var examples, held []train.Example
	length := func(h heard) time.Duration { return audio.Duration(h.chunks()*chunk, audio.Rate) }
	err := t.play(ctx, "training", t.cast.plan(t.o.Seed, forTraining, t.o.Scenes, calls, near), func(h heard) {
		r.Trained += length(h)
		examples = append(examples, h.examples()...)
	})
	if err != nil {
		return nil, r, err
	}
	var choosing []heard
	err = t.play(ctx, "choosing", t.cast.plan(t.o.Seed, forChoosing, max(4, t.o.Scenes/4), calls, near), func(h heard) {
		choosing = append(choosing, h)
		held = append(held, h.examples()...)
	})
	if err != nil {
		return nil, r, err
	}
	t.o.Log("training on %d windows of %s, %d others decide when to stop", len(examples), r.Trained.Round(time.Second), len(held))
	head, windows, err := train.Run(ctx, examples, held, train.Options{Phrase: t.cast.phrase, Seed: t.o.Seed, Rate: 0.0003, Decay: 1, Drop: 0.3, Epochs: 24, Patience: 4})
	if err != nil {
		return nil, r, err
	}
	r.Windows = windows
	head.Threshold = threshold(choosing, head)
	r.Threshold = head.Threshold
	return head, r, t.evaluate(ctx, head, &r)
}

// play speaks what is new in the scenes and runs them through the chain.
func (t *run) play(ctx context.Context, what string, scenes []scene, use func(heard)) error {
	t.o.Log("%s: speaking %d scenes of half a minute", what, len(scenes))
	if err := t.studio.record(ctx, t.o.Espeak, lines(scenes)); err != nil {
		return err
	}
	return t.studio.hear(ctx, t.chain, scenes, use)
}

// Limits of a threshold, and what it is chosen by, on the voices for choosing: of everything else, much of which
// is like the phrase, one in so much time may reach it, and no more than a share of the calls may miss it.
const (
	leastThreshold = 0.3
	mostThreshold  = 0.95
	onePer         = 10 * time.Minute
	missed         = 0.25
)

// threshold is the score that hardly anything but the phrase reaches.
func threshold(scenes []heard, head *openwakeword.Head) float32 {
	var calls, others []float64
	length := time.Duration(0)
	for i := range scenes {
		s := scenes[i].judge(head)
		calls, others = append(calls, s.calls...), append(others, s.others...)
		length += audio.Duration(scenes[i].chunks()*chunk, audio.Rate)
	}
	slices.Sort(calls)
	slices.Sort(others)
	at := leastThreshold
	if n := len(others) - 1 - int(length/onePer); n >= 0 {
		at = others[n] + 1e-3
	}
	if len(calls) > 0 {
		at = min(at, calls[int(float64(len(calls))*missed)])
	}
	return float32(max(leastThreshold, min(at, mostThreshold)))
}

// evaluate judges a head by voices that had no part in it.
func (t *run) evaluate(ctx context.Context, head *openwakeword.Head, r *Report) error {
	by := map[string]*Recall{}
	at := float64(head.Threshold)
	var plan []scene
	for i, who := range t.cast.talkers {
		if who.use == forJudging {
			plan = append(plan, t.callScenes(i, who)...)
		}
	}
	plan = append(plan, t.recordedScenes()...)
	err := t.play(ctx, "judging: the phrase", plan, func(h heard) {
		for i, s := range h.judge(head).calls {
			who := h.calls[i].who
			if by[who] == nil {
				by[who] = &Recall{Who: who}
			}
			by[who].Calls++
			if s >= at {
				by[who].Hits++
			}
		}
	})
	if err != nil {
		return err
	}
	for _, x := range by {
		r.Recall = append(r.Recall, *x)
	}
	slices.SortFunc(r.Recall, func(a, b Recall) int { return strings.Compare(a.Who, b.Who) })
	r.Near = Recall{Who: "texts like the phrase"}
	nearScenes := t.cast.plan(t.o.Seed+1, forJudging, max(2, min(10, t.o.Scenes/4)), 0, 100)
	for _, s := range nearScenes {
		r.Near.Calls += len(s.said)
	}
	if err := t.play(ctx, "judging: what is like it", nearScenes, func(h heard) {
		for _, s := range h.judge(head).others {
			if s >= at {
				r.Near.Hits++
			}
		}
	}); err != nil {
		return err
	}
	return t.falseHits(ctx, head, r)
}

// callsEach is how many calls of each voice the recall is of.
const callsEach = 20

// callScenes are calls of one voice, in all noises.
func (t *run) callScenes(i int, who talker) []scene {
	r := rand.New(rand.NewPCG(t.o.Seed+2, uint64(i))) //nolint:gosec // it must be the same each time
	var out []scene
	c := t.cast
	c.records = recordings{}
	pool := c.pool(r, forJudging, 6, 0)
	for len(out)*10 < callsEach {
		s := scene{seed: r.Uint64()}
		for range 10 {
			s.said = append(s.said, c.wake(r, forJudging, who)...)
		}
		c.surround(r, &s, forJudging, pool)
		out = append(out, s)
	}
	return out
}

// recordedScenes are the recordings that are kept for judging, as they are.
func (t *run) recordedScenes() (out []scene) {
	for _, x := range ofUse(t.cast.records.positive, forJudging) {
		out = append(out, scene{level: -23, snr: 60, said: []utterance{{gap: 2 * audio.Rate, sound: x.pcm, name: x.name, wake: true, speed: 100}}})
	}
	return out
}

// falseHits streams sound without the phrase: three quarters of it ordinary sentences, the rest noise alone.
func (t *run) falseHits(ctx context.Context, head *openwakeword.Head, r *Report) error {
	at := float64(head.Threshold)
	for n := uint64(0); r.Evaluated < t.o.Evaluate; n++ {
		left := int((t.o.Evaluate-r.Evaluated)/(sceneTime/audio.Rate*time.Second)) + 1
		plan := t.cast.plan(t.o.Seed+100+n, forJudging, min(t.portion, left), 0, 0)
		for i := range plan {
			if i%4 == 3 {
				plan[i].said, plan[i].behind, plan[i].length, plan[i].snr = nil, nil, sceneTime, 0
			}
		}
		clear(t.studio.sounds) // no line of a portion before comes again
		err := t.play(ctx, "judging: everything else", plan, func(h heard) {
			r.Evaluated += audio.Duration(h.chunks()*chunk, audio.Rate)
			for _, s := range h.judge(head).others {
				if s >= at {
					r.FalseHits++
				}
				r.Loudest = append(r.Loudest, s)
			}
		})
		if err != nil {
			return err
		}
		slices.SortFunc(r.Loudest, func(a, b float64) int { return int(b*1e6) - int(a*1e6) })
		r.Loudest = r.Loudest[:min(len(r.Loudest), 10)]
	}
	return nil
}
