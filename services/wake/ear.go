package wake

import (
	"context"
	"time"

	"github.com/tarsd/tarsd/internal/audio"
	"github.com/tarsd/tarsd/internal/engine/openwakeword"
	"github.com/tarsd/tarsd/internal/engine/silero"
)

const (
	past       = 10   // chunks that are heard again when something is heard after a rest
	mostSure   = 0.97 // a threshold is raised towards that
	impossible = 1    // no score reaches it
	voiceSure  = 0.5  // from where on somebody speaks
	voiceEvery = 200 * time.Millisecond
	voiceTime  = 32  // frames of the voice detector that are remembered, a second
	unknownOwn = 0.5 // how far the threshold is raised while the robot speaks and it is not known what
)

// score is what an ear makes of one chunk.
type score struct {
	value, threshold, energy float64
}

// ear listens to one microphone. Its goroutine owns it; what it calls does not block.
type ear struct {
	o    *Options
	site string
	base float64 // threshold
	head *openwakeword.Head

	detector *openwakeword.Detector
	voice    *silero.Detector // nil: there is none
	own      *own             // nil without a reference

	detected  func(detection)
	scored    func(score)
	spoke     func()                   // somebody speaks
	attentive func() bool              // whether anybody wants to know that
	speaking  func(now time.Time) bool // whether the robot speaks here

	levels    levels
	chunk     []int16
	at        time.Time // of the chunk's first sample
	kept      [past][]int16
	keptN     int
	rests     bool
	last      time.Time // a call, by the time of the sound
	frame     []int16   // of the voice detector
	voices    [voiceTime]float32
	voiceN    int
	lastVoice time.Time
}

func newEar(o *Options, site string, chain *openwakeword.Chain, head *openwakeword.Head, voice *silero.Detector) *ear {
	e := &ear{
		o: o, site: site, base: float64(head.Threshold), head: head, detector: openwakeword.NewDetector(chain.Another(), head),
		chunk: make([]int16, 0, chunkLen), frame: make([]int16, 0, silero.FrameSamples),
	}
	if o.Threshold > 0 {
		e.base = o.Threshold
	}
	for i := range e.kept {
		e.kept[i] = make([]int16, chunkLen)
	}
	if voice != nil {
		e.voice = voice.Another()
	}
	if o.Reference != nil {
		e.own = newOwn(o.Reference, site, chain, head)
	}
	return e
}

// listen hears frames until there are no more, or ctx ends. heard is called for each.
func (e *ear) listen(ctx context.Context, l *audio.Listener, heard func()) error {
	for {
		f, err := l.Next(ctx)
		if err != nil {
			return err
		}
		heard()
		e.hear(f)
	}
}

// hear takes a frame.
func (e *ear) hear(f audio.Frame) {
	if f.Gap {
		e.reset()
	}
	if len(e.chunk) == 0 {
		e.at = f.At
	}
	e.chunk = append(e.chunk, f.PCM...)
	if len(e.chunk) < chunkLen {
		return
	}
	e.hearChunk(e.chunk[:chunkLen])
	e.chunk = append(e.chunk[:0], e.chunk[chunkLen:]...)
}

// reset begins a new stream: what was before a gap has nothing to do with what comes after it.
func (e *ear) reset() {
	e.detector.Reset()
	if e.voice != nil {
		e.voice.Reset()
	}
	e.levels.reset()
	e.chunk, e.frame, e.keptN, e.voiceN, e.rests = e.chunk[:0], e.frame[:0], 0, 0, false
}

func (e *ear) hearChunk(pcm []int16) {
	rms := e.levels.add(pcm)
	if e.own != nil {
		e.own.hear(pcm, e.at)
	}
	if e.o.Rest && e.levels.resting() {
		e.rest(pcm, rms)
		return
	}
	e.listenForVoice(pcm)
	e.wakeUp()
	value := float64(e.detector.Process(pcm))
	energy := e.levels.energy(max(1, int(e.o.EnergyWindow.Milliseconds())/chunkTime))
	threshold := e.threshold(value, energy)
	e.scored(score{value, min(threshold, 1), energy * e.o.EnergyBoost})
	end := e.at.Add(audio.Duration(chunkLen, audio.Rate))
	if value < threshold || threshold >= impossible || !e.last.IsZero() && end.Sub(e.last) < e.o.Retrigger {
		return
	}
	e.last = end
	e.detected(detection{site: e.site, confidence: value, energy: energy * e.o.EnergyBoost, threshold: threshold})
}

// rest keeps a chunk for when something is heard again.
func (e *ear) rest(pcm []int16, rms float64) {
	copy(e.kept[e.keptN%past], pcm)
	e.keptN++
	e.rests = true
	e.scored(score{0, e.base, rms * e.o.EnergyBoost})
}

// wakeUp hears the end of a rest.
func (e *ear) wakeUp() {
	if !e.rests {
		return
	}
	e.rests = false
	e.detector.Reset()
	if e.voice != nil {
		e.voice.Reset()
	}
	for i := max(0, e.keptN-past); i < e.keptN; i++ {
		e.detector.Process(e.kept[i%past])
	}
	e.keptN = 0
}

// threshold is the score from which on this chunk is a call. What costs something is asked only when the
// score is not far from it.
func (e *ear) threshold(value, energy float64) float64 {
	t := e.base
	if energy < faintVoice && e.levels.floor() < quietRoom {
		t *= e.o.Faint
	}
	if value < t {
		return t
	}
	if e.o.VAD > 0 && e.voice != nil && !e.voiceWithin(e.o.VAD) {
		return impossible
	}
	switch {
	case e.own != nil && e.own.sounding():
		alike := e.own.alike(e.at.Add(audio.Duration(chunkLen, audio.Rate)))
		if alike < e.o.OwnVoice {
			return t
		}
		if e.own.score() >= t/2 {
			return impossible // the robot itself has just said it, or what sounds like it
		}
		return t + (max(mostSure, t)-t)*(alike-e.o.OwnVoice)/max(1-e.o.OwnVoice, 0.01)
	case e.own == nil && e.speaking(e.at):
		return t + (max(mostSure, t)-t)*unknownOwn
	}
	return t
}

// listenForVoice runs the voice detector, if anybody wants to know.
func (e *ear) listenForVoice(pcm []int16) {
	if e.voice == nil || e.o.VAD == 0 && !e.attentive() {
		return
	}
	for _, v := range pcm {
		if e.frame = append(e.frame, v); len(e.frame) < silero.FrameSamples {
			continue
		}
		p := e.voice.Process(e.frame)
		e.frame = e.frame[:0]
		e.voices[e.voiceN%voiceTime] = p
		e.voiceN++
		if p >= voiceSure && e.at.Sub(e.lastVoice) >= voiceEvery {
			e.lastVoice = e.at
			e.spoke()
		}
	}
}

// voiceWithin reports whether there was a voice in the last second.
func (e *ear) voiceWithin(sure float64) bool {
	for _, p := range e.voices[:min(e.voiceN, voiceTime)] {
		if float64(p) >= sure {
			return true
		}
	}
	return false
}
