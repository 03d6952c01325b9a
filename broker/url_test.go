package broker

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestParseURL(t *testing.T) {
	t.Parallel()
	cases := []struct{ raw, want, err string }{
		{"tcp://127.0.0.1:1884", "tcp://127.0.0.1:1884", ""},
		{"tcp://:1883", "tcp://:1883", ""},
		{"tcp://:0", "tcp://:0", ""},
		{"tcp://localhost", "tcp://localhost:1883", ""},
		{"TCP://[::1]:1883/", "tcp://[::1]:1883", ""},
		{"mqtt://h:1", "tcp://h:1", ""},
		{"tls://h", "tls://h:8883", ""},
		{"ssl://h:0008883", "tls://h:8883", ""},
		{"mqtts://h", "tls://h:8883", ""},
		{"ws://h", "ws://h:80/mqtt", ""},
		{"ws://:8080/", "ws://:8080/", ""},
		{"wss://:8443/a/b", "wss://:8443/a/b", ""},
		{"unix:///run/tarsd.sock", "unix:///run/tarsd.sock", ""},
		{"unix:/run/tarsd.sock", "unix:///run/tarsd.sock", ""},
		{"unix://data/my%20sock", "unix://data/my%20sock", ""},
		{"", "", "must start with"},
		{"1883", "", "must start with"},
		{"127.0.0.1:1883", "", "must start with"},
		{"udp://:1883", "", "must start with"},
		{"tcp://:70000", "", "port"},
		{"tcp://:mqtt", "", "port"},
		{"tcp://u:p@h:1", "", "only a host"},
		{"tcp://h:1?x=y", "", "only a host"},
		{"tcp://h:1#", "", "only a host"},
		{"tcp:h:1", "", "only a host"},
		{"tcp://h:1/mqtt", "", "path"},
		{"tcp://::", "", "not a name or an address"},
		{"tcp://[::1", "", "missing ']'"},
		{"tcp://[fe80::1%25eth0]:1", "", "not a name or an address"},
		{"unix://", "", "missing"},
		{"unix://@abstract", "", "abstract"},
		{"unix:///" + strings.Repeat("x", 103), "", "104 bytes, at most 103"},
	}
	for _, tc := range cases {
		t.Run(tc.raw, func(t *testing.T) {
			t.Parallel()
			a, err := parseURL(tc.raw)
			if tc.err != "" {
				require.ErrorContains(t, err, tc.err)
				return
			}
			require.NoError(t, err)
			assert.Equal(t, tc.want, a.String())
		})
	}
}

func FuzzParseURL(f *testing.F) {
	for _, s := range []string{"tcp://127.0.0.1:1884", "ws://[::1]:80/mqtt", "unix:///a", "wss://:1/%2f?x#y", "tcp://[fe80::1%25a]"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		a, err := parseURL(raw)
		if err != nil {
			return
		}
		b, err := parseURL(a.String())
		require.NoError(t, err, "%q gave %q", raw, a)
		require.Equal(t, a, b)
	})
}
