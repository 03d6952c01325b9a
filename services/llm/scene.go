package llm

import (
	"context"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/tarsd/tarsd/services/client"
	"github.com/tarsd/tarsd/services/contract"
	"github.com/tarsd/tarsd/services/llm/offline"
)

// maxParts bounds the services and devices that are known.
const maxParts = 64

// spokenName is what the services and devices are called when they are spoken about.
var spokenName = map[string]string{
	"stt": "hearing", "tts": "voice", "ui": "web page", "wake": "wake word", "router": "dialogue", "movement-esp32": "movement board",
	"wake-activation": "wake word", "ui-web": "web page", "esp32": "movement board",
}

// health keeps how the parts are.
func (r *run) health(_ context.Context, m client.Message[contract.HealthPing]) error {
	name := m.Topic[strings.LastIndexByte(m.Topic, '/')+1:]
	name = strings.TrimPrefix(name, "tars-") // a mirror of the short name
	if name == "llm" || name == "" || len(name) > 64 {
		return nil // the model is told of apart
	}
	if s, ok := spokenName[name]; ok {
		name = s
	}
	p := offline.Part{Name: strings.ReplaceAll(name, "_", " "), OK: m.Data.OK}
	if !p.OK {
		p.Err = brief(contract.Value(m.Data.Err))
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if _, known := r.parts[name]; known || len(r.parts) < maxParts {
		r.parts[name] = p
	}
	return nil
}

// brief is the first line of an error, short enough to be spoken.
func brief(s string) string {
	s, _, _ = strings.Cut(strings.TrimSpace(s), "\n")
	const most = 120
	if len(s) > most {
		s = strings.ToValidUTF8(s[:most], "")
	}
	return s
}

// movement keeps what is heard of the battery.
func (r *run) movement(_ context.Context, m client.Message[contract.MovementUpdate]) error {
	if m.Data.Event != "battery_low" || m.Retained {
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.battery = offline.Battery{Low: true, Detail: brief(contract.Value(m.Data.Detail)), At: m.Received}
	return nil
}

// scene is what the offline brain sees.
func (r *run) scene() offline.Scene {
	c := r.persona.snapshot()
	s := offline.Scene{
		Now: time.Now().In(r.o.Location), Started: r.started, Robot: c.Name, Traits: traits(c),
		Tools: r.tools.names(), Commands: commands(), Model: r.models.name(),
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	s.Battery = r.battery
	for _, name := range slices.Sorted(maps.Keys(r.parts)) {
		s.Parts = append(s.Parts, r.parts[name])
	}
	return s
}

// commands are the moves that can be asked for by voice.
func commands() []string {
	var out []string
	for _, m := range contract.Moves() {
		if m.Speed > 0 && len(m.Spoken) > 0 {
			out = append(out, m.Name)
		}
	}
	return out
}
