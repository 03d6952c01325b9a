package app

import (
	"cmp"
	"strings"
	"time"

	"github.com/tarsd/tarsd/services"
	"github.com/tarsd/tarsd/services/llm"
	"github.com/tarsd/tarsd/services/llm/openai"
)

// makeLLM makes the service that answers questions.
func makeLLM(p parts) (services.Service, error) {
	c := p.cfg.LLM
	o := llm.Options{
		Provider: string(c.Provider), URL: c.URL.Reveal(), Model: c.Model,
		MaxTokens: c.MaxTokens, Window: c.ContextWindow, Temperature: c.Temperature, TopP: c.TopP,
		Timeouts: openai.Timeouts{
			Connect: time.Duration(c.ConnectTimeout), First: time.Duration(c.FirstTimeout), Idle: time.Duration(c.IdleTimeout),
		},
		Turn: time.Duration(c.TurnTimeout), Concurrency: c.Concurrency, Queue: c.Queue,
		Memory: llm.Memory{
			Enabled: c.Memory.Enabled, TopK: c.Memory.TopK, Tokens: c.Memory.Tokens, Around: c.Memory.Around,
			Strategy: string(c.Memory.Strategy), Template: cmp.Or(c.Memory.Template, llm.DefaultTemplate), Wait: time.Duration(c.Memory.Wait),
		},
		Tools: llm.Tools{
			Enabled: c.Tools.Enabled, Rounds: c.Tools.Rounds, Calls: c.Tools.Calls, Timeout: time.Duration(c.Tools.Timeout), Bytes: int(c.Tools.Result),
		},
	}
	if !c.Memory.Context {
		o.Memory.Around = 0
	}
	switch {
	case c.KeyFile != "":
		o.Key = func() (string, error) { return firstLine(c.KeyFile) }
	case !c.Key.IsZero():
		o.Key = func() (string, error) { return strings.TrimSpace(c.Key.Reveal()), nil }
	}
	return llm.New(o), nil
}
