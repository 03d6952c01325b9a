package chaos

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tarsd/tarsd/internal/cutproxy"
)

const (
	perSource  = 100              // messages a second; there are two sources
	backWithin = 10 * time.Second // from the broker's return to "reconnected"
	settle     = 40 * time.Second // for what is under way at the end
)

// TestNothingIsLostOnABadNetwork is the test of the package's comment.
func TestNothingIsLostOnABadNetwork(t *testing.T) {
	if testing.Short() {
		t.Skip("takes half a minute, and -short is set")
	}
	restarts, cuts := count(t, "TARSD_CHAOS_RESTARTS", 4), count(t, "TARSD_CHAOS_CUTS", 10)
	w := newWorld(t)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	w.flow(ctx)
	w.pause(time.Second)

	var back []time.Duration
	events := append(slices.Repeat([]bool{true}, restarts), slices.Repeat([]bool{false}, cuts)...)
	rand.Shuffle(len(events), func(i, j int) { events[i], events[j] = events[j], events[i] })
	r, c := 0, 0
	for _, restart := range events {
		if restart {
			back = append(back, w.restart(r)...)
			r++
		} else {
			w.cut(c)
			c++
		}
		w.pause(300 * time.Millisecond)
	}
	stop()
	w.settle()
	w.report(restarts, cuts, back)
}

// count is how often something happens.
func count(t *testing.T, name string, n int) int {
	t.Helper()
	if v := os.Getenv(name); v != "" {
		var err error
		n, err = strconv.Atoi(v)
		require.NoError(t, err, name)
	}
	return n
}

// restart ends the broker, every second time by force, and returns how long each service took to
// report that it is back.
func (w *world) restart(n int) []time.Duration {
	w.t.Helper()
	if n%2 == 0 {
		w.broker.Kill()
	} else {
		ctx, cancel := context.WithTimeout(w.t.Context(), 10*time.Second)
		_, err := w.broker.Stop(ctx)
		cancel()
		require.NoError(w.t, err, "stop %d", n)
	}
	w.pause(rand.N(1200 * time.Millisecond))
	at := time.Now() // of the exec, since a service may be back before we see that the broker accepts
	w.serve()
	deadline := time.After(backWithin)
	var took []time.Duration
	for _, s := range w.services {
		select {
		case <-w.health.since(s.name, at):
			took = append(took, w.health.first(s.name, at).Sub(at))
		case <-deadline:
			assert.Fail(w.t, "not back in time", "restart %d: %s does not report reconnected within %s", n, s.name, backWithin)
			took = append(took, backWithin)
		}
	}
	return took
}

// cut makes one or two links bad for a while.
func (w *world) cut(n int) {
	w.t.Helper()
	first := rand.IntN(len(w.services))
	proxies := []*cutproxy.Proxy{w.services[first].proxy}
	if n%3 == 0 {
		proxies = append(proxies, w.services[(first+1)%len(w.services)].proxy)
	}
	for _, p := range proxies {
		switch n % 4 {
		case 0:
			p.Cut()
		case 1: // the cable is out for a moment
			p.Stall(true)
		case 2: // so slow that much is under way, and then cut
			p.Delay(50*time.Millisecond + rand.N(150*time.Millisecond))
		case 3: // the cable is out for so long that the watchdog has to find it
			p.Stall(true)
		}
	}
	switch n % 4 {
	case 0:
		w.pause(rand.N(500 * time.Millisecond))
	case 3:
		w.pause(heartbeat*3 + rand.N(time.Second))
	default:
		w.pause(500*time.Millisecond + rand.N(time.Second))
	}
	for _, p := range proxies {
		p.Cut() // with all that is under way
		p.Stall(false)
		p.Delay(0)
	}
}

// settle waits until everything that was accepted has arrived, or too much time has passed.
func (w *world) settle() {
	w.t.Helper()
	w.sources.Wait()
	deadline := time.Now().Add(settle)
	for w.missing() > 0 && time.Now().Before(deadline) {
		w.pause(100 * time.Millisecond)
	}
	w.pause(2 * time.Second) // for what should not come: repeats
}

// pause waits, and ends the test when the broker has ended by itself.
func (w *world) pause(d time.Duration) {
	w.t.Helper()
	select {
	case <-time.After(d):
	case <-w.t.Context().Done():
	}
}

func (w *world) report(restarts, cuts int, back []time.Duration) {
	w.t.Helper()
	slices.Sort(back)
	p99 := time.Duration(0)
	if len(back) > 0 {
		p99 = back[min(len(back)-1, len(back)*99/100)]
	}
	sum := w.ledger.sum()
	reconnects := 0
	for _, s := range w.services {
		reconnects += s.stats().Reconnects
	}
	rows := []struct {
		what  string
		value any
	}{
		{"restarts of the broker (half of them kill -9)", restarts},
		{"cuts of links (reset, loss, delay and reset, long loss)", cuts},
		{"reconnects of the services", reconnects},
		{"published", sum.published}, {"  acknowledged", sum.acked}, {"  queued in the client", sum.queued},
		{"  refused or unconfirmed", sum.refused},
		{"acknowledged and lost", sum.ackedLost}, {"queued and lost", sum.queuedLost}, {"duplicates in handlers", sum.duplicates},
		{"\"reconnected\" after the broker's return, median", at(back, 50)}, {"  p99", p99.Round(time.Millisecond)},
	}
	text := "\n"
	for _, r := range rows {
		text += fmt.Sprintf("%-58s %v\n", r.what, r.value)
	}
	w.t.Log(text)
	if name := os.Getenv("TARSD_CHAOS_REPORT"); name != "" {
		require.NoError(w.t, os.WriteFile(filepath.Clean(name), []byte(text), 0o600))
	}
	assert.Zero(w.t, sum.ackedLost, "acknowledged messages lost")
	assert.Zero(w.t, sum.queuedLost, "messages lost that the client had taken")
	assert.Zero(w.t, sum.duplicates, "messages that a handler saw twice")
	assert.GreaterOrEqual(w.t, reconnects, restarts*len(w.services), "the test did what it says")
	assert.Greater(w.t, sum.acked, sum.published/3, "the flow was steady")
}

func at(sorted []time.Duration, percent int) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[min(len(sorted)-1, len(sorted)*percent/100)].Round(time.Millisecond)
}
