package crash

import (
	"context"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tarsd/tarsd/internal/crash/daemon"
)

// startLimit bounds the wait until a broker accepts connections. It is generous: other
// jobs may own the machine's processors for a while.
const startLimit = 30 * time.Second

func mosquitto() bool { return os.Getenv("TARSD_CRASH_BROKER") == "mosquitto" }

// tarsdOnly skips a test of what only tarsd promises.
func tarsdOnly(t *testing.T) {
	t.Helper()
	if mosquitto() {
		t.Skip("judges what only tarsd promises")
	}
}

// slow skips a test that takes many seconds when the caller asked for a quick run.
func slow(t *testing.T) {
	t.Helper()
	if testing.Short() {
		t.Skip("takes many seconds, and -short is set")
	}
}

var built struct {
	once sync.Once
	dir  string
	path string
	err  error
}

func TestMain(m *testing.M) {
	code := m.Run()
	if built.dir != "" {
		_ = os.RemoveAll(built.dir) // a leftover in the temporary directory harms nobody
	}
	os.Exit(code)
}

// program is the path of the program to judge.
func program(t *testing.T) string {
	t.Helper()
	built.once.Do(func() {
		if mosquitto() {
			built.path = "/usr/sbin/mosquitto"
			return
		}
		if built.path = os.Getenv("TARSD_BIN"); built.path != "" {
			built.path, built.err = filepath.Abs(built.path)
			return
		}
		if built.dir, built.err = os.MkdirTemp("", "tarsd-crash"); built.err != nil {
			return
		}
		built.path, built.err = daemon.Build(context.Background(), filepath.Join("..", ".."), "./cmd/tarsd", filepath.Join(built.dir, "tarsd"))
	})
	require.NoError(t, built.err)
	return built.path
}

// broker is a place where brokers live one after the other: an address, a data directory
// and settings.
type broker struct {
	bin  string
	dir  string // data
	addr string
	set  []string // KEY=VALUE for tarsd; mosquitto runs with its defaults
}

// newBroker prepares a broker in a temporary directory without starting it.
func newBroker(t *testing.T, set ...string) *broker {
	t.Helper()
	addr, err := daemon.FreeAddr()
	require.NoError(t, err)
	return &broker{bin: program(t), dir: t.TempDir(), addr: addr, set: append([]string{"log.level=warn"}, set...)}
}

// launch starts one life and does not wait for it. The test ends it at the latest.
func (b *broker) launch(t *testing.T) *daemon.Daemon {
	t.Helper()
	o := daemon.Options{Addr: b.addr, Command: daemon.Tarsd(b.bin, b.dir, b.addr, b.set...)}
	if mosquitto() {
		conf := filepath.Join(b.dir, "mosquitto.conf")
		require.NoError(t, daemon.MosquittoConfig(conf, b.dir, b.addr, "max_queued_messages 0", "max_inflight_messages 0"))
		o.Command = []string{b.bin, "-c", conf}
	}
	d, err := daemon.Start(o)
	require.NoError(t, err)
	t.Cleanup(func() {
		d.Kill()
		if t.Failed() && d.Log() != "" {
			t.Logf("log of broker %d, its end:\n%s", d.PID(), lastLines(d.Log(), 20))
		}
	})
	return d
}

// start launches one life and waits until it accepts.
func (b *broker) start(t *testing.T) *daemon.Daemon {
	t.Helper()
	d := b.launch(t)
	ctx, cancel := context.WithTimeout(t.Context(), startLimit)
	defer cancel()
	require.NoError(t, d.Ready(ctx))
	return d
}

// stop ends a life nicely and wants a clean exit within the promised 3 s.
func (b *broker) stop(t *testing.T, d *daemon.Daemon) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	took, err := d.Stop(ctx)
	require.NoError(t, err)
	require.Less(t, took, 3*time.Second, "time from SIGTERM to exit")
}

// lastLines cuts a log down to its last n lines.
func lastLines(s string, n int) string {
	for i := len(s) - 1; i >= 0; i-- {
		if s[i] == '\n' {
			if n--; n < 0 {
				return s[i+1:]
			}
		}
	}
	return s
}

// pause waits for d or the end of the test. It stands where time itself is what is
// tested, such as how long a broker lives before it is killed; nothing waits for work so.
func pause(t *testing.T, d time.Duration) {
	t.Helper()
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-t.Context().Done():
	}
}

// eventually polls until ok says yes and fails with what after limit.
func eventually(t *testing.T, limit time.Duration, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(limit); !ok(); <-tick.C {
		require.True(t, time.Now().Before(end), "not within %v: %s", limit, what)
	}
}
