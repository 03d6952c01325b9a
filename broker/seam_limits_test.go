package broker

import (
	"io"
	"net"
	"testing"
	"time"

	mqtt "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/packets"
	"github.com/rs/zerolog"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestSeam8AcknowledgementsAreNotTheLibrarys(t *testing.T) {
	t.Parallel()
	s := newSeam(t, &seamFront{})
	s.connect(t)
	s.write(t, 0x50, 2, 0, 7, 0x62, 2, 0, 8, 0x70, 2, 0, 9, 0xc0, 0) // PUBREC, PUBREL, PUBCOMP of nothing
	s.expect(t, 0xd0, 0)                                             // the library would have answered two of them
	assert.Subset(t, s.seen(), []string{"message 5", "message 6", "message 7"})
}

// willFront looks at what the library has made of a CONNECT.
type willFront struct {
	seamFront
	will    mqtt.Will
	connect packets.Packet
}

func (f *willFront) OnConnect(cl *mqtt.Client, pk packets.Packet) error {
	f.will, f.connect = cl.Properties.Will, pk
	return f.seamFront.OnConnect(cl, pk)
}

func (f *willFront) OnACLCheck(*mqtt.Client, string, bool) bool {
	f.note("OnACLCheck")
	return true
}

// Seams 9 and 19: the library gets neither will nor password, and asks for no permission.
func TestSeam9And19TheLibraryKnowsNothing(t *testing.T) {
	t.Parallel()
	f := &willFront{}
	f.codes = []byte{0}
	recv := &seamReceiver{f: &f.seamFront, closed: make(chan struct{})}
	f.recv = recv
	b, err := New(Options{Front: f, Log: zerolog.Nop()})
	require.NoError(t, err)
	client, server := net.Pipe()
	done := make(chan struct{})
	go func() { defer close(done); b.Serve(server, Info{Listener: "test", Memory: true}) }()
	require.NoError(t, client.SetDeadline(time.Now().Add(10*time.Second)))
	// Clean start, a will of QoS 1, user "u", password "p", an empty will payload.
	_, err = client.Write([]byte{
		0x10, 24, 0, 4, 'M', 'Q', 'T', 'T', 4, 0xce, 0, 0, 0, 1, 'x', 0, 1, 'w', 0, 0, 0, 1, 'u', 0, 1, 'p',
	})
	require.NoError(t, err)
	_, err = io.ReadFull(client, make([]byte, 4))
	require.NoError(t, err)
	_, err = client.Write([]byte{0x82, 6, 0, 1, 0, 1, 'a', 0})
	require.NoError(t, err)
	_, err = io.ReadFull(client, make([]byte, 5))
	require.NoError(t, err)
	_ = client.Close()
	<-done
	assert.Zero(t, f.will)
	assert.Empty(t, f.connect.Connect.Password)
	assert.Empty(t, f.connect.Connect.WillTopic)
	assert.NotContains(t, f.seen(), "OnACLCheck")
}

func TestSeam14BeforeTheConnack(t *testing.T) {
	t.Parallel()
	for name, sent := range map[string][]byte{
		"silence":              nil,
		"half a packet":        {0x10, 14, 0, 4},
		"a length of 256 MiB":  {0x10, 0xff, 0xff, 0xff, 0x7f},
		"more than 16 KiB":     {0x10, 0x81, 0x80, 0x01},
		"not a CONNECT":        {0xc0, 0},
		"a message, then more": {0x30, 3, 0, 1, 'a', 0x10},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b, err := New(Options{Front: &seamFront{}, Limits: ConnLimits{ConnectTimeout: 200 * time.Millisecond}, Log: zerolog.Nop()})
			require.NoError(t, err)
			l, err := net.Listen("tcp", "127.0.0.1:0")
			require.NoError(t, err)
			defer func() { _ = l.Close() }()
			client, err := net.Dial("tcp", l.Addr().String())
			require.NoError(t, err)
			server, err := l.Accept()
			require.NoError(t, err)
			done := make(chan struct{})
			go func() { defer close(done); b.Serve(server, Info{Listener: "test", Remote: server.RemoteAddr()}) }()
			if sent != nil {
				_, err = client.Write(sent)
				require.NoError(t, err)
			}
			require.NoError(t, client.SetReadDeadline(time.Now().Add(10*time.Second)))
			rest, err := io.ReadAll(client)
			require.NoError(t, err, "the connection is not closed")
			assert.Empty(t, rest)
			<-done
		})
	}
}
