package memory

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/rs/zerolog"
)

// Embedder makes vectors of texts, so that texts of like meaning have vectors of like direction.
type Embedder interface {
	// ID names the embedder: vectors of another ID are made anew.
	ID() string
	// Embed returns a vector for each text, all of the same length.
	Embed(ctx context.Context, texts []string) ([][]float32, error)
}

const (
	// embedBatch is how many records get their vectors at once: few, so that a question that
	// comes meanwhile has not long to wait for the processor.
	embedBatch = 8
	// queryTime is how long a question waits for its vector before it is answered by words only.
	queryTime = 2 * time.Second
	// cacheSize is how many vectors of questions are remembered. A question that was just said has
	// its vector already when the language model asks for it.
	cacheSize = 64
	// After a failure the embedder is left alone for a while, which doubles each time.
	leastRest = time.Second
	mostRest  = time.Minute
)

// vectors makes the vectors of one run: of questions at once, of records in its own goroutine.
type vectors struct {
	embedder Embedder // nil: none
	book     *book
	log      zerolog.Logger
	changed  func(error) // hears when the embedder begins to fail, or works again (nil)
	wake     chan struct{}

	mu      sync.Mutex
	cache   map[string][]float32
	order   []string // of the cache, the oldest first
	problem error
	until   time.Time // no question asks a failing embedder before
}

func newVectors(e Embedder, b *book, log zerolog.Logger, changed func(error)) *vectors {
	return &vectors{embedder: e, book: b, log: log, changed: changed, wake: make(chan struct{}, 1), cache: map[string][]float32{}}
}

// more says that there may be records without vectors. It never waits.
func (v *vectors) more() {
	select {
	case v.wake <- struct{}{}:
	default:
	}
}

// query returns the vector of a question, or nil if there is none in time.
func (v *vectors) query(ctx context.Context, text string) []float32 {
	if v.embedder == nil {
		return nil
	}
	text = cut(text, maxTextBytes)
	v.mu.Lock()
	vector, known := v.cache[plainText(text)]
	resting := time.Now().Before(v.until)
	v.mu.Unlock()
	if known || resting {
		return vector
	}
	ctx, cancel := context.WithTimeout(ctx, queryTime)
	defer cancel()
	out, err := v.embed(ctx, []string{text})
	if err != nil {
		return nil
	}
	return out[0]
}

// embed asks the embedder, remembers what it says of short texts, and how it is.
func (v *vectors) embed(ctx context.Context, texts []string) ([][]float32, error) {
	out, err := v.embedder.Embed(ctx, texts)
	if err == nil && len(out) != len(texts) {
		err = fmt.Errorf("the embedder gave %d vectors for %d texts", len(out), len(texts))
	}
	for i := range out {
		if err == nil && len(out[i]) == 0 {
			err = errors.New("the embedder gave an empty vector")
		}
	}
	if err != nil && ctx.Err() != nil && errors.Is(context.Cause(ctx), context.Canceled) {
		return nil, err // the end of the run, not the embedder's fault
	}
	v.mu.Lock()
	was := v.problem
	v.problem = err
	if err != nil {
		v.until = time.Now().Add(leastRest)
	} else {
		for i, text := range texts {
			v.remember(plainText(text), out[i])
		}
	}
	v.mu.Unlock()
	if (was == nil) != (err == nil) {
		v.changed(err)
	}
	return out, err
}

// remember puts a vector into the cache. mu is held.
func (v *vectors) remember(text string, vector []float32) {
	if _, known := v.cache[text]; known {
		return
	}
	if len(v.order) == cacheSize {
		delete(v.cache, v.order[0])
		v.order = v.order[1:]
	}
	v.cache[text] = vector
	v.order = append(v.order, text)
}

// work gives vectors to records that have none, until ctx ends: new ones at once, and all others
// after a change of the embedder, slowly enough that half of a core is left.
func (v *vectors) work(ctx context.Context) {
	rest := leastRest
	for {
		began := time.Now()
		n, err := v.step(ctx)
		var pause time.Duration
		switch {
		case ctx.Err() != nil:
			return
		case err != nil:
			v.log.Debug().Err(err).Msg("no vectors")
			pause, rest = rest, min(2*rest, mostRest)
		case n == embedBatch:
			pause, rest = time.Since(began), leastRest
		default:
			rest = leastRest
			select {
			case <-v.wake:
				continue
			case <-ctx.Done():
				return
			}
		}
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return
		}
	}
}

// step makes the vectors of a few records and returns of how many.
func (v *vectors) step(ctx context.Context) (int, error) {
	batch := v.book.missing(embedBatch)
	if len(batch) == 0 {
		return 0, nil
	}
	texts, ids := make([]string, len(batch)), make([]uint64, len(batch))
	for i := range batch {
		texts[i], ids[i] = batch[i].text, batch[i].id
	}
	out, err := v.embed(ctx, texts)
	if err != nil {
		return 0, err
	}
	return len(batch), v.book.setVectors(ids, out)
}
