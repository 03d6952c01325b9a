package router

import (
	"context"
	"slices"
	"strings"
)

// Embedder turns sentences into vectors of length 1 whose dot product tells how alike they are.
type Embedder interface {
	Embed(ctx context.Context, texts []string) ([][]float32, error)
}

// maxMeaningWords is the longest utterance that is taken for a motion by meaning. Commands are
// short; a story about one is not.
const maxMeaningWords = 9

// directions are the words that a motion with a direction needs: the encoder hardly tells left
// from right.
var directions = map[string][]string{
	"turn_left":     {"left", "leftwards", "anticlockwise", "counterclockwise"},
	"turn_right":    {"right", "rightwards", "clockwise"},
	"step_forward":  {"forward", "forwards", "ahead", "towards", "toward", "closer", "front"},
	"step_backward": {"back", "backward", "backwards", "away"},
}

// others are utterances that are like a motion and are none. Whatever is more like one of them
// than like a phrase goes to the model.
var others = []string{
	"turn off the lights", "turn on the lights", "turn on the radio", "turn up the volume", "turn down the heating", "power down the tv", "shut down the computer",
	"switch off the television", "open the door", "close the window", "set a timer", "set an alarm", "walk the dog", "go to the store", "go home",
	"turn left at the next street", "take the second street on the right", "stand by", "take a picture", "play some music", "tell me a story",
	"reset my password", "reset the router", "drop me a message", "give me a hint", "back up my files", "bring it back", "put it back", "call me back",
	"explain it step by step", "what is the next step", "move the meeting to monday", "move on", "look it up", "point out the mistake", "say hello to my mother",
}

// questions are words that an order does not begin with.
var questions = set("what what's who who's how when why where which is are am do does did was were should if")

// Meaning makes Options.Meaning of an embedder, which open returns before its context ends: the motion whose phrases an
// utterance is most like, if it is at least atLeast alike (cosine, 0 to 1) and more like it than
// like what is no motion. The motion that switches the servos off is never guessed.
func Meaning(open func(context.Context) (Embedder, error), atLeast float64) func(context.Context, map[string][]string) (func(string) string, error) {
	return func(ctx context.Context, commands map[string][]string) (func(string) string, error) {
		e, err := open(ctx)
		if err != nil {
			return nil, err
		}
		m := &meaning{e: e, atLeast: float32(atLeast)}
		for name, list := range commands {
			if name == "disable" || name == resumeMotion {
				continue
			}
			for _, p := range list { // one after the other, so that ctx can end it
				v, err := e.Embed(ctx, []string{p})
				if err != nil {
					return nil, err
				}
				m.names, m.phrases = append(m.names, name), append(m.phrases, v[0])
			}
		}
		m.others, err = e.Embed(ctx, others)
		return m.find, err
	}
}

type meaning struct {
	e               Embedder
	names           []string // of phrases
	phrases, others [][]float32
	atLeast         float32
}

func (m *meaning) find(text string) string {
	ws := words(text)
	if len(ws) < 2 || len(ws) > maxMeaningWords || questions[ws[0]] {
		return ""
	}
	v, err := m.e.Embed(context.Background(), []string{strings.Join(ws, " ")})
	if err != nil {
		return ""
	}
	best, name := m.atLeast, ""
	for i, p := range m.phrases {
		if alike := dot(p, v[0]); alike >= best && fits(m.names[i], ws) {
			best, name = alike, m.names[i]
		}
	}
	for _, o := range m.others {
		if name != "" && dot(o, v[0]) >= best {
			return ""
		}
	}
	return name
}

// fits reports whether a motion with a direction has its word among ws, and no other's.
func fits(name string, ws []string) bool {
	if directions[name] == nil {
		return true
	}
	for n, list := range directions {
		named := slices.ContainsFunc(list, func(w string) bool { return slices.Contains(ws, w) })
		if named != (n == name) {
			return false
		}
	}
	return true
}

func dot(a, b []float32) float32 {
	var s float32
	for i := range a {
		s += a[i] * b[i]
	}
	return s
}
