package delivery_test

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tarsd/tarsd/broker/brokertest"
	"github.com/tarsd/tarsd/hooks/delivery"
	"github.com/tarsd/tarsd/internal/wire"
	wt "github.com/tarsd/tarsd/internal/wire/wiretest"
)

// adviser sets terms for the client "dev" and follows what becomes of its connections and messages.
type adviser struct {
	terms *delivery.Terms

	mu   sync.Mutex
	line *delivery.Line
	log  []string
	came chan struct{} // one for each entry of log
}

func advise(t delivery.Terms) *adviser { return &adviser{terms: &t, came: make(chan struct{}, 100)} }

func (a *adviser) Name() string { return "adviser" }
func (a *adviser) Terms(p *delivery.Peer) *delivery.Terms {
	if p.ID != "dev" {
		return nil
	}
	return a.terms
}

func (a *adviser) Attach(p *delivery.Peer) delivery.Inspector {
	if p.ID != "dev" {
		return nil
	}
	return a
}
func (a *adviser) OnMessage(*delivery.Message) delivery.Verdict { return delivery.Verdict{} }
func (a *adviser) Began(l *delivery.Line)                       { a.mu.Lock(); a.line = l; a.mu.Unlock(); a.note("began") }
func (a *adviser) Ended(string)                                 { a.note("ended") }
func (a *adviser) Outcome(taken bool)                           { a.note(fmt.Sprint("taken ", taken)) }
func (a *adviser) Later() func(bool) {
	return func(taken bool) { a.note(fmt.Sprint("later ", taken)) }
}

func (a *adviser) note(s string) {
	a.mu.Lock()
	a.log = append(a.log, s)
	a.mu.Unlock()
	a.came <- struct{}{}
}

// heard waits for n entries and returns them all.
func (a *adviser) heard(t *testing.T, n int) []string {
	t.Helper()
	for range n {
		select {
		case <-a.came:
		case <-time.After(10 * time.Second):
			require.Fail(t, "nothing heard")
		}
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.log
}

func device(t *testing.T, b *brokertest.Broker, o wt.Connect) *wt.Conn {
	t.Helper()
	o.ClientID = "dev"
	c, _ := client(t, b, wire.V311, o)
	return c
}

func TestWindow(t *testing.T) {
	t.Parallel()
	for _, persist := range []bool{false, true} {
		t.Run(fmt.Sprint("persist ", persist), func(t *testing.T) {
			t.Parallel()
			b := brokertest.Start(t, brokertest.WithStore(t.TempDir()), brokertest.WithHooks(advise(delivery.Terms{Window: 1})))
			p, _ := client(t, b, wire.V5, wt.Connect{ClientID: "p"})
			p.Publish(wt.Publish{Topic: "a/r", Payload: "retained", Retain: true})
			p.ExpectQuiet() // it is there
			d := device(t, b, wt.Connect{Persist: persist})
			granted := d.Subscribe(wt.Filter{Name: "a/#", Opts: 2})
			assert.Equal(t, []byte{1}, granted.Codes, "never QoS 2")
			got := d.ExpectPublish("a/r", "retained")
			for i := range 9 {
				p.Publish(wt.Publish{Topic: "a", Payload: fmt.Sprint(i), QoS: byte(i % 3)})
			}
			p.ExpectQuiet()
			for i := range 9 {
				assert.Equal(t, byte(1), got.QoS)
				d.ExpectQuiet()
				d.Acknowledge(got)
				got = d.ExpectPublish("a", fmt.Sprint(i))
			}
			d.Acknowledge(got)
			d.ExpectQuiet()
		})
	}
}

func TestQueueOfADevice(t *testing.T) {
	t.Parallel()
	b := brokertest.Start(t, brokertest.WithHooks(advise(delivery.Terms{Window: 1, Queue: 3})))
	d := device(t, b, wt.Connect{Persist: true})
	d.Subscribe(wt.Filter{Name: "a", Opts: 1})
	p, _ := client(t, b, wire.V5, wt.Connect{ClientID: "p"})
	for range 3 {
		p.Publish(wt.Publish{Topic: "a", QoS: 1})
	}
	p.Send(wt.Publish{Topic: "a", QoS: 1, ID: 99}.Bytes(wire.V5))
	assert.Equal(t, byte(wire.QuotaExceeded), p.Expect(wt.PUBACK).Code)
	info, ok := b.Engine.Client("dev")
	require.True(t, ok)
	assert.Equal(t, map[string]uint64{"queue_full": 1}, info.Dropped)
}

// TestClear: nothing that was asked for before a stop is done behind it, and the stop waits for nothing.
func TestClear(t *testing.T) {
	t.Parallel()
	b := brokertest.Start(t, brokertest.WithStore(t.TempDir()), brokertest.WithHooks(advise(delivery.Terms{Window: 1, Queue: 3, Clear: []string{"stop"}})))
	d := device(t, b, wt.Connect{Persist: true})
	d.Subscribe(wt.Filter{Name: "#", Opts: 1})
	p, _ := client(t, b, wire.V5, wt.Connect{ClientID: "p"})
	for i := range 3 {
		p.Publish(wt.Publish{Topic: "move", Payload: fmt.Sprint(i), QoS: byte(i)})
	}
	p.Publish(wt.Publish{Topic: "stop", Payload: "now"})
	p.Publish(wt.Publish{Topic: "move", Payload: "then"})
	p.ExpectQuiet()
	d.Receive("move", "0") // was under way
	d.Receive("stop", "now")
	d.Receive("move", "then")
	d.ExpectQuiet()
	info, _ := b.Engine.Client("dev")
	assert.Equal(t, map[string]uint64{"cleared": 2}, info.Dropped)
	d.Drop()
	b.Restart(t)
	d = device(t, b, wt.Connect{Persist: true})
	d.ExpectQuiet()
}

// TestNestedAcknowledgements is the order that a client needs which handles a message while it waits
// for the PUBACK of its own.
func TestNestedAcknowledgements(t *testing.T) {
	t.Parallel()
	for _, stored := range []bool{false, true} {
		t.Run(fmt.Sprint("stored ", stored), func(t *testing.T) {
			t.Parallel()
			opts := []brokertest.Option{brokertest.WithHooks(advise(delivery.Terms{Window: 1, Nested: true}))}
			if stored {
				opts = append(opts, brokertest.WithStore(t.TempDir()))
			}
			b := brokertest.Start(t, opts...)
			d := device(t, b, wt.Connect{})
			d.Subscribe(wt.Filter{Name: "command", Opts: 1})
			p, _ := client(t, b, wire.V5, wt.Connect{ClientID: "p"})
			publish := func(id uint16, topic string, retain bool) []byte {
				return wt.Publish{Topic: topic, Payload: "x", QoS: 1, Retain: retain, ID: id}.Bytes(wire.V311)
			}
			d.Send(publish(1, "health", true))
			d.ExpectAck(wt.PUBACK, 1)

			p.Publish(wt.Publish{Topic: "command", Payload: "1", QoS: 1})
			p.Publish(wt.Publish{Topic: "command", Payload: "2", QoS: 1})
			first := d.ExpectPublish("command", "1")
			d.Send(publish(2, "health", true)) // it was on its way when the command came
			d.Send(publish(3, "answer", false))
			d.ExpectAck(wt.PUBACK, 3)
			d.ExpectQuiet()
			d.Send(wt.Ack(wt.PUBACK, first.ID))
			d.ExpectAck(wt.PUBACK, 2)
			d.Receive("command", "2")
			d.Send(publish(4, "health", true))
			d.ExpectAck(wt.PUBACK, 4)
		})
	}
	t.Run("two under way", func(t *testing.T) {
		t.Parallel()
		b := brokertest.Start(t, brokertest.WithHooks(advise(delivery.Terms{Window: 2, Nested: true})))
		d := device(t, b, wt.Connect{})
		d.Subscribe(wt.Filter{Name: "command", Opts: 1})
		b.Engine.Publish("command", []byte("1"), 1, false)
		b.Engine.Publish("command", []byte("2"), 1, false)
		first, second := d.ExpectPublish("command", "1"), d.ExpectPublish("command", "2")
		d.Send(wt.Publish{Topic: "health", Payload: "x", QoS: 1, Retain: true, ID: 2}.Bytes(wire.V311))
		d.Acknowledge(first)
		d.ExpectQuiet()
		d.Acknowledge(second)
		d.ExpectAck(wt.PUBACK, 2)
	})
}

func TestSettle(t *testing.T) {
	t.Parallel()
	attach := []wire.Filter{{Name: "a", QoS: 1}, {Name: "b", QoS: 1}}
	t.Run("until it has subscribed", func(t *testing.T) {
		t.Parallel()
		b := brokertest.Start(t, brokertest.WithHooks(advise(delivery.Terms{Window: 1, Settle: time.Hour, Attach: attach})))
		d := device(t, b, wt.Connect{})
		d.ExpectQuiet() // what is attached is there
		b.Engine.Publish("a", []byte("1"), 1, false)
		b.Engine.Publish("b", []byte("2"), 0, false)
		d.Subscribe(wt.Filter{Name: "b", Opts: 1})
		d.ExpectQuiet()
		d.Subscribe(wt.Filter{Name: "a", Opts: 1})
		d.Receive("a", "1")
		d.Receive("b", "2")
	})
	t.Run("until it is quiet", func(t *testing.T) {
		t.Parallel()
		b := brokertest.Start(t, brokertest.WithHooks(advise(delivery.Terms{Window: 1, Settle: 300 * time.Millisecond, Attach: attach})))
		d := device(t, b, wt.Connect{})
		d.ExpectQuiet() // what is attached is there
		b.Engine.Publish("a", []byte("1"), 1, false)
		pass(d, 400*time.Millisecond) // it pings all the time
		began := time.Now()
		d.ExpectQuiet()
		d.Receive("a", "1")
		assert.Greater(t, time.Since(began), 290*time.Millisecond)
		d.ExpectQuiet()
	})
}

func TestAttach(t *testing.T) {
	t.Parallel()
	b := brokertest.Start(t, brokertest.WithStore(t.TempDir()), brokertest.WithHooks(advise(delivery.Terms{
		Attach: []wire.Filter{{Name: "a", QoS: 1}, {Name: "b", QoS: 0}},
	})))
	b.Engine.Publish("a", []byte("old"), 1, true)
	d := device(t, b, wt.Connect{Persist: true})
	d.ExpectQuiet() // no retained message for a subscription that the client did not make
	b.Engine.Publish("a", []byte("1"), 1, false)
	d.Receive("a", "1")
	d.Unsubscribe("a")
	d.Subscribe(wt.Filter{Name: "b", Opts: 1}) // its own has its own QoS
	d.Drop()
	b.Restart(t)
	d = device(t, b, wt.Connect{Persist: true})
	info, _ := b.Engine.Client("dev")
	assert.ElementsMatch(t, []string{"a", "b"}, info.Subscriptions)
	b.Engine.Publish("b", []byte("2"), 1, false)
	assert.Equal(t, byte(1), d.Receive("b", "2").QoS)
	d.Disconnect()
	d = device(t, b, wt.Connect{})
	b.Engine.Publish("b", []byte("3"), 1, false)
	assert.Equal(t, byte(0), d.Receive("b", "3").QoS, "a clean session has what is attached")
}

// mayNot is a policy that lets nobody subscribe to "secret".
type mayNot struct{ brokertest.AllowAll }

func (mayNot) MaySubscribe(_ *delivery.Peer, filter string) bool { return filter != "secret" }

func TestAttachIsNoWayAroundThePolicy(t *testing.T) {
	t.Parallel()
	b := brokertest.Start(t, brokertest.WithPolicy(mayNot{}), brokertest.WithHooks(advise(delivery.Terms{
		Attach: []wire.Filter{{Name: "secret", QoS: 1}, {Name: "a", QoS: 1}},
	})))
	device(t, b, wt.Connect{}).ExpectQuiet()
	info, _ := b.Engine.Client("dev")
	assert.Equal(t, []string{"a"}, info.Subscriptions)
}

func TestTooOld(t *testing.T) {
	t.Parallel()
	b := brokertest.Start(t, brokertest.WithHooks(advise(delivery.Terms{Window: 1, MaxAge: 300 * time.Millisecond})))
	d := device(t, b, wt.Connect{Persist: true})
	d.Subscribe(wt.Filter{Name: "a", Opts: 1})
	var others []*wt.Conn
	for i := range 4 { // so many that a message of QoS 0 is encoded once for all
		c, _ := client(t, b, wire.V311, wt.Connect{ClientID: fmt.Sprint("other", i)})
		c.Subscribe(wt.Filter{Name: "a"})
		others = append(others, c)
	}
	p, _ := client(t, b, wire.V5, wt.Connect{ClientID: "p"})
	p.Publish(wt.Publish{Topic: "a", Payload: "1", QoS: 1})
	p.Publish(wt.Publish{Topic: "a", Payload: "2", QoS: 1})
	p.Publish(wt.Publish{Topic: "a", Payload: "3"})
	first := d.ExpectPublish("a", "1")
	<-time.After(400 * time.Millisecond)
	p.Publish(wt.Publish{Topic: "a", Payload: "4"})
	others[3].Receive("a", "1")
	d.Acknowledge(first)
	d.Receive("a", "4")
	info, _ := b.Engine.Client("dev")
	assert.Equal(t, map[string]uint64{"too_old": 2}, info.Dropped)

	p.Publish(wt.Publish{Topic: "a", Payload: "5", QoS: 1})
	d.ExpectPublish("a", "5")
	d.Drop() // before it is acknowledged
	<-time.After(400 * time.Millisecond)
	d = device(t, b, wt.Connect{Persist: true})
	d.ExpectQuiet()
}

// TestFresh: nothing of before the connection reaches it, whether it was queued, under way or retained,
// but for a stop; and all that comes later does.
func TestFresh(t *testing.T) {
	t.Parallel()
	b := brokertest.Start(t, brokertest.WithStore(t.TempDir()), brokertest.WithHooks(advise(delivery.Terms{
		Fresh: true, Clear: []string{"stop"},
	})))
	p, _ := client(t, b, wire.V5, wt.Connect{ClientID: "p"})
	for qos := range byte(3) {
		p.Publish(wt.Publish{Topic: fmt.Sprint("retained/", qos), Payload: "1", QoS: qos, Retain: true})
	}
	p.Publish(wt.Publish{Topic: "stop", Payload: "r", QoS: 1, Retain: true})
	<-time.After(2 * time.Millisecond) // times are in milliseconds
	d := device(t, b, wt.Connect{Persist: true})
	d.Subscribe(wt.Filter{Name: "#", Opts: 2})
	d.Receive("stop", "r")
	d.ExpectQuiet()
	p.Publish(wt.Publish{Topic: "a", Payload: "1", QoS: 1})
	d.ExpectPublish("a", "1")
	d.Drop() // before it is acknowledged
	for _, topic := range []string{"a", "stop"} {
		p.Publish(wt.Publish{Topic: topic, Payload: "2", QoS: 1})
	}
	b.Restart(t)
	d = device(t, b, wt.Connect{Persist: true})
	d.Receive("stop", "2")
	d.ExpectQuiet()
	b.Engine.Publish("a", []byte("3"), 1, true)
	d.Receive("a", "3")
	info, _ := b.Engine.Client("dev")
	assert.Equal(t, map[string]uint64{"too_old": 2}, info.Dropped)
}

func TestLinkInPlaceOfKeepAlive(t *testing.T) {
	t.Parallel()
	for _, transport := range []string{"tcp", "memory", "ws"} {
		t.Run(transport, func(t *testing.T) {
			t.Parallel()
			b := brokertest.Start(t, brokertest.WithHooks(advise(delivery.Terms{Link: 20 * time.Second})))
			c := wt.New(t, b.Dial(t, transport), wire.V311)
			c.Connect(wt.Connect{ClientID: "dev", KeepAlive: 1})
			if transport == "ws" { // the link is not the client's: the rule holds
				c.ExpectClosed()
				return
			}
			c.Timeout = 2 * time.Second
			_, err := c.TryNext()
			require.ErrorContains(t, err, "timeout")
			c.ExpectQuiet()
			info, _ := b.Engine.Client("dev")
			assert.Equal(t, uint16(1), info.KeepAlive)
		})
	}
}

// nobody is a policy that refuses all.
type nobody struct{ brokertest.AllowAll }

func (nobody) Authenticate(context.Context, *delivery.Peer, *string, []byte) (wire.Code, string) {
	return wire.NotAuthorized, "no"
}

func TestHeldRefusal(t *testing.T) {
	t.Parallel()
	b := brokertest.Start(t, brokertest.WithPolicy(nobody{}), brokertest.WithHooks(advise(delivery.Terms{HoldRefusal: 300 * time.Millisecond})))
	took := func(id string) time.Duration {
		c := wt.New(t, b.Dial(t, "tcp"), wire.V311)
		began := time.Now()
		c.Send(wt.Connect{ClientID: id}.Bytes(wire.V311))
		p := c.ExpectRefused()
		require.NotNil(t, p)
		assert.Equal(t, 4, p.Size)
		return time.Since(began)
	}
	assert.Greater(t, took("dev"), 290*time.Millisecond)
	assert.Less(t, took("other"), 290*time.Millisecond)
}

// TestHeldRefusalsAreFew: who tries again without a pause cannot make the broker hold any number.
func TestHeldRefusalsAreFew(t *testing.T) {
	t.Parallel()
	b := brokertest.Start(t, brokertest.WithPolicy(nobody{}), brokertest.WithHooks(advise(delivery.Terms{HoldRefusal: time.Hour})))
	const all, held = 70, 64
	answered := make(chan bool, all)
	for range all {
		c := wt.New(t, b.Dial(t, "memory"), wire.V311)
		c.Send(wt.Connect{ClientID: "dev"}.Bytes(wire.V311))
		c.Timeout = time.Minute
		go func() { _, err := c.TryNext(); answered <- err == nil }()
	}
	for range all - held {
		select {
		case ok := <-answered:
			assert.True(t, ok)
		case <-time.After(10 * time.Second):
			require.Fail(t, "all are held")
		}
	}
	select {
	case <-answered:
		assert.Fail(t, "one more was answered")
	case <-time.After(300 * time.Millisecond):
	}
}

func TestCompanion(t *testing.T) {
	t.Parallel()
	a := advise(delivery.Terms{Window: 1})
	b := brokertest.Start(t, brokertest.WithStore(t.TempDir()), brokertest.WithHooks(a))
	d := device(t, b, wt.Connect{Persist: true})
	a.heard(t, 1)
	require.True(t, a.line.Send("only/you", []byte("1")))
	require.True(t, a.line.Send("only/you", []byte("2")))
	assert.Equal(t, byte(1), d.Receive("only/you", "1").QoS)
	assert.WithinDuration(t, time.Now(), a.line.LastPacket(), 10*time.Second)
	d.ExpectPublish("only/you", "2")
	old := a.line
	d = device(t, b, wt.Connect{Persist: true})
	assert.ElementsMatch(t, []string{"began", "began", "ended"}, a.heard(t, 2))
	assert.False(t, old.Send("only/you", []byte("3")), "the session is another connection's")
	d.Receive("only/you", "2") // it was not acknowledged
	d.Drop()
	a.heard(t, 1)
	assert.False(t, a.line.Send("only/you", []byte("4")))
	b.Restart(t)
	d = device(t, b, wt.Connect{Persist: true})
	d.ExpectQuiet() // the second was never on disk
}

// TestRewrite: one client gets another payload, at every QoS, live, from its queue and retained;
// everybody else gets what was sent.
func TestRewrite(t *testing.T) {
	t.Parallel()
	upper := func(topic string, payload []byte) []byte {
		if topic == "plain" {
			return payload
		}
		return bytes.ToUpper(payload)
	}
	b := brokertest.Start(t, brokertest.WithStore(t.TempDir()), brokertest.WithHooks(advise(delivery.Terms{Rewrite: upper})))
	p, _ := client(t, b, wire.V5, wt.Connect{ClientID: "p"})
	p.Publish(wt.Publish{Topic: "r0", Payload: "kept", Retain: true})
	p.Publish(wt.Publish{Topic: "r1", Payload: "kept", QoS: 1, Retain: true})
	p.ExpectQuiet()
	others := make([]*wt.Conn, 4) // so many that an encoding is shared
	for i := range others {
		others[i], _ = client(t, b, wire.V311, wt.Connect{ClientID: fmt.Sprint("other", i)})
		others[i].Subscribe(wt.Filter{Name: "live/+", Opts: 2})
	}
	d := device(t, b, wt.Connect{Persist: true})
	d.Subscribe(wt.Filter{Name: "r0", Opts: 1})
	d.Acknowledge(d.ExpectPublish("r0", "KEPT"))
	d.Subscribe(wt.Filter{Name: "r1", Opts: 1})
	d.Acknowledge(d.ExpectPublish("r1", "KEPT"))
	d.Subscribe(wt.Filter{Name: "live/+", Opts: 2}, wt.Filter{Name: "plain", Opts: 1})
	for qos := range byte(3) {
		topic := fmt.Sprint("live/", qos)
		p.Publish(wt.Publish{Topic: topic, Payload: "text", QoS: qos})
		d.Receive(topic, "TEXT")
		for _, o := range others {
			o.Receive(topic, "text")
		}
	}
	p.Publish(wt.Publish{Topic: "plain", Payload: "text"})
	d.Receive("plain", "text")
	d.ExpectQuiet() // its acknowledgements have arrived
	d.Drop()
	large := strings.Repeat("large", 20_000)
	p.Publish(wt.Publish{Topic: "live/1", Payload: large, QoS: 1})
	d = device(t, b, wt.Connect{Persist: true})
	d.Receive("live/1", strings.ToUpper(large))
	others[0].Receive("live/1", large)
}
