package dedup_test

import (
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tarsd/tarsd/broker/brokertest"
	"github.com/tarsd/tarsd/hooks/dedup"
	"github.com/tarsd/tarsd/hooks/delivery"
	"github.com/tarsd/tarsd/internal/wire"
	"github.com/tarsd/tarsd/internal/wire/wiretest"
)

func envelope(id string, text string) string {
	return fmt.Sprintf(`{"id":%q,"type":"tts.say","ts":1.5,"source":"router","data":{"message_id":"m","text":%q}}`, id, text)
}

// inspector is one connection of a hook.
func attach(t testing.TB, h *dedup.Hook, version byte) delivery.Follower {
	t.Helper()
	in, ok := h.Attach(&delivery.Peer{ID: "c", Version: version}).(delivery.Follower)
	require.True(t, ok)
	return in
}

// send passes a message through a connection, which the engine takes if asked, and reports whether it
// went on.
func send(in delivery.Follower, topic, payload string, taken bool) bool {
	v := in.OnMessage(&delivery.Message{Topic: topic, Payload: []byte(payload), QoS: 1})
	if v.Action == delivery.Deliver {
		in.Outcome(taken)
	}
	return v.Action == delivery.Deliver
}

func newHook(t testing.TB, o dedup.Options) *dedup.Hook {
	t.Helper()
	h, err := dedup.New(o)
	require.NoError(t, err)
	return h
}

func TestWindow(t *testing.T) {
	t.Parallel()
	var at time.Duration
	in := attach(t, newHook(t, dedup.Options{Entries: 3, Now: func() time.Duration { return at }}), wire.V5)
	require.True(t, send(in, "tts/say", envelope("1", "a"), true))
	at = 30 * time.Second
	require.False(t, send(in, "tts/say", envelope("1", "a"), true), "an entry exactly as old as the TTL is known")
	at = 60 * time.Second
	require.False(t, send(in, "tts/say", envelope("1", "a"), true), "a repeat makes it young again")
	at += 30*time.Second + 1
	require.True(t, send(in, "tts/say", envelope("1", "a"), true))

	for i := range 3 { // the oldest makes room
		require.True(t, send(in, "tts/say", envelope(fmt.Sprint("more", i), "a"), true))
	}
	require.True(t, send(in, "tts/say", envelope("1", "a"), true))
	require.False(t, send(in, "tts/say", envelope("more1", "a"), true))
}

func TestWhichTopics(t *testing.T) {
	t.Parallel()
	in := attach(t, newHook(t, dedup.Options{Topics: []string{"mine/#", "system/#", "camera/jpeg"}, Exclude: []string{"llm/+"}}), wire.V5)
	for topic, want := range map[string]bool{
		"tts/say": true, "stt/final": true, "movement/test": true, "mine/a": true, "camera/capture": true,
		"llm/request": false, "other": false, "tts/status": false, "stt/partial": false, "audio/in": false,
		"system/health/stt": false, "system/keepalive/stt": false, "camera/jpeg": false, "system/character/current": false,
	} {
		send(in, topic, envelope(topic, "x"), true)
		assert.Equal(t, want, !send(in, topic, envelope(topic, "x"), true), topic)
	}
	for _, m := range []delivery.Message{
		{Topic: "tts/say", Payload: []byte(`{"text":"bare"}`)},
		{Topic: "tts/say", Payload: []byte(envelope("r", "x")), Retain: true},
		{Topic: "movement/test", Payload: []byte(`{"command":"bow","speed":1}`)},
	} {
		for range 2 {
			assert.Equal(t, delivery.Verdict{}, in.OnMessage(&m))
			in.Outcome(true)
		}
	}
}

// TestTopicAndPublisherAreNotPartOfTheKey: one command by two ways is one.
func TestTopicAndPublisherAreNotPartOfTheKey(t *testing.T) {
	t.Parallel()
	h := newHook(t, dedup.Options{})
	a, b := attach(t, h, wire.V5), attach(t, h, wire.V311)
	require.True(t, send(a, "movement/command", envelope("1", "x"), true))
	assert.False(t, send(b, "movement/test", envelope("1", "x"), true))
}

func TestNotTakenIsNotSeen(t *testing.T) {
	t.Parallel()
	in := attach(t, newHook(t, dedup.Options{}), wire.V5)
	for range 3 {
		require.True(t, send(in, "tts/say", envelope("1", "x"), false))
	}
	require.True(t, send(in, "tts/say", envelope("1", "x"), true))
	require.False(t, send(in, "tts/say", envelope("1", "x"), true))
}

// TestRepeatWaitsForAnOpenMessage: one of QoS 2 whose commit is underway.
func TestRepeatWaitsForAnOpenMessage(t *testing.T) {
	t.Parallel()
	for _, taken := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			h := newHook(t, dedup.Options{})
			a, b := attach(t, h, wire.V5), attach(t, h, wire.V311)
			m := &delivery.Message{Topic: "tts/say", Payload: []byte(envelope("1", "x")), QoS: 2}
			require.Equal(t, delivery.Deliver, a.OnMessage(m).Action)
			tell := a.Later()
			a.OnMessage(&delivery.Message{Topic: "other"}) // its connection goes on
			a.Outcome(true)

			var v delivery.Verdict
			var wg sync.WaitGroup
			wg.Go(func() { v = b.OnMessage(m) })
			time.Sleep(5 * time.Second)
			synctest.Wait()
			require.Equal(t, delivery.Verdict{}, v)
			tell(taken)
			wg.Wait()
			if taken {
				assert.Equal(t, delivery.Verdict{Action: delivery.Repeat, Reason: "duplicate"}, v)
				return
			}
			assert.Equal(t, delivery.Deliver, v.Action)
			b.Outcome(true)
			assert.Equal(t, delivery.Repeat, a.OnMessage(m).Action)
		})
	}
}

// TestNoEnd: a message whose end nobody tells does not block its repeats for ever.
func TestNoEnd(t *testing.T) {
	t.Parallel()
	for version, want := range map[byte]delivery.Verdict{
		wire.V5:   {Action: delivery.Refuse, Code: wire.QuotaExceeded, Reason: "storage"},
		wire.V311: {Action: delivery.Close, Code: wire.QuotaExceeded, Reason: "storage"},
	} {
		synctest.Test(t, func(t *testing.T) {
			h := newHook(t, dedup.Options{})
			in := attach(t, h, version)
			m := &delivery.Message{Topic: "tts/say", Payload: []byte(envelope("1", "x")), QoS: 2}
			require.Equal(t, delivery.Deliver, attach(t, h, wire.V5).OnMessage(m).Action)
			assert.Equal(t, want, in.OnMessage(m))
			in.Outcome(false)
			assert.Equal(t, delivery.Deliver, in.OnMessage(m).Action)
		})
	}
}

func TestOptions(t *testing.T) {
	t.Parallel()
	_, err := dedup.New(dedup.Options{TTL: -1, Topics: []string{"a/#/b"}, Exclude: []string{""}})
	require.Error(t, err)
	for _, want := range []string{"below 0", `"a/#/b"`, `"" is not`} {
		assert.ErrorContains(t, err, want)
	}
	assert.Equal(t, "dedup", newHook(t, dedup.Options{}).Name())
}

func connect(t *testing.T, b *brokertest.Broker, version byte, o wiretest.Connect) *wiretest.Conn {
	t.Helper()
	c := wiretest.New(t, b.Dial(t, "memory"), version)
	c.Name = o.ClientID
	c.Connect(o)
	return c
}

// TestRedeliveryAcrossAReconnect is what the hook is for.
func TestRedeliveryAcrossAReconnect(t *testing.T) {
	t.Parallel()
	for qos := range byte(3) {
		for _, version := range []byte{wire.V311, wire.V5} {
			t.Run(fmt.Sprint("QoS ", qos, " version ", version), func(t *testing.T) {
				t.Parallel()
				b := brokertest.Start(t, brokertest.WithHooks(newHook(t, dedup.Options{})), brokertest.WithStore(t.TempDir()))
				robot := connect(t, b, wire.V311, wiretest.Connect{ClientID: "robot", Persist: true})
				robot.Subscribe(wiretest.Filter{Name: "movement/command", Opts: 2})
				m := wiretest.Publish{Topic: "movement/command", Payload: envelope("1", "walk"), QoS: qos, ID: 1}
				p := connect(t, b, version, wiretest.Connect{ClientID: "p"})
				p.Send(m.Bytes(version))
				robot.Receive(m.Topic, m.Payload)
				p.Drop() // whether the acknowledgement came is nobody's knowledge

				p = connect(t, b, version, wiretest.Connect{ClientID: "p"})
				m.Dup = qos > 0
				p.Publish(m)
				m.ID, m.Dup = 2, false
				p.Publish(m)
				m.Payload = envelope("2", "walk")
				p.Publish(m)
				robot.Receive(m.Topic, m.Payload)
				info, _ := b.Engine.Client("p")
				assert.Equal(t, map[string]uint64{"duplicate": 2}, info.Dropped)
				assert.Equal(t, uint64(2), b.Engine.Stats().Dropped["duplicate"])
			})
		}
	}
}

// TestFullQueue: a message that nobody could take is delivered when it is sent again.
func TestFullQueue(t *testing.T) {
	t.Parallel()
	b := brokertest.Start(t, brokertest.WithHooks(newHook(t, dedup.Options{})), brokertest.WithLimits(func(l *delivery.Limits) { l.QueueMessages = 1 }))
	robot := connect(t, b, wire.V311, wiretest.Connect{ClientID: "robot"})
	robot.Subscribe(wiretest.Filter{Name: "tts/say", Opts: 1})
	p := connect(t, b, wire.V5, wiretest.Connect{ClientID: "p"})
	p.Publish(wiretest.Publish{Topic: "tts/say", Payload: envelope("1", "a"), QoS: 1})
	again := wiretest.Publish{Topic: "tts/say", Payload: envelope("2", "b"), QoS: 1, ID: 9}
	p.Send(again.Bytes(wire.V5))
	require.Equal(t, byte(wire.QuotaExceeded), p.Expect(wiretest.PUBACK).Code)
	robot.Receive("tts/say", envelope("1", "a"))
	robot.ExpectQuiet()
	p.Publish(again)
	robot.Receive("tts/say", envelope("2", "b"))
	p.Publish(again)
	robot.ExpectQuiet()
}

// TestTwoPathsAtOnce: many clients send the same at the same moment, and one of them is heard.
func TestTwoPathsAtOnce(t *testing.T) {
	t.Parallel()
	b := brokertest.Start(t, brokertest.WithHooks(newHook(t, dedup.Options{})))
	robot := connect(t, b, wire.V311, wiretest.Connect{ClientID: "robot"})
	robot.Subscribe(wiretest.Filter{Name: "tts/say", Opts: 1})
	var wg sync.WaitGroup
	const rounds, paths = 50, 4
	for i := range paths {
		c := connect(t, b, wire.V5, wiretest.Connect{ClientID: fmt.Sprint("p", i)})
		wg.Go(func() {
			for r := range rounds {
				_ = c.TrySend(wiretest.Publish{Topic: "tts/say", Payload: envelope(fmt.Sprint(r), "x"), QoS: 1, ID: uint16(r + 1)}.Bytes(wire.V5))
			}
			for range rounds {
				_, _ = c.TryNext()
			}
		})
	}
	got := map[string]int{}
	for range rounds {
		p := robot.Expect(wiretest.PUBLISH)
		robot.Acknowledge(p)
		got[p.Payload]++
	}
	wg.Wait()
	robot.ExpectQuiet()
	assert.Len(t, got, rounds)
	assert.Equal(t, uint64(rounds*(paths-1)), b.Engine.Stats().Dropped["duplicate"])
}

func TestOtherTopicsCostNothing(t *testing.T) {
	in := attach(t, newHook(t, dedup.Options{Topics: []string{"a/#"}}), wire.V5)
	m := &delivery.Message{Topic: "stt/audio_fft", Payload: make([]byte, 1000)}
	assert.Zero(t, testing.AllocsPerRun(1000, func() { in.OnMessage(m); in.Outcome(true) }))
}
