package crash

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tarsd/tarsd/internal/crash/rawmqtt"
)

// dataFile is the one file of design.md section 6.
const dataFile = "tarsd.db"

// TestTornWrite damages the data file of a killed broker in many ways. The broker has to
// start on whatever it finds and be a good broker from then on; a file that it cannot use
// is moved aside, byte for byte, and never deleted.
func TestTornWrite(t *testing.T) {
	tarsdOnly(t)
	slow(t)
	seed := number(t, "TARSD_CRASH_SEED", rand.Uint64())
	t.Logf("TARSD_CRASH_SEED=%d", seed)
	rng := rand.New(rand.NewPCG(seed, 0))

	b := newBroker(t)
	whole := grownFile(t, b)
	const pageSize = 4096
	kinds := []struct {
		name   string
		times  int
		damage func(f []byte) []byte
	}{
		{"cut anywhere", 8, func(f []byte) []byte { return f[:rng.IntN(len(f))] }},
		{"cut at a page", 4, func(f []byte) []byte { return f[:rng.IntN(len(f)/pageSize)*pageSize] }},
		{"empty", 1, func([]byte) []byte { return nil }},
		{"not a database", 1, func([]byte) []byte { return bytes.Repeat([]byte("no such thing\n"), 1000) }},
		{"both meta pages gone", 1, func(f []byte) []byte { clear(f[:2*pageSize]); return f }},
		{"one meta page gone", 2, func(f []byte) []byte { i := rng.IntN(2) * pageSize; clear(f[i : i+pageSize]); return f }},
		{"a zero page", 6, func(f []byte) []byte {
			i := (2 + rng.IntN(len(f)/pageSize-2)) * pageSize
			clear(f[i : i+pageSize])
			return f
		}},
		{"a page of another place", 6, func(f []byte) []byte {
			i, j := (2+rng.IntN(len(f)/pageSize-2))*pageSize, rng.IntN(len(f)/pageSize)*pageSize
			copy(f[i:i+pageSize], f[j:j+pageSize])
			return f
		}},
		{"random bytes", 8, func(f []byte) []byte {
			for range 1 + rng.IntN(2000) {
				f[rng.IntN(len(f))] = byte(rng.Uint32())
			}
			return f
		}},
		{"half of the last write", 4, func(f []byte) []byte {
			i := rng.IntN(len(f))
			for k := i; k < min(len(f), i+3*pageSize); k++ {
				f[k] = byte(rng.Uint32())
			}
			return f
		}},
		{"longer than it was", 1, func(f []byte) []byte { return append(f, bytes.Repeat([]byte{0xaa}, 70000)...) }},
	}
	for _, k := range kinds {
		for i := range k.times {
			damaged := k.damage(bytes.Clone(whole)) // here, since rng is not for concurrent use
			t.Run(fmt.Sprintf("%s %d", k.name, i), func(t *testing.T) {
				t.Parallel()
				b := newBroker(t)
				require.NoError(t, os.WriteFile(filepath.Join(b.dir, dataFile), damaged, 0o600))
				startsClean(t, b, damaged)
			})
		}
	}
}

// grownFile lets a broker store retained and queued messages, kills it, and returns its file.
func grownFile(t *testing.T, b *broker) []byte {
	t.Helper()
	d := b.start(t)
	_, err := collect(t.Context(), b.addr, rawmqtt.ConnectOptions{ID: "offline", Version: rawmqtt.V5, Expiry: 86400}, 2, "q/#", time.Second, func(*got) bool { return true })
	require.NoError(t, err)
	for _, p := range []batch{
		{id: "p1", version: rawmqtt.V5, qos: 1, retain: true, topic: func(i int) string { return fmt.Sprintf("r/%d", i) }, n: 500, size: 400, window: 100},
		{id: "p2", version: rawmqtt.V5, qos: 2, topic: func(int) string { return "q/x" }, n: 500, size: 400, window: 100},
	} {
		p.patience = 10 * time.Second
		acked, err := p.publish(t.Context(), b.addr)
		require.NoError(t, err)
		require.Len(t, acked, p.n)
	}
	d.Kill()
	f, err := os.ReadFile(filepath.Join(b.dir, dataFile))
	require.NoError(t, err)
	require.Greater(t, len(f), 16*4096, "the data file holds what was acknowledged")
	return f
}

// startsClean wants a broker that serves, and keeps what it is given from now on even if
// it is killed.
func startsClean(t *testing.T, b *broker, damaged []byte) {
	t.Helper()
	d := b.start(t)
	// What is shown may be less than before, but not something else: unreadable records
	// are skipped or the file is put aside.
	_, err := collect(t.Context(), b.addr, rawmqtt.ConnectOptions{ID: "look", Version: rawmqtt.V5, Clean: true}, 1, "r/#", 100*time.Millisecond, func(*got) bool { return false })
	require.NoError(t, err)
	_, err = collect(t.Context(), b.addr, rawmqtt.ConnectOptions{ID: "offline", Version: rawmqtt.V5, Expiry: 86400}, 2, "q/#", 100*time.Millisecond, func(*got) bool { return false })
	require.NoError(t, err)

	acked, err := batch{
		id: "again", version: rawmqtt.V5, qos: 1, retain: true, topic: func(i int) string { return fmt.Sprintf("new/%d", i) }, n: 200, size: 300, window: 50, patience: 10 * time.Second,
	}.publish(t.Context(), b.addr)
	require.NoError(t, err)
	select {
	case <-d.Done():
		t.Fatalf("the broker ended, exit code %d:\n%s", d.ExitCode(), d.Log())
	default:
	}
	d.Kill()
	movedOrKept(t, b.dir, damaged)

	d = b.start(t)
	g, err := collect(t.Context(), b.addr, rawmqtt.ConnectOptions{ID: "look", Version: rawmqtt.V5, Clean: true}, 1, "new/#", 5*time.Second, func(g *got) bool { return len(g.count) == 200 })
	require.NoError(t, err)
	assert.Empty(t, g.missing(acked))
	assert.Zero(t, g.damaged)
	b.stop(t, d)
}

// movedOrKept wants the damaged file in the data directory, be it in use or put aside.
func movedOrKept(t *testing.T, dir string, damaged []byte) {
	t.Helper()
	files, err := os.ReadDir(dir)
	require.NoError(t, err)
	var names []string
	for _, f := range files {
		names = append(names, f.Name())
		if !f.Type().IsRegular() {
			continue
		}
		b, err := os.ReadFile(filepath.Join(dir, f.Name()))
		require.NoError(t, err)
		if descends(b, damaged) {
			return
		}
	}
	t.Errorf("the damaged file of %d bytes is gone; there are %v", len(damaged), names)
}

// descends says whether a file is the old one, or the old one with later writes.
func descends(file, old []byte) bool {
	const pageSize = 4096
	if bytes.Equal(file, old) || len(old) == 0 {
		return true
	}
	zero := make([]byte, pageSize)
	for i := 0; i+pageSize <= min(len(file), len(old)); i += pageSize {
		if p := file[i : i+pageSize]; bytes.Equal(p, old[i:i+pageSize]) && !bytes.Equal(p, zero) {
			return true
		}
	}
	return false
}
