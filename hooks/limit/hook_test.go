package limit

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tarsd/tarsd/hooks/delivery"
	"github.com/tarsd/tarsd/internal/wire"
)

// clock is a clock that stands still until it is moved.
type clock struct{ at time.Duration }

func (c *clock) now() time.Duration { return c.at }

func message(topic string, bytes int, qos byte) *delivery.Message {
	return &delivery.Message{Topic: topic, Payload: make([]byte, bytes), QoS: qos}
}

func attach(t testing.TB, h *Hook, id string, version byte) delivery.Inspector {
	t.Helper()
	in := h.Attach(&delivery.Peer{ID: id, Version: version, Listener: "tcp://127.0.0.1:1883"})
	require.NotNil(t, in)
	return in
}

func TestVerdicts(t *testing.T) {
	t.Parallel()
	ignore := delivery.Verdict{Action: delivery.Ignore, Code: wire.MessageRateTooHigh}
	refuse := delivery.Verdict{Action: delivery.Refuse, Code: wire.QuotaExceeded}
	closing := delivery.Verdict{Action: delivery.Close, Code: wire.MessageRateTooHigh}
	cases := []struct {
		name    string
		options Options
		version byte
		message *delivery.Message
		passes  int // messages at one instant
		then    delivery.Verdict
		reason  string
	}{
		{"messages, QoS 0, 3.1.1", Options{Messages: 10}, wire.V311, message("a", 1, 0), 10, ignore, ReasonMessages},
		{"messages, QoS 0, 5", Options{Messages: 10}, wire.V5, message("a", 1, 0), 10, ignore, ReasonMessages},
		{"messages, QoS 1, 5", Options{Messages: 10}, wire.V5, message("a", 1, 1), 10, refuse, ReasonMessages},
		{"messages, QoS 2, 5", Options{Messages: 10}, wire.V5, message("a", 1, 2), 10, refuse, ReasonMessages},
		{"messages, QoS 1, 3.1.1", Options{Messages: 10}, wire.V311, message("a", 1, 1), 10, closing, ReasonMessages},
		{"messages, QoS 2, 3.1", Options{Messages: 10}, wire.V31, message("a", 1, 2), 10, closing, ReasonMessages},
		{"bytes count topic and payload", Options{Bytes: 1000}, wire.V5, message("abcd", 96, 1), 10, refuse, ReasonBytes},
		{"less than one a second", Options{Messages: 0.1}, wire.V5, message("a", 1, 1), 1, refuse, ReasonMessages},
		{"topic", Options{Topics: []TopicRate{{Filter: "a/#", Messages: 5}}}, wire.V5, message("a/b", 1, 1), 5, refuse, ReasonTopic},
		{"topic bytes", Options{Topics: []TopicRate{{Filter: "a/#", Bytes: 100}}}, wire.V5, message("a/b", 7, 0), 10, ignore, ReasonTopic},
		{
			"the narrowest decides",
			Options{Messages: 10, Bytes: 1e6, Topics: []TopicRate{{Filter: "a/#", Messages: 8}, {Filter: "a/+", Messages: 3}}},
			wire.V5, message("a/b", 1, 1), 3, refuse, ReasonTopic,
		},
		{
			"a topic of no filter",
			Options{Messages: 10, Topics: []TopicRate{{Filter: "b", Messages: 3}}},
			wire.V5, message("a", 1, 1), 10, refuse, ReasonMessages,
		},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			at := &clock{at: time.Hour}
			c.options.Now = at.now
			h, err := New(c.options)
			require.NoError(t, err)
			in := attach(t, h, "client", c.version)
			for i := range c.passes {
				require.Equal(t, delivery.Verdict{}, in.OnMessage(c.message), "message %d", i)
			}
			want := c.then
			want.Reason = c.reason
			assert.Equal(t, want, in.OnMessage(c.message))
		})
	}
}

func TestRefill(t *testing.T) {
	t.Parallel()
	at := &clock{}
	h, err := New(Options{Messages: 10, Now: at.now})
	require.NoError(t, err)
	in := attach(t, h, "client", wire.V5)
	passed := 0
	for range 1000 { // 20 a second for 50 s
		if in.OnMessage(message("a", 1, 0)).Action == delivery.Deliver {
			passed++
		}
		at.at += 50 * time.Millisecond
	}
	assert.InDelta(t, 510, passed, 2, "ten a second and the ten at the start")

	at.at += time.Hour
	for range 10 {
		require.Equal(t, delivery.Deliver, in.OnMessage(message("a", 1, 0)).Action)
	}
	assert.Equal(t, delivery.Ignore, in.OnMessage(message("a", 1, 0)).Action, "an hour of silence saves no more than a second's worth")
}

func TestLargeMessageGoesIntoDebt(t *testing.T) {
	t.Parallel()
	at := &clock{}
	h, err := New(Options{Bytes: 1000, Now: at.now})
	require.NoError(t, err)
	in := attach(t, h, "client", wire.V5)
	require.Equal(t, delivery.Deliver, in.OnMessage(message("a", 4999, 1)).Action)
	at.at += 4 * time.Second
	require.Equal(t, delivery.Refuse, in.OnMessage(message("a", 1, 1)).Action)
	at.at += time.Second
	require.Equal(t, delivery.Deliver, in.OnMessage(message("a", 1, 1)).Action)
}

func TestRefusedTakesNothing(t *testing.T) {
	t.Parallel()
	at := &clock{}
	h, err := New(Options{Messages: 4, Topics: []TopicRate{{Filter: "a", Messages: 1}}, Now: at.now})
	require.NoError(t, err)
	in := attach(t, h, "client", wire.V5)
	require.Equal(t, delivery.Deliver, in.OnMessage(message("a", 1, 0)).Action)
	for range 5 {
		require.Equal(t, ReasonTopic, in.OnMessage(message("a", 1, 0)).Reason)
	}
	for range 3 {
		require.Equal(t, delivery.Deliver, in.OnMessage(message("b", 1, 0)).Action)
	}
	require.Equal(t, ReasonMessages, in.OnMessage(message("b", 1, 0)).Reason)
}

// TestSustained sends at a multiple of the rate until the client is disconnected.
func TestSustained(t *testing.T) {
	t.Parallel()
	cases := []struct {
		times float64
		after time.Duration // 0: never
	}{
		{1, 0},
		{1.5, 0},
		{1.9, 0},
		{3, 11 * time.Second},
		{11, 1200 * time.Millisecond},
		{101, 120 * time.Millisecond},
	}
	for _, c := range cases {
		t.Run(fmt.Sprint(c.times), func(t *testing.T) {
			t.Parallel()
			at := &clock{}
			h, err := New(Options{Messages: 100, Now: at.now})
			require.NoError(t, err)
			in := attach(t, h, "client", wire.V5)
			step := time.Duration(float64(time.Second) / (100 * c.times))
			var closed time.Duration
			for at.at < 5*time.Minute {
				v := in.OnMessage(message("a", 1, 1))
				if v.Action == delivery.Close {
					assert.Equal(t, wire.MessageRateTooHigh, v.Code)
					closed = at.at
					break
				}
				at.at += step
			}
			assert.InDelta(t, c.after.Seconds(), closed.Seconds(), 0.15*c.after.Seconds()+0.001)
		})
	}
}

func TestNewConnectionIsNoNewAllowance(t *testing.T) {
	t.Parallel()
	at := &clock{}
	h, err := New(Options{Messages: 5, Now: at.now})
	require.NoError(t, err)
	in := attach(t, h, "client", wire.V311)
	for range 5 {
		require.Equal(t, delivery.Deliver, in.OnMessage(message("a", 1, 1)).Action)
	}
	require.Equal(t, delivery.Close, in.OnMessage(message("a", 1, 1)).Action)
	in = attach(t, h, "client", wire.V311)
	require.Equal(t, delivery.Close, in.OnMessage(message("a", 1, 1)).Action)
	other := attach(t, h, "other", wire.V311)
	require.Equal(t, delivery.Deliver, other.OnMessage(message("a", 1, 1)).Action, "each client has its own")
	at.at += time.Second
	for range 5 {
		require.Equal(t, delivery.Deliver, in.OnMessage(message("a", 1, 1)).Action)
	}
}

func TestWhoIsLimited(t *testing.T) {
	t.Parallel()
	none, err := New(Options{})
	require.NoError(t, err)
	assert.False(t, none.Limits())
	assert.Nil(t, none.Attach(&delivery.Peer{Listener: "tcp://[::]:1883"}))
	h, err := New(Options{Bytes: 1})
	require.NoError(t, err)
	assert.True(t, h.Limits())
	assert.Equal(t, "limit", h.Name())
	assert.Nil(t, h.Attach(&delivery.Peer{Listener: "memory", Local: true}), "the robot's own services")
	assert.NotNil(t, h.Attach(&delivery.Peer{Listener: "tcp://127.0.0.1:1883", Local: true}))
}

func TestOptions(t *testing.T) {
	t.Parallel()
	_, err := New(Options{Messages: -1, Topics: []TopicRate{{Filter: "a/#/b", Messages: 1}, {Filter: "a"}, {Filter: "b", Bytes: -1}}})
	require.Error(t, err)
	for _, want := range []string{
		"limits.rate: below 0",
		`limits.topic_rates[0].filter: "a/#/b" is not a topic filter`,
		"limits.topic_rates[1]: needs messages or bytes above 0",
		"limits.topic_rates[2]: needs",
	} {
		assert.Contains(t, err.Error(), want)
	}
	_, err = New(Options{Topics: make([]TopicRate, maxTopicRates+1)})
	assert.ErrorContains(t, err, "at most")
}

func TestTableStaysBounded(t *testing.T) {
	t.Parallel()
	at := &clock{}
	h, err := New(Options{Messages: 1, Now: at.now})
	require.NoError(t, err)
	busy := attach(t, h, "busy", wire.V5)
	for i := range 10 * sweepFrom {
		busy.OnMessage(message("a", 1, 0))
		h.client(fmt.Sprint("idle", i))
		require.LessOrEqual(t, len(h.clients), 2*sweepFrom)
	}
	in := attach(t, h, "busy", wire.V5)
	assert.NotEqual(t, delivery.Deliver, in.OnMessage(message("a", 1, 0)).Action, "one that is above its rate is not forgotten")
	for i := range maxClients + sweepFrom {
		h.client(fmt.Sprint("flood", i)).buckets[0].full.Store(int64(time.Hour))
		if len(h.clients) > maxClients {
			t.Fatal("no bound")
		}
	}
}

// TestTakeover has two readers of one client id for a moment.
func TestTakeover(t *testing.T) {
	t.Parallel()
	h, err := New(Options{Messages: 1000, Bytes: 1e6, Topics: []TopicRate{{Filter: "#", Messages: 10}}})
	require.NoError(t, err)
	var wg sync.WaitGroup
	for range 2 {
		in := attach(t, h, "client", wire.V5)
		wg.Go(func() {
			for range 10000 {
				in.OnMessage(message("a/b", 10, 0))
			}
		})
	}
	wg.Wait()
}

func TestSystemClock(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h, err := New(Options{Messages: 2})
		require.NoError(t, err)
		in := attach(t, h, "client", wire.V5)
		for range 3 {
			assert.Equal(t, delivery.Deliver, in.OnMessage(message("a", 1, 0)).Action)
			assert.Equal(t, delivery.Deliver, in.OnMessage(message("a", 1, 0)).Action)
			assert.Equal(t, delivery.Ignore, in.OnMessage(message("a", 1, 0)).Action)
			<-time.After(time.Second) // fake: instant
		}
	})
}

func TestNoAllocation(t *testing.T) {
	at := &clock{}
	h, err := New(Options{Messages: 10, Bytes: 1e6, Topics: []TopicRate{{Filter: "a/+/c", Messages: 5}, {Filter: "#", Bytes: 1e6}}, Now: at.now})
	require.NoError(t, err)
	in := attach(t, h, "client", wire.V5)
	m := message("a/b/c", 100, 0)
	assert.Zero(t, testing.AllocsPerRun(1000, func() { // most of them above the rate
		in.OnMessage(m)
		at.at += 50 * time.Millisecond
	}))
}

func BenchmarkOnMessage(b *testing.B) {
	topics := []TopicRate{}
	for i := range 8 {
		topics = append(topics, TopicRate{Filter: fmt.Sprintf("robot/%d/+/state", i), Messages: 1e12})
	}
	for name, o := range map[string]Options{
		"client":    {Messages: 1e12, Bytes: 1e15},
		"8 filters": {Messages: 1e12, Bytes: 1e15, Topics: topics},
	} {
		b.Run(strings.ReplaceAll(name, " ", "_"), func(b *testing.B) {
			h, err := New(o)
			require.NoError(b, err)
			in := attach(b, h, "client", wire.V5)
			m := message("robot/3/arm/state", 128, 0)
			b.ReportAllocs()
			for b.Loop() {
				in.OnMessage(m)
			}
		})
	}
}
