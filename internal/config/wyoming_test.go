package config

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestWyoming(t *testing.T) {
	t.Parallel()
	for listen, good := range map[string]bool{
		"": true, "tcp://127.0.0.1:10400": true, "tcp://[::1]:0": true, "tcp://:10400": true, "unix:///run/tarsd/wyoming.sock": true,
		"127.0.0.1:10400": false, "tcp://127.0.0.1": false, "tls://127.0.0.1:1": false, "tcp://127.0.0.1:1/x": false, "unix://relative": false,
		"stdio:cat": false, "%": false, "unix:///" + strings.Repeat("x", 120): false,
	} {
		var ps Problems
		Wyoming{Listen: listen, Connections: 1}.check("wyoming", &ps)
		assert.Equal(t, good, len(ps) == 0, "%s: %v", listen, ps)
	}
	for _, n := range []int{0, -1, 1001} {
		var ps Problems
		Wyoming{Connections: n}.check("wyoming", &ps)
		assert.Len(t, ps, 1, n)
	}
	c := Default()
	c.DataDir = "x"
	require.NoError(t, c.Validate())
	c.Wyoming.Listen, c.TTS.Wyoming.Address = "tcp://127.0.0.1:10400", "tcp://127.0.0.1:10400"
	require.ErrorContains(t, c.Validate(), "tarsd would ask itself")
}
