package storage

import (
	"context"
	"encoding/binary"
	"fmt"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"
)

// queued is a record like delivery's: a queued message of a session.
type queued struct {
	slot    Slot
	session string
	seq     uint64
	payload []byte
}

func (q *queued) Bucket() Bucket { return Queue }
func (q *queued) Slot() *Slot    { return &q.slot }
func (q *queued) AppendKey(b []byte) []byte {
	return binary.BigEndian.AppendUint64(append(append(b, q.session...), 0), q.seq)
}

func (q *queued) AppendValue(b []byte) []byte {
	b = append(b, 1, 0, 1, 0)
	b = append(b, "robot/sensor/temperature"...)
	return append(b, q.payload...)
}

// cpu returns the processor time that the process has used, seconds.
func cpu() float64 {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano()).Seconds()
}

// flight lets a submitter have some records on their way.
type flight struct {
	free chan struct{}
	d    *DB
	ack  int // 0: never deleted; 1: deleted when committed; 2: before
}

type landed struct {
	f *flight
	q *queued
}

func (l *landed) Committed(error) {
	if l.f.ack == 1 {
		l.f.d.Submit(Keep, nil, 0, Op{Record: l.q, Delete: true, Weak: true})
	}
	l.f.free <- struct{}{}
}

// BenchmarkSubmit is durable QoS 1: each of 8 publishers has some messages of 128 bytes in flight.
func BenchmarkSubmit(b *testing.B) {
	for _, c := range []struct {
		name       string
		publishers int
		window     int
		ack        int
	}{
		{"8x100/offline", 8, 100, 0},
		{"8x100/acked_after_commit", 8, 100, 1},
		{"8x100/acked_before_commit", 8, 100, 2},
		{"8x20/acked_after_commit", 8, 20, 1},
		{"1x100/acked_after_commit", 1, 100, 1},
		{"8x1/acked_after_commit", 8, 1, 1},
	} {
		b.Run(c.name, func(b *testing.B) {
			d, err := Open(Options{Path: filepath.Join(b.TempDir(), "data.db"), Log: zerolog.Nop()})
			require.NoError(b, err)
			defer d.Close()
			payload := make([]byte, 128)
			b.ReportAllocs()
			b.ResetTimer()
			used, began := cpu(), time.Now()
			var wg sync.WaitGroup
			for p := range c.publishers {
				f := &flight{free: make(chan struct{}, c.window), d: d, ack: c.ack}
				for range c.window {
					f.free <- struct{}{}
				}
				wg.Go(func() {
					name := fmt.Sprintf("subscriber-%d", p)
					for i := range b.N / c.publishers {
						<-f.free
						q := &queued{session: name, seq: uint64(i + 1), payload: payload}
						d.Submit(Keep, &landed{f, q}, 256, Op{Record: q})
						if c.ack == 2 {
							d.Submit(Keep, nil, 0, Op{Record: q, Delete: true, Weak: true})
						}
					}
					for range c.window {
						<-f.free
					}
				})
			}
			wg.Wait()
			b.StopTimer()
			took := time.Since(began).Seconds()
			n := float64(b.N)
			b.ReportMetric(n/took, "records/s")
			b.ReportMetric((cpu()-used)/n*1e6, "µs-cpu/record")
			s := d.State()
			b.ReportMetric(float64(s.Commits)/took, "commits/s")
			require.NoError(b, d.Sync(context.Background()))
		})
	}
}
