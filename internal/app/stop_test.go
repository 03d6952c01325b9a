package app

import (
	"crypto/tls"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	wt "github.com/tarsd/tarsd/internal/wire/wiretest"
)

// A stop does not wait for a peer that stopped reading.
func TestStopWithATLSClientThatReadsNothing(t *testing.T) {
	_, certFile, keyFile, roots := certificate(t, "localhost")
	l := load(t, t.TempDir(), "listen=tls://127.0.0.1:0", "tls.cert="+certFile, "tls.key="+keyFile)
	a := begin(t, l)
	a.o.patience = 1
	nc, err := tls.Dial("tcp", strings.TrimPrefix(a.Listeners()[0], "tls://"), &tls.Config{RootCAs: roots, ServerName: "localhost"})
	require.NoError(t, err)
	s := wt.New(t, nc, wt.V311)
	s.Connect(wt.Connect{ClientID: "stuck"})
	s.Subscribe(wt.Filter{Name: "t"})
	mem, err := a.Dial(t.Context())
	require.NoError(t, err)
	p := wt.New(t, mem, wt.V311)
	p.Connect(wt.Connect{ClientID: "p"})
	for range 24 {
		p.Publish(wt.Publish{Topic: "t", Payload: strings.Repeat("x", 1<<20)})
	}
	p.ExpectQuiet()
	require.NoError(t, a.Stop())
}

// A stop that follows a start at once finds every listener served, or not yet: never one that
// begins behind it.
func TestStopRightAfterStart(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for range 20 {
		a := begin(t, load(t, dir, "services=none"))
		require.NoError(t, a.Stop())
	}
}
