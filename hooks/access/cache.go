package access

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"sync"
	"time"
)

// cache remembers for a short time which password was right for a user, so that a hundred
// devices which reconnect at once do not each cost an argon2id computation. It holds an HMAC under
// a key that is made at start and never leaves the process, and one entry per user at most.
//
// Only right passwords are remembered: a wrong one always costs the full computation, or the time
// of a refusal would tell who logged in recently.
type cache struct {
	key [sha256.Size]byte
	ttl time.Duration

	mu      sync.Mutex
	entries map[string]cached
}

type cached struct {
	mac      [sha256.Size]byte
	password *passwordHash // the one that was compared; another one makes the entry worthless
	until    time.Time
}

func newCache(ttl time.Duration) *cache {
	c := &cache{ttl: ttl, entries: make(map[string]cached)}
	_, _ = rand.Read(c.key[:])
	return c
}

func (c *cache) mac(password []byte) (sum [sha256.Size]byte) {
	h := hmac.New(sha256.New, c.key[:])
	h.Write(password)
	h.Sum(sum[:0])
	return sum
}

func (c *cache) holds(r *record, password []byte) bool {
	c.mu.Lock()
	e, found := c.entries[r.name]
	c.mu.Unlock()
	if !found || e.password != r.password || time.Now().After(e.until) {
		return false
	}
	sum := c.mac(password)
	return hmac.Equal(sum[:], e.mac[:])
}

func (c *cache) put(r *record, password []byte) {
	if c.ttl <= 0 {
		return
	}
	e := cached{mac: c.mac(password), password: r.password, until: time.Now().Add(c.ttl)}
	c.mu.Lock()
	c.entries[r.name] = e
	c.mu.Unlock()
}

func (c *cache) drop(name string) {
	c.mu.Lock()
	delete(c.entries, name)
	c.mu.Unlock()
}
