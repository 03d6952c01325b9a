package app

import (
	"context"
	"maps"
	"time"

	"github.com/tarsd/tarsd/internal/config"
	"github.com/tarsd/tarsd/services"
	"github.com/tarsd/tarsd/services/router"
)

// makeRouter makes the service that leads the dialogue.
func makeRouter(p parts) (services.Service, error) {
	c := p.cfg.Router
	o := routerOptions(c)
	if c.Meaning {
		o.Meaning = router.Meaning(func(ctx context.Context) (router.Embedder, error) { return p.encoder(ctx) }, c.MeaningAtLeast)
	}
	return router.New(o)
}

// routerOptions are what the configuration says, and the defaults of the package for what it does not.
func routerOptions(c config.Router) router.Options {
	o := router.Defaults()
	o.Announce, o.AnnounceText, o.Voice = c.Announce, c.AnnounceText, c.Voice
	o.WakePhrases, o.InlineWake = c.WakePhrases, c.InlineWake
	o.WakeWindow, o.ResponseWindow, o.InterruptWindow = time.Duration(c.WakeWindow), time.Duration(c.ResponseWindow), time.Duration(c.InterruptWindow)
	o.ThinkLimit, o.StallLimit, o.SpeechLimit = time.Duration(c.ThinkLimit), time.Duration(c.StallLimit), time.Duration(c.SpeechLimit)
	o.WakeAck, o.AckChoices, o.AckStyle = c.Ack.Enabled, c.Ack.Choices, c.Ack.Style
	t := c.Texts
	o.RepromptText, o.InterruptText, o.ResumeText, o.CancelText, o.TimeoutText = t.Reprompt, t.Interrupt, t.Resume, t.Cancel, t.Timeout
	o.Greeting = t.Greeting
	maps.Copy(o.Errors, t.Errors)
	l := c.Live
	o.LiveMode, o.LiveLimit, o.LiveEnterPhrase, o.LiveExitPhrase = l.Default, time.Duration(l.Limit), l.EnterPhrase, l.ExitPhrase
	o.LiveEnterAck, o.LiveExitAck, o.LiveActiveHint, o.LiveInactiveHint = l.EnterAck, l.ExitAck, l.ActiveHint, l.InactiveHint
	o.Stream, o.BoundaryChars, o.BoundaryOnly = c.Stream, c.BoundaryChars, c.BoundaryOnly
	o.MinChars, o.MaxChars, o.HardMaxChars, o.History = c.MinChars, c.MaxChars, c.HardMaxChars, c.History
	o.StopPhrases, o.HushPhrases, o.CancelPhrases = c.StopPhrases, c.HushPhrases, c.CancelPhrases
	maps.Copy(o.Commands, c.Commands)
	return o
}
