package llm

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"

	"github.com/tarsd/tarsd/services/contract"
)

// persona is the character as it was last announced. mu guards it.
type persona struct {
	mu  sync.Mutex
	now contract.Character
}

// current takes a whole snapshot.
func (p *persona) current(c contract.Character) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.now = c
}

// answer takes an answer to somebody's question about the persona: the whole of it, or a section.
// The error that stands in the place of an unknown section is no section.
func (p *persona) answer(a contract.CharacterAnswer) {
	if a.Character != nil {
		p.current(*a.Character)
		return
	}
	if a.Section == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	text, isText := a.Section.Value.(string)
	object, isObject := a.Section.Value.(map[string]any)
	if _, failed := object["error"]; failed && object["available"] != nil {
		return
	}
	switch a.Section.Section {
	case "name":
		if strings.TrimSpace(text) != "" {
			p.now.Name = text
		}
		return
	case "description":
		if isText {
			p.now.Description = &text
		}
		return
	case "systemprompt":
		if isText {
			p.now.SystemPrompt = &text
		}
		return
	}
	if !isObject {
		return
	}
	switch a.Section.Section {
	case "traits":
		p.now.Traits = object
	case "scenario":
		p.now.Scenario = object
	case "personality_notes":
		p.now.Notes = object
	case "example_interactions":
		p.now.Examples = object
	case "meta":
		p.now.Meta = object
	}
}

// snapshot is the persona now. Its maps are replaced and never changed, so that it may be kept.
func (p *persona) snapshot() contract.Character {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.now
}

// traits are the traits that are numbers.
func traits(c contract.Character) map[string]float64 {
	out := make(map[string]float64, len(c.Traits))
	for name, v := range c.Traits {
		if f, ok := v.(float64); ok {
			out[name] = f
		}
	}
	return out
}

// maxPersona bounds the persona's part of the prompt, bytes: with a small context window a novel
// leaves no room for the question.
const maxPersona = 16 << 10

// systemPrompt is what a model is told about itself. extra is the request's own part.
func systemPrompt(c contract.Character, extra string) string {
	name := strings.TrimSpace(c.Name)
	if name == "" {
		name = "a helpful robot"
	}
	var parts []string
	add := func(s string) {
		if s = strings.TrimSpace(s); s != "" {
			parts = append(parts, s)
		}
	}
	prompt, about := strings.TrimSpace(contract.Value(c.SystemPrompt)), strings.TrimSpace(contract.Value(c.Description))
	if about == "" {
		about, _ = c.Meta["description"].(string)
	}
	if prompt == "" {
		prompt = strings.TrimSpace("You are " + name + ". " + about)
	}
	add(prompt)
	for _, s := range []struct{ key, label string }{{"world", "World"}, {"context", "Context"}} {
		if text := textOf(c.Scenario[s.key]); text != "" {
			add(s.label + ": " + text)
		}
	}
	add(listed("Guidelines:", c.Notes, func(key, text string) string { return "- " + title(key) + ": " + text }, "\n"))
	add(listed("Examples of how you talk:", c.Examples, func(_, text string) string { return text }, "\n\n"))
	add(metrics(c.Traits))
	add(strings.Join(manner(traits(c)), " "))
	text := strings.Join(parts, "\n\n")
	if len(text) > maxPersona {
		text = strings.ToValidUTF8(text[:maxPersona], "")
	}
	parts = []string{text}
	add(extra)
	return strings.Join(parts, "\n\n")
}

// listed is a headed list of the texts of an object, by key.
func listed(head string, o contract.Object, line func(key, text string) string, between string) string {
	out := []string{head}
	for _, key := range slices.Sorted(maps.Keys(o)) {
		if text := textOf(o[key]); text != "" {
			out = append(out, line(key, text))
		}
	}
	if len(out) == 1 {
		return ""
	}
	return head + "\n" + strings.Join(out[1:], between)
}

// textOf is a value that is text, without the spaces around it.
func textOf(v any) string {
	s, _ := v.(string)
	return strings.TrimSpace(s)
}

// title makes crisis_mode "Crisis Mode".
func title(key string) string {
	words := strings.Fields(strings.ReplaceAll(key, "_", " "))
	for i, w := range words {
		r, n := utf8.DecodeRuneInString(w)
		words[i] = string(unicode.ToUpper(r)) + w[n:]
	}
	return strings.Join(words, " ")
}

// metrics is the line of the traits.
func metrics(t contract.Object) string {
	var out []string
	for _, name := range slices.Sorted(maps.Keys(t)) {
		switch v := t[name].(type) {
		case float64:
			out = append(out, name+": "+strconv.FormatFloat(v, 'g', 6, 64))
		case string:
			out = append(out, name+": "+v)
		}
	}
	if len(out) == 0 {
		return ""
	}
	return "Personality, from 0 to 100: " + strings.Join(out, "; ") + "."
}

// Where a trait becomes a manner.
const (
	low  = 25.0
	high = 75.0
)

// manners say what a trait at either end means for how to talk. A model makes more of a sentence
// than of a number.
var manners = []struct{ trait, low, high string }{
	{"honesty", "You may leave out what hurts.", "You are frank, also when it is unwelcome."},
	{"humor", "You do not joke.", "You joke often, dryly."},
	{"empathy", "You do not dwell on feelings.", "You attend to how people feel."},
	{"curiosity", "You do not ask back.", "You ask back when something interests you."},
	{"confidence", "You voice doubt.", "You speak with certainty about what you know."},
	{"formality", "You speak casually.", "You speak formally."},
	{"sarcasm", "You are never sarcastic.", "You are sarcastic."},
	{"adaptability", "You stick to your ways.", "You fit your tone to the person."},
	{"discipline", "You may digress.", "You stay with the matter."},
	{"imagination", "You stay with the facts.", "You are inventive."},
	{"emotional_stability", "You are easily upset.", "You stay calm, whatever happens."},
	{"pragmatism", "You like theory.", "You are practical."},
	{"optimism", "You expect the worst.", "You expect the best."},
	{"resourcefulness", "", "You offer a way when the obvious one is closed."},
	{"cheerfulness", "You are deadpan.", "You are cheerful."},
	{"engagement", "You do not seek talk.", "You keep the talk going."},
	{"respectfulness", "You are irreverent.", "You are respectful."},
	{"verbosity", "You answer in one or two short sentences.", "You explain at length."},
}

// manner are the sentences for the traits at either end.
func manner(t map[string]float64) []string {
	var out []string
	for _, m := range manners {
		v, ok := t[m.trait]
		switch {
		case ok && v <= low && m.low != "":
			out = append(out, m.low)
		case ok && v >= high && m.high != "":
			out = append(out, m.high)
		}
	}
	return out
}

// spokenRule goes after every persona.
func spokenRule(now string) string {
	return fmt.Sprintf("Your answers are spoken aloud: use plain sentences, no lists, no markup, no emoji. It is %s.", now)
}
