package audio

import (
	"sync"
	"time"
)

const (
	// referenceTime is how much of what was played is remembered, with what will be played soon.
	referenceTime = 8 * time.Second
	maxReferences = 32
)

// Reference remembers what is being played where, so that who listens there can tell it from what
// people say. Its methods may be called by several goroutines.
type Reference struct {
	mu    sync.Mutex // guards what follows
	epoch time.Time  // time is counted in samples from here
	sites map[string]*played
}

// played is a ring of the sound of a site: sample n since the epoch is at n modulo its length.
type played struct {
	ring []int16
	end  int64 // behind the last sample
	rate int
	rs   *Resampler // nil at 16 kHz
}

// NewReference returns a memory in which nothing was played.
func NewReference() *Reference {
	return &Reference{epoch: time.Now(), sites: map[string]*played{}}
}

// Played says that samples at a rate are heard at a site from a time on, at most some seconds from
// now. Pieces that follow each other within 20 ms are one sound. Of more than 32 sites the one that
// was silent for longest is forgotten.
func (r *Reference) Played(site string, pcm []int16, rate int, at time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	p := r.site(site, rate)
	if p == nil {
		return
	}
	start := r.sample(at)
	if away := start - p.end; p.end == 0 || away > FrameLen || away < -FrameLen {
		if p.rs != nil {
			p.rs.Reset()
		}
	} else {
		start = p.end
	}
	if p.rs != nil {
		pcm = p.rs.Process(nil, pcm)
	}
	p.cut(start)
	for ; len(pcm) > 0; p.end++ {
		p.ring[p.end%int64(len(p.ring))] = pcm[0]
		pcm = pcm[1:]
	}
}

// Cut says that what was to be played at a site from a time on is not.
func (r *Reference) Cut(site string, at time.Time) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if p := r.sites[site]; p != nil {
		if n := r.sample(at); n < p.end {
			p.cut(n)
		}
	}
}

// Sound fills pcm with what is played at a site from a time on, at Rate, silence where nothing is or
// where it was forgotten. It reports whether anything is.
func (r *Reference) Sound(site string, from time.Time, pcm []int16) bool {
	clear(pcm)
	r.mu.Lock()
	defer r.mu.Unlock()
	p := r.sites[site]
	if p == nil {
		return false
	}
	n := r.sample(from)
	first, last := max(n, p.end-int64(len(p.ring)), 0), min(n+int64(len(pcm)), p.end)
	any := false
	for i := first; i < last; i++ {
		v := p.ring[i%int64(len(p.ring))]
		pcm[i-n] = v
		any = any || v != 0
	}
	return any
}

// sample counts whole seconds by themselves: nanoseconds times Rate are more than an int64 holds after
// six days.
func (r *Reference) sample(at time.Time) int64 {
	d := at.Sub(r.epoch)
	return int64(d/time.Second)*Rate + int64(d%time.Second)*Rate/int64(time.Second)
}

// site finds the memory of a site, or makes it. It is nil for a rate that cannot be.
func (r *Reference) site(name string, rate int) *played {
	p := r.sites[name]
	if p == nil {
		if len(r.sites) >= maxReferences {
			oldest, end := "", int64(0)
			for name, p := range r.sites {
				if oldest == "" || p.end < end {
					oldest, end = name, p.end
				}
			}
			delete(r.sites, oldest)
		}
		p = &played{ring: make([]int16, Samples(referenceTime, Rate)), rate: Rate}
		r.sites[name] = p
	}
	if p.rate != rate {
		rs, err := NewResampler(rate, Rate)
		if err != nil {
			return nil
		}
		p.rate, p.rs = rate, rs
		if rate == Rate {
			p.rs = nil
		}
	}
	return p
}

// cut forgets what is from sample n on, and fills up with silence what is missing before it.
func (p *played) cut(n int64) {
	size := int64(len(p.ring))
	if n >= p.end+size || n < 0 || n < p.end-size {
		clear(p.ring)
		p.end = max(n, 0)
		return
	}
	for i := min(n, p.end); i < max(n, p.end); i++ {
		p.ring[i%size] = 0
	}
	p.end = n
}
