package crash

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"

	"github.com/tarsd/tarsd/internal/crash/daemon"
	"github.com/tarsd/tarsd/internal/crash/rawmqtt"
)

// Sizes of TestFullDisk in bytes: the file system, and what of it is freed later.
const (
	diskSize    = 48 << 20
	ballastSize = 24 << 20
)

// smallDisk mounts a file system that is soon full, with ballast on it.
func smallDisk(t *testing.T) (dir, ballast string) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root to mount a small file system")
	}
	dir = t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, fmt.Sprintf("size=%d,mode=700", diskSize)); err != nil {
		t.Skipf("cannot mount a small file system here: %v", err)
	}
	t.Cleanup(func() { assert.NoError(t, unix.Unmount(dir, unix.MNT_DETACH)) })
	ballast = filepath.Join(dir, "ballast")
	require.NoError(t, os.WriteFile(ballast, make([]byte, ballastSize), 0o600))
	return dir, ballast
}

// TestFullDisk fills the disk under a broker. Publishers are refused, nothing that was
// acknowledged is lost, and when space returns the broker recovers: by itself, or after
// it was killed while the disk was full.
func TestFullDisk(t *testing.T) {
	tarsdOnly(t)
	slow(t)
	for _, tc := range []struct {
		name string
		kill bool
	}{
		{"space returns", false},
		{"killed while full", true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			dir, ballast := smallDisk(t)
			b := newBroker(t, "limits.queue_messages=1000000", "limits.queue_bytes=1073741824", "limits.queue_total_bytes=1073741824")
			b.dir = filepath.Join(dir, "data")
			d := b.start(t)
			f := &fill{t: t, b: b}
			f.untilRefused()
			f.degraded(d)
			if tc.kill {
				d.Kill()
				f.startOnFull()
			}
			require.NoError(t, os.Remove(ballast))
			if tc.kill {
				d = b.start(t)
			}
			f.recovers()
			d.Kill()
			d = b.start(t)
			f.allThere()
			b.stop(t, d)
		})
	}
}

// fill is what the publishers of TestFullDisk know.
type fill struct {
	t     *testing.T
	b     *broker
	rets  map[int]bool // acknowledged retained messages
	queue map[int]bool // acknowledged messages for the offline subscriber
	more  map[int]bool // acknowledged after the recovery
}

const (
	offlineID = "offline"
	fillMost  = 200000 // far more messages than fit
)

// untilRefused publishes retained and queued messages side by side until both are refused.
func (f *fill) untilRefused() {
	t := f.t
	_, err := collect(t.Context(), f.b.addr, rawmqtt.ConnectOptions{ID: offlineID, Version: rawmqtt.V5, Expiry: 86400}, 1, "q/#", 10*time.Second, func(*got) bool { return true })
	require.NoError(t, err)
	var wg sync.WaitGroup
	var errRet, errQueue error
	wg.Go(func() {
		f.rets, errRet = batch{
			id: "ret", version: rawmqtt.V5, qos: 1, retain: true, topic: func(i int) string { return fmt.Sprintf("r/%d", i) },
			n: fillMost, size: 1000, window: 100, patience: 20 * time.Second,
		}.publish(t.Context(), f.b.addr)
	})
	wg.Go(func() {
		f.queue, errQueue = batch{
			id: "queue", version: rawmqtt.V5, qos: 1, topic: func(int) string { return "q/a" },
			n: fillMost, size: 1000, window: 100, patience: 20 * time.Second,
		}.publish(t.Context(), f.b.addr)
	})
	wg.Wait()
	t.Logf("acknowledged before the disk was full: %d retained, %d queued", len(f.rets), len(f.queue))
	assert.ErrorIs(t, errRet, errCode(0x97), "5.0 publisher of retained messages")
	assert.ErrorIs(t, errQueue, errCode(0x97), "5.0 publisher with an offline subscriber")
	require.NotEmpty(t, f.rets)
	require.NotEmpty(t, f.queue)
}

// degraded looks at a broker with a full disk: it lives, refuses what it cannot keep, and
// serves what needs no disk.
func (f *fill) degraded(d *daemon.Daemon) {
	t := f.t
	one := func(id string, version, qos byte, retain bool, topic string) error {
		_, err := batch{
			id: id, version: version, qos: qos, retain: retain, topic: func(int) string { return topic },
			first: fillMost, n: 1, size: 1000, window: 1, patience: 5 * time.Second,
		}.publish(t.Context(), f.b.addr)
		return err
	}
	assert.ErrorIs(t, one("full5", rawmqtt.V5, 1, true, "full/5"), errCode(0x97), "5.0, QoS 1")
	assert.ErrorIs(t, one("full5", rawmqtt.V5, 2, true, "full/5"), errCode(0x97), "5.0, QoS 2")
	// 3.1.1 has no negative acknowledgement; the connection ends and the client tries again.
	err := one("full3", rawmqtt.V311, 1, true, "full/3")
	assert.True(t, hungUp(err), "3.1.1: %v", err)
	assert.NoError(t, one("live", rawmqtt.V5, 1, false, "nobody/keeps/this"), "a message that nobody keeps")
	select {
	case <-d.Done():
		t.Fatalf("the broker ended, exit code %d:\n%s", d.ExitCode(), d.Log())
	default:
	}
	assert.Contains(t, d.Log(), "no space left", "the log says what is wrong")
}

// startOnFull starts the broker on a full disk. It either serves or says in one line why not.
func (f *fill) startOnFull() {
	t := f.t
	d := f.b.launch(t)
	ctx, cancel := context.WithTimeout(t.Context(), startLimit)
	defer cancel()
	err := d.Ready(ctx)
	if errors.Is(err, daemon.ErrEnded) {
		assert.Equal(t, 1, d.ExitCode())
		assert.Contains(t, d.Log(), "no space left")
		t.Logf("a start on the full disk ends with: %s", lastLines(d.Log(), 1))
		return
	}
	require.NoError(t, err)
	f.allThere()
	d.Kill()
}

// recovers waits until the broker takes messages again and gives it some.
func (f *fill) recovers() {
	t := f.t
	f.more = map[int]bool{}
	t0 := time.Now()
	eventually(t, 15*time.Second, "publishing works again", func() bool {
		acked, err := batch{
			id: "more", version: rawmqtt.V5, qos: 1, retain: true, topic: func(i int) string { return fmt.Sprintf("r/%d", i) },
			first: fillMost + 1, n: 100, size: 1000, window: 10, patience: 5 * time.Second,
		}.publish(t.Context(), f.b.addr)
		for i := range acked {
			f.more[i] = true
		}
		return err == nil
	})
	t.Logf("recovered %v after space returned", time.Since(t0).Round(time.Millisecond))
}

// allThere wants every acknowledged message.
func (f *fill) allThere() {
	t := f.t
	shown, err := collect(t.Context(), f.b.addr, rawmqtt.ConnectOptions{ID: "look", Version: rawmqtt.V5, Clean: true}, 1, "r/#", 3*time.Second,
		func(g *got) bool { return len(g.count) >= len(f.rets)+len(f.more) && len(g.missing(f.rets)) == 0 })
	require.NoError(t, err)
	assert.Empty(t, shown.missing(f.rets), "acknowledged retained messages that are gone")
	assert.Empty(t, shown.missing(f.more), "acknowledged after the recovery")
	assert.Zero(t, shown.damaged)
	if f.more == nil {
		return // the queue can be looked at only once: looking takes it
	}
	g, err := collect(t.Context(), f.b.addr, rawmqtt.ConnectOptions{ID: offlineID, Version: rawmqtt.V5, Expiry: 86400}, 1, "", 3*time.Second,
		func(g *got) bool { return len(g.count) >= len(f.queue) && len(g.missing(f.queue)) == 0 })
	require.NoError(t, err)
	assert.True(t, g.present, "session of the offline subscriber")
	assert.Empty(t, g.missing(f.queue), "acknowledged queued messages that are gone")
	assert.Zero(t, g.damaged)
	assert.IsIncreasing(t, g.order, "queued messages come in order")
}
