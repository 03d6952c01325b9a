package llm

import (
	"context"
	"fmt"
	"net/netip"
	"net/url"
	"time"

	"github.com/rs/zerolog"

	"github.com/tarsd/tarsd/services"
	"github.com/tarsd/tarsd/services/llm/openai"
)

// checkWithin is how long Check waits for a server.
const checkWithin = 3 * time.Second

// Check implements services.Checker.
func (s *Service) Check(ctx context.Context) []services.Finding {
	m, err := newModels(s.o, zerolog.Nop())
	if err != nil {
		return []services.Finding{{Verdict: services.Failure, Text: err.Error()}}
	}
	defer m.close()
	m.probe(ctx)
	if m.provider() == nil {
		text := "answers without a language model (offline)"
		if s.o.Provider == Auto {
			text += ": neither llm.key nor llm.url is set, and there is no Ollama on this machine"
		}
		return []services.Finding{{Verdict: services.Fine, Text: text}}
	}
	if err := m.missing(); err != nil {
		return []services.Finding{{Verdict: services.Failure, Text: err.Error()}}
	}
	var out []services.Finding
	c := m.client
	if s.o.Key != nil {
		if _, err := s.o.Key(); err != nil {
			return []services.Finding{{Verdict: services.Failure, Text: err.Error()}}
		}
		if plain(c.URL()) {
			out = append(out, services.Finding{Verdict: services.Warning, Text: "the key goes to " + c.URL() + " unencrypted"})
		}
	}
	return append(out, ask(ctx, c))
}

// ask lists the models of a server.
func ask(ctx context.Context, c *openai.Client) services.Finding {
	ctx, cancel := context.WithTimeout(ctx, checkWithin)
	defer cancel()
	names, err := c.Models(ctx)
	who := fmt.Sprintf("%s at %s", c.Name(), c.URL())
	switch model := c.Model(); {
	case err != nil:
		return services.Finding{Verdict: services.Warning, Text: fmt.Sprintf("%s lists no models now: %s", who, err)}
	case model == "" && len(names) == 0:
		return services.Finding{Verdict: services.Warning, Text: who + " has no model"}
	case model == "":
		return services.Finding{Verdict: services.Fine, Text: fmt.Sprintf("%s, the first of its %d models that can talk", who, len(names))}
	default:
		return services.Finding{Verdict: services.Fine, Text: fmt.Sprintf("%s, model %s", who, model)}
	}
}

// plain reports whether a URL leaves this machine without encryption.
func plain(raw string) bool {
	u, err := url.Parse(raw)
	if err != nil || u.Scheme != "http" {
		return false
	}
	host := u.Hostname()
	addr, err := netip.ParseAddr(host)
	local := host == "localhost" || err == nil && addr.Unmap().IsLoopback()
	return !local
}
