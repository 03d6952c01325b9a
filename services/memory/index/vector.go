package index

import (
	"encoding/binary"
	"math"
	"math/bits"
)

// Vector is a direction, one byte for each dimension.
type Vector []byte

// scaleBytes is what a Vector begins with: its unit, a little-endian float32.
const scaleBytes = 4

// Quantise makes a Vector of numbers, whose length becomes 1. Numbers without a direction, or that
// are none, give nil.
func Quantise(v []float32) Vector {
	most := 0.0
	for _, f := range v {
		most = max(most, math.Abs(float64(f))) // NaN if one is
	}
	if !(most > 0) || math.IsInf(most, 0) {
		return nil
	}
	sum := 0.0
	out := make(Vector, scaleBytes, scaleBytes+len(v))
	for _, f := range v {
		n := math.Round(float64(f) * 127 / most)
		sum += n * n
		out = append(out, byte(int8(n)))
	}
	binary.LittleEndian.PutUint32(out, math.Float32bits(float32(1/math.Sqrt(sum))))
	return out
}

// chunk is how many vectors lie in one piece of memory: few enough that little is left empty, and
// enough that growing never copies much.
const chunk = 256

// vectors holds the vectors of the slots.
type vectors struct {
	dim, words int // words of bits for each vector
	n          int
	units      []float32
	bytes      [][]int8
	bits       [][]uint64
}

// SetVector gives a text its vector. It reports whether that was possible: the text is there, and
// the vector as long as the others.
func (x *Index) SetVector(id uint64, v Vector) bool {
	at, found := x.find(id)
	dim := len(v) - scaleBytes
	if !found || dim <= 0 || (x.vecs.dim != 0 && x.vecs.dim != dim) {
		return false
	}
	slot := x.order[at]
	x.vecs.set(slot, v)
	if d := &x.docs[slot]; !d.vector {
		d.vector = true
		x.vecs.n++
	}
	return true
}

func (s *vectors) set(slot uint32, v Vector) {
	s.dim, s.words = len(v)-scaleBytes, (len(v)-scaleBytes+63)/64
	s.reach(slot)
	s.units[slot] = math.Float32frombits(binary.LittleEndian.Uint32(v))
	to, code := s.at(slot)
	clear(code)
	for i, b := range v[scaleBytes:] {
		to[i] = int8(b)
		if to[i] > 0 {
			code[i/64] |= 1 << (i % 64)
		}
	}
}

// reach makes room up to a slot.
func (s *vectors) reach(slot uint32) {
	if n := int(slot) + 1 - len(s.units); n > 0 {
		s.units = append(s.units, make([]float32, n)...)
	}
	for len(s.bytes) <= int(slot/chunk) {
		s.bytes = append(s.bytes, nil)
		s.bits = append(s.bits, nil)
	}
	if s.bytes[slot/chunk] == nil {
		s.bytes[slot/chunk] = make([]int8, chunk*s.dim)
		s.bits[slot/chunk] = make([]uint64, chunk*s.words)
	}
}

func (s *vectors) at(slot uint32) (bytes []int8, code []uint64) {
	i := int(slot % chunk)
	return s.bytes[slot/chunk][i*s.dim : (i+1)*s.dim], s.bits[slot/chunk][i*s.words : (i+1)*s.words]
}

func (s *vectors) move(from, to uint32) {
	if from == to {
		return
	}
	s.reach(to)
	fromBytes, fromCode := s.at(from)
	toBytes, toCode := s.at(to)
	copy(toBytes, fromBytes)
	copy(toCode, fromCode)
	s.units[to] = s.units[from]
}

// cut lets go of what is behind n slots.
func (s *vectors) cut(n uint32) {
	if int(n) < len(s.units) {
		s.units = append([]float32(nil), s.units[:n]...)
	}
	if keep := int(n+chunk-1) / chunk; keep < len(s.bytes) {
		clear(s.bytes[keep:])
		clear(s.bits[keep:])
		s.bytes, s.bits = s.bytes[:keep], s.bits[:keep]
	}
}

// Up to exactUntil texts are all compared byte by byte. Of more, perHit candidates for each hit that
// is wanted, and at least leastCandidates, are chosen by their bits.
const (
	exactUntil      = 4096
	perHit          = 20
	leastCandidates = 1000
)

// Meaning returns the n texts whose vectors are nearest to that of the query, but those of skip,
// with their cosine. The query is of any length but 0.
func (x *Index) Meaning(query []float32, n int, skip func(id uint64) bool) []Hit {
	if len(query) != x.vecs.dim || x.vecs.n == 0 || n <= 0 {
		return nil
	}
	q := make([]float32, len(query))
	sum := 0.0
	for _, f := range query {
		sum += float64(f) * float64(f)
	}
	if !(sum > 0) {
		return nil
	}
	for i, f := range query {
		q[i] = float32(float64(f) / math.Sqrt(sum))
	}
	best := newBest(n)
	score := func(slot uint32) {
		d := &x.docs[slot]
		row, _ := x.vecs.at(slot)
		best.offer(Hit{d.id, float64(x.vecs.units[slot] * mixedDot(q, row))}, skip)
	}
	if x.vecs.n <= exactUntil {
		for slot := range x.docs {
			if x.docs[slot].vector {
				score(uint32(slot))
			}
		}
		return best.sorted()
	}
	for _, slot := range x.candidates(q, max(leastCandidates, perHit*n)) {
		score(slot)
	}
	return best.sorted()
}

// candidates returns at least n slots whose bits differ least from those of the query.
func (x *Index) candidates(q []float32, n int) []uint32 {
	code := make([]uint64, x.vecs.words)
	for i, f := range q {
		if f > 0 {
			code[i/64] |= 1 << (i % 64)
		}
	}
	far := make([]uint16, len(x.docs))
	count := make([]int, x.vecs.dim+1)
	for slot := range x.docs {
		if !x.docs[slot].vector {
			continue
		}
		_, row := x.vecs.at(uint32(slot))
		d := 0
		for i, w := range row[:len(code)] {
			d += bits.OnesCount64(w ^ code[i])
		}
		far[slot] = uint16(d)
		count[d]++
	}
	limit := 0
	for sum := count[0]; sum < n && limit < x.vecs.dim; sum += count[limit] {
		limit++
	}
	out := make([]uint32, 0, 2*n)
	for slot := range x.docs {
		if x.docs[slot].vector && int(far[slot]) <= limit {
			out = append(out, uint32(slot))
		}
	}
	return out
}

// mixedDot has four sums, so that an addition need not wait for the one before. The race detector
// leaves it alone: it would be slow, and who calls it is looked at.
//
//go:norace
func mixedDot(q []float32, row []int8) float32 {
	row = row[:len(q)]
	var s0, s1, s2, s3 float32
	i := 0
	for ; i+4 <= len(q); i += 4 {
		a, c := q[i:i+4], row[i:i+4]
		s0 += a[0] * float32(c[0])
		s1 += a[1] * float32(c[1])
		s2 += a[2] * float32(c[2])
		s3 += a[3] * float32(c[3])
	}
	for ; i < len(q); i++ {
		s0 += q[i] * float32(row[i])
	}
	return s0 + s1 + s2 + s3
}
