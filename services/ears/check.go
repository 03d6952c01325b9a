package ears

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"github.com/tarsd/tarsd/internal/audio"
	"github.com/tarsd/tarsd/services"
)

var _ services.Checker = (*Ears)(nil)

// Check implements services.Checker: it opens the microphone for a moment.
func (e *Ears) Check(ctx context.Context) []services.Finding {
	out := []services.Finding{e.checkMicrophone(ctx)}
	say := func(v services.Verdict, format string, args ...any) {
		out = append(out, services.Finding{Verdict: v, Text: fmt.Sprintf(format, args...)})
	}
	if n := e.o.MaxSites; n > 0 {
		say(services.Fine, "up to %d sites may send sound on audio/in", n)
	}
	if e.o.FanOut == "" {
		return out
	}
	info, err := os.Lstat(e.o.FanOut)
	switch {
	case e.o.Microphone == None:
		say(services.Warning, "fanout.path is set and nobody will hear anything there: there is no microphone")
	case err == nil && info.Mode().Type() != fs.ModeSocket:
		say(services.Warning, "fanout.path %s is there and is no socket", e.o.FanOut)
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		say(services.Warning, "fanout.path: %s", err)
	default:
		say(services.Fine, "old wake processes hear the microphone at %s", e.o.FanOut)
	}
	return out
}

func (e *Ears) checkMicrophone(ctx context.Context) services.Finding {
	if e.o.Microphone == None {
		return services.Finding{Verdict: services.Fine, Text: "no microphone here, by configuration"}
	}
	src, err := e.o.OpenSource(ctx, e.o.Microphone)
	switch {
	case err == nil:
		src.Close()
		return services.Finding{Verdict: services.Fine, Text: "hears " + e.o.Microphone}
	case e.o.Microphone == "auto" && errors.Is(err, audio.ErrNoDevice):
		return services.Finding{Verdict: services.Warning, Text: "no microphone: it would hear pages and satellites only; ears.microphone: none says that this is meant"}
	}
	return services.Finding{Verdict: services.Warning, Text: err.Error()}
}
