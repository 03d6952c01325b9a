package openwakeword

import (
	"errors"
	"fmt"
	"io/fs"

	"github.com/tarsd/tarsd/internal/engine/nn"
)

// What the chain takes and gives.
const (
	Rate         = 16000 // samples in a second
	ChunkSamples = 1280  // samples of a chunk, 80 ms
	Dim          = 96    // numbers of an embedding, of which there is one for each chunk
	Window       = 16    // embeddings that a head looks at, 1.28 s
)

// settle is how many chunks after the start say too little of the sound.
const settle = 5

// Chain hears one stream of sound and makes embeddings of it. It is for one goroutine at a time, but
// those made by Another from it are independent.
type Chain struct {
	m        *model
	quiet    *quiet
	listener *listener
	embedder *embedder
	mel      [frames * bands]float32
	window   [Window * Dim]float32
	chunks   int // since the start, up to settle
}

// quiet is the state of a chain that has heard something even and quiet for long: the one that a
// stream begins with. It never changes.
type quiet struct {
	embedder  *embedder
	embedding [Dim]float32
}

// Open returns a chain with the weights that are built in. The error wraps ErrNoWeights if there are
// none.
func Open() (*Chain, error) {
	file, err := assets.ReadFile("assets/" + PackedName)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, ErrNoWeights
	}
	if err != nil {
		return nil, fmt.Errorf("read wake word features: %w", err)
	}
	return Load(file)
}

// Load returns a chain with the weights of a packed file, which it does not keep.
func Load(file []byte) (*Chain, error) {
	m := newModel()
	if err := nn.Read(file, magic, m.parts()...); err != nil {
		return nil, fmt.Errorf("read wake word features: %w", err)
	}
	// The window of the original is full of ones at first. After as many chunks nothing else is left.
	q := &quiet{embedder: newEmbedder(m)}
	var ones [frames * bands]float32
	for i := range ones {
		ones[i] = 1
	}
	for range 10 {
		q.embedder.push(&ones, q.embedding[:])
	}
	return newChain(m, q), nil
}

func newChain(m *model, q *quiet) *Chain {
	c := &Chain{m: m, quiet: q, listener: newListener(m.mel), embedder: newEmbedder(m)}
	c.Reset()
	return c
}

// Another returns a chain with the same weights for another stream.
func (c *Chain) Another() *Chain { return newChain(c.m, c.quiet) }

// Reset forgets what was heard.
func (c *Chain) Reset() {
	clear(c.listener.sound[:])
	c.embedder.past(c.quiet.embedder)
	for i := range Window {
		copy(c.window[i*Dim:], c.quiet.embedding[:])
	}
	c.chunks = 0
}

// Process returns the embedding that ends with the chunk: Dim numbers, which stay as they are until
// the next call. ok is false for the first 0.4 s of a stream, which say too little. The chunk is
// ChunkSamples long, and chunks of a stream follow each other without a gap; a shorter one is a
// mistake of the caller and panics. Nothing is allocated.
func (c *Chain) Process(chunk []int16) (features []float32, ok bool) {
	c.listener.hear((*[ChunkSamples]int16)(chunk), &c.mel)
	copy(c.window[:], c.window[Dim:])
	features = c.window[(Window-1)*Dim:]
	c.embedder.push(&c.mel, features)
	if c.chunks < settle {
		c.chunks++
		return features, false
	}
	return features, true
}

// Features returns the last Window embeddings, the oldest first, which is what a head looks at. Before
// there are as many, those of quiet stand in. They stay as they are until the next call of Process.
func (c *Chain) Features() []float32 { return c.window[:] }
