package build

import (
	"maps"
	"math"
	"slices"
	"strings"
)

// mostShare is how much of what may follow some words the sentences may decide at most, so that
// other words can still follow.
const mostShare = 0.6

// mix makes a model of one who speaks the sentences now and then: as if they were the given part,
// 0 to 1, of all words that it was made of. Words that it does not have are added. Nothing is
// known of what follows them in other texts.
func (m *model) mix(sentences []string, part float64) {
	counts := m.count(sentences)
	total := 0.0
	for _, c := range counts[0] {
		total += c
	}
	for n := 3; n > 1; n-- { // from the longest, which need the shorter ones as they were
		share := map[gram]float64{}
		heads := map[gram]float64{}
		for _, g := range slices.Sorted(maps.Keys(counts[n-1])) {
			heads[g.head()] += counts[n-1][g]
		}
		for h, c := range heads {
			ours := part * c / total
			share[h] = min(mostShare, ours/((1-part)*m.joint(h, n-1)+ours))
		}
		next := map[gram]weight{}
		for g, w := range m.grams[n-1] {
			if s, there := share[g.head()]; there {
				next[g] = weight{w.p + math.Log10(1-s), w.backoff}
			}
		}
		for g, c := range counts[n-1] {
			s := share[g.head()]
			p := (1-s)*math.Pow(10, m.p(g, n)) + s*c/heads[g.head()]
			next[g] = weight{math.Log10(p), m.grams[n-1][g].backoff}
		}
		maps.Copy(m.grams[n-1], next)
	}
	for g, w := range m.grams[0] {
		w.p = math.Log10((1-part)*math.Pow(10, w.p) + part*counts[0][g]/total)
		m.grams[0][g] = w
	}
}

// count counts the words of sentences, their pairs and their triples, and adds new words to the model.
func (m *model) count(sentences []string) (counts [3]map[gram]float64) {
	const least = -99 // the logarithm of no probability, as upstream writes it
	for n := range counts {
		counts[n] = map[gram]float64{}
	}
	number := map[string]int{}
	for i, w := range m.words {
		number[w] = i
	}
	for _, s := range sentences {
		ids := []int{number["<s>"]}
		for _, w := range append(strings.Fields(s), "</s>") {
			id, there := number[w]
			if !there {
				id = len(m.words)
				m.words, number[w] = append(m.words, w), id
				m.grams[0][join(id)] = weight{p: least}
			}
			ids = append(ids, id)
			for n := range min(3, len(ids)) {
				counts[n][join(ids[len(ids)-1-n:]...)]++
			}
		}
	}
	return counts
}
