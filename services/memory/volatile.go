package memory

import (
	"bytes"
	"maps"
	"slices"
	"strings"
	"sync"
)

// volatile is a Store that forgets at the end of the process.
type volatile struct {
	mu      sync.Mutex
	records map[string][]byte
}

func newVolatile() *volatile { return &volatile{records: map[string][]byte{}} }

// Get implements Store.
func (s *volatile) Get(key []byte) ([]byte, bool, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	v, ok := s.records[string(key)]
	return bytes.Clone(v), ok, nil
}

// Range implements Store.
func (s *volatile) Range(prefix []byte, f func(k, v []byte) error) error {
	s.mu.Lock()
	records := maps.Clone(s.records)
	s.mu.Unlock()
	for _, k := range slices.Sorted(maps.Keys(records)) {
		if !strings.HasPrefix(k, string(prefix)) {
			continue
		}
		if err := f([]byte(k), records[k]); err != nil {
			return err
		}
	}
	return nil
}

// Write implements Store.
func (s *volatile) Write(done func(error), puts, deletes [][]byte) {
	s.mu.Lock()
	for kv := range slices.Chunk(puts, 2) {
		s.records[string(kv[0])] = bytes.Clone(kv[1])
	}
	for _, k := range deletes {
		delete(s.records, string(k))
	}
	s.mu.Unlock()
	done(nil)
}
