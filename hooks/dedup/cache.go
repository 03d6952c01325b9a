package dedup

import (
	"container/list"
	"sync"
	"time"
)

// cache knows the keys that were seen, youngest first, and those of messages that are open.
type cache struct {
	ttl time.Duration
	max int

	mu   sync.Mutex
	seen map[key]*list.Element
	ages list.List // of *entry, youngest in front
	open map[key]chan struct{}
}

type entry struct {
	key key
	at  time.Duration // when it was last seen, of a clock that never goes back
}

// state is what the cache knows of a message.
type state byte

const (
	isNew  state = iota // it is open from now on: settle has to follow
	isSeen              // a repeat
	isOpen              // the same message is open: wait for its end and ask again
)

func newCache(ttl time.Duration, entries int) *cache {
	return &cache{ttl: ttl, max: entries, seen: map[key]*list.Element{}, open: map[key]chan struct{}{}}
}

// ask looks a key up. The channel is closed when the open message has come to its end.
func (c *cache) ask(k key, now time.Duration) (state, <-chan struct{}) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for e := c.ages.Back(); e != nil && e.Value.(*entry).at < now-c.ttl; e = c.ages.Back() {
		c.forget(e)
	}
	if e := c.seen[k]; e != nil {
		e.Value.(*entry).at = now
		c.ages.MoveToFront(e)
		return isSeen, nil
	}
	if done := c.open[k]; done != nil {
		return isOpen, done
	}
	c.open[k] = make(chan struct{})
	return isNew, nil
}

// settle ends an open message. One that was taken is seen from now on.
func (c *cache) settle(k key, taken bool, now time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if done := c.open[k]; done != nil {
		delete(c.open, k)
		close(done)
	}
	if !taken || c.seen[k] != nil {
		return
	}
	c.seen[k] = c.ages.PushFront(&entry{key: k, at: now})
	if c.ages.Len() > c.max {
		c.forget(c.ages.Back())
	}
}

// forget drops an entry. mu is held.
func (c *cache) forget(e *list.Element) {
	delete(c.seen, c.ages.Remove(e).(*entry).key)
}
