package waketrain

import (
	"context"
	"runtime"
	"sync"

	"github.com/tarsd/tarsd/internal/audio"
	"github.com/tarsd/tarsd/internal/engine/openwakeword"
	"github.com/tarsd/tarsd/internal/engine/openwakeword/train"
)

const (
	dim    = openwakeword.Dim
	window = openwakeword.Window
	chunk  = openwakeword.ChunkSamples
)

// heard is a scene as the chain hears it.
type heard struct {
	features []float32 // dim for each chunk
	calls    []call
}

func (h *heard) chunks() int { return len(h.features) / dim }

// window is what the head looks at with chunk i, of which window-1 must have been before.
func (h *heard) window(i int) []float32 { return h.features[(i-window+1)*dim : (i+1)*dim] }

// hear runs scenes through chains, several at a time, and hands each to use, one at a time, in order.
func (s *studio) hear(ctx context.Context, chain *openwakeword.Chain, scenes []scene, use func(heard)) error {
	type result struct {
		h   heard
		err error
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	slots := make([]chan result, len(scenes))
	for i := range slots {
		slots[i] = make(chan result, 1)
	}
	next := make(chan int)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel()
	for range runtime.GOMAXPROCS(0) {
		c := chain.Another()
		wg.Go(func() {
			for i := range next {
				h, err := s.hearOne(c, &scenes[i])
				slots[i] <- result{h, err}
			}
		})
	}
	wg.Go(func() {
		defer close(next)
		for i := range scenes {
			select {
			case next <- i:
			case <-ctx.Done():
				return
			}
		}
	})
	for _, slot := range slots {
		select {
		case r := <-slot:
			if r.err != nil {
				return r.err
			}
			use(r.h)
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

func (s *studio) hearOne(c *openwakeword.Chain, sc *scene) (heard, error) {
	sound, calls, err := s.play(sc)
	if err != nil {
		return heard{}, err
	}
	c.Reset()
	h := heard{calls: calls, features: make([]float32, 0, len(sound)/chunk*dim)}
	for ; len(sound) >= chunk; sound = sound[chunk:] {
		f, _ := c.Process(sound[:chunk])
		h.features = append(h.features, f...)
	}
	return h, nil
}

// Where the phrase has ended so long ago, in samples, a window is an example of it; and between
// unsureFrom and unsureTo it is no example at all.
const (
	wakeTo     = 7 * audio.Rate / 25 // 0.28 s
	unsureFrom = -audio.Rate / 5
	unsureTo   = audio.Rate
)

// examples are the windows of a scene.
func (h *heard) examples() (out []train.Example) {
	for i := window - 1; i < h.chunks(); i++ {
		wake, unsure := false, false
		for _, c := range h.calls {
			since := (i+1)*chunk - c.end
			wake = wake || since >= 0 && since < wakeTo
			unsure = unsure || since >= unsureFrom && since < unsureTo
		}
		if wake || !unsure {
			out = append(out, train.Example{Features: h.window(i), Wake: wake})
		}
	}
	return out
}

// guard is the time after a detection in which there is no other.
const guard = audio.Rate

// lateBy is how long after the end of the phrase a detection counts as that of it.
const lateBy = 3 * audio.Rate / 4

// scores are the peaks of a scene: for each call the highest score around its end, and for all
// other times the highest of each second that is above nothing.
type scores struct {
	calls  []float64
	others []float64
}

// judge scores a scene.
func (h *heard) judge(head *openwakeword.Head) scores {
	out := scores{calls: make([]float64, len(h.calls))}
	var mean openwakeword.Mean
	last, peak := -guard, 0.0
	flush := func() {
		if peak > 0.02 {
			out.others = append(out.others, peak)
		}
		peak = 0
	}
	for i := window - 1; i < h.chunks(); i++ {
		at, s := (i+1)*chunk, float64(mean.Add(head.Score(h.window(i))))
		mine := false
		for k, c := range h.calls {
			if since := at - c.end; since >= unsureFrom && since < unsureTo {
				mine = true
				if since < lateBy {
					out.calls[k] = max(out.calls[k], s)
				}
			}
		}
		if mine {
			continue
		}
		if at-last >= guard {
			flush()
			last = at
		}
		peak = max(peak, s)
	}
	flush()
	return out
}
