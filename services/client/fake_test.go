package client

import (
	"context"
	"errors"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/eclipse/paho.golang/packets"
	"github.com/rs/zerolog"
	"github.com/stretchr/testify/require"
)

// fake is a broker with opinions, in memory, for what a real one does not do on request and for
// time that is not real. What it gets is on the channels; what it does not answer, by its
// switches, stays unanswered.
type fake struct {
	t  testing.TB
	wg sync.WaitGroup

	connects chan *packets.Connect
	subs     chan *packets.Subscribe
	pubs     chan *packets.Publish
	beats    chan *packets.Publish       // heartbeats, the first of them
	acks     chan *packets.ControlPacket // PUBACK, PUBREC, PUBCOMP
	ends     chan *packets.Disconnect

	mu      sync.Mutex
	conn    net.Conn
	dials   []time.Time
	down    bool // dials fail
	present bool // sessions are known
	mute    bool // no PINGRESP
	deaf    bool // no PUBACK
	refuse  byte // code of SUBACK
	code    byte // of PUBACK
	connack byte // code of CONNACK
	props   *packets.Properties
	nosub   bool // no SUBACK
}

func newFake(t testing.TB) *fake {
	return &fake{
		t: t, connects: make(chan *packets.Connect, 100), subs: make(chan *packets.Subscribe, 100), pubs: make(chan *packets.Publish, 10000),
		beats: make(chan *packets.Publish, 100),
		acks:  make(chan *packets.ControlPacket, 10000), ends: make(chan *packets.Disconnect, 100), props: &packets.Properties{},
	}
}

func (f *fake) set(change func(*fake)) {
	f.mu.Lock()
	defer f.mu.Unlock()
	change(f)
}

// dialed is when there were attempts to connect.
func (f *fake) dialed() []time.Time {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Clone(f.dials)
}

func (f *fake) dial(context.Context) (net.Conn, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.dials = append(f.dials, time.Now())
	if f.down {
		return nil, errors.New("nobody there")
	}
	a, end := net.Pipe()
	b := packets.NewThreadSafeConn(end) // serve and send both write
	f.conn = b
	f.wg.Go(func() { f.serve(b) })
	return a, nil
}

func (f *fake) serve(c net.Conn) {
	defer func() { _ = c.Close() }()
	for {
		p, err := packets.ReadPacket(c)
		if err != nil {
			return
		}
		f.mu.Lock()
		now := struct {
			present, mute, deaf, nosub bool
			refuse, code, connack      byte
			props                      *packets.Properties
		}{f.present, f.mute, f.deaf, f.nosub, f.refuse, f.code, f.connack, f.props}
		f.mu.Unlock()
		var answer io.WriterTo
		switch p := p.Content.(type) {
		case *packets.Connect:
			f.connects <- p
			answer = &packets.Connack{SessionPresent: now.present, ReasonCode: now.connack, Properties: now.props}
		case *packets.Subscribe:
			f.subs <- p
			if !now.nosub {
				answer = &packets.Suback{PacketID: p.PacketID, Reasons: []byte{max(p.Subscriptions[0].QoS, now.refuse)}, Properties: &packets.Properties{}}
			}
		case *packets.Unsubscribe:
			answer = &packets.Unsuback{PacketID: p.PacketID, Reasons: []byte{0}, Properties: &packets.Properties{}}
		case *packets.Publish:
			if strings.HasPrefix(p.Topic, "system/keepalive/") {
				select {
				case f.beats <- p:
				default: // a test that does not look
				}
			} else {
				f.pubs <- p
			}
			switch {
			case now.deaf || p.QoS == 0:
			case p.QoS == 1:
				answer = &packets.Puback{PacketID: p.PacketID, ReasonCode: now.code, Properties: &packets.Properties{}}
			default:
				answer = &packets.Pubrec{PacketID: p.PacketID, Properties: &packets.Properties{}}
			}
		case *packets.Pubrel:
			answer = &packets.Pubcomp{PacketID: p.PacketID, Properties: &packets.Properties{}}
		case *packets.Pingreq:
			if !now.mute {
				answer = packets.NewControlPacket(packets.PINGRESP)
			}
		case *packets.Disconnect:
			f.ends <- p
			return
		}
		switch p.Type {
		case packets.PUBACK, packets.PUBREC, packets.PUBCOMP:
			f.acks <- p
		}
		if answer != nil {
			if _, err := answer.WriteTo(c); err != nil {
				return
			}
		}
	}
}

// send writes a PUBLISH.
func (f *fake) send(topic, payload string, qos byte, id uint16, change ...func(*packets.Publish)) {
	p := &packets.Publish{Topic: topic, Payload: []byte(payload), QoS: qos, PacketID: id, Properties: &packets.Properties{}}
	for _, c := range change {
		c(p)
	}
	f.mu.Lock()
	c := f.conn
	f.mu.Unlock()
	_, err := p.WriteTo(c)
	require.NoError(f.t, err)
}

// raw writes bytes.
func (f *fake) raw(b []byte) {
	f.mu.Lock()
	c := f.conn
	f.mu.Unlock()
	c.(sync.Locker).Lock()
	defer c.(sync.Locker).Unlock()
	_, _ = c.Write(b)
}

// cut ends the connection.
func (f *fake) cut() {
	f.mu.Lock()
	c := f.conn
	f.mu.Unlock()
	_ = c.Close()
}

func dup(p *packets.Publish) { p.Duplicate = true }

func subID(id int) func(*packets.Publish) {
	return func(p *packets.Publish) { p.Properties.SubscriptionIdentifier = &id }
}

// start connects a client to f. The caller closes it.
func (f *fake) start(change ...func(*Options)) *Client {
	f.t.Helper()
	o := Options{Dial: f.dial, ID: "tars-x", Log: zerolog.Nop(), BackoffMin: 5 * time.Millisecond, BackoffMax: 20 * time.Millisecond}
	for _, c := range change {
		c(&o)
	}
	c, err := Connect(context.Background(), o)
	require.NoError(f.t, err)
	return c
}

// stop closes c and waits for the fake's goroutines.
func (f *fake) stop(c *Client) {
	f.t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	require.NoError(f.t, c.Close(ctx))
	f.wg.Wait()
}

func soon(t testing.TB) context.Context {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	t.Cleanup(cancel)
	return ctx
}

func get[T any](t testing.TB, ch <-chan T) T {
	t.Helper()
	select {
	case v := <-ch:
		return v
	case <-time.After(20 * time.Second):
		require.FailNow(t, "nothing came")
		panic("unreachable")
	}
}

// raws subscribes and hands on what comes.
func raws(t testing.TB, c *Client, filter string, qos byte, opts ...SubscribeOption) <-chan RawMessage {
	t.Helper()
	ch := make(chan RawMessage, 10000)
	_, err := c.SubscribeRaw(filter, qos, func(_ context.Context, m RawMessage) error {
		ch <- m
		return nil
	}, opts...)
	require.NoError(t, err)
	return ch
}
