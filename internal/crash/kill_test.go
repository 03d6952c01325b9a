package crash

import (
	"fmt"
	"math/rand/v2"
	"os"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tarsd/tarsd/internal/crash/daemon"
)

// drainLimit is how long a broker may deliver nothing new although it owes something.
const drainLimit = 20 * time.Second

// killSettings give the queues room for the subscribers that stay away for several lives.
var killSettings = []string{
	"limits.queue_messages=1000000", "limits.queue_bytes=1073741824", "limits.queue_total_bytes=4294967296",
}

// number reads a knob.
func number(t *testing.T, name string, def uint64) uint64 {
	t.Helper()
	s := os.Getenv(name)
	if s == "" {
		return def
	}
	n, err := strconv.ParseUint(s, 10, 64)
	require.NoError(t, err, name)
	return n
}

// TestKill kills the broker at random moments under load and proves the promises of
// design.md section 2 at every delivery and at the end. See the ledger for the rules.
func TestKill(t *testing.T) {
	slow(t)
	kills := int(number(t, "TARSD_CRASH_KILLS", 15))
	seed := number(t, "TARSD_CRASH_SEED", rand.Uint64())
	t.Logf("TARSD_CRASH_SEED=%d TARSD_CRASH_KILLS=%d", seed, kills)
	r := &killer{t: t, w: newWorld(seed), b: newBroker(t, killSettings...), wills: newWills()}
	for r.n = range kills {
		r.life()
		r.check()
	}
	r.last()
	r.check()
	r.report()
}

// killer runs TestKill.
type killer struct {
	t     *testing.T
	w     *world
	b     *broker
	wills *wills
	n     int // lives so far

	acks, got, again, silent, subacks int64
	early, busy                       int           // deaths at start, and in the middle of a flood
	slowest                           time.Duration // from exec to accept
}

func (r *killer) check() {
	r.t.Helper()
	if err := r.w.led.err(); err != nil {
		r.t.Fatalf("in life %d of the broker: %v", r.n, err)
	}
}

// end kills, or stops nicely where TARSD_CRASH_SIGNAL asks for that.
func (r *killer) end(d *daemon.Daemon) {
	r.t.Helper()
	if os.Getenv("TARSD_CRASH_SIGNAL") == "TERM" {
		r.b.stop(r.t, d)
		return
	}
	d.Kill()
}

// life starts a broker, lets everybody talk, and kills it.
func (r *killer) life() {
	t, rng := r.t, r.w.rng
	if r.n > 0 && rng.IntN(6) == 0 { // dies while it starts
		d := r.b.launch(t)
		pause(t, time.Duration(rng.IntN(60))*time.Millisecond)
		d.Kill()
		r.early++
	}
	d := r.b.start(t)
	r.slowest = max(r.slowest, time.Since(d.Started))
	r.checkRetained(false)

	quota := []int64{1000, 20000, 60000}[rng.IntN(3)]
	l := r.w.birth(r.b.addr, quota, []int{1, 20, 100, 400}[rng.IntN(4)])
	l.churn = rng.IntN(2) == 0
	if r.n > 0 {
		l.late = r.w.late
	}
	subs := r.w.join(t.Context(), l, r.present()...)
	if r.n == 0 { // nothing may be sent before there are subscriptions to keep it
		eventually(t, startLimit, "all subscriptions confirmed", func() bool {
			return int(l.ready.Load()) == len(r.w.subs) || r.w.led.err() != nil
		})
		r.check()
	}
	r.wills.begin(t, r.b.addr, r.n)
	pubs := r.w.join(t.Context(), l, append(r.w.pubs, r.w.rets...)...)
	span := 1500
	if rng.IntN(3) == 0 {
		span = 60
	}
	select {
	case <-time.After(time.Duration(rng.IntN(span)) * time.Millisecond):
	case <-r.w.led.failed:
	case <-d.Done():
		t.Fatalf("the broker ended by itself, exit code %d:\n%s", d.ExitCode(), d.Log())
	}
	if l.quota.Load() > 0 {
		r.busy++
	}
	l.dead.Store(true)
	r.end(d)
	r.w.mourn(subs, pubs)
	r.wills.end(t)
	r.acks, r.got, r.again = r.acks+l.acks.Load(), r.got+l.got.Load(), r.again+l.again.Load()
	r.silent, r.subacks = r.silent+l.silent.Load(), r.subacks+l.subacks.Load()
}

// present chooses the subscribers that live through the next life of the broker. In the
// first one everybody is there.
func (r *killer) present() []*client {
	var here []*client
	for _, c := range r.w.subs {
		if r.n == 0 || !c.sometimes || r.w.rng.IntN(3) == 0 {
			here = append(here, c)
		}
	}
	return here
}

// last lets everybody finish, stops the broker nicely, and looks once more.
func (r *killer) last() {
	t := r.t
	r.n++
	d := r.b.start(t)
	r.checkRetained(false)
	l := r.w.birth(r.b.addr, 0, 400)
	all := r.w.join(t.Context(), l, r.w.clients()...)
	r.drain(l, all)
	r.wills.check(t, r.b.addr)
	r.checkRetained(true)
	l.dead.Store(true)
	r.b.stop(t, d)
	r.w.mourn(all)
	r.check()

	// After a clean stop everything is as it was, and nothing that is done comes again.
	r.n++
	d = r.b.start(t)
	l2 := r.w.birth(r.b.addr, 0, 400)
	all = r.w.join(t.Context(), l2, r.w.clients()...)
	r.drain(l2, all)
	pause(t, 300*time.Millisecond) // for what should not come
	r.checkRetained(true)
	l2.dead.Store(true)
	r.b.stop(t, d)
	r.w.mourn(all)
	r.got, r.again, r.silent = r.got+l.got.Load(), r.again+l.again.Load(), r.silent+l.silent.Load()
}

// drain waits until the broker owes nothing. A broker that is slow has time as long as
// it delivers.
func (r *killer) drain(l *life, all *company) {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	since, last := time.Now(), int64(-1)
	for {
		r.check()
		owed := r.w.owes()
		if owed == "" {
			return
		}
		if n := l.got.Load() + l.acks.Load(); n != last {
			since, last = time.Now(), n
		}
		if time.Since(since) > drainLimit {
			all.cancel()
			all.wg.Wait()
			r.w.accuse(fmt.Errorf("%w: nothing new for %v, and %s", errStuck, drainLimit, owed))
			r.check()
		}
		<-tick.C
	}
}

// checkRetained compares what a new subscriber is shown with the last acknowledged
// messages. final says that nothing is in flight.
func (r *killer) checkRetained(final bool) {
	r.t.Helper()
	want := 0
	for _, s := range r.w.led.all() {
		if _, _, none := s.retainedAllowed(); s.retain && !none {
			want++
		}
	}
	shown, err := r.w.led.showRetained(r.t.Context(), r.b.addr, byte(4+r.n%2), "r/#", want)
	require.NoError(r.t, err, "retained messages in life %d", r.n)
	for _, s := range r.w.led.all() {
		if !s.retain {
			continue
		}
		from, to, none := s.retainedAllowed()
		if final {
			require.Equal(r.t, from, to, "%v: all is acknowledged", s)
		}
		seq, ok := shown[s.topic]
		switch {
		case !ok && !none:
			r.w.led.fail("observer", s, uint32(max(from, 0)), fmt.Errorf("%w: nothing is shown, and message %d was acknowledged", errRetained, from))
		case ok && (seq < from || seq > to):
			r.w.led.fail("observer", s, uint32(seq), fmt.Errorf("%w: message %d is shown, %d was acknowledged and %d sent", errRetained, seq, from, to))
		}
	}
	r.check()
}

// report prints what the run has seen, so that a green run that did nothing shows.
func (r *killer) report() {
	var sent, acked uint32
	for _, s := range r.w.led.all() {
		n, a := s.snapshot()
		sent, acked = sent+n, acked+a
	}
	r.t.Logf("%d lives, %d ended in the middle of a flood, %d more deaths at start; slowest start %v; %d messages sent, %d acknowledged, 0 lost; %d deliveries, %d of them repeated, %d of those after a kill without DUP; %d late subscriptions; %s",
		r.n+1, r.busy, r.early, r.slowest.Round(time.Millisecond), sent, acked, r.got, r.again, r.silent, r.subacks, r.wills)
	require.Positive(r.t, acked)
	require.Positive(r.t, r.got)
}
