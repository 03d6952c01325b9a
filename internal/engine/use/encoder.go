package use

import (
	"context"
	"encoding/binary"
	"fmt"
	"math"

	"github.com/tarsd/tarsd/internal/engine/nn"
)

// ID names the encoder and its weights: vectors of another ID must not be compared with its own.
const ID = "use-lite-en-1"

// batchTokens is how many tokens go through the network at once. Several short texts together
// cost less than one after the other, because the weights are read from memory once for all.
const batchTokens = 128

// Encoder makes vectors of texts. Its methods may be called by several goroutines at once, each of
// which then needs a few megabytes; the weights are shared and never change.
type Encoder struct{ m *model }

// ID is the name of the encoder and its weights, as a method for those who know encoders by an
// interface.
func (e *Encoder) ID() string { return ID }

// Embed returns a vector of length Dim and norm 1 for each text. Of a long text the first 128
// pieces count, about a hundred words. A text without any gets a vector of zeros, which is like
// nothing. The error is that of the context, which is looked at between texts and between the
// layers of the network, or of reading the weights.
func (e *Encoder) Embed(ctx context.Context, texts []string) ([][]float32, error) {
	out := make([][]float32, 0, len(texts))
	var ids []int32
	var ends []int
	flush := func() error {
		vs, err := e.m.encode(ctx, ids, ends)
		out, ids, ends = append(out, vs...), ids[:0], ends[:0]
		return err
	}
	for _, text := range texts {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		next := e.m.tokens(text)
		if len(ids) > 0 && len(ids)+len(next) > batchTokens {
			if err := flush(); err != nil {
				return nil, err
			}
		}
		ids = append(ids, next...)
		ends = append(ends, len(ids))
	}
	if err := flush(); err != nil {
		return nil, err
	}
	return out, nil
}

// Tokens returns the numbers of a text's pieces, as the reference would.
func (e *Encoder) Tokens(text string) []int32 { return e.m.tokens(text) }

// rows is a matrix of activations: a row for each token.
type rows struct {
	n, width int
	v        []float32
}

func newRows(n, width int) rows { return rows{n, width, make([]float32, n*width)} }

func (r rows) row(i int) []float32 { return r.v[i*r.width : (i+1)*r.width] }

// through maps each row.
func (r rows) through(m *nn.Matrix) rows {
	y := newRows(r.n, m.Out)
	from, to := make([]int, r.n), make([]int, r.n)
	for i := range r.n {
		from[i], to[i] = i*r.width, i*m.Out
	}
	m.Apply(y.v, to, r.v, from)
	return y
}

// encode runs the network over several texts, whose tokens end where ends says.
func (m *model) encode(ctx context.Context, ids []int32, ends []int) ([][]float32, error) {
	x, err := m.input(ids, ends)
	if err != nil {
		return nil, err
	}
	for i := range m.layer {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		x = m.layer[i].apply(x, ends)
	}
	mean := newRows(len(ends), Dim)
	start := 0
	for t, end := range ends {
		row := mean.row(t)
		for i := start; i < end; i++ {
			for j, v := range x.row(i) {
				row[j] += v / float32(end-start)
			}
		}
		start = end
	}
	y := mean.through(m.last)
	out := make([][]float32, len(ends))
	start = 0
	for t, end := range ends {
		row := y.row(t)
		if end == start {
			clear(row)
		}
		finish(row)
		out[t], start = row, end
	}
	return out, nil
}

// finish bends the numbers into -1 to 1 and makes the length 1.
func finish(row []float32) {
	sum := 0.0
	for i, v := range row {
		t := math.Tanh(float64(v))
		row[i] = float32(t)
		sum += t * t
	}
	if sum == 0 {
		return
	}
	scale := float32(1 / math.Sqrt(sum))
	for i := range row {
		row[i] *= scale
	}
}

// input is twice the embedding of each piece plus the sines and cosines of its place.
func (m *model) input(ids []int32, ends []int) (rows, error) {
	x := newRows(len(ids), width)
	raw := make([]byte, 2*width)
	start := 0
	for _, end := range ends {
		for i := start; i < end; i++ {
			row := x.row(i)
			if _, err := m.rows.ReadAt(raw, m.rowsAt+int64(len(raw))*int64(ids[i])); err != nil {
				return x, fmt.Errorf("read encoder weights: %w", err)
			}
			for j := range row {
				row[j] = 2 * fromHalf(binary.LittleEndian.Uint16(raw[2*j:]))
			}
			for j, inv := range m.timing {
				sin, cos := math.Sincos(float64(float32(i-start) * inv))
				row[j] += float32(sin)
				row[j+width/2] += float32(cos)
			}
		}
		start = end
	}
	return x, nil
}

// apply runs one layer: attention and a feed-forward net, each on normalised input and each added
// to what came in.
func (l *layer) apply(x rows, ends []int) rows {
	attended := l.attend(l.before.apply(x).through(l.qkv), ends).through(l.merge)
	if l.widen != nil {
		x = x.through(l.widen)
	}
	add(x, attended)
	add(x, l.between.apply(x).through(l.expand).through(l.contract))
	return x
}

func add(x, y rows) {
	for i, v := range y.v {
		x.v[i] += v
	}
}

// apply brings each row to mean 0 and variance 1, then scales and moves it.
func (n centring) apply(x rows) rows {
	y := newRows(x.n, x.width)
	for i := range x.n {
		from, to := x.row(i), y.row(i)
		var mean, variance float64
		for _, v := range from {
			mean += float64(v)
		}
		mean /= float64(x.width)
		for _, v := range from {
			variance += (float64(v) - mean) * (float64(v) - mean)
		}
		inv := 1 / math.Sqrt(variance/float64(x.width)+1e-6)
		for j, v := range from {
			to[j] = float32((float64(v)-mean)*inv)*n.scale[j] + n.bias[j]
		}
	}
	return y
}

// attend lets each token of a text look at all others of it. Queries, keys and values stand beside
// each other in a row.
func (l *layer) attend(qkv rows, ends []int) rows {
	w := l.inWidth
	out := newRows(qkv.n, w)
	p := make([]float32, maxTokens)
	start := 0
	for _, end := range ends {
		for h := range heads {
			a, b := h*l.dim, (h+1)*l.dim
			for i := start; i < end; i++ {
				q := qkv.row(i)[a:b]
				p := p[:end-start]
				for j := range p {
					p[j] = l.queryScale * nn.Dot(q, qkv.row(start + j)[w+a:w+b])
				}
				softmax(p)
				to := out.row(i)[a:b]
				for j, weight := range p {
					v := qkv.row(start + j)[2*w+a : 2*w+b]
					for c := range to {
						to[c] += weight * v[c]
					}
				}
			}
		}
		start = end
	}
	return out
}

func softmax(p []float32) {
	most := p[0]
	for _, v := range p {
		most = max(most, v)
	}
	sum := 0.0
	for i, v := range p {
		e := math.Exp(float64(v - most))
		p[i] = float32(e)
		sum += e
	}
	for i := range p {
		p[i] /= float32(sum)
	}
}
