package app

import (
	"context"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tarsd/tarsd/internal/inspect"
	inspectfeed "github.com/tarsd/tarsd/internal/inspect/feed"
	"github.com/tarsd/tarsd/services/client"
)

func TestNearest(t *testing.T) {
	t.Parallel()
	for name, tt := range map[string]struct {
		listeners []string
		want      string
	}{
		"unix first":       {[]string{"tcp://[::]:1883", "unix:///run/tarsd.sock"}, "unix:///run/tarsd.sock"},
		"all addresses":    {[]string{"ws://[::]:9001/mqtt", "tcp://[::]:1883"}, "tcp://127.0.0.1:1883"},
		"no address":       {[]string{"tcp://:1883"}, "tcp://127.0.0.1:1883"},
		"one address":      {[]string{"tcp://192.168.1.2:1883"}, "tcp://192.168.1.2:1883"},
		"WebSocket":        {[]string{"tls://[::]:8883", "ws://0.0.0.0:9001/mqtt"}, "ws://127.0.0.1:9001/mqtt"},
		"TLS needs a name": {[]string{"tls://[::]:8883"}, ""},
		"none":             {nil, ""},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			assert.Equal(t, tt.want, nearest(tt.listeners))
		})
	}
}

// TestInspect finds a running tarsd and sees by its admin socket what topics do not tell.
func TestInspect(t *testing.T) {
	t.Parallel()
	l := load(t, t.TempDir(), "health.required=lamp")
	_, err := FindInspect(t.Context(), l.Config)
	require.ErrorIs(t, err, ErrNotRunning)

	a := begin(t, l)
	in, err := FindInspect(t.Context(), l.Config)
	require.NoError(t, err)
	defer in.Close()
	f, err := inspectfeed.Connect(t.Context(), inspectfeed.Options{Client: in.Client, Admin: in.Admin})
	require.NoError(t, err)
	defer func() { assert.NoError(t, f.Close()) }()
	nc, err := a.Dial(t.Context())
	require.NoError(t, err)
	require.Equal(t, byte(0), connect(t, nc, "porch", "", ""))
	_, err = nc.Write(append([]byte{0x31, 9, 0, 6}, "doorbe!"...)) // retained
	require.NoError(t, err)

	until(t, "the message", func() (ok bool) {
		f.With(func(m *inspect.Model) { ok = m.Topic("doorbe") != nil && m.Topic("doorbe").Retained && m.IsTarsd() })
		return ok
	})
	k, ok := f.Keeper(t.Context(), "doorbe")
	require.True(t, ok)
	assert.Equal(t, "porch", k.From)
	assert.WithinDuration(t, time.Now(), k.At, time.Minute)
	_, ok = f.Keeper(t.Context(), "nothing/here")
	assert.False(t, ok)
	k, ok = f.Keeper(t.Context(), "$SYS/broker/version")
	assert.True(t, ok)
	assert.Empty(t, k.From, "the broker itself")

	list, err := in.Admin.Clients(t.Context())
	require.NoError(t, err)
	ids := map[string]inspect.Client{}
	for _, c := range list.Clients {
		ids[c.ID] = c
	}
	require.Contains(t, ids, "porch")
	assert.True(t, ids["porch"].Connected)
	assert.EqualValues(t, 1, ids["porch"].Received)
	peers, err := in.Admin.Peers(t.Context())
	require.NoError(t, err)
	require.Len(t, peers, 1)
	assert.Equal(t, "lamp", peers[0].Name)
	assert.True(t, peers[0].Required)
	until(t, "the admin's answer", func() (full bool) {
		f.With(func(m *inspect.Model) { _, full = m.Clients() })
		return full
	})

	r, err := dialRemote(t.Context(), l.DataDir)
	require.NoError(t, err)
	defer r.Close()
	for _, q := range []string{"", "?topic=", "?topic=a/%23", "?topic=%2B"} {
		assert.ErrorContains(t, r.call(t.Context(), http.MethodGet, "/v1/retained"+q, nil, nil), "must be one topic")
	}

	// The audit stream is an admin's, and who is on this machine is one.
	require.NoError(t, nc.Close())
	until(t, "the loss in the audit stream", func() (ok bool) {
		f.With(func(m *inspect.Model) { ok = m.Topic("$SYS/tarsd/audit") != nil })
		return ok
	})
}

// A configuration whose broker is elsewhere leads there when nothing runs here.
func TestInspectElsewhere(t *testing.T) {
	t.Parallel()
	l := load(t, t.TempDir(), "broker.url=mqtt://robot.example:1883", "broker.user=me", "broker.password=secret", "services=tts")
	in, err := FindInspect(t.Context(), l.Config)
	require.NoError(t, err)
	assert.Nil(t, in.Admin)
	assert.Equal(t, "mqtt://robot.example:1883", in.Client.URL)
	user, password, err := in.Client.Credentials(context.Background())
	require.NoError(t, err)
	assert.Equal(t, "me", user)
	assert.Equal(t, client.Secret("secret"), password)
	assert.NoError(t, in.Close())
}
