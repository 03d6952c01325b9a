package client_test

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tarsd/tarsd/broker/brokertest"
	"github.com/tarsd/tarsd/internal/cutproxy"
	"github.com/tarsd/tarsd/services/client"
	"github.com/tarsd/tarsd/services/contract"
)

// mosquitto runs Debian's Mosquitto on a unix socket, or skips the test.
func mosquitto(t *testing.T) (socket string) {
	t.Helper()
	path, err := exec.LookPath("mosquitto")
	if err != nil {
		path = "/usr/sbin/mosquitto"
		if _, err := os.Stat(path); err != nil {
			t.Skip("no mosquitto broker is installed")
		}
	}
	dir, err := os.MkdirTemp("", "mq") // t.TempDir can be too long for a socket
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, os.RemoveAll(dir)) })
	socket = filepath.Join(dir, "s")
	conf := "listener 0 " + socket + "\nallow_anonymous true\n"
	if os.Getuid() == 0 {
		conf += "user root\n" // else it gives up root and cannot make the socket
	}
	require.NoError(t, os.WriteFile(filepath.Join(dir, "c"), []byte(conf), 0o600))
	cmd := exec.Command(path, "-c", filepath.Join(dir, "c"))
	var log bytes.Buffer
	cmd.Stdout, cmd.Stderr = &log, &log
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if t.Failed() {
			t.Log(log.String())
		}
	})
	require.Eventually(t, func() bool {
		nc, err := net.Dial("unix", socket)
		return err == nil && nc.Close() == nil
	}, wait, 10*time.Millisecond, "mosquitto does not start")
	return socket
}

func TestMosquitto(t *testing.T) {
	t.Parallel()
	socket := mosquitto(t)
	at := func(o *client.Options) { o.URL = "unix://me:my%20pass@" + socket }
	t.Run("request, overlap, retained", func(t *testing.T) {
		t.Parallel()
		server, c := connect(t, client.Options{}, "memory", at), connect(t, client.Options{}, "llm", at)
		_, err := client.Subscribe(server, contract.MemoryQuery, func(ctx context.Context, m client.Message[contract.Query]) error {
			_, err := client.Reply(ctx, server, m, contract.MemoryResults, contract.QueryResults{Query: m.Data.Text, K: 1})
			return err
		})
		require.NoError(t, err)
		var got [3]chan client.RawMessage
		for i, filter := range []string{"memory/#", "memory/+", "memory/results"} {
			got[i] = make(chan client.RawMessage, 100)
			_, err := c.SubscribeRaw(filter, 1, func(_ context.Context, m client.RawMessage) error {
				got[i] <- m
				return nil
			})
			require.NoError(t, err)
		}
		require.NoError(t, server.Ready(within(t)))
		require.NoError(t, c.Ready(within(t)))
		for i := range 5 {
			m, err := client.Request(within(t), c, contract.MemoryQuery, contract.MemoryResults, contract.Query{Text: fmt.Sprint(i)})
			require.NoError(t, err)
			assert.Equal(t, fmt.Sprint(i), m.Data.Query)
		}
		for range 5 { // the question and the answer each, once
			for _, ch := range got[:2] {
				assert.Equal(t, "memory/query", next(t, ch).Topic)
				assert.Equal(t, "memory/results", next(t, ch).Topic)
			}
			assert.Equal(t, "memory/results", next(t, got[2]).Topic)
		}
		for _, ch := range got {
			assert.Empty(t, ch)
		}
		m := next(t, collect(t, c, contract.Health.At("memory")))
		assert.True(t, m.Retained)
		assert.Equal(t, "ready", contract.Value(m.Data.Event))
	})
	t.Run("links are cut", func(t *testing.T) {
		t.Parallel()
		p := cutproxy.Start(t, func(ctx context.Context) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, "unix", socket)
		})
		over := func(o *client.Options) { o.URL = "tcp://" + p.Addr() }
		f := startFlow(t, connect(t, client.Options{}, "from", over), connect(t, client.Options{}, "to", over))
		for range 20 {
			f.more(3)
			p.Cut()
		}
		f.more(1)
		f.check()
	})
	t.Run("will", func(t *testing.T) {
		t.Parallel()
		p := cutproxy.Start(t, func(ctx context.Context) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, "unix", socket)
		})
		watcher := connect(t, client.Options{}, "watcher", at)
		seen := collect(t, watcher, contract.Health.At("camera"))
		require.NoError(t, watcher.Ready(within(t)))
		c := connect(t, client.Options{}, "camera", func(o *client.Options) { o.URL = "tcp://" + p.Addr() })
		require.NoError(t, c.Ready(within(t)))
		p.Cut()
		require.NoError(t, c.Await(within(t)))
		for _, want := range []string{"ready", "disconnected", "reconnected"} {
			_, what := event(t, seen)
			assert.Equal(t, want, what)
		}
	})
}

// TestAsPublished: what is retained while a client looks on is told from what is not, on our broker and
// on Mosquitto; without the option only replays are.
func TestAsPublished(t *testing.T) {
	t.Parallel()
	for name, o := range map[string]client.Options{
		"tarsd": {Dial: brokertest.Start(t).DialMemory}, "mosquitto": {URL: "unix://" + mosquitto(t)},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			other := connect(t, o, "other")
			got := map[string]chan client.RawMessage{}
			for who, opts := range map[string][]client.SubscribeOption{"with": {client.AsPublished()}, "without": nil} {
				c, ch := connect(t, o, who), make(chan client.RawMessage, 10)
				got[who] = ch
				_, err := c.SubscribeRaw("as/#", 1, func(_ context.Context, m client.RawMessage) error {
					ch <- m
					return nil
				}, opts...)
				require.NoError(t, err)
				require.NoError(t, c.Ready(within(t)))
			}
			for _, retain := range []bool{true, false} {
				_, err := other.PublishRaw(within(t), "as/it", []byte("x"), 1, retain)
				require.NoError(t, err)
				for who, ch := range got {
					select {
					case m := <-ch:
						assert.Equal(t, retain && who == "with", m.Retained, "%s, retain %v", who, retain)
					case <-within(t).Done():
						require.Fail(t, "no message")
					}
				}
			}
		})
	}
}
