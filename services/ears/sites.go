package ears

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"slices"
	"sync"

	"github.com/tarsd/tarsd/internal/audio"
)

// ErrGone is the cause for which the context of a listener to a site ends when the site has gone.
var ErrGone = errors.New("microphone has gone")

// site is a microphone that there is now.
type site struct {
	name string
	hub  *audio.Hub
	gone chan struct{} // closed when it has gone
}

// sites are all of them, and who wants to hear of new ones.
type sites struct {
	mu       sync.Mutex // guards what follows, and the watchers; before the lock of a hub
	all      []*site
	watchers map[*watcher]struct{}
}

// watcher is a call of Each.
type watcher struct {
	came []arrival
	wake chan struct{}
}

// arrival is a site with a listener that hears it from the beginning.
type arrival struct {
	site *site
	l    *audio.Listener
}

// add makes a site known. Its hub begins after that, so that no listener misses the first word.
func (s *sites) add(name string, hub *audio.Hub) *site {
	st := &site{name, hub, make(chan struct{})}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.all = append(s.all, st)
	for w := range s.watchers {
		w.tell(st)
	}
	return st
}

func (s *sites) remove(st *site) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.all = slices.DeleteFunc(s.all, func(o *site) bool { return o == st })
	close(st.gone)
}

// watch begins with the sites that there are.
func (s *sites) watch() *watcher {
	w := &watcher{wake: make(chan struct{}, 1)}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.watchers == nil {
		s.watchers = map[*watcher]struct{}{}
	}
	s.watchers[w] = struct{}{}
	for _, st := range s.all {
		w.tell(st)
	}
	return w
}

func (s *sites) unwatch(w *watcher) {
	s.mu.Lock()
	delete(s.watchers, w)
	s.mu.Unlock()
	for _, a := range s.take(w) {
		a.l.Close()
	}
}

// take returns what has come since.
func (s *sites) take(w *watcher) []arrival {
	s.mu.Lock()
	defer s.mu.Unlock()
	came := w.came
	w.came = nil
	return came
}

// tell is called with the lock of the sites held.
func (w *watcher) tell(st *site) {
	w.came = append(w.came, arrival{st, st.hub.Listen(0)})
	select {
	case w.wake <- struct{}{}:
	default:
	}
}

// Each calls f in a goroutine of its own for each site that there is, and that comes, until ctx ends.
// The context of f ends, with the cause ErrGone, when the site goes, and its listener then has io.EOF;
// f is not called again for a site before it has returned. The listener is closed after f. Each returns
// when all f have: nil, or the panic of one, which ends the others. It may be called before Run, and goes
// on over a restart.
func (e *Ears) Each(ctx context.Context, f func(ctx context.Context, site string, l *audio.Listener)) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	w := e.sites.watch()
	defer e.sites.unwatch(w)
	var wg sync.WaitGroup
	last := map[string]chan struct{}{}
	for {
		for _, a := range e.sites.take(w) {
			for name, done := range last {
				if closed(done) {
					delete(last, name)
				}
			}
			before, done := last[a.site.name], make(chan struct{})
			last[a.site.name] = done
			wg.Go(func() {
				defer close(done)
				defer a.l.Close()
				if before != nil {
					<-before
				}
				if err := attend(ctx, a, f); err != nil {
					cancel(err)
				}
			})
		}
		select {
		case <-w.wake:
		case <-ctx.Done():
			wg.Wait()
			if err := context.Cause(ctx); errors.As(err, new(*panicError)) {
				return err
			}
			return nil
		}
	}
}

// attend calls f for a site, unless it has gone.
func attend(ctx context.Context, a arrival, f func(context.Context, string, *audio.Listener)) (err error) {
	if ctx.Err() != nil || closed(a.site.gone) {
		return nil
	}
	ctx, cancel := context.WithCancelCause(ctx)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer cancel(nil)
	wg.Go(func() {
		select {
		case <-a.site.gone:
			cancel(ErrGone)
		case <-ctx.Done():
		}
	})
	defer func() {
		if p := recover(); p != nil {
			err = &panicError{fmt.Sprintf("site %s: panic: %v\n%s", a.site.name, p, debug.Stack())}
		}
	}()
	f(ctx, a.site.name, a.l)
	return nil
}

// panicError is a panic of a listener. It is no reason to lose the process, as one of a goroutine would be.
type panicError struct{ text string }

func (e *panicError) Error() string { return e.text }

func closed(c chan struct{}) bool {
	select {
	case <-c:
		return true
	default:
		return false
	}
}
