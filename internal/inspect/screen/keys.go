package screen

import (
	"fmt"
	"strings"
	"time"

	tea "charm.land/bubbletea/v2"

	"github.com/tarsd/tarsd/internal/inspect"
)

// action is what a key asks of the program.
type action struct {
	quit bool
	send []outgoing
}

// outgoing is a message to publish.
type outgoing struct {
	topic   string
	payload []byte
	qos     byte
	retain  bool
}

// views by their keys.
func viewOf(key string) (view, bool) {
	v, ok := map[string]view{"t": viewTurns, "c": viewClients, "h": viewHealth, "v": viewProblems, "?": viewHelp}[key]
	return v, ok
}

// key takes one key.
func (s *State) key(m *inspect.Model, k tea.KeyPressMsg, now time.Time) action {
	s.touched = true
	if k.String() == "ctrl+c" {
		return action{quit: true}
	}
	if s.input != nil {
		return s.answer(m, k, now)
	}
	name := k.String()
	if v, ok := viewOf(name); ok {
		if s.view == v {
			v = viewTopics
		}
		s.view = v
		return action{}
	}
	switch name {
	case "q":
		return action{quit: true}
	case "space":
		on, _ := m.Paused()
		m.Pause(!on)
	case "esc":
		s.escape()
	case "/", "f", "n", "N":
		s.view = viewTopics
		s.seek(m, name)
	default:
		if s.view != viewTopics {
			s.listKey(m, name)
			return action{}
		}
		s.topicKey(m, name, now)
	}
	return action{}
}

// escape ends the innermost thing.
func (s *State) escape() {
	switch {
	case s.view != viewTopics:
		s.view = viewTopics
	case s.seq != 0:
		s.seq, s.valueTop = 0, 0
	case s.focus != paneTree:
		s.focus = paneTree
	case s.search != nil:
		s.search = nil
	default:
		s.filter = nil
	}
}

// seek are the keys of search and filter.
func (s *State) seek(m *inspect.Model, name string) {
	switch name {
	case "/":
		s.ask(&prompt{kind: askSearch, label: "search:"}, "")
	case "f":
		text := ""
		if s.filter != nil {
			text = s.filter.Text
		}
		s.ask(&prompt{kind: askFilter, label: "show only:"}, text)
	default:
		s.jump(m, s.selected, name == "N")
	}
}

// jump goes to the next hit of the search.
func (s *State) jump(m *inspect.Model, from *inspect.Node, back bool) bool {
	if s.search == nil {
		return true
	}
	n := m.Find(s.search, s.filter, from, back)
	if n == nil {
		return false
	}
	s.reveal(n)
	s.focus = paneTree
	return true
}

// listKey moves in the other screens.
func (s *State) listKey(m *inspect.Model, name string) {
	s.choose(m, s.cursor[s.view]+step(name, s.body()-1))
}

// choose goes to a row of a table.
func (s *State) choose(m *inspect.Model, row int) {
	at := &s.cursor[s.view]
	*at = max(row, 0)
	if s.view != viewTurns {
		return
	}
	all := m.Turns()
	*at = min(*at, len(all)-1)
	if s.turn = ""; *at > 0 {
		s.turn = all[len(all)-1-*at].ID
	}
}

// far is further than any list is long.
const far = 1 << 30

// step is by how much a key moves.
func step(name string, page int) int {
	switch name {
	case "up", "k":
		return -1
	case "down", "j":
		return 1
	case "pgup", "ctrl+b":
		return -page
	case "pgdown", "ctrl+f":
		return page
	case "home", "g":
		return -far
	case "end", "G":
		return far
	}
	return 0
}

// topicKey is a key on the topics' screen.
func (s *State) topicKey(m *inspect.Model, name string, now time.Time) {
	n := s.selected
	switch name {
	case "tab":
		s.focus = (s.focus + 1) % panes
	case "shift+tab":
		s.focus = (s.focus + panes - 1) % panes
	case "x":
		s.hex, s.valueTop = !s.hex, 0
	case "d":
		s.diff, s.valueTop = !s.diff, 0
	case "p":
		s.askPublish()
	case "D", "delete":
		s.askClear(now)
	default:
		if d := step(name, s.body()-1); d != 0 {
			s.move(m, d)
			return
		}
		if n != nil && s.focus == paneTree {
			s.treeKey(n, name)
		}
	}
}

// move goes up or down in the pane that has the keys.
func (s *State) move(m *inspect.Model, d int) {
	switch s.focus {
	case paneValue:
		s.valueTop = max(s.valueTop+d, 0)
	case paneHistory:
		s.older(d)
	default:
		rows := s.settle(m)
		if len(rows) > 0 {
			s.pick(rows[max(min(s.row(rows)+d, len(rows)-1), 0)].Node)
		}
	}
}

// older goes d messages back in the history.
func (s *State) older(d int) {
	if s.selected == nil {
		return
	}
	all := s.selected.History()
	shown := s.entry()
	for i, e := range all {
		if e == shown {
			i = max(min(i-d, len(all)-1), 0)
			s.seq, s.valueTop = all[i].Seq, 0
			if i == len(all)-1 {
				s.seq = 0 // the newest, also of those to come
			}
			return
		}
	}
}

func (s *State) treeKey(n *inspect.Node, name string) {
	switch name {
	case "right", "l":
		if len(n.Kids()) > 0 {
			s.open[n] = true
		}
	case "left":
		switch {
		case s.open[n]:
			delete(s.open, n)
		case n.Parent != nil && n.Parent.Depth > 0:
			s.pick(n.Parent)
		}
	case "enter":
		s.toggle(n)
	case "o":
		s.fold(n, true)
	case "O":
		s.fold(n, false)
	}
}

// toggle folds or unfolds, and goes to the value of what has nothing below.
func (s *State) toggle(n *inspect.Node) {
	switch {
	case len(n.Kids()) == 0:
		s.focus = paneValue
	case s.open[n]:
		delete(s.open, n)
	default:
		s.open[n] = true
	}
}

// Mouse: steps of the wheel.
const wheel = 3

// click takes a click of the left button.
func (s *State) click(m *inspect.Model, x, y int) {
	if s.input != nil {
		return
	}
	s.touched = true
	if y == 1 {
		c := &canvas{m: m, s: s}
		at := 0
		for i, t := range c.tabTexts() {
			if at += len([]rune(t)) + 2; x < at {
				s.view = view(i)
				return
			}
		}
		return
	}
	row := y - headRows
	if row < 0 || row >= s.body() {
		return
	}
	switch {
	case s.view == viewTurns || s.view == viewClients || s.view == viewHealth:
		if row > 0 { // the header
			s.choose(m, s.first+row-1)
		}
	case s.view == viewTopics && (x < s.treeWidth() && !s.narrow() || s.narrow() && s.focus == paneTree):
		rows := s.settle(m)
		s.focus = paneTree
		if at := s.top + row; at < len(rows) {
			n := rows[at].Node
			if n == s.selected || x < 2*min(n.Depth, 9) {
				s.toggle(n)
				s.focus = paneTree
			}
			s.pick(n)
		}
	case s.view == viewTopics:
		s.focus = paneValue
		if row > s.body()*2/3 {
			s.focus = paneHistory
		}
	}
}

// scroll takes the wheel, over the pane that the mouse is on.
func (s *State) scroll(m *inspect.Model, x, y int, up bool) {
	d := wheel
	if up {
		d = -wheel
	}
	if s.view != viewTopics {
		for range wheel {
			s.listKey(m, map[bool]string{true: "up", false: "down"}[up])
		}
		return
	}
	focus := s.focus
	defer func() { s.focus = focus }()
	if !s.narrow() {
		switch {
		case x < s.treeWidth():
			s.focus = paneTree
		case y-headRows > s.body()*2/3:
			s.focus = paneHistory
		default:
			s.focus = paneValue
		}
	}
	s.move(m, d)
}

// title shortens a topic for a question.
func title(topic string) string {
	const most = 32
	if r := []rune(topic); len(r) > most {
		return "…" + string(r[len(r)-most:])
	}
	return topic
}

// clearing is the question before retained messages at and below a topic are cleared.
func clearing(at string, topics []string) string {
	if len(topics) == 1 {
		return fmt.Sprintf("clear the retained message on %s? (y/n)", title(topics[0]))
	}
	return fmt.Sprintf("type %q to clear what is retained at %s and below:", clearWord(topics), title(at))
}

// clearWord is what has to be typed to clear many: nobody types that by mistake.
func clearWord(topics []string) string { return fmt.Sprintf("clear %d", len(topics)) }

// blank reports whether a text has no letters.
func blank(s string) bool { return strings.TrimSpace(s) == "" }
