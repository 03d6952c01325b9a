package build

import (
	"bufio"
	"cmp"
	"fmt"
	"io"
	"maps"
	"math"
	"slices"
)

// prune makes a smaller model: of the words in a row, those that matter. That is how much less likely a text becomes when
// one is left out and backed off from, weighted by how often it comes up, in nats per word; those at
// or below theta go. It is Seymore and Rosenfeld's weighted difference (Scalable backoff language
// models, 1996).
func (m *model) prune(theta float64) {
	dropped := func(g gram, n int) bool {
		w, lower := m.grams[n-1][g], m.p(g.tail(n), n-1)
		lower += m.grams[n-2][g.head()].backoff
		return m.joint(g, n)*(w.p-lower)*math.Ln10 <= theta
	}
	long := m.grams[2]
	kept := map[gram]weight{}
	needed := map[gram]bool{}
	for g, w := range long {
		if !dropped(g, 3) {
			kept[g], needed[g.head()] = w, true
		}
	}
	pairs := map[gram]weight{}
	for g, w := range m.grams[1] {
		if needed[g] || !dropped(g, 2) {
			pairs[g] = w
		}
	}
	for g := range needed { // a row's beginning has to be there
		if _, there := pairs[g]; !there {
			pairs[g] = weight{p: m.p(g, 2)}
		}
	}
	m.grams[1], m.grams[2] = pairs, kept
	m.rescale()
}

// limit keeps the given number of the likeliest words and those that keep names; others go, and what they
// are in.
func (m *model) limit(words int, keep func(word string) bool) {
	order := slices.SortedFunc(maps.Keys(m.grams[0]), func(a, b gram) int {
		return cmp.Or(cmp.Compare(m.grams[0][b].p, m.grams[0][a].p), cmp.Compare(a, b))
	})
	in := make([]bool, len(m.words))
	for i, g := range order {
		in[g] = i < words || keep(m.words[g])
	}
	for n := range m.grams {
		maps.DeleteFunc(m.grams[n], func(g gram, _ weight) bool {
			for range n + 1 {
				if !in[g.last()] {
					return true
				}
				g = g.head()
			}
			return false
		})
	}
}

// p is the decimal logarithm of the probability of the last of n words after the others.
func (m *model) p(g gram, n int) float64 {
	if w, there := m.grams[n-1][g]; there || n == 1 {
		return w.p
	}
	return m.grams[n-2][g.head()].backoff + m.p(g.tail(n), n-1)
}

// joint is the probability of n words in a row.
func (m *model) joint(g gram, n int) float64 { return math.Pow(10, m.row(g, n)) }

func (m *model) row(g gram, n int) float64 {
	switch {
	case n > 1:
		return m.row(g.head(), n-1) + m.p(g, n)
	case m.words[g] == "<s>": // is never heard, and comes as often as the end
		return m.p(join(slices.Index(m.words, "</s>")), 1)
	}
	return m.p(g, 1)
}

// rescale sets the factors of what is not there so that all probabilities after some words add up to 1.
func (m *model) rescale() {
	const least = 1e-6 // what a difference may be; below are errors of rounding
	for n := 1; n < 3; n++ {
		type sum struct{ here, lower float64 }
		sums := map[gram]sum{}
		for _, g := range slices.Sorted(maps.Keys(m.grams[n])) { // in order: additions of others give other bytes
			s := sums[g.head()]
			s.here += math.Pow(10, m.grams[n][g].p)
			s.lower += math.Pow(10, m.p(g.tail(n+1), n))
			sums[g.head()] = s
		}
		for g, w := range m.grams[n-1] {
			w.backoff = 0
			if s, there := sums[g]; there {
				w.backoff = math.Log10(max(least, 1-s.here) / max(least, 1-s.lower))
			}
			m.grams[n-1][g] = w
		}
	}
}

// arpa writes the model in the text form of all such tools.
func (m *model) arpa(to io.Writer) error {
	w := bufio.NewWriter(to)
	fmt.Fprintln(w, `\data\`)
	for n, grams := range m.grams {
		fmt.Fprintf(w, "ngram %d=%d\n", n+1, len(grams))
	}
	for n, grams := range m.grams {
		fmt.Fprintf(w, "\n\\%d-grams:\n", n+1)
		for _, g := range slices.Sorted(maps.Keys(grams)) {
			fmt.Fprintf(w, "%.4f", grams[g].p)
			for i := n; i >= 0; i-- {
				fmt.Fprintf(w, "\t%s", m.words[(g>>(20*i)).last()])
			}
			if n < 2 {
				fmt.Fprintf(w, "\t%.4f", grams[g].backoff)
			}
			fmt.Fprintln(w)
		}
	}
	fmt.Fprintln(w, "\n\\end\\")
	return w.Flush()
}
