package use

import (
	"slices"
	"strings"

	"golang.org/x/text/unicode/norm"
)

// maxRunes bounds what is read of a text: more than maxTokens pieces are cut off anyway, and few
// pieces are longer than sixteen letters.
const maxRunes = 2048

const space = "\u2581" // stands for a space in pieces

// tokens cuts a text into pieces: the cut with the best sum of scores. The rules of the reference,
// odd as they are: a letter that begins no piece is unknown (0) and costs nothing, and so does a
// place that no piece ends at; of equal sums the one whose last piece begins later wins; unknowns
// in a row are one.
func (m *model) tokens(text string) []int32 {
	text = norm.NFKC.String(firstRunes(text))
	if text == "" {
		return nil
	}
	text = space + strings.ReplaceAll(firstRunes(text), " ", space)
	at := make([]int, 0, len(text)+1) // byte offsets of the runes, and the end
	for i := range text {
		at = append(at, i)
	}
	at = append(at, len(text))
	n := len(at) - 1
	best := make([]float64, n+1)
	piece := make([]int32, n+1) // the last piece of the best cut that ends here
	size := make([]int32, n+1)  // its runes
	for i := range size {
		size[i] = 1
	}
	offer := func(start, end int, id int32, score float64) {
		if sum := best[start] + score; best[end] == 0 || sum >= best[end] {
			best[end], piece[end], size[end] = sum, id, int32(end-start)
		}
	}
	for start := range n {
		known := false
		for end := start + 1; end <= min(n, start+m.longest); end++ {
			if id, ok := m.vocab[text[at[start]:at[end]]]; ok {
				known = true
				offer(start, end, id, m.score[id])
			}
		}
		if !known {
			offer(start, start+1, 0, 0)
		}
	}
	return collect(piece, size)
}

// collect follows the best pieces from the end to the beginning.
func collect(piece, size []int32) []int32 {
	var ids []int32
	unknown := false
	for i := int32(len(piece) - 1); i > 0; i -= size[i] {
		if id := piece[i]; id != 0 || !unknown {
			ids = append(ids, id)
		}
		unknown = piece[i] == 0
	}
	slices.Reverse(ids)
	return ids[:min(len(ids), maxTokens)]
}

func firstRunes(s string) string {
	n := 0
	for i := range s {
		if n == maxRunes {
			return s[:i]
		}
		n++
	}
	return s
}
