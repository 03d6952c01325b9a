package openwakeword

// margin is how many frames before a layer over three frames looks at.
const margin = 2

// places says where, in what they read and write, the windows and outputs of a layer begin.
type places struct{ in, out []int }

// embedder runs the network, chunk for chunk. What a layer over bands reads is ordered by frame, then
// by band, with a band of zeros on each side; what a layer over frames reads by band, then by frame,
// after those of the chunk before. So each window lies in one piece.
type embedder struct {
	m     *model
	mel   [(margin + frames) * bands]float32
	first []float32 // windows of the first layer
	start places
	in    [len(blocks)][][]float32 // what each layer reads
	at    [len(blocks)][]places
	out   [len(blocks)][]float32 // what the last layer of each block writes, by frame and band
	last  [(margin + 1) * Dim]float32
}

func newEmbedder(m *model) *embedder {
	e := &embedder{m: m, first: make([]float32, frames*bands*9)}
	for t := range frames {
		for b := range bands {
			e.start.in = append(e.start.in, (t*bands+b)*9)
			e.start.out = append(e.start.out, (t*(bands+2)+b+1)*blocks[0].in)
		}
	}
	for i, s := range blocks {
		channels := s.in
		for k := range s.layers {
			across := k%2 == 0
			size := s.frames * (s.bands + 2) * channels
			if !across {
				size = s.bands * (margin + s.frames) * channels
			}
			e.in[i] = append(e.in[i], make([]float32, size))
			e.at[i] = append(e.at[i], s.places(channels, across, k == s.layers-1))
			channels = s.out
		}
		e.out[i] = make([]float32, s.frames*s.bands*s.out)
	}
	return e
}

// places lists the windows of a layer. Those over bands go by frames, those over frames by bands, so
// that neighbours share what they read.
func (s block) places(channels int, across, last bool) (p places) {
	for t := range s.frames {
		for b := range s.bands {
			switch {
			case across:
				p.in = append(p.in, (t*(s.bands+2)+b)*channels)
				p.out = append(p.out, (b*(margin+s.frames)+margin+t)*s.out)
			case last:
				p.in = append(p.in, (b*(margin+s.frames)+t)*channels)
				p.out = append(p.out, (t*s.bands+b)*s.out)
			default:
				p.in = append(p.in, (b*(margin+s.frames)+t)*channels)
				p.out = append(p.out, (t*(s.bands+2)+b+1)*s.out)
			}
		}
	}
	return p
}

// push takes the frames of one chunk and writes the embedding that ends with them.
func (e *embedder) push(mel *[frames * bands]float32, out []float32) {
	e.unfold(mel)
	e.m.first.Apply(e.in[0][0], e.start.out, e.first, e.start.in)
	for i, s := range blocks {
		for k, m := range e.m.conv[i] {
			y := e.out[i]
			if k+1 < s.layers {
				y = e.in[i][k+1]
			}
			if k%2 == 0 {
				s.shift(y)
			}
			m.Apply(y, e.at[i][k].out, e.in[i][k], e.at[i][k].in)
		}
		e.pool(i)
	}
	e.m.last.One(out, e.last[:])
	copy(e.last[:], e.last[Dim:])
}

// unfold writes the windows of the first layer, three bands of three frames each.
func (e *embedder) unfold(mel *[frames * bands]float32) {
	copy(e.mel[:margin*bands], e.mel[frames*bands:])
	copy(e.mel[margin*bands:], mel[:])
	for t := range frames {
		for b := range bands {
			w := e.first[(t*bands+b)*9:][:9]
			for i := range 3 {
				row := e.mel[(t+i)*bands:][:bands]
				for j := range 3 {
					if c := b + j - 1; c >= 0 && c < bands {
						w[3*i+j] = row[c]
					}
				}
			}
		}
	}
}

// shift moves the last frames of each band to where those of the chunk before stand.
func (s block) shift(x []float32) {
	row := (margin + s.frames) * s.out
	for b := range s.bands {
		band := x[b*row:][:row]
		copy(band[:margin*s.out], band[s.frames*s.out:])
	}
}

// pool writes the largest of neighbours to where the next block reads.
func (e *embedder) pool(i int) {
	s, x := blocks[i], e.out[i]
	step := 1
	if s.time {
		step = 2
	}
	y, at, row := e.last[margin*Dim:], 0, Dim
	if i+1 < len(blocks) {
		y, at, row = e.in[i+1][0], s.out, (s.bands/2+2)*s.out
	}
	for t := 0; t < s.frames; t += step {
		for b := 0; b < s.bands; b += 2 {
			from := x[(t*s.bands+b)*s.out:]
			to := y[t/step*row+at+b/2*s.out:][:s.out]
			for c := range to {
				v := larger(from[c], from[s.out+c])
				if s.time {
					below := from[s.bands*s.out:]
					v = larger(v, larger(below[c], below[s.out+c]))
				}
				to[c] = v
			}
		}
	}
}

// larger is max without its care for what is not a number, which costs more than all else here.
func larger(a, b float32) float32 {
	if a > b {
		return a
	}
	return b
}

// past copies what the network knows of earlier chunks from another one.
func (e *embedder) past(from *embedder) {
	e.mel, e.last = from.mel, from.last
	for i := range e.in {
		for k := 1; k < len(e.in[i]); k += 2 {
			copy(e.in[i][k], from.in[i][k])
		}
	}
}
