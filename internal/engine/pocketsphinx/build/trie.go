package build

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"math/bits"
)

// errTrie is a language model that is not what it should be.
var errTrie = errors.New("not a binary language model of three words that PocketSphinx 5 wrote")

const trieMagic = "Trie Language Model"

// logBase is the base of the logarithms in the file.
const logBase = 1.0001

// maxWords and maxGrams bound what a file may claim.
const (
	maxWords = 1 << 20
	maxGrams = 1 << 24
)

// weight is what a model has for words in a row: the decimal logarithms of the probability of
// the last one after the others, and of the factor for what it does not have after all of them.
type weight struct{ p, backoff float64 }

// gram is up to three words in a row, by their numbers, the last one in the lowest 20 bits. The
// number of words is known from where it is kept.
type gram uint64

func join(ids ...int) gram {
	var g gram
	for _, id := range ids {
		g = g<<20 | gram(id) //nolint:gosec // below maxWords
	}
	return g
}

// head is all but the last word, last is that, and tail all but the first of n words.
func (g gram) head() gram      { return g >> 20 }
func (g gram) last() int       { return int(g & (1<<20 - 1)) } //nolint:gosec // 20 bits
func (g gram) tail(n int) gram { return g & (1<<(20*(n-1)) - 1) }

// model is a language model. grams[0] has the words themselves.
type model struct {
	words []string
	grams [3]map[gram]weight
}

// packed is an array of records of some bits each.
type packed struct {
	b                []byte
	word, data, next int // widths of the fields of a record
}

func (p packed) width() int { return p.word + p.data + p.next }

// field returns the bits from at on, 32 or fewer.
func (p packed) field(at, width int) uint32 {
	v := binary.LittleEndian.Uint64(p.b[at>>3:]) >> (at & 7)
	return uint32(v & (1<<width - 1)) //nolint:gosec // as the mask says
}

func (p packed) wordOf(i int) int { return int(p.field(i*p.width(), p.word)) }
func (p packed) dataOf(i int) int { return int(p.field(i*p.width()+p.word, p.data)) }
func (p packed) nextOf(i int) int { return int(p.field(i*p.width()+p.word+p.data, p.next)) }

// reader takes a file apart from its beginning. After the first lack it has only zeros.
type reader struct {
	b   []byte
	bad bool
}

func (r *reader) take(n int) []byte {
	if n > len(r.b) {
		r.bad, n = true, 0
	}
	head := r.b[:n]
	r.b = r.b[n:]
	return head
}

func (r *reader) number() int {
	if b := r.take(4); len(b) == 4 {
		return int(binary.LittleEndian.Uint32(b))
	}
	return 0
}

// table is one of the logarithms that records have numbers of, as decimal ones.
func (r *reader) table() []float64 {
	out := make([]float64, 1<<16)
	if b := r.take(len(out) * 4); len(b) > 0 {
		for i := range out {
			out[i] = decimal(b[4*i:])
		}
	}
	return out
}

// records takes an array of n of them, and one more that ends it.
func (r *reader) records(n, words, data, next int) packed {
	p := packed{word: bits.Len(uint(words)), data: data, next: bits.Len(uint(next))} //nolint:gosec // not negative
	p.b = r.take(((1+n)*p.width()+7)/8 + 8)
	return p
}

func decimal(b []byte) float64 {
	return float64(math.Float32frombits(binary.LittleEndian.Uint32(b))) * math.Log10(logBase)
}

// readTrie reads a model as PocketSphinx keeps it. Its words in a row are in there from the last
// to the first, as in KenLM, from which the format is.
func readTrie(file []byte) (*model, error) {
	r := &reader{b: file}
	if string(r.take(len(trieMagic))) != trieMagic || !bytes.Equal(r.take(1), []byte{3}) {
		return nil, errTrie
	}
	n := [3]int{r.number(), r.number(), r.number()}
	if n[0] > maxWords-1 || n[1] > maxGrams || n[2] > maxGrams {
		return nil, fmt.Errorf("%w: it claims %d words in a row", errTrie, n)
	}
	r.number() // the kind of the tables, of which there is one
	middle, backoff, longest := r.table(), r.table(), r.table()
	unigrams := r.take((n[0] + 1) * 12)
	two := r.records(n[1], n[0], 32, n[2])
	three := r.records(n[2], n[0], 16, 0)
	names := bytes.Split(r.take(r.number()), []byte{0})
	if r.bad || len(names) != n[0]+1 {
		return nil, errTrie
	}
	m := &model{words: make([]string, n[0])}
	for i := range m.grams {
		m.grams[i] = make(map[gram]weight, n[i])
	}
	next := func(i int) int { return int(binary.LittleEndian.Uint32(unigrams[12*i+8:])) }
	for z := range m.words {
		m.words[z] = string(names[z])
		m.grams[0][join(z)] = weight{decimal(unigrams[12*z:]), decimal(unigrams[12*z+4:])}
		if next(z+1) > n[1] || next(z+1) < next(z) {
			return nil, errTrie
		}
		for i := next(z); i < next(z+1); i++ {
			y, from, to, data := two.wordOf(i), two.nextOf(i), two.nextOf(i+1), two.dataOf(i)
			if y >= n[0] || to > n[2] {
				return nil, errTrie
			}
			m.grams[1][join(y, z)] = weight{middle[data>>16], backoff[data&0xffff]}
			for j := from; j < to; j++ {
				x := three.wordOf(j)
				if x >= n[0] {
					return nil, errTrie
				}
				m.grams[2][join(x, y, z)] = weight{p: longest[three.dataOf(j)]}
			}
		}
	}
	return m, nil
}
