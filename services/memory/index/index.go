package index

import (
	"cmp"
	"math"
	"slices"
	"sort"
)

// Hit is one text that was found. More is better.
type Hit struct {
	ID    uint64
	Score float64
}

// Index is what is known of all texts. New makes one.
type Index struct {
	docs  []doc
	order []uint32 // slots of the living, by id
	terms map[string][]posting
	words uint64 // of the living, stop words left out
	stem  stemmer
	vecs  vectors
	dead  int
}

// doc is a text. Its place in Index.docs, its slot, stays the same until many have died.
type doc struct {
	id     uint64
	length uint16 // terms
	dead   bool
	vector bool
}

type posting struct {
	slot  uint32
	times uint16
}

// New makes an empty index.
func New() *Index { return &Index{terms: map[string][]posting{}} }

// Len is the number of texts.
func (x *Index) Len() int { return len(x.order) }

// Vectors is how many of them have a vector.
func (x *Index) Vectors() int { return x.vecs.n }

// Add takes up a text under a number that no other has. Numbers order the texts.
func (x *Index) Add(id uint64, text string) {
	at, found := x.find(id)
	if found {
		return
	}
	slot := uint32(len(x.docs))
	terms := x.stem.terms(text)
	terms = terms[:min(len(terms), math.MaxUint16)]
	x.docs = append(x.docs, doc{id: id, length: uint16(len(terms))})
	x.order = slices.Insert(x.order, at, slot)
	x.words += uint64(len(terms))
	for _, t := range terms {
		list := x.terms[t]
		if n := len(list); n > 0 && list[n-1].slot == slot {
			list[n-1].times++
			continue
		}
		x.terms[t] = append(list, posting{slot, 1})
	}
}

// Remove forgets a text, which has to be given as it was added. It reports whether it was there.
func (x *Index) Remove(id uint64, text string) bool {
	at, found := x.find(id)
	if !found {
		return false
	}
	slot := x.order[at]
	x.order = slices.Delete(x.order, at, at+1)
	d := &x.docs[slot]
	x.words -= uint64(d.length)
	for _, t := range x.stem.terms(text) {
		list := x.terms[t]
		i, ok := slices.BinarySearchFunc(list, slot, func(p posting, s uint32) int { return cmp.Compare(p.slot, s) })
		if !ok {
			continue
		}
		if len(list) == 1 {
			delete(x.terms, t)
			continue
		}
		x.terms[t] = slices.Delete(list, i, i+1)
	}
	if d.vector {
		x.vecs.n--
	}
	d.dead, d.vector = true, false
	if x.dead++; x.dead > 1024 && x.dead > len(x.order)/4 {
		x.compact()
	}
	return true
}

// compact gives the slots of the dead away.
func (x *Index) compact() {
	moved := make([]uint32, len(x.docs))
	n := uint32(0)
	for slot := range x.docs {
		moved[slot] = n
		if x.docs[slot].dead {
			continue
		}
		x.docs[n] = x.docs[slot]
		if x.docs[n].vector {
			x.vecs.move(uint32(slot), n)
		}
		n++
	}
	x.docs = slices.Clone(x.docs[:n])
	x.vecs.cut(n)
	for i := range x.order {
		x.order[i] = moved[x.order[i]]
	}
	for _, list := range x.terms { // the dead are in none
		for i := range list {
			list[i].slot = moved[list[i].slot]
		}
	}
	x.dead = 0
}

// find returns the place of a text in order, or where it would be.
func (x *Index) find(id uint64) (at int, found bool) {
	if n := len(x.order); n == 0 || x.docs[x.order[n-1]].id < id {
		return n, false // the usual: it is the newest
	}
	return slices.BinarySearchFunc(x.order, id, func(slot uint32, id uint64) int { return cmp.Compare(x.docs[slot].id, id) })
}

// Has reports whether there is such a text.
func (x *Index) Has(id uint64) bool { _, ok := x.find(id); return ok }

// Free is the first number from id on that no text has.
func (x *Index) Free(id uint64) uint64 {
	at, _ := x.find(id)
	taken := sort.Search(len(x.order)-at, func(i int) bool { return x.docs[x.order[at+i]].id != id+uint64(i) })
	return id + uint64(taken)
}

// Last calls f with the numbers of the texts, the newest first, until f returns false.
func (x *Index) Last(f func(id uint64) bool) {
	for i := len(x.order) - 1; i >= 0; i-- {
		if !f(x.docs[x.order[i]].id) {
			return
		}
	}
}

// First is Last from the oldest on.
func (x *Index) First(f func(id uint64) bool) {
	for _, slot := range x.order {
		if !f(x.docs[slot].id) {
			return
		}
	}
}

// From returns up to n texts from a number on, in order.
func (x *Index) From(id uint64, n int) (ids []uint64) {
	at, _ := x.find(id)
	for ; at < len(x.order) && len(ids) < n; at++ {
		ids = append(ids, x.docs[x.order[at]].id)
	}
	return ids
}

// Around returns the numbers of up to n texts before a text and n after it, each in order.
func (x *Index) Around(id uint64, n int) (before, after []uint64) {
	at, found := x.find(id)
	if !found {
		return nil, nil
	}
	for i := max(0, at-n); i < at; i++ {
		before = append(before, x.docs[x.order[i]].id)
	}
	for i := at + 1; i < min(len(x.order), at+1+n); i++ {
		after = append(after, x.docs[x.order[i]].id)
	}
	return before, after
}

// Missing returns up to n texts without a vector, the newest first.
func (x *Index) Missing(n int) (ids []uint64) {
	if x.vecs.n == len(x.order) {
		return nil
	}
	for i := len(x.order) - 1; i >= 0 && len(ids) < n; i-- {
		if d := x.docs[x.order[i]]; !d.vector {
			ids = append(ids, d.id)
		}
	}
	return ids
}

// Fuse makes one list of several by reciprocal ranks: a text's score is the sum of 1 / (60 + its
// rank) over the lists, where one that is not in a list has the rank of total + 1 in it. Of equal
// scores the first list decides.
func Fuse(total int, lists ...[]Hit) []Hit {
	const base = 60
	var out []Hit
	at := map[uint64]int{}
	missing := 1 / float64(base+total+1)
	for _, list := range lists {
		for rank, h := range list {
			j, ok := at[h.ID]
			if !ok {
				j = len(out)
				at[h.ID] = j
				out = append(out, Hit{h.ID, float64(len(lists)) * missing})
			}
			out[j].Score += 1/float64(base+rank+1) - missing
		}
	}
	slices.SortStableFunc(out, func(a, b Hit) int { return cmp.Compare(b.Score, a.Score) })
	return out
}
