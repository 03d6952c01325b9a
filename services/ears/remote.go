package ears

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/tarsd/tarsd/internal/audio"
	"github.com/tarsd/tarsd/services/client"
	"github.com/tarsd/tarsd/services/contract"
)

// Bounds of what comes on audio/in.
const (
	nameBytes  = 128         // of a site
	chunkBytes = 128 << 10   // of a piece: 200 ms of stereo at 48 kHz and 32 bits are 77 KB
	refuseLine = time.Minute // between log lines about what was refused
)

// remotes are the sites that send sound. The handler of the topic, of which there is one, makes them;
// each one's goroutine ends it.
type remotes struct {
	mu     sync.Mutex // guards what follows
	all    map[string]*remote
	closed bool

	refused refused // the handler's alone
}

// remote is a microphone elsewhere.
type remote struct {
	feed *audio.Feed
	last time.Time // of a piece that was good
}

// siteName reports whether a site may be called so: one level of a topic, for people.
func siteName(s string) bool {
	return s != "" && len(s) <= nameBytes && utf8.ValidString(s) && !strings.ContainsAny(s, "/+#\x00")
}

// chunk takes a message on audio/in.
func (r *run) chunk(ctx context.Context, m client.Message[[]byte]) {
	name := strings.TrimPrefix(m.Topic, strings.TrimSuffix(contract.AudioIn.Name, "+"))
	if err := r.take(name, m); err != nil {
		n, say := r.remotes.refused.count(m.Received)
		if !say {
			return
		}
		r.log.Warn().Ctx(ctx).Err(err).Str("topic", m.Topic).Uint64("refused", n).Msg("sound refused")
	}
}

// Reasons to refuse what comes.
var (
	errName = errors.New("no name of a site")
	errOurs = errors.New("a site with the name of this machine's own microphone")
	errFull = errors.New("too many sites")
	errLate = errors.New("retained: sound is never old")
)

func (r *run) take(name string, m client.Message[[]byte]) error {
	switch {
	case m.Retained:
		return errLate
	case !siteName(name):
		return errName
	case name == r.o.Room:
		return errOurs
	case len(m.Data) == 0:
		return nil // a page that listens, and says nothing: it makes no site and is no fault
	case len(m.Data) > chunkBytes:
		return fmt.Errorf("%w: %d bytes in a piece, at most %d", audio.ErrChunk, len(m.Data), chunkBytes)
	}
	rate, err := rateOf(m.Props)
	if err != nil {
		return err
	}
	rs := &r.remotes
	rs.mu.Lock() // no site is given up while it takes something
	defer rs.mu.Unlock()
	if rs.closed {
		return nil
	}
	rm, known := rs.all[name]
	if !known {
		if len(rs.all) >= r.o.MaxSites {
			return fmt.Errorf("%w: %d are there", errFull, len(rs.all))
		}
		rm = &remote{feed: audio.NewFeed()}
	}
	if err := rm.feed.Push(m.Data, rate); err != nil {
		return err
	}
	rm.last = time.Now()
	if !known { // nothing comes to be by what is refused
		rs.all[name] = rm
		r.begin(name, rm)
	}
	return nil
}

// rateOf is the rate that a message says, or 0.
func rateOf(props []client.UserProperty) (int, error) {
	for _, p := range props {
		if p.Key != contract.PropRate {
			continue
		}
		n, err := strconv.ParseUint(p.Value, 10, 31)
		if err != nil || n == 0 {
			return 0, fmt.Errorf("%w: the property %s is no number of samples a second", audio.ErrChunk, contract.PropRate)
		}
		return int(n), nil //nolint:gosec // 31 bits
	}
	return 0, nil
}

// listen shares a remote microphone until it goes.
func (r *run) listen(ctx context.Context, name string, rm *remote) {
	hub := audio.NewHub(audio.HubOptions{
		Open:  func(context.Context) (audio.Source, error) { return rm.feed, nil },
		Stall: -1, // one that sends only while somebody talks
	})
	st := r.sites.add(name, hub)
	r.log.Info().Str("site", name).Msg("microphone has come")
	ctx, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	wg.Go(func() { _ = hub.Run(ctx) }) // a feed has no error but the end
	r.remotes.idle(ctx, name, rm, r.o.Idle)
	r.sites.remove(st)
	cancel()
	wg.Wait()
	r.log.Info().Str("site", name).Msg("microphone has gone")
}

// idle returns when a site has sent nothing for a time, and takes it off the list, or when ctx ends.
func (rs *remotes) idle(ctx context.Context, name string, rm *remote, limit time.Duration) {
	timer := time.NewTimer(limit)
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-timer.C:
		}
		rs.mu.Lock()
		left := limit - time.Since(rm.last)
		if left <= 0 {
			delete(rs.all, name)
			rs.mu.Unlock()
			return
		}
		rs.mu.Unlock()
		timer.Reset(left)
	}
}

// close lets no site begin any more.
func (rs *remotes) close() {
	rs.mu.Lock()
	rs.closed = true
	rs.mu.Unlock()
}

// refused counts what was not taken.
type refused struct {
	n    uint64 // in all
	next time.Time
}

// count reports how many there were in all, and whether it is time to say so.
func (r *refused) count(now time.Time) (n uint64, say bool) {
	r.n++
	if now.Before(r.next) {
		return r.n, false
	}
	r.next = now.Add(refuseLine)
	return r.n, true
}
