package access

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tarsd/tarsd/hooks/delivery"
	"github.com/tarsd/tarsd/internal/wire"
)

// try logs in and returns the answer and how long it took.
func try(p *Policy, host string, local bool, name, password string) (wire.Code, time.Duration) {
	start := time.Now()
	_, code, _ := p.Login(context.Background(), host, local, name, []byte(password))
	return code, time.Since(start)
}

const (
	wrong  = wire.BadUserNameOrPassword
	slowed = wire.ConnectionRateExceeded
)

func TestSlowdownDoubles(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newTestPolicy(t, testOptions{users: []string{"anna"}})
		for i, want := range []time.Duration{0, 0, 0, 500 * time.Millisecond, time.Second, 2 * time.Second} {
			code, took := try(p, "192.168.1.7", false, "anna", "x")
			assert.Equal(t, wrong, code, "try %d", i)
			assert.Equal(t, want, took, "try %d", i)
		}
		// The next turn is 4 s away: refused, but not before the 2 s that slow a tight loop.
		code, took := try(p, "192.168.1.7", false, "anna", "anna")
		assert.Equal(t, slowed, code)
		assert.Equal(t, maxWait, took)
		// Refusals do not push the turn away, and the right password gets it.
		code, took = try(p, "192.168.1.7", false, "anna", "anna")
		assert.Equal(t, wire.Success, code)
		assert.Equal(t, 2*time.Second, took)
		code, took = try(p, "192.168.1.7", false, "anna", "x")
		assert.Equal(t, wrong, code)
		assert.Zero(t, took, "a success forgets the failures")
	})
}

// TestSlowdownIsNoLockout has one address guess for an hour, as fast as it can.
func TestSlowdownIsNoLockout(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newTestPolicy(t, testOptions{users: []string{"anna"}})
		guesses := 0
		for start := time.Now(); time.Since(start) < time.Hour; {
			if code, _ := try(p, "192.168.1.7", false, "anna", "x"); code == wrong {
				guesses++
			}
		}
		assert.InDelta(t, 3600/30, guesses, 12, "one guess in 30 s")
		start := time.Now()
		for {
			if code, _ := try(p, "192.168.1.7", false, "anna", "anna"); code == wire.Success {
				break
			}
		}
		assert.LessOrEqual(t, time.Since(start), userPace.longest)
		code, took := try(p, "192.168.1.8", false, "anna", "anna")
		assert.Equal(t, wire.Success, code)
		assert.Zero(t, took, "other addresses never noticed")
	})
}

func TestSlowdownForgets(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newTestPolicy(t, testOptions{users: []string{"anna"}})
		for range 6 {
			try(p, "192.168.1.7", false, "anna", "x")
		}
		<-time.After(forgetAfter + time.Second) // fake: instant
		for range 3 {
			code, took := try(p, "192.168.1.7", false, "anna", "x")
			assert.Equal(t, wrong, code)
			assert.Zero(t, took)
		}
	})
}

// TestSlowdownOfNames tries many user names from one address.
func TestSlowdownOfNames(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newTestPolicy(t, testOptions{users: []string{"anna", "bert"}})
		const host = "2001:db8:1:2:3::4"
		code, _ := try(p, host, false, "anna", "anna")
		require.Equal(t, wire.Success, code)
		guesses, start := 0, time.Now()
		for i := 0; time.Since(start) < 10*time.Minute; i++ {
			// The address changes within its /64.
			if code, _ := try(p, fmt.Sprintf("2001:db8:1:2::%x", i%65536), false, fmt.Sprint("name", i), "x"); code == wrong {
				guesses++
			}
		}
		assert.InDelta(t, 20+600/10, guesses, 15)
		code, took := try(p, host, false, "anna", "anna")
		assert.Equal(t, wire.Success, code)
		assert.Zero(t, took, "who was there before is not slowed by others")
		start = time.Now()
		for {
			if code, _ := try(p, host, false, "bert", "bert"); code == wire.Success {
				break
			}
		}
		assert.LessOrEqual(t, time.Since(start), addressPace.longest)
		code, took = try(p, "2001:db8:1:3::4", false, "bert", "bert")
		assert.Equal(t, wire.Success, code)
		assert.Zero(t, took, "the next /64 is somebody else")
		// One failure in 15 s is forgiven for ever.
		<-time.After(time.Hour) // fake: instant
		for i := range 60 {
			_, took := try(p, host, false, fmt.Sprint("slow", i), "x")
			assert.Zero(t, took)
			<-time.After(forgivePeriod) // fake: instant
		}
	})
}

func TestSlowdownIsGentleHere(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newTestPolicy(t, testOptions{users: []string{"anna"}})
		for i := range 40 {
			code, took := try(p, "127.0.0.1", true, "anna", "x")
			assert.Equal(t, wrong, code)
			assert.Equal(t, localUserPace.wait(i), took, "try %d", i)
			assert.LessOrEqual(t, took, time.Second)
		}
		code, took := try(p, "", true, "anna", "anna")
		assert.Equal(t, wire.Success, code)
		assert.LessOrEqual(t, took, time.Second)
	})
}

// TestSlowdownOfTightLoop has clients that are refused without a password come again at once.
func TestSlowdownOfTightLoop(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newTestPolicy(t, testOptions{Options: Options{TLSUser: true}, users: []string{"anna"}})
		for _, peer := range []*delivery.Peer{remotePeer(), certPeer("nobody")} {
			codes := map[wire.Code]int{}
			for start := time.Now(); time.Since(start) < time.Minute; {
				code, _ := p.Authenticate(t.Context(), peer, nil, nil)
				codes[code]++
			}
			assert.Len(t, codes, 2)
			assert.InDelta(t, 8, codes[wire.NotAuthorized], 3)
			assert.Less(t, codes[slowed], 40)
		}
		require.NoError(t, p.users.SetRoles(t.Context(), "nobody", []string{RoleViewer}))
		code, took := try(p, remotePeer().Host, false, "anna", "anna")
		assert.Equal(t, wire.Success, code)
		assert.Zero(t, took, "the neighbour is not slowed")
		code, _ = p.Authenticate(t.Context(), certPeer("nobody"), nil, nil)
		assert.Equal(t, wire.Success, code, "nor is the certificate once it has a user")
	})
}

// TestSlowdownOfBurst starts a thousand guesses at once: no more of them are looked at than one
// after the other would be, and few wait.
func TestSlowdownOfBurst(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newTestPolicy(t, testOptions{users: []string{"anna"}})
		var mu sync.Mutex
		codes := map[wire.Code]int{}
		var wg sync.WaitGroup
		for range 1000 {
			wg.Go(func() {
				code, took := try(p, "192.168.1.7", false, "anna", "x")
				mu.Lock()
				defer mu.Unlock()
				codes[code]++
				assert.LessOrEqual(t, took, maxWait)
			})
		}
		wg.Wait()
		// 3 are free and as many as compute at once may have begun; then 0.5 s, 1 s; 2 s is too late.
		assert.LessOrEqual(t, codes[wrong], 3+2+3, "%v", codes)
		assert.Empty(t, p.slow.waiting)
		assert.Zero(t, p.slow.total)
	})
}

// TestSlowdownWaiters fills the places for those who wait, from many addresses.
func TestSlowdownWaiters(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := newTestPolicy(t, testOptions{users: []string{"anna"}})
		host := func(i int) string { return fmt.Sprintf("10.0.0.%d", i) }
		for i := range 20 {
			for range 5 {
				p.slow.failed(p.slow.from(host(i), false, "anna"))
			}
		}
		ctx, cancel := context.WithCancel(t.Context())
		var wg sync.WaitGroup
		for i := range 20 {
			for range 10 {
				wg.Go(func() {
					_, code, _ := p.Login(ctx, host(i), false, "anna", []byte("x"))
					assert.Contains(t, []wire.Code{slowed, wrong}, code)
				})
			}
		}
		synctest.Wait()
		assert.Equal(t, maxWaiters, p.slow.total)
		for _, n := range p.slow.waiting {
			assert.LessOrEqual(t, n, maxWaitersEach)
		}
		cancel()
		wg.Wait()
		assert.Zero(t, p.slow.total)
	})
}

func TestSlowdownTablesAreBounded(t *testing.T) {
	t.Parallel()
	s := newSlowdown()
	for i := range 3 * maxTracked {
		o := s.from(fmt.Sprintf("10.%d.%d.%d", i>>16, i>>8&255, i&255), false, fmt.Sprint("name", i))
		s.failed(o)
		if i%2 == 0 {
			s.succeeded(o)
		}
	}
	assert.LessOrEqual(t, len(s.users), maxTracked)
	assert.LessOrEqual(t, len(s.address), maxTracked)
}

func TestOrigins(t *testing.T) {
	t.Parallel()
	s := newSlowdown()
	same := func(a, b string) bool { return s.from(a, false, "x").address == s.from(b, false, "x").address }
	assert.True(t, same("10.0.0.1", "::ffff:10.0.0.1"))
	assert.False(t, same("10.0.0.1", "10.0.0.2"))
	assert.True(t, same("fe80::1%eth0", "fe80::1"))
	assert.False(t, same("fe80::1", "fe80::2"))
	assert.True(t, same("2001:db8::1", "2001:db8::2"))
	assert.False(t, same("2001:db8::1", "2001:db8:0:1::1"))
	assert.True(t, same("nonsense", ""))
	assert.NotEqual(t, s.from("", true, "x"), s.from("", false, "x"))
	assert.NotEqual(t, s.from("10.0.0.1", false, "x"), s.from("10.0.0.1", false, "y"))
}

// Neighbours on an IPv6 network share the /64: one of them must not lock the others out.
func TestNeighboursDoNotLockEachOtherOut(t *testing.T) {
	t.Parallel()
	s := newSlowdown()
	for range 100 {
		s.failed(s.from("fd00::66", false, "owner"))
		s.failed(s.from("fe80::66", false, "owner"))
		s.failed(s.from("2001:db8::66", false, "owner"))
	}
	now := time.Now()
	assert.False(t, s.next(s.from("fd00::10", false, "owner"), now).After(now), "private")
	assert.False(t, s.next(s.from("fe80::10", false, "owner"), now).After(now), "link-local")
	known := s.from("2001:db8::10", false, "owner")
	s.succeeded(known)
	assert.False(t, s.next(known, now).After(now), "logged in before from its own address")
	stranger := s.from("2001:db8::11", false, "owner")
	assert.True(t, s.next(stranger, now).After(now), "the /64 of one customer is one address")
}
