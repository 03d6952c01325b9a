package index

import (
	"cmp"
	"container/heap"
	"math"
	"slices"
)

const (
	k1 = 1.5
	b  = 0.75
)

// Words returns the n best texts that hold words of the query, but those of skip. A text without
// any of them is no hit.
func (x *Index) Words(query string, n int, skip func(id uint64) bool) []Hit {
	var s stemmer // not x.stem: readers change nothing
	terms := slices.Clone(s.terms(query))
	slices.Sort(terms)
	terms = slices.Compact(terms)
	scores := make([]float32, len(x.docs))
	total := float64(len(x.order))
	average := float64(x.words) / max(1, total)
	for _, t := range terms {
		list := x.terms[t]
		df := float64(len(list))
		idf := math.Log(1 + (total-df+0.5)/(df+0.5))
		for _, p := range list {
			tf := float64(p.times)
			scores[p.slot] += float32(idf * tf / (tf + k1*(1-b+b*float64(x.docs[p.slot].length)/average)))
		}
	}
	best := newBest(n)
	for slot, score := range scores {
		if score > 0 {
			best.offer(Hit{x.docs[slot].id, float64(score)}, skip)
		}
	}
	return best.sorted()
}

// best keeps the n best hits; of equal ones the newer.
type best struct {
	n    int
	hits hits
}

func newBest(n int) *best { return &best{n: n} }

func (t *best) offer(h Hit, skip func(id uint64) bool) {
	if t.n <= 0 || (len(t.hits) == t.n && better(t.hits[0], h) <= 0) || (skip != nil && skip(h.ID)) {
		return
	}
	heap.Push(&t.hits, h)
	if len(t.hits) > t.n {
		heap.Pop(&t.hits)
	}
}

func (t *best) sorted() []Hit {
	slices.SortFunc(t.hits, better)
	return t.hits
}

// better orders hits with the best first.
func better(a, b Hit) int {
	return cmp.Or(cmp.Compare(b.Score, a.Score), cmp.Compare(b.ID, a.ID))
}

// hits is a heap with the worst on top.
type hits []Hit

func (h hits) Len() int           { return len(h) }
func (h hits) Less(i, j int) bool { return better(h[i], h[j]) > 0 }
func (h hits) Swap(i, j int)      { h[i], h[j] = h[j], h[i] }
func (h *hits) Push(x any)        { *h = append(*h, x.(Hit)) }
func (h *hits) Pop() any {
	old := *h
	last := old[len(old)-1]
	*h = old[:len(old)-1]
	return last
}
