// Package screen draws a model of internal/inspect on a terminal and takes keys and the mouse. What is
// drawn is a function of the model, the State and the time alone (Draw), so that tests compare it; the
// program around it is bubbletea's.
package screen

import (
	"time"

	"charm.land/bubbles/v2/textinput"

	"github.com/tarsd/tarsd/internal/inspect"
	"github.com/tarsd/tarsd/internal/inspect/feed"
)

// view is one of the screens.
type view int

const (
	viewTopics view = iota
	viewTurns
	viewClients
	viewHealth
	viewProblems
	viewHelp
	views
)

// pane is a part of the topics' screen.
type pane int

const (
	paneTree pane = iota
	paneValue
	paneHistory
	panes
)

// State is all that the screen knows beside the model.
type State struct {
	W, H   int
	Dark   bool // the terminal's background
	Status feed.Status

	view  view
	focus pane

	selected       *inspect.Node
	touched        bool // somebody chose; until then the first row is selected
	open           map[*inspect.Node]bool
	top            int // first row of the tree that is shown
	filter, search *inspect.Query
	seq            uint64 // message of the history that is looked at; 0: the newest
	valueTop       int
	hex, diff      bool
	keeper         feed.Keeper // of the selected topic; no topic: not known

	turn   string     // id of the turn that is looked at; empty: the newest
	cursor [views]int // row of the other tables
	first  int        // row of the table that was drawn at its top, for the mouse
	input  *prompt    // nil: keys are commands
	note   string     // what happened last
	noteAt time.Time
}

// NewState is the screen at the start.
func NewState() *State {
	return &State{W: 80, H: 24, Dark: true, open: map[*inspect.Node]bool{}}
}

// noteFor is how long a note stays.
const noteFor = 8 * time.Second

func (s *State) say(now time.Time, text string) { s.note, s.noteAt = text, now }

// narrow reports whether there is room for one pane only.
func (s *State) narrow() bool { return s.W < 70 }

// Heights of the parts.
const (
	headRows = 2
	footRows = 2
	minW     = 40
	minH     = 10
)

func (s *State) body() int { return max(s.H-headRows-footRows, 1) }

// treeWidth is that of the left pane.
func (s *State) treeWidth() int {
	switch {
	case s.narrow():
		return s.W
	case s.W >= 120:
		return s.W * 11 / 20
	}
	return s.W / 2
}

// entry is the message that the value pane shows.
func (s *State) entry() *inspect.Entry {
	n := s.selected
	if n == nil {
		return nil
	}
	if s.seq != 0 {
		for _, e := range n.History() {
			if e.Seq == s.seq {
				return e
			}
		}
	}
	return n.Last()
}

// before is the message before e, or nil.
func (s *State) before(e *inspect.Entry) *inspect.Entry {
	var last *inspect.Entry
	for _, x := range s.selected.History() {
		if x == e {
			return last
		}
		last = x
	}
	return nil
}

// settle brings the state into agreement with the model: something is selected, and it is in sight.
func (s *State) settle(m *inspect.Model) []inspect.Row {
	rows := m.Rows(s.open, s.filter, s.search)
	at := s.row(rows)
	if !s.touched && at > 0 {
		s.pick(rows[0].Node)
		at = 0
	}
	if at < 0 && len(rows) > 0 {
		at = min(max(s.cursor[viewTopics], 0), len(rows)-1)
		s.pick(rows[at].Node)
	}
	s.cursor[viewTopics] = max(at, 0)
	h := s.body()
	s.top = max(min(s.top, at, len(rows)-h), at-h+1, 0)
	return rows
}

// row is where the selected node is, or -1.
func (s *State) row(rows []inspect.Row) int {
	for i, r := range rows {
		if r.Node == s.selected {
			return i
		}
	}
	return -1
}

// pick selects a node.
func (s *State) pick(n *inspect.Node) {
	if n == s.selected {
		return
	}
	s.selected, s.seq, s.valueTop = n, 0, 0
	s.keeper = feed.Keeper{}
}

// reveal unfolds what is above a node and selects it.
func (s *State) reveal(n *inspect.Node) {
	for p := n.Parent; p != nil; p = p.Parent {
		s.open[p] = true
	}
	s.pick(n)
}

// fold unfolds or folds a node and everything below.
func (s *State) fold(n *inspect.Node, open bool) {
	if open && len(n.Kids()) > 0 {
		s.open[n] = true
	} else if !open {
		delete(s.open, n)
	}
	for _, k := range n.Kids() {
		s.fold(k, open)
	}
}

// prompt is a question in the line above the keys.
type prompt struct {
	kind  ask
	label string
	line  textinput.Model
	word  string // what has to be typed to go on

	topics  []string // to clear, or the one to publish on
	payload []byte
	qos     byte
	retain  bool
}

// ask is what a prompt is about.
type ask int

const (
	askFilter ask = iota
	askSearch
	askTopic   // to publish on
	askPayload // to publish
	askPublish // y or n
	askClear   // y or n
	askClears  // the word
)

// typed reports whether the prompt takes text.
func (p *prompt) typed() bool { return p.kind != askPublish && p.kind != askClear }
