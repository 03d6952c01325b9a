package feed

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tarsd/tarsd/broker/brokertest"
	"github.com/tarsd/tarsd/hooks/delivery"
	"github.com/tarsd/tarsd/internal/inspect"
	"github.com/tarsd/tarsd/services/client"
)

const wait = 20 * time.Second

// until polls, since what is waited for is another goroutine's and has no channel.
func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	require.Eventually(t, ok, wait, 5*time.Millisecond, what)
}

func begin(t *testing.T, o Options) *Feed {
	t.Helper()
	f, err := Connect(t.Context(), o)
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, f.Close()) })
	return f
}

// peer is another client.
func peer(t *testing.T, o client.Options) *client.Client {
	t.Helper()
	o.ID = "peer"
	c, err := client.Connect(t.Context(), o)
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, c.Close(context.Background())) })
	ctx, cancel := context.WithTimeout(t.Context(), wait)
	defer cancel()
	require.NoError(t, c.Await(ctx))
	return c
}

// count is how many messages came on a topic.
func count(f *Feed, topic string) (n uint64) {
	f.With(func(m *inspect.Model) {
		if x := m.Topic(topic); x != nil {
			n = x.Count
		}
	})
	return n
}

func TestFeed(t *testing.T) {
	t.Parallel()
	b := brokertest.Start(t)
	c := peer(t, client.Options{Dial: b.DialMemory})
	_, err := c.PublishRaw(t.Context(), "old", []byte("1"), 1, true)
	require.NoError(t, err)
	b.Engine.Publish("$SYS/broker/version", []byte("tarsd version 1"), 0, true)
	b.Engine.Publish("$SYS/tarsd/dropped/rate", []byte("1"), 0, true)

	f := begin(t, Options{Client: client.Options{URL: "tcp://" + b.TCP()}})
	until(t, "retained", func() bool {
		return count(f, "old") == 1 && count(f, "$SYS/broker/version") == 1 && count(f, "$SYS/tarsd/dropped/rate") == 1
	})
	for i := range 1000 {
		_, err := c.PublishRaw(t.Context(), "a/b", fmt.Appendf(nil, `{"n":%d}`, i), 0, false, client.WithProps(client.UserProperty{Key: "turn", Value: "t"}))
		require.NoError(t, err)
	}
	_, err = c.PublishRaw(t.Context(), "live", []byte("x"), 1, true)
	require.NoError(t, err)
	until(t, "messages", func() bool { return count(f, "a/b") == 1000 && count(f, "live") == 1 })
	f.With(func(m *inspect.Model) {
		assert.True(t, m.IsTarsd())
		assert.True(t, m.Topic("live").Retained, "what is retained while we look is known, too")
		assert.False(t, m.Topic("a/b").Retained)
		e := m.Topic("a/b").Last()
		assert.Equal(t, `{"n":999}`, string(e.Payload))
		assert.Equal(t, []inspect.Prop{{Key: "turn", Value: "t"}}, e.Props)
	})
	s := f.Status()
	assert.True(t, s.Connected)
	assert.Equal(t, "tcp://"+b.TCP(), strings.Replace(s.Where, "mqtt://", "tcp://", 1))
	assert.Empty(t, s.Problem)
	assert.Zero(t, s.Missed)

	require.NoError(t, f.Publish(t.Context(), "old", nil, 1, true))
	until(t, "clearing", func() (gone bool) {
		f.With(func(m *inspect.Model) { gone = !m.Topic("old").Retained })
		return gone
	})
	_, ok := f.Keeper(t.Context(), "live")
	assert.False(t, ok, "there is no admin")

	b.Restart(t)
	until(t, "loss", func() bool { return f.Status().Reconnects > 0 || !f.Status().Connected })
}

func TestFilters(t *testing.T) {
	t.Parallel()
	b := brokertest.Start(t)
	f := begin(t, Options{Client: client.Options{URL: "tcp://" + b.TCP()}, Filters: []string{"only/#"}})
	c := peer(t, client.Options{Dial: b.DialMemory})
	until(t, "connection", func() bool { return f.Status().Connected })
	_, err := c.PublishRaw(t.Context(), "other", []byte("x"), 1, false)
	require.NoError(t, err)
	_, err = c.PublishRaw(t.Context(), "only/this", []byte("x"), 1, false)
	require.NoError(t, err)
	until(t, "message", func() bool { return count(f, "only/this") == 1 })
	assert.Zero(t, count(f, "other"))
}

// What several filters let through counts once.
func TestOverlappingFilters(t *testing.T) {
	t.Parallel()
	b := brokertest.Start(t)
	f := begin(t, Options{Client: client.Options{URL: "tcp://" + b.TCP()}, Filters: []string{"a/b", "a/#", "+/b", "a/#"}})
	c := peer(t, client.Options{Dial: b.DialMemory})
	until(t, "connection", func() bool { return f.Status().Connected })
	for _, topic := range []string{"a/b", "a/c", "b/b"} {
		_, err := c.PublishRaw(t.Context(), topic, []byte("x"), 1, false)
		require.NoError(t, err)
	}
	for range 2 { // the second is behind all copies of the first
		_, err := c.PublishRaw(t.Context(), "a/b", []byte("x"), 1, false)
		require.NoError(t, err)
	}
	until(t, "messages", func() bool { return count(f, "a/b") >= 3 && count(f, "a/c") > 0 && count(f, "b/b") > 0 })
	until(t, "handlers", func() bool {
		handled := 0
		for _, s := range f.c.Stats().Subscriptions {
			handled += s.Handled
		}
		return handled == 3+4+4+4
	})
	for topic, want := range map[string]uint64{"a/b": 3, "a/c": 1, "b/b": 1} {
		assert.Equal(t, want, count(f, topic), topic)
	}
}

// noAudit lets nobody read what tarsd tells admins.
type noAudit struct{ brokertest.AllowAll }

func (noAudit) MaySubscribe(_ *delivery.Peer, filter string) bool { return filter != tarsdTopic }

// A role that may see less sees what it may, and why not more.
func TestRefused(t *testing.T) {
	t.Parallel()
	b := brokertest.Start(t, brokertest.WithPolicy(noAudit{}))
	b.Engine.Publish("$SYS/broker/version", []byte("tarsd version 1"), 0, true)
	f := begin(t, Options{Client: client.Options{URL: "tcp://" + b.TCP()}})
	until(t, "refusal", func() bool { return strings.Contains(f.Status().Problem, tarsdTopic) })
	until(t, "the rest", func() bool { return count(f, "$SYS/broker/version") == 1 })
	assert.True(t, f.Status().Connected)
}

func TestNoConnection(t *testing.T) {
	t.Parallel()
	_, err := Connect(t.Context(), Options{Client: client.Options{URL: "ftp://x"}})
	require.ErrorContains(t, err, "scheme")
	_, err = Connect(t.Context(), Options{Client: client.Options{URL: "mqtt://127.0.0.1:1"}, Filters: []string{"a#"}})
	require.ErrorContains(t, err, "a#")
	f, err := Connect(t.Context(), Options{Client: client.Options{URL: "mqtt://user:secret@127.0.0.1:1"}})
	require.NoError(t, err)
	until(t, "refusal", func() bool { return strings.Contains(f.Status().Problem, "refused") })
	s := f.Status()
	assert.False(t, s.Connected)
	assert.NotContains(t, s.Where+s.Problem, "secret")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	assert.Error(t, f.Publish(ctx, "a", []byte("x"), 1, false))
	assert.Error(t, f.Publish(t.Context(), "a", []byte("x"), 0, false))
	assert.ErrorIs(t, f.Close(), client.ErrNotSent, "the first is lost, and who quits hears it")
}

// fakeAdmin answers as it is told.
type fakeAdmin struct {
	mu   sync.Mutex
	down error
}

func (a *fakeAdmin) set(err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.down = err
}

func (a *fakeAdmin) err() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.down
}

func (a *fakeAdmin) Clients(context.Context) (inspect.Clients, error) {
	return inspect.Clients{Clients: []inspect.Client{{ID: "stt", Queued: 3}}}, a.err()
}

func (a *fakeAdmin) Peers(context.Context) ([]inspect.Peer, error) {
	return []inspect.Peer{{Name: "stt", Up: true}}, a.err()
}

func (a *fakeAdmin) Keeper(_ context.Context, topic string) (Keeper, bool, error) {
	return Keeper{Topic: topic, From: "stt"}, topic == "kept", a.err()
}

func TestAdmin(t *testing.T) {
	t.Parallel()
	b := brokertest.Start(t)
	a := &fakeAdmin{}
	f := begin(t, Options{Client: client.Options{Dial: b.DialMemory}, Admin: a})
	until(t, "answer", func() bool { return f.Status().Admin })
	f.With(func(m *inspect.Model) {
		list, full := m.Clients()
		assert.True(t, full)
		assert.Equal(t, 3, list[0].Queued)
		peers, full := m.Peers()
		assert.True(t, full)
		assert.True(t, peers[0].Up)
	})
	k, ok := f.Keeper(t.Context(), "kept")
	assert.True(t, ok)
	assert.Equal(t, "stt", k.From)
	_, ok = f.Keeper(t.Context(), "not")
	assert.False(t, ok)

	a.set(errors.New("gone"))
	until(t, "failure", func() bool { return !f.Status().Admin })
	_, ok = f.Keeper(t.Context(), "kept")
	assert.False(t, ok)
	until(t, "reason", func() bool {
		return strings.Contains(f.Status().Problem, "admin socket: gone") || !f.Status().Connected
	})
}

// Against a broker of somebody else there is less to see, and what there is is right.
func TestMosquitto(t *testing.T) {
	t.Parallel()
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
	socket := filepath.Join(dir, "s")
	conf := "listener 0 " + socket + "\nallow_anonymous true\nsys_interval 1\n"
	if os.Getuid() == 0 {
		conf += "user root\n" // else it gives up root and cannot make the socket
	}
	require.NoError(t, os.WriteFile(filepath.Join(dir, "c"), []byte(conf), 0o600))
	cmd := exec.Command(path, "-c", filepath.Join(dir, "c"))
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	until(t, "mosquitto", func() bool {
		nc, err := net.Dial("unix", socket)
		return err == nil && nc.Close() == nil
	})
	f := begin(t, Options{Client: client.Options{URL: "unix://" + socket}})
	c := peer(t, client.Options{URL: "unix://" + socket})
	_, err = c.PublishRaw(t.Context(), "a", []byte("x"), 1, true)
	require.NoError(t, err)
	until(t, "message", func() bool { return count(f, "a") > 0 })
	until(t, "figures", func() (known bool) {
		f.With(func(m *inspect.Model) { _, _, known = m.Dropped() })
		return known
	})
	f.With(func(m *inspect.Model) {
		assert.Contains(t, m.Broker(), "mosquitto version")
		assert.False(t, m.IsTarsd())
		assert.True(t, m.Topic("a").Retained)
		list, full := m.Clients()
		assert.Empty(t, list)
		assert.False(t, full)
	})
}
