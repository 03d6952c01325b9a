// Package offline answers without a network and without a model: small talk in the persona's
// manner, sums, the time, how the robot is and what it can do, and what memory holds, with its
// source named. What it does not know it says it does not know. It knows no topics: the llm
// service shows it the scene.
package offline

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync/atomic"
	"time"
	"unicode"

	"github.com/tarsd/tarsd/services/llm/chat"
)

// Name is what health and responses call this provider.
const Name = "offline"

// Scene is what the robot knows of itself at the moment of a question.
type Scene struct {
	Now      time.Time // in the time zone of the robot
	Started  time.Time // when the service started
	Robot    string    // its name
	Traits   map[string]float64
	Parts    []Part
	Battery  Battery
	Tools    []string // descriptions or names of the tools that a model could call
	Commands []string // names of moves, such as step_forward
	Model    string   // the language model that is set up and does not answer; empty: none is set up
}

// Part is a service or a device and how it is.
type Part struct {
	Name string // as it is spoken: camera
	OK   bool
	Err  string
}

// Battery is the last that was heard of it.
type Battery struct {
	Low    bool
	Detail string
	At     time.Time // zero: nothing was heard
}

// Brain answers. It is safe for concurrent use.
type Brain struct {
	scene func() Scene
	rules []rule
	turns atomic.Uint32 // questions so far: variants of an answer take turns
}

var _ chat.Provider = (*Brain)(nil)

// New makes a brain that looks at the scene for every question.
func New(scene func() Scene) *Brain { return &Brain{scene: scene, rules: rules()} }

// Name implements chat.Provider.
func (*Brain) Name() string { return Name }

// Complete implements chat.Provider. It reads the question and the notes and says its answer
// sentence by sentence.
func (b *Brain) Complete(ctx context.Context, q chat.Request, say func(string) error) (chat.Answer, error) {
	text, _ := b.Reply(q.Question, q.Notes)
	a := chat.Answer{Model: Name, Finish: "stop"}
	for _, s := range sentences(text) {
		if err := ctx.Err(); err != nil {
			return a, context.Cause(ctx)
		}
		a.Text += s
		if err := say(s); err != nil {
			return a, err
		}
	}
	return a, nil
}

// question is one question while it is answered.
type question struct {
	Scene
	text  string // as it was asked
	plain string // lower case, without punctuation, greetings and fillers, a space at either end
	notes []chat.Note
	turn  int
}

// rule answers questions that hold one of its phrases. answer may decline with "".
type rule struct {
	phrases []string
	whole   bool // the phrase is the whole question
	answer  func(q *question) string
}

// Reply answers a question, and says whether it knew the answer.
func (b *Brain) Reply(text string, notes []chat.Note) (answer string, known bool) {
	q := &question{Scene: b.scene(), text: strings.TrimSpace(text), notes: notes, turn: int(b.turns.Add(1) - 1)}
	if a := q.sum(); a != "" {
		return a, true
	}
	var greeted bool
	q.plain, greeted = plain(text, q.Robot)
	if q.plain == " " {
		if greeted {
			return q.pick(greetings), true
		}
		return q.pick(silences), true
	}
	for _, r := range b.rules {
		for _, p := range r.phrases {
			if p = " " + p + " "; q.plain == p || !r.whole && strings.Contains(q.plain, p) {
				if a := r.answer(q); a != "" {
					return a, true
				}
			}
		}
	}
	if q.tells() {
		return note(q), true
	}
	if a := q.remembered(); a != "" {
		return a, true
	}
	return q.unknown(), false
}

// fillerWords may stand before or after a question and mean nothing.
var fillerWords = []string{"please", "so", "well", "um", "uh", "now", "ok", "okay", "can you tell me", "could you tell me", "do you know", "tell me", "then"}

var greetingWords = []string{"hello there", "hi there", "hey there", "hello", "hi", "hey", "hiya", "howdy", "good morning", "good afternoon", "good evening"}

// plain is text in lower case without punctuation, and without a greeting or a filler around it.
// It has a space at either end, so that phrases are found at the bounds of words.
func plain(text, robot string) (p string, greeted bool) {
	const most = 2000 // bytes; longer questions are not small talk
	if len(text) > most {
		text = text[:most]
	}
	p = strings.Map(func(r rune) rune {
		switch {
		case r == '\'' || r == '’':
			return -1
		case unicode.IsLetter(r) || unicode.IsDigit(r):
			return unicode.ToLower(r)
		}
		return ' '
	}, strings.ToValidUTF8(text, ""))
	p = strings.Join(strings.Fields(p), " ")
	greets := append(slices.Clone(greetingWords), strings.ToLower(robot))
	for again := true; again; {
		again = false
		for i, w := range append(greets, fillerWords...) {
			if w == "" {
				continue
			}
			head, ok := strings.CutPrefix(p+" ", w+" ")
			if !ok {
				if head, ok = strings.CutSuffix(" "+p, " "+w); !ok {
					continue
				}
			}
			p, again = strings.TrimSpace(head), true
			greeted = greeted || i < len(greets)
		}
	}
	return " " + strings.TrimSpace(p) + strings.Repeat(" ", min(1, len(p))), greeted
}

// sum answers sums.
func (q *question) sum() string {
	v, err := sum(q.text)
	switch {
	case err == nil:
		return q.pick(manners{"That is {}.", "{}.", "{}. I could do this all day.", "The result is {}."}.with(figure(v)))
	case errors.Is(err, errUndefined):
		return "That is not defined. Not even for me."
	case errors.Is(err, errHuge):
		return "That number is too large for me to say."
	}
	return ""
}

// unknown admits that there is no answer.
func (q *question) unknown() string {
	why := "My language model is not set up, and I find nothing in my memory that fits."
	if q.Model != "" {
		why = "I cannot reach my language model, and I find nothing in my memory that fits."
	}
	return "I do not know. " + why
}

// sentences cuts an answer into pieces as a stream would have them; together they are the answer.
func sentences(text string) []string {
	var out []string
	start := 0
	for i := 0; i+1 < len(text); i++ {
		if strings.IndexByte(".!?", text[i]) >= 0 && text[i+1] == ' ' {
			out = append(out, text[start:i+1])
			start = i + 1
		}
	}
	if start < len(text) {
		out = append(out, text[start:])
	}
	return out
}
