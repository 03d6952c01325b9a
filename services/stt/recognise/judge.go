package recognise

import (
	"math"
	"strings"

	"github.com/tarsd/tarsd/internal/engine/pocketsphinx"
)

// heard is what came out of the passes over an utterance.
type heard struct {
	command pocketsphinx.Hypothesis // of the grammar; no text: there is none
	free    pocketsphinx.Hypothesis // of the language model
	same    bool                    // two passes gave the same text; not if there was only one
	apart   float64                 // how different the two sound, 0 to 1

	expected bool // the language model's text is in the grammar
}

// result decides which of the two it was.
func (h *heard) result() Result {
	r := Result{Text: h.free.Text, Lang: "en", Confidence: h.freeConfidence(), Command: h.expected}
	if c := h.commandConfidence(); h.command.Text != "" && c >= acceptAt {
		r.Text, r.Confidence, r.Command = h.command.Text, c, true
	}
	if r.Text == "" {
		r.Confidence = 0
	}
	return r
}

// acceptAt is the confidence from which the grammar's command counts. docs/speech.md has what it costs.
const acceptAt = 0.6

// What the confidences are made of. The constants were fitted by logistic regression to speech of which
// the text is known, in and out of the grammar, with and without noise: TestFigures says how to do
// that again, and docs/speech.md how good they are.
var (
	commandWeights = []float64{3.4, -4.4, 0.27}  // 1, how different it sounds from the language model's, posterior
	freeWeights    = []float64{0.75, 0.83, 3.35} // 1, posterior for each word, both passes agree
)

// commandConfidence is the probability that the command is what was said.
func (h *heard) commandConfidence() float64 {
	return logistic(dot(commandWeights, h.commandFeatures()))
}

func (h *heard) commandFeatures() []float64 { return []float64{1, h.apart, h.command.Posterior} }

// freeConfidence is the probability that each word of the language model is what was said.
func (h *heard) freeConfidence() float64 { return logistic(dot(freeWeights, h.freeFeatures())) }

func (h *heard) freeFeatures() []float64 {
	same := 0.0
	if h.same {
		same = 1
	}
	return []float64{1, h.free.Posterior / float64(max(1, len(strings.Fields(h.free.Text)))), same}
}

func dot(a, b []float64) float64 {
	s := 0.0
	for i := range a {
		s += a[i] * b[i]
	}
	return s
}

func logistic(x float64) float64 { return 1 / (1 + math.Exp(-x)) }
