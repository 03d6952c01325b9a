package recognise

import (
	"math"

	"github.com/tarsd/tarsd/internal/engine/pocketsphinx"
)

// heard is what came out of the passes over an utterance.
type heard struct {
	command pocketsphinx.Hypothesis // of the grammar; no text: there is none
	free    pocketsphinx.Hypothesis // of the language model
	same    bool                    // both passes of the language model gave the same text
	apart   float64                 // how different the two sound, 0 to 1
}

// result decides which of the two it was.
func (h *heard) result() Result {
	r := Result{Text: h.free.Text, Lang: "en", Confidence: h.freeConfidence()}
	if c := h.commandConfidence(); h.command.Text != "" && c >= acceptAt {
		r.Text, r.Confidence, r.Command = h.command.Text, c, true
	}
	if r.Text == "" {
		r.Confidence = 0
	}
	return r
}

const acceptAt = 0.5

func (h *heard) commandConfidence() float64 {
	return logistic(3 - 8*h.apart + 0.5*h.command.Posterior)
}

func (h *heard) freeConfidence() float64 {
	x := 1 + 30*h.free.Posterior/float64(max(1, h.free.Frames))
	if h.same {
		x++
	}
	return logistic(x)
}

func logistic(x float64) float64 { return 1 / (1 + math.Exp(-x)) }
