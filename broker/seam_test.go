package broker

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"sync"
	"testing"
	"time"

	mqtt "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/packets"
	"github.com/rs/zerolog"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tarsd/tarsd/internal/wire"
)

// These tests pin what this program relies on and the library does not document. Each is named
// by its row in the table of seams; one that fails after an update of the library means that
// the code it names has to change, not the test.

// seamFront is a front hook that notes the order of what happens.
type seamFront struct {
	mqtt.HookBase
	mu     sync.Mutex
	calls  []string
	refuse bool
	panics string
	codes  []byte
	recv   Receiver
}

func (f *seamFront) ID() string         { return "seam" }
func (f *seamFront) Provides(byte) bool { return true }

func (f *seamFront) note(format string, a ...any) {
	f.mu.Lock()
	defer f.mu.Unlock()
	s := fmt.Sprintf(format, a...)
	f.calls = append(f.calls, s)
	if f.panics == s {
		panic("on purpose")
	}
}

func (f *seamFront) seen() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.calls)
}

func (f *seamFront) OnConnect(cl *mqtt.Client, _ packets.Packet) error {
	f.note("OnConnect")
	c := cl.Net.Conn.(*Conn)
	cl.ID = fmt.Sprintf("unique-%p", c)
	c.Bind(cl)
	return nil
}

func (f *seamFront) OnConnectAuthenticate(cl *mqtt.Client, _ packets.Packet) bool {
	f.note("OnConnectAuthenticate")
	if f.refuse {
		return false
	}
	c := cl.Net.Conn.(*Conn)
	c.Attach(f.recv, c.Connect().MaximumPacket, c.Connect().KeepAlive)
	return true
}

func (f *seamFront) OnSessionEstablish(*mqtt.Client, packets.Packet) { f.note("OnSessionEstablish") }

func (f *seamFront) OnSessionEstablished(cl *mqtt.Client, _ packets.Packet) {
	f.note("OnSessionEstablished")
	cl.Net.Conn.(*Conn).Established()
}

func (f *seamFront) OnSubscribe(_ *mqtt.Client, pk packets.Packet) packets.Packet {
	f.note("OnSubscribe %d", pk.PacketID)
	pk.Filters = nil
	return pk
}

func (f *seamFront) OnUnsubscribe(_ *mqtt.Client, pk packets.Packet) packets.Packet {
	f.note("OnUnsubscribe %d", pk.PacketID)
	pk.Filters = nil
	return pk
}

func (f *seamFront) OnPacketEncode(_ *mqtt.Client, pk packets.Packet) packets.Packet {
	f.note("encode %d", pk.FixedHeader.Type)
	switch pk.FixedHeader.Type {
	case packets.Connack:
		pk.SessionPresent = !f.refuse
		if f.refuse {
			pk.ReasonCode = byte(wire.QuotaExceeded)
		}
		pk.Properties = packets.Properties{TopicAliasMaximum: 7, MaximumPacketSize: 999}
	case packets.Suback, packets.Unsuback:
		pk.ReasonCodes = f.codes
		pk.Properties = packets.Properties{}
	}
	return pk
}

func (f *seamFront) OnPacketSent(_ *mqtt.Client, pk packets.Packet, _ []byte) {
	f.note("sent %d", pk.FixedHeader.Type)
}

func (f *seamFront) OnPublish(_ *mqtt.Client, pk packets.Packet) (packets.Packet, error) {
	f.note("OnPublish")
	return pk, nil
}

func (f *seamFront) Stopping() {}

func (f *seamFront) OnDisconnect(*mqtt.Client, error, bool) { f.note("OnDisconnect") }

// seamReceiver notes the messages that the connection took out.
type seamReceiver struct {
	f      *seamFront
	closed chan struct{}
}

func (r *seamReceiver) Receive(b []byte, _ int) error {
	r.f.note("message %d", b[0]>>4)
	return nil
}
func (r *seamReceiver) Flush()   {}
func (r *seamReceiver) Drained() {}
func (r *seamReceiver) Closed()  { close(r.closed) }

type seam struct {
	*seamFront
	b    *Broker
	log  *bytes.Buffer
	conn net.Conn
	recv *seamReceiver
	done chan struct{}
}

func newSeam(t *testing.T, f *seamFront) *seam {
	t.Helper()
	s := &seam{seamFront: f, log: &bytes.Buffer{}, done: make(chan struct{})}
	s.recv = &seamReceiver{f: f, closed: make(chan struct{})}
	f.recv = s.recv
	var err error
	s.b, err = New(Options{Front: f, Log: zerolog.New(zerolog.SyncWriter(s.log))})
	require.NoError(t, err)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer func() { _ = l.Close() }()
	s.conn, err = net.Dial("tcp", l.Addr().String())
	require.NoError(t, err)
	server, err := l.Accept()
	require.NoError(t, err)
	go func() {
		defer close(s.done)
		s.b.Serve(server, Info{Listener: "test", Remote: server.RemoteAddr()})
	}()
	t.Cleanup(func() {
		_ = s.conn.Close()
		<-s.done
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		assert.NoError(t, s.b.Shutdown(ctx))
	})
	require.NoError(t, s.conn.SetDeadline(time.Now().Add(10*time.Second)))
	return s
}

func (s *seam) write(t *testing.T, b ...byte) {
	t.Helper()
	_, err := s.conn.Write(b)
	require.NoError(t, err)
}

func (s *seam) expect(t *testing.T, want ...byte) {
	t.Helper()
	got := make([]byte, len(want))
	_, err := io.ReadFull(s.conn, got)
	require.NoError(t, err)
	assert.Equal(t, want, got)
}

var (
	connect5 = []byte{0x10, 14, 0, 4, 'M', 'Q', 'T', 'T', 5, 2, 0, 0, 0, 0, 1, 'x'}
	connect4 = []byte{0x10, 13, 0, 4, 'M', 'Q', 'T', 'T', 4, 2, 0, 0, 0, 1, 'x'}
	connack5 = []byte{0x20, 11, 1, 0, 8, 34, 0, 7, 39, 0, 0, 3, 0xe7}
)

func (s *seam) connect(t *testing.T) {
	t.Helper()
	s.write(t, connect5...)
	s.expect(t, connack5...)
}

func TestSeam1MessagesNeverReachTheLibrary(t *testing.T) {
	t.Parallel()
	s := newSeam(t, &seamFront{})
	s.connect(t)
	s.write(t, 0x30, 5, 0, 1, 'a', 0, 'p', 0x40, 2, 0, 1, 0xc0, 0)
	s.expect(t, 0xd0, 0)
	calls := s.seen()
	assert.Contains(t, calls, "message 3")
	assert.Contains(t, calls, "message 4")
	assert.NotContains(t, calls, "OnPublish")
}

// The library asks for more bytes only when it has answered the packet before: that keeps
// messages in their order with SUBSCRIBE.
func TestSeam1OnePacketPerRead(t *testing.T) {
	t.Parallel()
	s := newSeam(t, &seamFront{codes: []byte{0}})
	s.connect(t)
	s.write(t,
		0x82, 7, 0, 1, 0, 0, 1, 'a', 0,
		0x30, 5, 0, 1, 'a', 0, 'p',
		0xa2, 6, 0, 2, 0, 0, 1, 'a',
		0x32, 7, 0, 1, 'a', 0, 9, 0, 'p',
		0xc0, 0)
	s.expect(t, 0x90, 4, 0, 1, 0, 0, 0xb0, 4, 0, 2, 0, 0, 0xd0, 0)
	calls := s.seen()
	var order []string
	for _, c := range calls {
		switch c {
		case "OnSubscribe 1", "sent 9", "message 3", "OnUnsubscribe 2", "sent 11":
			order = append(order, c)
		}
	}
	assert.Equal(t, []string{"OnSubscribe 1", "sent 9", "message 3", "OnUnsubscribe 2", "sent 11", "message 3"}, order)
}

func TestSeam2NoServeIsNeeded(t *testing.T) {
	t.Parallel()
	s := newSeam(t, &seamFront{})
	s.connect(t)
	assert.Empty(t, s.b.srv.Topics.Retained.GetAll(), "$SYS in the library's index")
	assert.Empty(t, s.b.srv.Topics.Messages("#"))
}

func TestSeam4OrderOfTheConnectionHooks(t *testing.T) {
	t.Parallel()
	s := newSeam(t, &seamFront{})
	s.connect(t)
	s.write(t, 0xe0, 0)
	<-s.done
	<-s.recv.closed
	assert.Equal(t, []string{
		"OnConnect", "OnConnectAuthenticate", "OnSessionEstablish", "encode 2", "sent 2", "OnSessionEstablished", "OnDisconnect",
	}, s.seen())
	assert.Zero(t, s.b.srv.Clients.Len(), "the library's registry keeps a client")
}

func TestSeam5And17ConnackIsOurs(t *testing.T) {
	t.Parallel()
	newSeam(t, &seamFront{}).connect(t) // session present and two properties, and nothing else
}

func TestSeam6SubscribeLeavesNothingInTheLibrary(t *testing.T) {
	t.Parallel()
	s := newSeam(t, &seamFront{codes: []byte{0x97, 1}})
	s.connect(t)
	s.write(t, 0x82, 20, 0, 1, 9, 38, 0, 1, 'k', 0, 1, 'v', 11, 1, 0, 1, 'a', 0, 0, 1, 'b', 1) // user property, subscription id
	s.expect(t, 0x90, 5, 0, 1, 0, 0x97, 1)
	assert.Empty(t, s.b.srv.Topics.Subscribers("a").Subscriptions)
	assert.Empty(t, s.b.srv.Topics.Subscribers("-").Subscriptions)
}

func TestSeam7SentIsCalledBehindTheSuback(t *testing.T) {
	t.Parallel()
	s := newSeam(t, &seamFront{codes: []byte{0}})
	s.connect(t)
	s.write(t, 0x82, 7, 0, 1, 0, 0, 1, 'a', 0)
	s.expect(t, 0x90, 4, 0, 1, 0, 0)
	s.write(t, 0xc0, 0)
	s.expect(t, 0xd0, 0)
	calls := s.seen()
	assert.Less(t, slices.Index(calls, "encode 9"), slices.Index(calls, "sent 9"))
}

func TestSeam9To10DisconnectIsHeard(t *testing.T) {
	t.Parallel()
	s := newSeam(t, &seamFront{})
	s.connect(t)
	s.write(t, 0xe0, 2, 4, 0) // with will
	<-s.done
	assert.Contains(t, s.seen(), "OnDisconnect")
}

func TestSeam11NoDisconnectForOldClients(t *testing.T) {
	t.Parallel()
	s := newSeam(t, &seamFront{})
	s.write(t, connect4...)
	s.expect(t, 0x20, 2, 1, 0)
	s.write(t, 0xf0, 0) // AUTH: an error
	rest, err := io.ReadAll(s.conn)
	require.NoError(t, err)
	assert.Empty(t, rest)
}

func TestSeam11ReasonReachesTheClient(t *testing.T) {
	t.Parallel()
	s := newSeam(t, &seamFront{})
	s.connect(t)
	s.write(t, 0x10, 0) // a second CONNECT, then more that nobody will read
	s.write(t, make([]byte, 4096)...)
	rest, err := io.ReadAll(s.conn)
	require.NoError(t, err, "the DISCONNECT was lost to a reset")
	require.GreaterOrEqual(t, len(rest), 3)
	assert.EqualValues(t, 0xe0, rest[0])
	assert.EqualValues(t, wire.ProtocolError, rest[2])
}

func TestSeam12RefusalHasOurCode(t *testing.T) {
	t.Parallel()
	s := newSeam(t, &seamFront{refuse: true})
	s.write(t, connect5...)
	s.expect(t, 0x20, 11, 0, byte(wire.QuotaExceeded))
	<-s.done
	assert.NotContains(t, s.seen(), "OnSessionEstablish")
	assert.NotContains(t, s.seen(), "OnDisconnect")
}

func TestSeam13DeadlinesOfTheLibraryAreIgnored(t *testing.T) {
	t.Parallel()
	s := newSeam(t, &seamFront{})
	s.connect(t)
	s.b.mu.Lock()
	var c *Conn
	for c = range s.b.conns {
	}
	s.b.mu.Unlock()
	require.NoError(t, c.SetDeadline(time.Now().Add(-time.Hour)))
	require.NoError(t, c.SetReadDeadline(time.Now().Add(-time.Hour)))
	require.NoError(t, c.SetWriteDeadline(time.Now().Add(-time.Hour)))
	s.write(t, 0xc0, 0)
	s.expect(t, 0xd0, 0)
}

func TestSeam15PacketsStayOutOfTheLog(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	h := dropPackets{zerolog.NewSlogHandler(zerolog.New(&b))}
	log := newLogger(h)
	log.Warn("error processing packet", "error", errors.New("x"), "pk", packets.Packet{Payload: []byte("secret")})
	assert.Contains(t, b.String(), "error processing packet")
	assert.NotContains(t, b.String(), "c2Vj")
	assert.NotContains(t, b.String(), "secret")
}

func TestSeam16PanicsCostOneConnection(t *testing.T) {
	t.Parallel()
	for _, at := range []string{"OnConnect", "OnConnectAuthenticate", "encode 2", "OnSessionEstablished", "OnSubscribe 1", "message 3"} {
		t.Run(at, func(t *testing.T) {
			t.Parallel()
			s := newSeam(t, &seamFront{panics: at, codes: []byte{0}})
			s.write(t, connect5...)
			_, _ = s.conn.Write([]byte{0x82, 7, 0, 1, 0, 0, 1, 'a', 0, 0x30, 4, 0, 1, 'a', 0})
			<-s.done
			assert.Zero(t, s.b.Connections())
			assert.Zero(t, s.b.srv.Clients.Len())
		})
	}
}

func TestSeam18ShutdownIsBounded(t *testing.T) {
	t.Parallel()
	s := newSeam(t, &seamFront{})
	s.connect(t)
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
	defer cancel()
	require.NoError(t, s.b.Shutdown(ctx))
	rest, err := io.ReadAll(s.conn)
	require.NoError(t, err)
	require.GreaterOrEqual(t, len(rest), 3)
	assert.EqualValues(t, wire.ServerShuttingDown, rest[2])
}

func TestGrownIsCalledOnceForManyConnections(t *testing.T) {
	t.Parallel()
	grown := make(chan struct{}, 8)
	b, err := New(Options{Front: &seamFront{}, Grown: func() { grown <- struct{}{} }, Log: zerolog.Nop()})
	require.NoError(t, err)
	var wg sync.WaitGroup
	var ends []net.Conn
	for range growStep {
		client, server := net.Pipe()
		ends = append(ends, client)
		wg.Go(func() { b.Serve(server, Info{Listener: "test", Memory: true}) })
	}
	<-grown
	select {
	case <-grown:
		t.Error("called again though nothing grew")
	default:
	}
	for _, c := range ends {
		_ = c.Close()
	}
	wg.Wait()
	assert.Zero(t, b.Connections())
}

// A writer that finds its connection shut between two writes: what it holds stays counted for ever.
func TestShutConnectionIsNotCounted(t *testing.T) {
	t.Parallel()
	b := &Broker{limits: ConnLimits{}.withDefaults(), conns: map[*Conn]struct{}{}, log: zerolog.Nop()}
	a, z := net.Pipe()
	defer func() { _ = z.Close() }()
	c := newConn(b, a, Info{})
	c.AppendRaw(make([]byte, 100<<10), noPublish, false)
	c.mu.Lock()
	c.flushing = true // flushOnce has spawned the writer, which has not run yet
	c.mu.Unlock()
	_ = c.shut() // linger's end, or Shutdown's
	c.writer()
	if n := b.buffered.Load(); n != 0 {
		t.Fatalf("%d bytes stay counted", n)
	}
}
