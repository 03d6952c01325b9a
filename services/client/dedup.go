package client

import (
	"container/list"
	"context"
	"encoding/json"
	"hash/fnv"
	"reflect"
	"sync"
	"time"
)

// What a subscription remembers of messages that it has handled.
const (
	dedupTTL     = 30 * time.Second
	dedupEntries = 2048
	dedupID      = 256 // bytes of type and id that are worth remembering; ids of ours have 32
)

// dedupKey tells messages apart. The topic is a part of it, other than in the system that this
// replaces: the same envelope under two members of a family is two pieces of news.
type dedupKey struct {
	topic, typ, id string
	seq            bool   // sum is the sequence number
	sum            uint64 // otherwise a hash of the content, the same in every process
}

// dedup remembers the keys that were handled within ttl, the newest of them, at most limit.
type dedup struct {
	ttl   time.Duration
	limit int

	mu   sync.Mutex
	seen map[dedupKey]*list.Element
	old  list.List // of *dedupEntry, the longest unseen first
	runs map[dedupKey]chan struct{}
}

type dedupEntry struct {
	key dedupKey
	at  time.Time
}

func newDedup(ttl time.Duration, limit int) *dedup {
	return &dedup{ttl: ttl, limit: limit, seen: map[dedupKey]*list.Element{}, runs: map[dedupKey]chan struct{}{}}
}

// once calls run unless it has succeeded for this key. While it runs for the key in another
// worker, it waits for the outcome: a failure lets this copy through.
func (d *dedup) once(ctx context.Context, k dedupKey, run func() error) (verdict, error) {
	for {
		d.mu.Lock()
		if d.repeated(k, time.Now()) {
			d.mu.Unlock()
			return verdictDuplicate, nil
		}
		running := d.runs[k]
		if running == nil {
			break
		}
		d.mu.Unlock()
		select {
		case <-running:
		case <-ctx.Done():
			return verdictHandled, ctx.Err()
		}
	}
	done := make(chan struct{})
	d.runs[k] = done
	d.mu.Unlock()
	ok := false
	defer func() { // also after a panic
		d.mu.Lock()
		delete(d.runs, k)
		if ok {
			d.add(k, time.Now())
		}
		d.mu.Unlock()
		close(done)
	}()
	err := run()
	ok = err == nil
	return verdictHandled, err
}

// repeated forgets what is too old, and says whether k is known; then it is fresh again. mu is held.
func (d *dedup) repeated(k dedupKey, now time.Time) bool {
	for e := d.old.Front(); e != nil && now.Sub(e.Value.(*dedupEntry).at) > d.ttl; e = d.old.Front() {
		delete(d.seen, e.Value.(*dedupEntry).key)
		d.old.Remove(e)
	}
	e := d.seen[k]
	if e == nil {
		return false
	}
	e.Value.(*dedupEntry).at = now
	d.old.MoveToBack(e)
	return true
}

func (d *dedup) add(k dedupKey, now time.Time) {
	d.seen[k] = d.old.PushBack(&dedupEntry{k, now})
	if d.old.Len() > d.limit {
		e := d.old.Front()
		delete(d.seen, e.Value.(*dedupEntry).key)
		d.old.Remove(e)
	}
}

// keyOf makes the function that takes the key of a message: type, id, and data.seq when that is a
// number, or else a hash of the data. A bare object has none, and neither has an envelope
// without an id or with a very long one.
func keyOf[T any]() func(*Message[T]) (dedupKey, bool) {
	seq := seqField(reflect.TypeFor[T]())
	return func(m *Message[T]) (dedupKey, bool) {
		if m.Bare || m.ID == "" || len(m.ID)+len(m.Type) > dedupID {
			return dedupKey{}, false
		}
		k := dedupKey{topic: m.Topic, typ: m.Type, id: m.ID}
		if seq >= 0 {
			v := reflect.ValueOf(&m.Data).Elem().Field(seq)
			if v.Kind() == reflect.Pointer && !v.IsNil() {
				v = v.Elem()
			}
			if v.Kind() != reflect.Pointer {
				k.seq, k.sum = true, uint64(v.Int()) //nolint:gosec // any 64 bits will do
				return k, true
			}
		}
		// The decoded data, written again: keys in the order of the struct, those of maps sorted.
		h := fnv.New64a()
		if err := json.NewEncoder(h).Encode(m.Data); err != nil {
			return dedupKey{}, false
		}
		k.sum = h.Sum64()
		return k, true
	}
}

// seqField finds the integer field seq of a payload, or -1.
func seqField(t reflect.Type) int {
	if t.Kind() != reflect.Struct {
		return -1
	}
	for i := range t.NumField() {
		f := t.Field(i)
		ft := f.Type
		if ft.Kind() == reflect.Pointer {
			ft = ft.Elem()
		}
		if f.IsExported() && f.Tag.Get("json") == "seq" && (ft.Kind() == reflect.Int || ft.Kind() == reflect.Int64) {
			return i
		}
	}
	return -1
}
