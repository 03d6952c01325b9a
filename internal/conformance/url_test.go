package conformance

import (
	"net"
	"net/url"
	"testing"

	"github.com/stretchr/testify/require"
)

// urlTarget is a broker that runs already.
type urlTarget struct{ addr string }

func newURLTarget(t testing.TB, raw string) target {
	u, err := url.Parse(raw)
	require.NoError(t, err)
	require.Contains(t, []string{"tcp", "mqtt"}, u.Scheme, "TARSD_CONFORMANCE_URL takes tcp://host:port")
	return &urlTarget{addr: u.Host}
}

func (u *urlTarget) Transports() []string              { return []string{"tcp"} }
func (u *urlTarget) Variant(testing.TB, string) target { return nil }
func (u *urlTarget) WebSocket() string                 { return "" }
func (u *urlTarget) Known(byte, string) string         { return "" }

func (u *urlTarget) Dial(t testing.TB, _ string) net.Conn {
	t.Helper()
	var d net.Dialer
	c, err := d.DialContext(t.Context(), "tcp", u.addr)
	require.NoError(t, err)
	return c
}
