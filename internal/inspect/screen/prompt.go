package screen

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"charm.land/bubbles/v2/textinput"
	tea "charm.land/bubbletea/v2"

	"github.com/tarsd/tarsd/internal/inspect"
	"github.com/tarsd/tarsd/services/contract"
)

// Limits of what can be typed, and of what is cleared at once.
const (
	maxTyped = 4096
	maxClear = 1000
)

// ask shows a prompt with a text in it.
func (s *State) ask(p *prompt, text string) {
	p.line = textinput.New()
	p.line.Prompt = ""
	p.line.CharLimit = maxTyped
	styles := textinput.DefaultLightStyles()
	if s.Dark {
		styles = textinput.DefaultDarkStyles()
	}
	p.line.SetStyles(styles)
	p.line.SetValue(text)
	p.line.CursorEnd()
	_ = p.line.Focus() // the command would blink
	s.input = p
}

// askPublish begins with the topic; the payload and the confirmation follow.
func (s *State) askPublish() {
	topic := ""
	if s.selected != nil {
		topic = s.selected.Path
	}
	s.ask(&prompt{kind: askTopic, label: "publish on:"}, topic)
}

// askClear asks whether what is retained here and below is to be cleared.
func (s *State) askClear(now time.Time) {
	if s.selected == nil {
		return
	}
	var topics []string
	for _, n := range s.selected.Retaining() {
		if !strings.HasPrefix(n.Path, "$") { // the broker's own, which it writes again
			topics = append(topics, n.Path)
		}
	}
	switch {
	case len(topics) == 0:
		s.say(now, "nothing is retained here, as far as is known")
	case len(topics) > maxClear:
		s.say(now, fmt.Sprintf("%d retained messages are more than the %d that are cleared at once: go further down", len(topics), maxClear))
	case len(topics) == 1:
		s.input = &prompt{kind: askClear, label: clearing(s.selected.Path, topics), topics: topics}
	default:
		s.ask(&prompt{kind: askClears, label: clearing(s.selected.Path, topics), topics: topics, word: clearWord(topics)}, "")
	}
}

// answer takes a key while there is a prompt.
func (s *State) answer(m *inspect.Model, k tea.KeyPressMsg, now time.Time) action {
	p := s.input
	name := k.String()
	if !p.typed() {
		return s.decide(p, name, now)
	}
	switch name {
	case "esc":
		s.input = nil
		return action{}
	case "enter":
		s.input = nil
		return s.typed(m, p, now)
	}
	p.line, _ = p.line.Update(k)
	return action{}
}

// paste puts a text from the clipboard into the prompt.
func (s *State) paste(msg tea.PasteMsg) {
	if s.input != nil && s.input.typed() {
		s.input.line, _ = s.input.line.Update(msg)
	}
}

// decide takes a key of a question with yes and no.
func (s *State) decide(p *prompt, name string, now time.Time) action {
	if p.kind == askPublish {
		switch name {
		case "r":
			p.retain = !p.retain
			p.label = p.question()
			return action{}
		case "0", "1", "2":
			p.qos = name[0] - '0'
			p.label = p.question()
			return action{}
		}
	}
	s.input = nil
	if name != "y" {
		s.say(now, "nothing was sent")
		return action{}
	}
	if p.kind == askPublish {
		return action{send: []outgoing{{p.topics[0], p.payload, p.qos, p.retain}}}
	}
	return action{send: empties(p.topics)}
}

// empties clear what is retained on topics.
func empties(topics []string) []outgoing {
	out := make([]outgoing, 0, len(topics))
	for _, t := range topics {
		out = append(out, outgoing{topic: t, qos: 1, retain: true})
	}
	return out
}

// typed takes what was typed.
func (s *State) typed(m *inspect.Model, p *prompt, now time.Time) action {
	text := p.line.Value()
	switch p.kind {
	case askFilter:
		s.filter = m.Query(text)
		s.top = 0
	case askSearch:
		s.search = m.Query(text)
		if from := s.selected; s.search != nil && (from == nil || !s.search.Match(from)) && !s.jump(m, from, false) {
			s.say(now, "no topic and no value has "+text)
		}
	case askTopic:
		if blank(text) || strings.ContainsAny(text, "+#\x00") {
			s.say(now, "that is no topic to publish on: "+text)
			return action{}
		}
		s.ask(&prompt{kind: askPayload, label: "payload:", topics: []string{text}}, template(m.Topic(text)))
	case askPayload:
		q := &prompt{kind: askPublish, topics: p.topics, payload: []byte(text)}
		if spec, ok := contract.Lookup(q.topics[0]); ok {
			q.qos, q.retain = spec.QoS, spec.Retain
		}
		q.label = q.question()
		s.input = q
	case askClears:
		if strings.TrimSpace(text) != p.word {
			s.say(now, "nothing was cleared")
			return action{}
		}
		return action{send: empties(p.topics)}
	}
	return action{}
}

// template is the newest value of a topic as something to edit, if it is one line of text.
func template(n *inspect.Node) string {
	if n == nil || n.Last() == nil || n.Last().Cut() {
		return ""
	}
	p := n.Last().Payload
	if len(p) > maxTyped || !utf8.Valid(p) || slices.ContainsFunc(p, func(b byte) bool { return b < ' ' && b != '\n' }) {
		return ""
	}
	if json.Valid(p) {
		return strings.ReplaceAll(string(p), "\n", " ") // space between values only, as strings have none in them
	}
	return strings.TrimRight(string(p), "\n")
}

// question is the confirmation of a publish, with what the contract says of it.
func (p *prompt) question() string {
	retain := ""
	if p.retain {
		retain = ", retained"
	}
	text := fmt.Sprintf("publish %d bytes on %s, QoS %d%s? (y/n)", len(p.payload), title(p.topics[0]), p.qos, retain)
	if err := contract.Validate(p.topics[0], p.payload); err != nil && len(p.payload) > 0 {
		text += " BREAKS THE CONTRACT: " + err.Error()
	}
	return text
}
