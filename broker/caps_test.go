package broker

import (
	"net"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func tcpInfo(t *testing.T, addr string) Info {
	t.Helper()
	a, err := net.ResolveTCPAddr("tcp", addr)
	require.NoError(t, err)
	return Info{Remote: a}
}

func TestCapsPerAddress(t *testing.T) {
	t.Parallel()
	cases := []struct {
		name          string
		first, second Info
		reason        string
	}{
		{"same IPv4", tcpInfo(t, "192.0.2.1:1"), tcpInfo(t, "192.0.2.1:2"), refusedAddress},
		{"other IPv4", tcpInfo(t, "192.0.2.1:1"), tcpInfo(t, "192.0.2.2:1"), ""},
		{"IPv4 in IPv6", tcpInfo(t, "192.0.2.1:1"), tcpInfo(t, "[::ffff:192.0.2.1]:1"), refusedAddress},
		{"same /64", tcpInfo(t, "[2001:db8::1]:1"), tcpInfo(t, "[2001:db8::ffff:1]:1"), refusedAddress},
		{"other /64", tcpInfo(t, "[2001:db8::1]:1"), tcpInfo(t, "[2001:db8:0:1::1]:1"), ""},
		{"same link-local", tcpInfo(t, "[fe80::1%1]:1"), tcpInfo(t, "[fe80::1%1]:2"), refusedAddress},
		{"link-local neighbours", tcpInfo(t, "[fe80::1%1]:1"), tcpInfo(t, "[fe80::2%1]:1"), ""},
		{"private neighbours", tcpInfo(t, "[fd00::1]:1"), tcpInfo(t, "[fd00::2]:1"), ""},
		{"loopback IPv4", tcpInfo(t, "127.0.0.1:1"), tcpInfo(t, "127.0.0.1:2"), ""},
		{"loopback IPv6", tcpInfo(t, "[::1]:1"), tcpInfo(t, "[::1]:2"), ""},
		{"unix", Info{Remote: &net.UnixAddr{Name: "/s"}}, Info{Remote: &net.UnixAddr{Name: "/s"}}, ""},
		{"memory", Info{Memory: true, Remote: memoryAddr{}}, Info{Memory: true, Remote: memoryAddr{}}, ""},
		{"nothing known", Info{}, Info{}, ""},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			c := newCaps(0, 1)
			release, reason := c.enter(tc.first)
			require.Empty(t, reason)
			_, reason = c.enter(tc.second)
			assert.Equal(t, tc.reason, reason)
			release()
			release() // must not count twice
			if tc.reason != "" {
				_, reason = c.enter(tc.second)
				assert.Empty(t, reason, "after the first has gone")
			}
		})
	}
}

func TestCapsTotal(t *testing.T) {
	t.Parallel()
	c := newCaps(2, 0)
	a, reason := c.enter(tcpInfo(t, "127.0.0.1:1"))
	require.Empty(t, reason)
	b, reason := c.enter(tcpInfo(t, "192.0.2.1:1"))
	require.Empty(t, reason)
	_, reason = c.enter(tcpInfo(t, "127.0.0.1:2"))
	assert.Equal(t, refusedTotal, reason)
	m, reason := c.enter(Info{Memory: true})
	assert.Empty(t, reason, "a full broker still takes our own services")
	assert.Equal(t, 3, c.count())
	a()
	b()
	m()
	assert.Zero(t, c.count())
	assert.Empty(t, c.addrs, "no trace of addresses that have gone")
}
