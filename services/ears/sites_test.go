package ears

import (
	"context"
	"errors"
	"io"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tarsd/tarsd/internal/audio"
)

// fixed is a microphone that gives n frames at once, each with its number, and then no more.
type fixed struct{ n, read int }

func (s *fixed) Read(ctx context.Context) (audio.Frame, error) {
	if s.read == s.n {
		<-ctx.Done()
		return audio.Frame{}, ctx.Err()
	}
	s.read++
	pcm := make([]int16, audio.FrameLen)
	pcm[0] = int16(s.read)
	return audio.Frame{PCM: pcm, At: time.Now()}, nil
}

func (s *fixed) Close() error { return nil }

// put adds a site to e, as Run does, and returns how it goes.
func put(t *testing.T, e *Ears, name string, n int) (leave func()) {
	t.Helper()
	hub := audio.NewHub(audio.HubOptions{Open: func(context.Context) (audio.Source, error) { return &fixed{n: n}, nil }, Stall: -1})
	st := e.sites.add(name, hub)
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() { _ = hub.Run(ctx) })
	return func() {
		e.sites.remove(st)
		cancel()
		wg.Wait()
	}
}

func fresh(t *testing.T) *Ears {
	t.Helper()
	e, err := New(Defaults())
	require.NoError(t, err)
	return e
}

// TestEach: one who is there before a site hears it from its first frame; one who comes later hears
// what comes later. Both hear that it goes, and Each ends with its context.
func TestEach(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		e := fresh(t)
		ctx, cancel := context.WithCancel(t.Context())
		type log struct {
			site  string
			first int16
			err   error
			cause error
		}
		heard := func(logs *[]log) func(ctx context.Context, site string, l *audio.Listener) {
			var mu sync.Mutex
			return func(ctx context.Context, site string, l *audio.Listener) {
				g := log{site: site}
				for {
					f, err := l.Next(t.Context()) // not ctx: the end of the sound is told too
					if err != nil {
						g.err = err
						break
					}
					if g.first == 0 {
						g.first = f.PCM[0]
					}
				}
				<-ctx.Done()
				g.cause = context.Cause(ctx)
				mu.Lock()
				defer mu.Unlock()
				*logs = append(*logs, g)
			}
		}
		var early, late []log
		var wg sync.WaitGroup
		var errs [2]error
		wg.Go(func() { errs[0] = e.Each(ctx, heard(&early)) })
		synctest.Wait()
		a := put(t, e, "room", 50)
		synctest.Wait()
		wg.Go(func() { errs[1] = e.Each(ctx, heard(&late)) })
		synctest.Wait()
		b := put(t, e, "kitchen", 7)
		synctest.Wait()
		b()
		synctest.Wait()
		assert.Equal(t, []log{{"kitchen", 1, io.EOF, ErrGone}}, early)
		assert.Equal(t, early, late)
		cancel()
		a() // its listeners wait for the end of the sound
		wg.Wait()
		assert.Equal(t, [2]error{}, errs)
		assert.Equal(t, log{"room", 1, io.EOF, context.Canceled}, early[1])
		assert.Equal(t, log{"room", 0, io.EOF, context.Canceled}, late[1])
		assert.Empty(t, e.sites.watchers)
	})
}

// TestEachOneAtATime: a site that comes back waits for who still has to do with it, and nobody else does.
func TestEachOneAtATime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		e := fresh(t)
		ctx, cancel := context.WithCancel(t.Context())
		hold := make(chan struct{})
		var mu sync.Mutex
		began := map[string]int{}
		var wg sync.WaitGroup
		wg.Go(func() {
			assert.NoError(t, e.Each(ctx, func(ctx context.Context, site string, _ *audio.Listener) {
				mu.Lock()
				began[site]++
				mu.Unlock()
				<-ctx.Done()
				<-hold
			}))
		})
		gone := put(t, e, "kitchen", 1)
		synctest.Wait()
		gone()
		put(t, e, "kitchen", 1)() // comes and goes while the first is still held
		again := put(t, e, "kitchen", 1)
		other := put(t, e, "page", 1)
		synctest.Wait()
		assert.Equal(t, map[string]int{"kitchen": 1, "page": 1}, began)
		close(hold)
		synctest.Wait()
		assert.Equal(t, map[string]int{"kitchen": 2, "page": 1}, began)
		again()
		other()
		cancel()
		wg.Wait()
	})
}

// TestEachPanic: what one listener does wrong is an error of its service, and not the end of the process.
func TestEachPanic(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		e := fresh(t)
		defer put(t, e, "room", 1)()
		defer put(t, e, "kitchen", 1)()
		var ended error
		began := make(chan struct{})
		err := e.Each(t.Context(), func(ctx context.Context, site string, _ *audio.Listener) {
			if site == "kitchen" {
				<-began
				panic("no such word")
			}
			close(began)
			<-ctx.Done()
			ended = ctx.Err()
		})
		require.ErrorContains(t, err, "site kitchen: panic: no such word")
		assert.Contains(t, err.Error(), "sites_test.go", "the stack")
		assert.ErrorIs(t, ended, context.Canceled)
	})
}

// TestEachReturns: a listener that has had enough is closed, and is not called again.
func TestEachReturns(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		e := fresh(t)
		leave := put(t, e, "room", 1)
		defer leave()
		ctx, cancel := context.WithCancel(t.Context())
		var n int
		var l *audio.Listener
		done := make(chan error)
		go func() {
			done <- e.Each(ctx, func(_ context.Context, _ string, mine *audio.Listener) { n++; l = mine })
		}()
		synctest.Wait()
		for {
			if _, err := l.Next(t.Context()); err != nil {
				assert.True(t, errors.Is(err, audio.ErrClosed), "%v", err)
				break
			}
		}
		assert.Equal(t, 1, n)
		cancel()
		assert.NoError(t, <-done)
	})
}
