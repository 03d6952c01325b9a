package app

import (
	"errors"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/tarsd/tarsd/internal/engine/silero"
	"github.com/tarsd/tarsd/services"
	"github.com/tarsd/tarsd/services/memory/persona"
	"github.com/tarsd/tarsd/services/stt"
	"github.com/tarsd/tarsd/services/stt/recognise"
)

// makeSTT makes the service that hears.
func makeSTT(p parts) (services.Service, error) {
	c := p.cfg.STT
	o := stt.Defaults()
	microphones, err := p.ears()
	if err != nil {
		return nil, err
	}
	o.Microphones = microphones
	o.Lang, o.Patience = c.Lang, time.Duration(c.Patience)
	o.Threshold, o.MinRMS, o.FloorFactor = c.VAD.Threshold, c.VAD.MinRMS, c.VAD.FloorFactor
	o.Silence, o.PreRoll = time.Duration(c.VAD.Silence), time.Duration(c.VAD.PreRoll)
	o.MaxUtterance, o.MinSpeech = time.Duration(c.VAD.MaxUtterance), time.Duration(c.VAD.MinSpeech)
	o.WakeWindow, o.ResponseWindow = time.Duration(c.Mic.WakeWindow), time.Duration(c.Mic.ResponseWindow)
	o.OpenLimit, o.Guard, o.SpeechLimit = time.Duration(c.Mic.OpenLimit), time.Duration(c.Mic.Guard), time.Duration(c.Mic.SpeechLimit)
	o.Partials, o.PartialInterval = c.Partials.Enabled, time.Duration(c.Partials.Interval)
	o.Urgent, o.UrgentSilence, o.WakePhrases = c.Urgent.Phrases, time.Duration(c.Urgent.Silence), p.cfg.Router.WakePhrases
	o.Expected, o.ExpectedSilence = complete(p), time.Duration(c.Expected.Silence)
	s := c.Suppress
	o.MinConfidence, o.MinAlpha, o.MaxPunct = s.MinConfidence, s.MinAlpha, s.MaxPunct
	o.Doubtful, o.DoubtfulBelow, o.Repeat = s.Doubtful, s.DoubtfulBelow, time.Duration(s.Repeat)
	o.Echo, o.EchoRatio, o.EchoTime = s.Echo, s.EchoRatio, time.Duration(s.EchoTime)
	first := sync.OnceValues(silero.Open) // its weights are shared
	o.Detector = func() (stt.Detector, error) {
		d, err := first()
		if err != nil {
			return nil, err
		}
		return d.Another(), nil
	}
	o.Engines = func() (engines []recognise.Engine, absent []error) { return makeRecognisers(p) }
	return stt.New(o)
}

// makeRecognisers makes what understands speech, and says what is wrong with those that cannot be had.
func makeRecognisers(p parts) (engines []recognise.Engine, absent []error) {
	for _, name := range p.cfg.STT.Engines {
		e, err := makeRecogniser(name, p)
		if err != nil {
			absent = append(absent, err)
			continue
		}
		engines = append(engines, e)
	}
	return engines, absent
}

// makeRecogniser makes one engine. A new one is one case here.
func makeRecogniser(name string, p parts) (recognise.Engine, error) {
	c := p.cfg.STT
	switch name {
	case "pocketsphinx":
		sentences := expected(p)
		return recognise.NewPocketSphinx(func() []string { return sentences }, func(err error) {
			p.log.Warn().Err(err).Msg("sentences that pocketsphinx cannot be told to expect")
		})
	case "openai":
		s := c.OpenAI
		return recognise.NewOpenAI(recognise.HTTPOptions{URL: s.URL.Reveal(), Key: keyOf(s.Key, s.KeyFile), Model: s.Model})
	case "websocket":
		return recognise.NewWebSocket(recognise.WebSocketOptions{URL: c.WebSocket.URL.Reveal(), Partials: c.WebSocket.Partials})
	case "wyoming":
		return recognise.NewWyoming(recognise.WyomingOptions{Address: c.Wyoming.Address, Model: c.Wyoming.Model, Wait: time.Duration(c.Patience), Stuck: time.Duration(c.Patience)})
	default:
		return nil, errors.New(name + " is not in this build")
	}
}

// complete are the sentences after which nobody goes on, as people do after a wake phrase alone.
func complete(p parts) []string {
	return slices.DeleteFunc(expected(p), func(s string) bool { return slices.Contains(p.cfg.Router.WakePhrases, s) })
}

// expected are the sentences that the dialogue's rules understand. A persona that cannot be read is the
// matter of the memory service, which says so.
func expected(p parts) []string {
	who, err := persona.Load(p.cfg.CharactersDir(), p.cfg.Memory.Character)
	if err != nil {
		p.log.Debug().Err(err).Msg("no traits to expect in speech")
	}
	o := routerOptions(p.cfg.Router)
	sentences := o.Sentences(slices.Sorted(maps.Keys(who.Traits)))
	all := slices.Clone(sentences)
	for _, s := range sentences { // said in one breath with the wake phrase
		if !strings.HasPrefix(s, "set ") {
			all = append(all, o.WakePhrases[0]+" "+s)
		}
	}
	return all
}
