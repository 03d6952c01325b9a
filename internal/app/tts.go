package app

import (
	"slices"
	"strings"
	"time"

	"github.com/tarsd/tarsd/internal/config"
	"github.com/tarsd/tarsd/services"
	"github.com/tarsd/tarsd/services/tts"
	"github.com/tarsd/tarsd/services/tts/voice"
)

// makeTTS makes the service that speaks.
func makeTTS(p parts) (services.Service, error) {
	c := p.cfg.TTS
	o := tts.Defaults()
	o.Voice, o.Lang, o.Sink, o.Sites, o.Volume = c.Voice, c.Lang, c.Sink, c.Sites, c.Volume
	o.Gap, o.PauseLimit, o.Silence = time.Duration(c.Gap), time.Duration(c.PauseLimit), time.Duration(c.Silence)
	o.CacheMax, o.CacheDir = c.Cache.Max, p.cfg.SpeechDir()
	o.Reference = p.reference
	o.Preload = slices.Clone(c.Cache.Preload)
	if r := p.cfg.Router; r.Ack.Enabled {
		o.Preload = append(o.Preload, r.Ack.Choices...)
	}
	if r := p.cfg.Router; r.Announce {
		o.Preload = append(o.Preload, r.AnnounceText)
	}
	o.Engines = func() ([]voice.Engine, []error) { return makeVoices(c) }
	return tts.New(o)
}

// makeVoices makes the engines that are wanted, and says what is wrong with those that cannot be had.
func makeVoices(c config.TTS) (engines []voice.Engine, absent []error) {
	for _, name := range c.Engines {
		e, err := makeVoice(name, c)
		if err != nil {
			absent = append(absent, err)
			continue
		}
		engines = append(engines, e)
	}
	return engines, absent
}

// makeVoice makes one engine. A new one is one case here.
func makeVoice(name string, c config.TTS) (voice.Engine, error) {
	switch name {
	case "flite":
		return voice.NewFlite(c.Flite.Voice)
	case "espeak-ng":
		return voice.NewEspeak(c.Espeak.Program, c.Espeak.Voice)
	case "piper":
		return voice.NewPiper(c.Piper.Program, c.Piper.Model)
	case "wyoming":
		return voice.NewWyoming(c.Wyoming.Address, c.Wyoming.Voice)
	case "openai":
		s := c.OpenAI
		return voice.NewOpenAI(voice.HTTPOptions{URL: s.URL.Reveal(), Key: keyOf(s.Key, s.KeyFile), Model: s.Model, Voice: s.Voice})
	default:
		s := c.ElevenLabs
		return voice.NewElevenLabs(voice.HTTPOptions{URL: s.URL.Reveal(), Key: keyOf(s.Key, s.KeyFile), Model: s.Model, Voice: s.Voice})
	}
}

// keyOf returns the key of a server; a file is read for every request, since it may change.
func keyOf(key config.Secret, file string) func() (string, error) {
	switch {
	case file != "":
		return func() (string, error) { return firstLine(file) }
	case !key.IsZero():
		return func() (string, error) { return strings.TrimSpace(key.Reveal()), nil }
	}
	return nil
}
