package app

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/tarsd/tarsd/internal/engine/flite"
	"github.com/tarsd/tarsd/internal/engine/openwakeword"
	proto "github.com/tarsd/tarsd/internal/wyoming"
	"github.com/tarsd/tarsd/services"
	"github.com/tarsd/tarsd/services/stt/recognise"
	"github.com/tarsd/tarsd/services/tts/voice"
	"github.com/tarsd/tarsd/services/wyoming"
)

// makeWyoming makes the service that lends the robot's ears and mouth to other programs.
func makeWyoming(p parts) (services.Service, error) {
	c := p.cfg.Wyoming
	o := wyoming.Options{Listen: c.Listen, Connections: c.Connections}
	if c.Listen == "" {
		return wyoming.New(o)
	}
	o.TTS, o.ASR = offerTTS(p), offerASR(p)
	if p.head != nil {
		if head, err := p.head(); err != nil { // the wake service says so on its health topic
			p.log.Warn().Err(err).Msg("no wake word for other programs")
		} else {
			o.Wake = offerWake(p, head)
		}
	}
	return wyoming.New(o)
}

// artifact is what we say of what is our own.
func artifact(p parts, name, description string) proto.Artifact {
	return proto.Artifact{
		Name: name, Description: description, Version: p.version, Installed: true,
		Attribution: proto.Attribution{Name: "tarsd", URL: "https://github.com/tarsd/tarsd"},
	}
}

// offerTTS lists the robot's own voice, and those of flite when that speaks first: the voices of
// other engines are theirs to know.
func offerTTS(p parts) *wyoming.TTS {
	c := p.cfg.TTS
	t := &wyoming.TTS{
		Program: proto.TTSProgram{Artifact: artifact(p, "tarsd", "The voices of tts.engines"), Streaming: true, Voices: []proto.Model{
			{Artifact: artifact(p, "tars", "The robot's own voice"), Languages: []string{c.Lang}},
		}},
		Engines: func() ([]voice.Engine, []error) { return makeVoices(c) },
		Voice:   c.Voice, Lang: c.Lang, Silence: time.Duration(c.Silence),
	}
	if len(c.Engines) > 0 && c.Engines[0] == "flite" && flite.BuiltIn() {
		for _, name := range slices.Sorted(slices.Values(flite.Voices())) {
			t.Program.Voices = append(t.Program.Voices, proto.Model{
				Artifact: proto.Artifact{
					Name: name, Description: "flite " + name, Installed: true,
					Attribution: proto.Attribution{Name: "Carnegie Mellon University", URL: "http://www.festvox.org/flite/"},
				},
				Languages: []string{"en"},
			})
		}
	}
	return t
}

// offerASR lists one model, behind which the recognisers stand in their order.
func offerASR(p parts) *wyoming.ASR {
	c := p.cfg.STT
	lang := c.Lang
	if lang == "" {
		lang = "en"
	}
	return &wyoming.ASR{
		Program: proto.ASRProgram{Artifact: artifact(p, "tarsd", "The recognisers of stt.engines"), NeedsVAD: true, Models: []proto.Model{
			{Artifact: artifact(p, "tars", "The first of stt.engines that can"), Languages: []string{lang}},
		}},
		Open: func() (wyoming.Recogniser, error) {
			engines, absent := makeRecognisers(p)
			if len(engines) == 0 {
				return nil, errors.Join(absent...)
			}
			return ear{recognise.NewChain(engines, absent, time.Duration(c.Patience))}, nil
		},
	}
}

// ear is a chain of recognisers that is asked as one is.
type ear struct{ *recognise.Chain }

// Begin implements wyoming.Recogniser.
func (e ear) Begin(_ context.Context, u recognise.Utterance) (recognise.Stream, error) {
	return e.Chain.Begin(u), nil
}

// offerWake makes a detector for each stream, of one set of weights.
func offerWake(p parts, head *openwakeword.Head) *wyoming.Wake {
	open := sync.OnceValues(openwakeword.Open)
	return &wyoming.Wake{
		Program: proto.WakeProgram{Artifact: artifact(p, "tarsd", "openWakeWord in Go"), Models: []proto.WakeModel{{
			Model:  proto.Model{Artifact: artifact(p, strings.ReplaceAll(head.Phrase, " ", "_"), head.Phrase), Languages: []string{"en"}},
			Phrase: head.Phrase,
		}}},
		Threshold: head.Threshold,
		Open: func() (wyoming.Detector, error) {
			chain, err := open()
			if err != nil {
				return nil, err
			}
			return openwakeword.NewDetector(chain.Another(), head), nil
		},
	}
}
