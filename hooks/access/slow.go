package access

import (
	"context"
	"hash/maphash"
	"net/netip"
	"sync"
	"time"
)

// pace says how failed logins slow further ones down: the first free ones cost nothing, then the
// wait starts at first and doubles with each failure up to longest.
type pace struct {
	free    int
	first   time.Duration
	longest time.Duration
}

// The paces. A user's is that of one user name tried from one address; an address's is that of all
// names tried from it and bites only if many are, so that one device with an old password does not
// slow its neighbours behind the same router.
var (
	userPace      = pace{free: 3, first: 500 * time.Millisecond, longest: 30 * time.Second}
	addressPace   = pace{free: 20, first: 500 * time.Millisecond, longest: 10 * time.Second}
	localUserPace = pace{free: 10, first: 50 * time.Millisecond, longest: time.Second}
)

const (
	forgetAfter    = 10 * time.Minute // failures of a user name, since the last
	forgivePeriod  = 15 * time.Second // an address is forgiven one failure in each
	maxTracked     = 4096             // user names with addresses, and as many addresses
	maxWait        = 2 * time.Second  // a login waits this long for its turn, then it is refused
	maxWaiters     = 64               // logins that wait at once; others are refused at once
	maxWaitersEach = 4                // of one address
	maxWaitersHere = 16               // of this machine
)

// wait returns how long the next attempt has to wait after the last one failed.
func (p pace) wait(failures int) time.Duration {
	if failures < p.free {
		return 0
	}
	doublings := min(failures-p.free, 20)
	return min(p.first<<doublings, p.longest)
}

// origin is where a login comes from and whom it names.
type origin struct {
	address netip.Prefix // of IPv6 the /64, which is what one customer has; zero: this machine
	host    netip.Addr   // the address itself: on a network at home all share the /64
	local   bool
	user    uint64 // hash of the name; names are the attacker's bytes
}

// slowdown keeps the failures of logins in two bounded tables.
type slowdown struct {
	seed maphash.Seed

	mu      sync.Mutex
	users   map[origin]*userTries
	address map[netip.Prefix]*addressTries
	waiting map[netip.Prefix]int
	total   int // sum of waiting
}

type userTries struct {
	failures int
	next     time.Time // no attempt before
	last     time.Time
	good     bool // the right password came from there once: the address's pace does not bind
}

type addressTries struct {
	failures int
	next     time.Time
	last     time.Time // up to here failures have been forgiven
}

func newSlowdown() *slowdown {
	return &slowdown{
		seed:    maphash.MakeSeed(),
		users:   make(map[origin]*userTries),
		address: make(map[netip.Prefix]*addressTries),
		waiting: make(map[netip.Prefix]int),
	}
}

// from makes the origin of a login by a peer at host, an IP address, or anything if local.
func (s *slowdown) from(host string, local bool, user string) origin {
	o := origin{local: local, user: maphash.String(s.seed, user)}
	addr, err := netip.ParseAddr(host)
	if err != nil || local {
		return o
	}
	addr = addr.Unmap().WithZone("")
	o.host = addr
	bits := 64
	if addr.Is4() || addr.IsPrivate() || addr.IsLinkLocalUnicast() { // neighbours, not one customer
		bits = addr.BitLen()
	}
	o.address, _ = addr.Prefix(bits) // bits fit the address
	return o
}

// await blocks until an attempt may be made. It answers false when the turn does not come within
// the deadline or too many wait already. Who is refused was held for up to maxWait first: that is
// what slows a client that retries in a tight loop.
func (s *slowdown) await(ctx context.Context, o origin, deadline time.Time) bool {
	now := time.Now()
	next := s.next(o, now)
	if !next.After(now) {
		return true
	}
	if !s.enter(o) {
		return false
	}
	defer s.leave(o)
	until := next
	if until.After(deadline) {
		until = deadline
	}
	timer := time.NewTimer(until.Sub(now))
	defer timer.Stop()
	select {
	case <-timer.C:
		return !next.After(deadline)
	case <-ctx.Done():
		return false
	}
}

func (s *slowdown) enter(o origin) bool {
	each := maxWaitersEach
	if o.local {
		each = maxWaitersHere
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.total >= maxWaiters || s.waiting[o.address] >= each {
		return false
	}
	s.total++
	s.waiting[o.address]++
	return true
}

func (s *slowdown) leave(o origin) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.total--
	if s.waiting[o.address]--; s.waiting[o.address] == 0 {
		delete(s.waiting, o.address)
	}
}

// next returns when the next attempt may be made.
func (s *slowdown) next(o origin, now time.Time) time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.nextLocked(o, now)
}

func (s *slowdown) nextLocked(o origin, now time.Time) (next time.Time) {
	u := s.users[o]
	if u != nil {
		if now.Sub(u.last) > forgetAfter {
			u.failures, u.next = 0, time.Time{}
		}
		next = u.next
	}
	if o.local || (u != nil && u.good) {
		return next
	}
	if a := s.address[o.address]; a != nil && a.next.After(next) {
		next = a.next
	}
	return next
}

// claim takes the turn: false if somebody else did since await. Of those who wait for the same
// turn one gets it, and the others' turn is a full wait later.
func (s *slowdown) claim(o origin) bool {
	now := time.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.nextLocked(o, now).After(now) {
		return false
	}
	u := s.users[o]
	if u != nil {
		u.next = now.Add(o.pace().wait(u.failures))
	}
	if a := s.address[o.address]; a != nil && !o.local && (u == nil || !u.good) {
		a.forgive(now)
		a.next = now.Add(addressPace.wait(a.failures))
	}
	return true
}

func (o origin) pace() pace {
	if o.local {
		return localUserPace
	}
	return userPace
}

// failed counts a wrong password.
func (s *slowdown) failed(o origin) {
	now := time.Now()
	s.mu.Lock()
	defer s.mu.Unlock()
	u := s.users[o]
	if u == nil {
		makeRoom(s.users, func(u *userTries) time.Time { return u.last })
		u = &userTries{}
		s.users[o] = u
	}
	u.failures++
	u.last = now
	u.next = now.Add(o.pace().wait(u.failures))
	if o.local {
		return // one machine is one address: the names alone count
	}
	a := s.address[o.address]
	if a == nil {
		makeRoom(s.address, func(a *addressTries) time.Time { return a.last })
		a = &addressTries{last: now}
		s.address[o.address] = a
	}
	a.forgive(now)
	a.failures++
	a.next = now.Add(addressPace.wait(a.failures))
}

// succeeded forgets the failures of the user name, not those of the address: who has one right
// password could buy tries at others with it.
func (s *slowdown) succeeded(o origin) {
	s.mu.Lock()
	defer s.mu.Unlock()
	u := s.users[o]
	if u == nil {
		makeRoom(s.users, func(u *userTries) time.Time { return u.last })
		u = &userTries{}
		s.users[o] = u
	}
	*u = userTries{good: true, last: time.Now()}
}

func (a *addressTries) forgive(now time.Time) {
	n := int(now.Sub(a.last) / forgivePeriod)
	if n >= a.failures {
		a.failures, a.last = 0, now
		return
	}
	a.failures -= n
	a.last = a.last.Add(time.Duration(n) * forgivePeriod)
}

// makeRoom forgets the longest untouched of a few entries when a table is full. Looking at a few
// is enough: what matters is the bound, and that an entry in use rarely goes.
func makeRoom[K comparable, V any](table map[K]V, last func(V) time.Time) {
	if len(table) < maxTracked {
		return
	}
	const looks = 16
	var oldest K
	var when time.Time
	seen := 0
	for k, v := range table {
		if t := last(v); seen == 0 || t.Before(when) {
			oldest, when = k, t
		}
		if seen++; seen == looks {
			break
		}
	}
	delete(table, oldest)
}
