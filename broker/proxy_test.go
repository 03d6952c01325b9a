package broker

import (
	"bytes"
	"encoding/binary"
	"io"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// proxyBytes makes a header.
func proxyBytes(command, family byte, body []byte) []byte {
	b := append([]byte(proxySignature), command, family)
	b = binary.BigEndian.AppendUint16(b, uint16(len(body)))
	return append(b, body...)
}

// proxyFrom makes the header of a client.
func proxyFrom(t testing.TB, src, dst string) []byte {
	t.Helper()
	s, d := netip.MustParseAddrPort(src), netip.MustParseAddrPort(dst)
	family := byte(0x11)
	if s.Addr().Is6() {
		family = 0x21
	}
	body := append(s.Addr().AsSlice(), d.Addr().AsSlice()...)
	body = binary.BigEndian.AppendUint16(body, s.Port())
	body = binary.BigEndian.AppendUint16(body, d.Port())
	return proxyBytes(0x21, family, body)
}

func TestReadProxy(t *testing.T) {
	t.Parallel()
	v4 := proxyFrom(t, "192.0.2.7:4711", "198.51.100.1:1883")
	withTLV := proxyBytes(0x21, 0x11, append(bytes.Clone(v4[16:]), 0x04, 0, 3, 1, 2, 3))
	cases := []struct {
		name     string
		in       []byte
		src, dst string
		err      string
	}{
		{"IPv4", v4, "192.0.2.7:4711", "198.51.100.1:1883", ""},
		{"IPv6", proxyFrom(t, "[2001:db8::1]:1", "[2001:db8::2]:2"), "[2001:db8::1]:1", "[2001:db8::2]:2", ""},
		{"IPv4 in IPv6", proxyFrom(t, "[::ffff:192.0.2.7]:1", "[::ffff:192.0.2.8]:2"), "192.0.2.7:1", "192.0.2.8:2", ""},
		{"TLV", withTLV, "192.0.2.7:4711", "198.51.100.1:1883", ""},
		{"local", proxyBytes(0x20, 0, nil), "", "", ""},
		{"local with an address", proxyBytes(0x20, 0x11, v4[16:]), "", "", ""},
		{"unknown client", proxyBytes(0x21, 0, nil), "", "", "family 0x0"},
		{"unix client", proxyBytes(0x21, 0x31, make([]byte, 216)), "", "", "family 0x31"},
		{"UDP", proxyBytes(0x21, 0x12, v4[16:]), "", "", "family 0x12"},
		{"version 1", []byte("PROXY TCP4 192.0.2.7 198.51.100.1 4711 1883\r\n"), "", "", "no version 2 header"},
		{"MQTT", []byte("\x10\x1e\x00\x04MQTT\x04\x02\x00\x3c\x00\x12client-of-nobody"), "", "", "no version 2 header"},
		{"version 3", proxyBytes(0x31, 0x11, v4[16:]), "", "", "version and command 0x31"},
		{"command 2", proxyBytes(0x22, 0x11, v4[16:]), "", "", "version and command 0x22"},
		{"short address", proxyBytes(0x21, 0x11, v4[16:27]), "", "", "short address"},
		{"too large", proxyBytes(0x21, 0x11, make([]byte, proxyMax+1)), "", "", "header of 4097 bytes"},
		{"cut", v4[:20], "", "", "unexpected EOF"},
		{"empty", nil, "", "", "EOF"},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			r := bytes.NewReader(append(bytes.Clone(tc.in), "rest"...))
			if tc.err == "unexpected EOF" || tc.err == "EOF" {
				r = bytes.NewReader(tc.in)
			}
			h, err := readProxy(r)
			if tc.err != "" {
				require.ErrorContains(t, err, tc.err)
				return
			}
			require.NoError(t, err)
			if tc.src != "" {
				assert.Equal(t, tc.src, h.src.String())
				assert.Equal(t, tc.dst, h.dst.String())
			} else {
				assert.False(t, h.src.IsValid())
			}
			rest, _ := io.ReadAll(r)
			assert.Equal(t, "rest", string(rest), "not a byte too many")
		})
	}
}

// A proxy elsewhere cannot make its own loopback clients ours.
func TestProxyApply(t *testing.T) {
	t.Parallel()
	cases := []struct{ name, proxy, src, want string }{
		{"remote client", "192.0.2.1:1", "203.0.113.9:5", "203.0.113.9:5"},
		{"loopback of another machine", "192.0.2.1:1", "127.0.0.1:5", "192.0.2.1:1"},
		{"loopback of another machine, IPv6", "192.0.2.1:1", "[::1]:5", "192.0.2.1:1"},
		{"our loopback", "127.0.0.1:1", "127.0.0.1:5", "127.0.0.1:5"},
		{"the proxy itself", "192.0.2.1:1", "", "192.0.2.1:1"},
	}
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			info := tcpInfo(t, tc.proxy)
			var h proxyHeader
			if tc.src != "" {
				h = proxyHeader{src: netip.MustParseAddrPort(tc.src), dst: netip.MustParseAddrPort("198.51.100.1:1883")}
			}
			h.apply(&info)
			assert.Equal(t, tc.want, info.Remote.String())
		})
	}
}

func TestNewProxyOptions(t *testing.T) {
	t.Parallel()
	o, err := NewProxyOptions([]string{"10.0.0.0/8", "192.0.2.1", "2001:db8::/32", "10.1.2.3/24"})
	require.NoError(t, err)
	for addr, want := range map[string]bool{
		"10.1.2.3:1": true, "192.0.2.1:1": true, "192.0.2.2:1": false, "[2001:db8::1]:1": true,
		"[::ffff:10.1.1.1]:1": true, "[2001:db9::1]:1": false,
	} {
		assert.Equal(t, want, o.trusts(tcpInfo(t, addr).Remote), addr)
	}
	assert.False(t, o.trusts(&net.UnixAddr{Name: "/s"}))
	assert.False(t, (*ProxyOptions)(nil).trusts(tcpInfo(t, "10.0.0.1:1").Remote))
	_, err = NewProxyOptions([]string{"10.0.0.0/8", "nonsense", "1.2.3.4/99"})
	require.ErrorContains(t, err, `"nonsense"`)
	require.ErrorContains(t, err, `"1.2.3.4/99"`)
}

func TestProxyTrusted(t *testing.T) {
	t.Parallel()
	trust, err := NewProxyOptions([]string{"127.0.0.1/32"})
	require.NoError(t, err)
	e := newEcho()
	l := listen(t, "tcp://127.0.0.1:0", ListenOptions{
		Proxy: trust,
		Allow: func(a net.Addr) bool { return strings.HasPrefix(a.String(), "203.0.113.") }, // not the proxy
	}, e)

	nc := dial(t, l)
	header := proxyFrom(t, "203.0.113.9:4711", "198.51.100.1:1883")
	_, err = nc.Write(header[:10])
	require.NoError(t, err)
	_, err = nc.Write(header[10:])
	require.NoError(t, err)
	echoes(t, nc)
	info := <-e.infos
	assert.Equal(t, "203.0.113.9:4711", info.Remote.String())
	assert.Equal(t, "198.51.100.1:1883", info.Local.String())

	nc = dial(t, l) // a client that may not connect
	_, err = nc.Write(proxyFrom(t, "192.0.2.1:1", "198.51.100.1:1883"))
	require.NoError(t, err)
	ended(t, nc)
	nc = dial(t, l) // a proxy that says nothing about its client
	_, err = nc.Write([]byte("\x10\x1e\x00\x04MQTT\x04\x02\x00\x3c\x00\x12client-of-nobody"))
	require.NoError(t, err)
	ended(t, nc)
	assert.Empty(t, e.infos)
}

// A header from anybody else is not read: it is the client's first bytes.
func TestProxySpoofed(t *testing.T) {
	t.Parallel()
	trust, err := NewProxyOptions([]string{"192.0.2.0/24"})
	require.NoError(t, err)
	got := make(chan string, 1)
	infos := make(chan Info, 1)
	l := listen(t, "tcp://127.0.0.1:0", ListenOptions{Proxy: trust}, serverFunc(func(nc net.Conn, info Info) {
		defer func() { _ = nc.Close() }()
		b := make([]byte, 12)
		_, _ = io.ReadFull(nc, b)
		got <- string(b)
		infos <- info
	}))
	nc := dial(t, l)
	_, err = nc.Write(proxyFrom(t, "203.0.113.9:4711", "198.51.100.1:1883"))
	require.NoError(t, err)
	assert.Equal(t, proxySignature, <-got)
	assert.Equal(t, nc.LocalAddr().String(), (<-infos).Remote.String())
}

func TestProxyDeadline(t *testing.T) {
	t.Parallel()
	trust, err := NewProxyOptions([]string{"127.0.0.1"})
	require.NoError(t, err)
	log := &testLog{}
	l := listen(t, "tcp://127.0.0.1:0", ListenOptions{Proxy: trust, HandshakeTimeout: 50 * time.Millisecond, Log: log.logger()}, newEcho())
	nc := dial(t, l)
	_, err = nc.Write([]byte(proxySignature))
	require.NoError(t, err)
	ended(t, nc)
	assert.Contains(t, log.String(), "timeout")
}

func FuzzReadProxy(f *testing.F) {
	f.Add(proxyFrom(f, "192.0.2.7:4711", "198.51.100.1:1883"))
	f.Add(proxyFrom(f, "[2001:db8::1]:1", "[2001:db8::2]:2"))
	f.Add(proxyBytes(0x20, 0, nil))
	f.Add([]byte("PROXY UNKNOWN\r\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		r := bytes.NewReader(b)
		h, err := readProxy(r)
		if err != nil {
			require.False(t, h.src.IsValid())
			return
		}
		used := b[:len(b)-r.Len()]
		require.Equal(t, 16+int(binary.BigEndian.Uint16(used[14:])), len(used))
		if h.src.IsValid() {
			require.True(t, h.dst.IsValid())
			require.Contains(t, string(used), string(h.src.Addr().AsSlice()))
		}
	})
}
