package wyoming

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/tarsd/tarsd/internal/audio"
	proto "github.com/tarsd/tarsd/internal/wyoming"
	"github.com/tarsd/tarsd/services/stt/recognise"
)

// Bounds of what is heard.
const (
	maxUtterance = 2 * time.Minute  // of one request to transcribe
	hearTime     = 3 * time.Minute  // from its beginning to its audio-stop: it holds a recogniser, of which there are few
	finishTime   = 30 * time.Second // from its end to the text
	again        = 2 * time.Second  // of sound between two detections: one phrase scores for several chunks
	wakeChunk    = 1280             // samples that a Detector takes
)

// hearer takes 16 kHz sound.
type hearer interface {
	// hear takes a piece, which ends at a time since the start, in milliseconds.
	hear(ctx context.Context, pcm []int16, at int64) error
	// ends answers what has to be answered at the end.
	ends(ctx context.Context) error
	close()
}

// ear makes 16 kHz mono sound of what a peer sends.
type ear struct {
	format proto.Format
	r      *audio.Resampler // nil: it has that rate
	heard  int              // samples at the peer's rate
	to     hearer
}

// listen begins to hear: for the request before, else to transcribe, else for the wake word.
func (s *session) listen(ctx context.Context, ev proto.Event) error {
	f, err := ev.Format()
	if err != nil {
		return err
	}
	f.Timestamp = nil
	if err := f.Check(); err != nil {
		return fmt.Errorf("%s: sound that cannot be taken: %w", ev.Type, err)
	}
	e := &ear{format: f}
	if f.Rate != audio.Rate {
		if e.r, err = audio.NewResampler(f.Rate, audio.Rate); err != nil {
			return err
		}
	}
	wake := s.request.Type == proto.TypeDetect || s.request.Type == "" && s.h.o.ASR == nil
	if wake {
		e.to, err = s.detect()
	} else {
		e.to, err = s.transcribe(ctx)
	}
	if err != nil {
		return err
	}
	s.ear = e
	return nil
}

// deafen gives up what was being heard.
func (s *session) deafen() {
	if s.ear != nil {
		s.ear.to.close()
		s.ear = nil
	}
}

// sound takes an audio-chunk. Some peers send no audio-start.
func (s *session) sound(ctx context.Context, ev proto.Event) error {
	if s.ear == nil {
		if err := s.listen(ctx, ev); err != nil {
			return err
		}
	}
	e := s.ear
	f, err := ev.Format()
	if err != nil {
		return err
	}
	at := f.Timestamp
	f.Timestamp = nil
	if f != e.format {
		return fmt.Errorf("audio-chunk: the sound was of %d Hz, %d bytes, %d channels, and is of %d, %d, %d now",
			e.format.Rate, e.format.Width, e.format.Channels, f.Rate, f.Width, f.Channels)
	}
	pcm := f.Mono(ev.Payload)
	e.heard += len(pcm)
	end := int64(e.heard) * 1000 / int64(f.Rate)
	if at != nil {
		end = *at
	}
	if e.r != nil {
		pcm = e.r.Process(make([]int16, 0, len(pcm)*audio.Rate/f.Rate+1), pcm)
	}
	return e.to.hear(ctx, pcm, end)
}

func (s *session) soundEnds(ctx context.Context) error {
	if s.ear == nil {
		return nil // a peer that stops twice
	}
	defer s.deafen()
	e := s.ear
	if e.r != nil {
		if err := e.to.hear(ctx, e.r.Flush(nil), int64(e.heard)*1000/int64(e.format.Rate)); err != nil {
			return err
		}
	}
	return e.to.ends(ctx)
}

// transcription is sound that is to become text.
type transcription struct {
	c      *proto.Conn
	lang   string
	stream recognise.Stream
	left   int         // samples
	late   *time.Timer // gives the connection up
}

func (s *session) transcribe(ctx context.Context) (hearer, error) {
	if s.h.recogniser == nil {
		return nil, errors.New("transcribe: this robot offers no speech to text")
	}
	var q proto.Transcribe
	if s.request.Type == proto.TypeTranscribe {
		if err := s.request.Decode(&q); err != nil {
			return nil, err
		}
	}
	stream, err := s.h.recogniser.Begin(ctx, recognise.Utterance{Lang: q.Language})
	if err != nil {
		return nil, err
	}
	late := time.AfterFunc(hearTime, func() { s.giveUp(fmt.Errorf("transcribe: no audio-stop in %v", hearTime)) })
	return &transcription{c: s.c, lang: q.Language, stream: stream, left: audio.Samples(maxUtterance, audio.Rate), late: late}, nil
}

func (t *transcription) hear(ctx context.Context, pcm []int16, _ int64) error {
	if t.left -= len(pcm); t.left < 0 {
		return fmt.Errorf("transcribe: more than %v of sound", maxUtterance)
	}
	return t.stream.Feed(ctx, pcm)
}

func (t *transcription) ends(ctx context.Context) error {
	t.late.Stop()
	in, cancel := context.WithTimeoutCause(ctx, finishTime, fmt.Errorf("transcribe: no text in %v", finishTime))
	defer cancel()
	r, err := t.stream.Finish(in)
	if in.Err() != nil {
		return context.Cause(in)
	}
	if err != nil {
		return err
	}
	if r.Lang == "" {
		r.Lang = t.lang
	}
	return t.c.Write(ctx, proto.New(proto.TypeTranscript, proto.Transcript{Text: r.Text, Language: r.Lang}))
}

func (t *transcription) close() {
	t.late.Stop()
	_ = t.stream.Close() // nobody to tell
}

// detection is sound in which a phrase may be spoken.
type detection struct {
	c         *proto.Conn
	name      string
	d         Detector // nil: only words that we do not have were asked for
	threshold float32
	rest      []int16 // less than a chunk
	wait      int     // samples until the next detection
	found     bool
}

func (s *session) detect() (hearer, error) {
	w := s.h.o.Wake
	if w == nil {
		return nil, errors.New("detect: this robot offers no wake word")
	}
	var q proto.Detect
	if s.request.Type == proto.TypeDetect {
		if err := s.request.Decode(&q); err != nil {
			return nil, err
		}
	}
	d := &detection{c: s.c, name: w.Program.Models[0].Name, threshold: w.Threshold}
	if len(q.Names) > 0 && !slices.Contains(q.Names, d.name) {
		return d, nil
	}
	var err error
	d.d, err = w.Open()
	return d, err
}

func (d *detection) hear(ctx context.Context, pcm []int16, at int64) error {
	if d.d == nil {
		return nil
	}
	d.rest = append(d.rest, pcm...)
	for len(d.rest) >= wakeChunk {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		score := d.d.Process(d.rest[:wakeChunk])
		d.rest = d.rest[:copy(d.rest, d.rest[wakeChunk:])]
		d.wait -= wakeChunk
		if score < d.threshold || d.wait > 0 {
			continue
		}
		d.found, d.wait = true, audio.Samples(again, audio.Rate)
		if err := d.c.Write(ctx, proto.New(proto.TypeDetection, proto.Detection{Name: d.name, Timestamp: &at})); err != nil {
			return err
		}
	}
	return nil
}

func (d *detection) ends(ctx context.Context) error {
	if d.found {
		return nil
	}
	return d.c.Write(ctx, proto.Event{Type: proto.TypeNotDetected})
}

func (d *detection) close() {}
