package wyoming

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/tarsd/tarsd/internal/audio"
	proto "github.com/tarsd/tarsd/internal/wyoming"
	"github.com/tarsd/tarsd/services/tts/spoken"
	"github.com/tarsd/tarsd/services/tts/voice"
)

// silentRate is that of the sound of a text without anything to say.
const silentRate = 16000

var errNoTTS = errors.New("synthesize: this robot offers no text to speech")

// reading is a text that comes in pieces.
type reading struct {
	voice *proto.SynthesizeVoice
	mouth *mouth
	text  string // less than a sentence
	total int    // bytes
}

func (s *session) synthesize(ctx context.Context, ev proto.Event) error {
	if s.reading != nil {
		return nil // it repeats, for those who do not stream, what has come in pieces
	}
	var q proto.Synthesize
	if err := ev.Decode(&q); err != nil {
		return err
	}
	return s.speak(ctx, q.Text, q.Voice, &mouth{c: s.c})
}

func (s *session) synthesizeStart(ev proto.Event) error {
	var q proto.Synthesize
	if err := ev.Decode(&q); err != nil {
		return err
	}
	s.reading = &reading{voice: q.Voice, mouth: &mouth{c: s.c}}
	return nil
}

// synthesizeChunk speaks what is whole of the text.
func (s *session) synthesizeChunk(ctx context.Context, ev proto.Event) error {
	r := s.reading
	if r == nil {
		return nil
	}
	var q proto.Synthesize
	if err := ev.Decode(&q); err != nil {
		return err
	}
	if r.total += len(q.Text); r.total > spoken.MaxText {
		return fmt.Errorf("synthesize-chunk: more than %d bytes of text", spoken.MaxText)
	}
	r.text += q.Text
	pieces := spoken.Sentences(r.text)
	if len(pieces) < 2 {
		return nil
	}
	last := pieces[len(pieces)-1] // it may go on; so does the space behind it
	if strings.TrimRight(r.text, " \n\t") != r.text {
		last += " "
	}
	r.text = last
	return s.speak(ctx, strings.Join(pieces[:len(pieces)-1], " "), r.voice, r.mouth)
}

func (s *session) synthesizeStop(ctx context.Context) error {
	r := s.reading
	if r == nil {
		return nil
	}
	s.reading = nil
	if strings.TrimSpace(r.text) != "" {
		if err := s.speak(ctx, r.text, r.voice, r.mouth); err != nil {
			return err
		}
	}
	return s.c.Write(ctx, proto.Event{Type: proto.TypeSynthesizeStopped})
}

// speak sends the sound of a text: audio-start, chunks of 100 ms, audio-stop.
func (s *session) speak(ctx context.Context, text string, v *proto.SynthesizeVoice, m *mouth) error {
	if s.h.voices == nil {
		return errNoTTS
	}
	t := s.h.textOf(v)
	for _, sentence := range spoken.Sentences(spoken.Plain(text)) {
		t.Text = spoken.Words(sentence, t.Lang)
		_, err := s.h.voices.Speak(ctx, t, func(p voice.Sound) error { return m.say(ctx, p) })
		if err == nil {
			err = m.flush(ctx)
		}
		if err != nil {
			return err
		}
	}
	return m.stop(ctx)
}

// textOf says which voice was asked for, as an engine takes it.
func (h *host) textOf(v *proto.SynthesizeVoice) voice.Text {
	if v == nil {
		v = &proto.SynthesizeVoice{}
	}
	t := voice.Text{Voice: v.Name, Lang: v.Language}
	if t.Lang == "" {
		t.Lang = h.langOf(v.Name)
	}
	if t.Lang == "" {
		t.Lang = h.o.TTS.Lang
	}
	if t.Voice == "" || t.Voice == h.o.TTS.Program.Voices[0].Name {
		t.Voice = h.o.TTS.Voice
	}
	return t
}

// mouth sends sound at one rate, that of its first, also of a text in pieces: Home Assistant reads the
// first rate only.
type mouth struct {
	c       *proto.Conn
	rate    int  // 0: nothing has been sent
	started bool // between audio-start and audio-stop

	from int // the rate of what is being said
	r    *audio.Resampler
}

// start begins with a rate, if there is none yet.
func (m *mouth) start(ctx context.Context, rate int) error {
	if m.rate == 0 {
		m.rate = rate
	}
	m.started, m.from = true, m.rate
	return m.c.Write(ctx, proto.New(proto.TypeAudioStart, proto.Mono16(m.rate)))
}

func (m *mouth) stop(ctx context.Context) error {
	if !m.started {
		if err := m.start(ctx, silentRate); err != nil {
			return err
		}
	}
	m.started = false
	return m.c.Write(ctx, proto.Event{Type: proto.TypeAudioStop})
}

// say sends a piece. Another engine, when one fails, may have another rate.
func (m *mouth) say(ctx context.Context, p voice.Sound) error {
	if p.Rate < proto.MinRate || p.Rate > proto.MaxRate {
		return fmt.Errorf("%w: %d Hz", voice.ErrSound, p.Rate)
	}
	if !m.started {
		if err := m.start(ctx, p.Rate); err != nil {
			return err
		}
	}
	if p.Rate != m.from {
		if err := m.flush(ctx); err != nil {
			return err
		}
		m.from = p.Rate
		if p.Rate != m.rate {
			var err error
			if m.r, err = audio.NewResampler(p.Rate, m.rate); err != nil {
				return err
			}
		}
	}
	if m.r != nil {
		p.PCM = m.r.Process(nil, p.PCM)
	}
	return m.send(ctx, p.PCM)
}

// flush sends what a resampler still has, at the end of a sentence.
func (m *mouth) flush(ctx context.Context) error {
	if m.r == nil {
		return nil
	}
	rest := m.r.Flush(nil)
	m.r, m.from = nil, 0
	return m.send(ctx, rest)
}

func (m *mouth) send(ctx context.Context, pcm []int16) error {
	for len(pcm) > 0 {
		n := min(len(pcm), m.rate/10)
		ev := proto.Chunk(m.rate, pcm[:n])
		if err := m.c.Write(ctx, ev); err != nil {
			return err
		}
		pcm = pcm[n:]
	}
	return nil
}
