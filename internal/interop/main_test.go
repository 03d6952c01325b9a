package interop

import (
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/rs/xid"
	"github.com/stretchr/testify/require"

	"github.com/tarsd/tarsd/internal/crash/daemon"
)

// program is the broker's binary, and mosquitto tells of which kind it is.
var program, mosquitto string

// shared serves all tests that do not stop the broker.
var shared *broker

func TestMain(m *testing.M) {
	code, err := run(m)
	if err != nil {
		fmt.Fprintln(os.Stderr, "interop:", err)
		code = 1
	}
	os.Exit(code)
}

func run(m *testing.M) (int, error) {
	dir, err := os.MkdirTemp("", "interop")
	if err != nil {
		return 1, err
	}
	defer os.RemoveAll(dir)
	if name := os.Getenv("TARSD_INTEROP_MOSQUITTO"); name != "" {
		if mosquitto, err = exec.LookPath(name); err != nil {
			return 1, err
		}
	} else if program = os.Getenv("TARSD_BIN"); program == "" {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Minute)
		defer cancel()
		root := filepath.Join("..", "..")
		if program, err = daemon.Build(ctx, root, "./cmd/tarsd", filepath.Join(dir, "tarsd")); err != nil {
			return 1, err
		}
	}
	if shared, err = start(filepath.Join(dir, "data")); err != nil {
		return 1, err
	}
	code := m.Run()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	if _, err := shared.Stop(ctx); err != nil {
		return 1, fmt.Errorf("stop: %w\n%s", err, shared.Log())
	}
	return code, nil
}

// broker is a running broker with a TCP and a WebSocket listener.
type broker struct {
	*daemon.Daemon
	dir     string
	tcp, ws string // host:port
	command []string
}

// start runs a broker with its data in dir and waits until it serves both.
func start(dir string) (*broker, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	b := &broker{dir: dir}
	var err error
	if b.tcp, err = daemon.FreeAddr(); err != nil {
		return nil, err
	}
	if b.ws, err = daemon.FreeAddr(); err != nil {
		return nil, err
	}
	if mosquitto == "" {
		b.command = append(daemon.Tarsd(program, dir, b.tcp), "--listen", "ws://"+b.ws+"/mqtt")
		return b, b.again()
	}
	conf := filepath.Join(dir, "mosquitto.conf")
	_, port, err := net.SplitHostPort(b.ws)
	if err != nil {
		return nil, err
	}
	// Without these it refuses what MQTT.js and Paho send without waiting, or loses it.
	extra := []string{"max_inflight_messages 0", "max_queued_messages 0", "set_tcp_nodelay true", "listener " + port + " 127.0.0.1", "protocol websockets"}
	if err := daemon.MosquittoConfig(conf, dir, b.tcp, extra...); err != nil {
		return nil, err
	}
	b.command = []string{mosquitto, "-c", conf}
	return b, b.again()
}

// again starts the process at the same addresses and waits until it serves both.
func (b *broker) again() error {
	var err error
	if b.Daemon, err = daemon.Start(daemon.Options{Command: b.command, Addr: b.ws}); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	if err := b.Ready(ctx); err != nil {
		return err
	}
	b.Addr = b.tcp
	return b.Ready(ctx)
}

// own is a broker for one test, which may stop it.
func own(t *testing.T) *broker {
	t.Helper()
	b, err := start(t.TempDir())
	require.NoError(t, err)
	t.Cleanup(func() {
		b.Kill()
		if t.Failed() {
			t.Logf("broker's log:\n%s", b.Log())
		}
	})
	return b
}

// restart stops the broker as a service manager does and starts it again.
func (b *broker) restart(t *testing.T) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	_, err := b.Stop(ctx)
	require.NoError(t, err)
	require.NoError(t, b.again())
}

// name is a topic or client id that only this test uses.
func name(s string) string { return s + xid.New().String() }

// cacheDir is where setup.sh installs.
func cacheDir() string {
	if dir := os.Getenv("TARSD_INTEROP_CACHE"); dir != "" {
		return dir
	}
	cache := os.Getenv("XDG_CACHE_HOME")
	if cache == "" {
		cache = filepath.Join(os.Getenv("HOME"), ".cache")
	}
	return filepath.Join(cache, "tarsd", "interop")
}
