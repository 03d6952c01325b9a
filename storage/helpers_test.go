package storage

import (
	"context"
	"path/filepath"
	"sync"
	"testing"

	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"
)

// kv is a record of the tests.
type kv struct {
	bucket Bucket
	key    string
	value  string
	slot   *Slot
	coded  *int // counts AppendValue, on the committer goroutine
}

func (r *kv) Bucket() Bucket            { return r.bucket }
func (r *kv) AppendKey(b []byte) []byte { return append(b, r.key...) }
func (r *kv) Slot() *Slot               { return r.slot }
func (r *kv) AppendValue(b []byte) []byte {
	if r.coded != nil {
		*r.coded++
	}
	return append(b, r.value...)
}

func put(key, value string) Op {
	return Op{Record: &kv{bucket: Retained, key: key, value: value}}
}

func del(key string) Op {
	return Op{Record: &kv{bucket: Retained, key: key}, Delete: true}
}

func weak(op Op) Op {
	op.Weak = true
	return op
}

// ears collects what Committed says.
type ears struct {
	mu  sync.Mutex
	got []heard
}

type heard struct {
	id  int
	err error
}

type ear struct {
	to *ears
	id int
}

func (e *ears) done(id int) Done { return &ear{e, id} }

func (e *ear) Committed(err error) {
	e.to.mu.Lock()
	defer e.to.mu.Unlock()
	e.to.got = append(e.to.got, heard{e.id, err})
}

// ids returns who was told, in order.
func (e *ears) ids() []int {
	e.mu.Lock()
	defer e.mu.Unlock()
	var out []int
	for _, h := range e.got {
		out = append(out, h.id)
	}
	return out
}

func (e *ears) errs() map[int]error {
	e.mu.Lock()
	defer e.mu.Unlock()
	out := map[int]error{}
	for _, h := range e.got {
		out[h.id] = h.err
	}
	return out
}

// start opens a store in path, or in a new directory if that is "".
func start(t testing.TB, o Options) *DB {
	t.Helper()
	if o.Path == "" {
		o.Path = filepath.Join(t.TempDir(), "data.db")
	}
	o.Log = zerolog.New(zerolog.NewTestWriter(t))
	d, err := Open(o)
	require.NoError(t, err)
	t.Cleanup(func() { _ = d.Close() })
	return d
}

// contents returns what a bucket holds.
func contents(t testing.TB, d *DB, b Bucket) map[string]string {
	t.Helper()
	out := map[string]string{}
	require.NoError(t, d.Range(b, nil, func(k, v []byte) error {
		out[string(k)] = string(v)
		return nil
	}))
	return out
}

func sync1(t testing.TB, d *DB) {
	t.Helper()
	require.NoError(t, d.Sync(context.Background()))
}

// gate holds the committer up in the middle of a transaction.
type gate struct {
	reached chan struct{}
	open    chan struct{}
}

// hold makes the next transaction wait until open is closed. Call it while nothing is written.
func (d *DB) hold() gate {
	g := gate{make(chan struct{}), make(chan struct{})}
	first := true
	d.inject(func() error {
		if first {
			first = false
			close(g.reached)
			<-g.open
		}
		return nil
	})
	return g
}

// inject sets what transactions meet.
func (d *DB) inject(f func() error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.fault = f
}
