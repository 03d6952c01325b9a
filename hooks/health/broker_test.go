package health_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tarsd/tarsd/broker/brokertest"
	"github.com/tarsd/tarsd/hooks/health"
	wt "github.com/tarsd/tarsd/internal/wire/wiretest"
	"github.com/tarsd/tarsd/services/contract"
)

// watch runs a watcher until the test ends or stop is called.
func watch(t *testing.T, b *brokertest.Broker, change func(*health.Options)) (w *health.Watcher, stop func()) {
	t.Helper()
	o := health.Options{Engine: b.Engine, Log: zerolog.Nop()}
	if change != nil {
		change(&o)
	}
	w = health.New(o)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); assert.NoError(t, w.Run(ctx)) }()
	stop = func() { cancel(); <-done }
	t.Cleanup(stop)
	return w, stop
}

func dial(t *testing.T, b *brokertest.Broker, version byte, o wt.Connect) *wt.Conn {
	t.Helper()
	c := wt.New(t, b.Dial(t, "tcp"), version)
	c.Name = o.ClientID
	c.Connect(o)
	return c
}

// page is a subscriber of all health, as the dashboards are. With fresh nothing is retained yet.
func page(t *testing.T, b *brokertest.Broker, fresh bool) *wt.Conn {
	t.Helper()
	c := dial(t, b, wt.V5, wt.Connect{ClientID: "page"})
	c.Subscribe(wt.Filter{Name: "system/health/#", Opts: 1 | wt.RetainAsPublished})
	if fresh {
		c.ExpectQuiet() // the search for retained messages is over: nothing comes twice
	}
	return c
}

// next is the next health message: "NAME ok EVENT", with " bare" if it is, and its envelope.
func next(t *testing.T, c *wt.Conn) (string, contract.Message[contract.HealthPing]) {
	t.Helper()
	p := c.Expect(wt.PUBLISH)
	c.Acknowledge(p)
	m, err := contract.Health.Decode([]byte(p.Payload))
	require.NoError(t, err, "%s: %s", p.Topic, p.Payload)
	assert.True(t, p.Retain, "%s is not retained", p.Topic)
	word := strings.TrimPrefix(p.Topic, "system/health/")
	if m.Data.OK {
		word += " ok"
	} else {
		word += " bad"
	}
	word += " " + contract.Value(m.Data.Event)
	if m.Bare {
		word += " bare"
	}
	return word, m
}

func expect(t *testing.T, c *wt.Conn, words ...string) {
	t.Helper()
	for _, want := range words {
		got, _ := next(t, c)
		assert.Equal(t, want, got)
	}
}

// say publishes a health message as the client library does.
func say(c *wt.Conn, level string, ok bool, event string) {
	c.Publish(wt.Publish{Topic: "system/health/" + level, Payload: ping(ok, event), QoS: 1, Retain: true})
}

func ping(ok bool, event string) string {
	return fmt.Sprintf(`{"id":"%032x","type":"health.status","ts":1790000000.5,"source":"test","data":{"message_id":"m","ok":%t,"event":%q,"timestamp":1790000000.5}}`,
		time.Now().UnixNano(), ok, event)
}

func will(level string) *wt.Will {
	return &wt.Will{Topic: "system/health/" + level, Payload: ping(false, "disconnected"), QoS: 1, Retain: true}
}

func state(t *testing.T, w *health.Watcher, name string, want health.State) {
	t.Helper()
	require.Eventually(t, func() bool {
		for _, p := range w.Report().Peers {
			if p.Name == name && p.State == want {
				return true
			}
		}
		return false
	}, 10*time.Second, 5*time.Millisecond, "%s is not %s: %+v", name, want, w.Report())
}

func TestDeaths(t *testing.T) {
	t.Parallel()
	for _, version := range []byte{wt.V311, wt.V5} {
		for name, test := range map[string]struct {
			connect wt.Connect
			end     func(*wt.Conn)
			want    []string
		}{
			"without a will, TCP cut": {wt.Connect{ClientID: "tars-stt"}, (*wt.Conn).Drop,
				[]string{"stt bad disconnected", "tars-stt bad disconnected"}},
			"without a will, session kept": {wt.Connect{ClientID: "tars-stt", Persist: true}, (*wt.Conn).Drop,
				[]string{"stt bad disconnected", "tars-stt bad disconnected"}},
			"without a will, keep-alive over": {wt.Connect{ClientID: "tars-stt", KeepAlive: 1}, func(*wt.Conn) {},
				[]string{"stt bad disconnected", "tars-stt bad disconnected"}},
			"without a will, DISCONNECT and no word": {wt.Connect{ClientID: "tars-stt"}, func(c *wt.Conn) { c.Disconnect() },
				[]string{"stt bad disconnected", "tars-stt bad disconnected"}},
			"will under the short name": {wt.Connect{ClientID: "tars-stt", Will: will("stt")}, (*wt.Conn).Drop,
				[]string{"stt bad disconnected", "tars-stt bad disconnected"}},
			"will under the client id": {wt.Connect{ClientID: "tars-stt", Will: will("tars-stt")}, (*wt.Conn).Drop,
				[]string{"tars-stt bad disconnected", "stt bad disconnected"}},
			"shutdown": {wt.Connect{ClientID: "tars-stt", Will: will("stt")}, func(c *wt.Conn) { say(c, "stt", false, "shutdown"); c.Disconnect() },
				[]string{"stt bad shutdown", "tars-stt bad shutdown"}},
		} {
			t.Run(fmt.Sprintf("%s %d", name, version), func(t *testing.T) {
				t.Parallel()
				b := brokertest.Start(t, brokertest.WithStore(t.TempDir()))
				w, _ := watch(t, b, nil)
				p := page(t, b, true)
				c := dial(t, b, version, test.connect)
				say(c, "stt", true, "ready")
				expect(t, p, "stt ok ready", "tars-stt ok ready")
				state(t, w, "stt", health.Ready)
				test.end(c)
				expect(t, p, test.want...)
				late := dial(t, b, wt.V311, wt.Connect{ClientID: "late"})
				late.Subscribe(wt.Filter{Name: "system/health/stt", Opts: 1})
				got, _ := next(t, late)
				assert.Contains(t, got, test.want[0][strings.Index(test.want[0], "bad"):])
				// Nothing more follows: the next that is said is the next that is seen.
				c = dial(t, b, version, wt.Connect{ClientID: "tars-stt"})
				say(c, "stt", true, "ready")
				expect(t, p, "stt ok ready", "tars-stt ok ready")
			})
		}
	}
}

// A legacy router waits for system/health/stt, which the legacy speech service never publishes;
// newer ones of that generation wait for the client id, which ours do not publish.
func TestEitherGenerationFindsTheOther(t *testing.T) {
	t.Parallel()
	for _, pair := range [][2]string{{"tars-stt", "stt"}, {"stt", "tars-stt"}, {"wake-activation", "wake"}, {"wake", "wake-activation"}} {
		t.Run(pair[0]+" for "+pair[1], func(t *testing.T) {
			t.Parallel()
			b := brokertest.Start(t)
			watch(t, b, nil)
			early := dial(t, b, wt.V311, wt.Connect{ClientID: "tars-router"})
			early.Subscribe(wt.Filter{Name: "system/health/" + pair[1], Opts: 1})
			said := ping(true, "ready")
			c := dial(t, b, wt.V311, wt.Connect{ClientID: "tars-" + strings.TrimPrefix(pair[0], "tars-")})
			c.Publish(wt.Publish{Topic: "system/health/" + pair[0], Payload: said, QoS: 1, Retain: true})
			early.Receive("system/health/"+pair[1], said)
			late := dial(t, b, wt.V311, wt.Connect{ClientID: "late"})
			late.Subscribe(wt.Filter{Name: "system/health/" + pair[1], Opts: 1})
			late.Receive("system/health/"+pair[1], said)
		})
	}
}

// Every message is carried once, whichever way it comes and however often both names are used.
func TestNoLoops(t *testing.T) {
	t.Parallel()
	b := brokertest.Start(t)
	watch(t, b, nil)
	p := page(t, b, true)
	c := dial(t, b, wt.V5, wt.Connect{ClientID: "tars-memory"})
	for range 20 {
		say(c, "tars-memory", true, "ready")
		say(c, "memory", true, "started")
	}
	var words []string
	for range 80 {
		w, _ := next(t, p)
		words = append(words, w)
	}
	count := map[string]int{}
	for _, w := range words {
		count[w]++
	}
	assert.Equal(t, map[string]int{"tars-memory ok ready": 20, "memory ok ready": 20, "memory ok started": 20, "tars-memory ok started": 20}, count)
	say(c, "memory", false, "shutdown")
	expect(t, p, "memory bad shutdown", "tars-memory bad shutdown")
	c.Publish(wt.Publish{Topic: "system/health/memory", QoS: 2, Retain: true})
	for _, topic := range []string{"system/health/memory", "system/health/tars-memory"} {
		m := p.Expect(wt.PUBLISH)
		p.Acknowledge(m)
		assert.Equal(t, topic, m.Topic)
		assert.Empty(t, m.Payload)
	}
	p.ExpectQuiet()
}

func TestTakeover(t *testing.T) {
	t.Parallel()
	b := brokertest.Start(t)
	w, _ := watch(t, b, nil)
	p := page(t, b, true)
	old := dial(t, b, wt.V311, wt.Connect{ClientID: "tars-tts", Will: will("tts")})
	say(old, "tts", true, "ready")
	expect(t, p, "tts ok ready", "tars-tts ok ready")
	c := dial(t, b, wt.V311, wt.Connect{ClientID: "tars-tts", Will: will("tts")})
	old.ExpectClosed()
	expect(t, p, "tts bad disconnected", "tars-tts bad disconnected") // the will, as MQTT wants it
	state(t, w, "tts", health.Connected)
	say(c, "tts", true, "reconnected")
	expect(t, p, "tts ok reconnected", "tars-tts ok reconnected")
	state(t, w, "tts", health.Reconnected)

	// Without a will nobody notices but the table.
	old = dial(t, b, wt.V5, wt.Connect{ClientID: "tars-llm"})
	say(old, "tars-llm", true, "ready")
	expect(t, p, "tars-llm ok ready", "llm ok ready")
	c = dial(t, b, wt.V5, wt.Connect{ClientID: "tars-llm"})
	state(t, w, "llm", health.Reconnected)
	c.Drop()
	expect(t, p, "llm bad disconnected", "tars-llm bad disconnected")
	for _, x := range w.Report().Peers {
		assert.Equal(t, 1, x.Losses*boolInt(x.Name == "llm")+boolInt(x.Name != "llm"), "a takeover is no loss")
	}
}

func boolInt(v bool) int {
	if v {
		return 1
	}
	return 0
}

func TestBrokerRestart(t *testing.T) {
	t.Parallel()
	b := brokertest.Start(t, brokertest.WithStore(t.TempDir()))
	_, stop := watch(t, b, nil)
	p := page(t, b, true)
	stays := dial(t, b, wt.V311, wt.Connect{ClientID: "tars-llm"})
	say(stays, "tars-llm", true, "ready")
	expect(t, p, "tars-llm ok ready", "llm ok ready") // the copy follows in its own time
	dies := dial(t, b, wt.V5, wt.Connect{ClientID: "tars-camera"})
	say(dies, "tars-camera", true, "ready")
	expect(t, p, "tars-camera ok ready", "camera ok ready")
	dev := dial(t, b, wt.V311, wt.Connect{ClientID: "tars-esp32"})
	dev.Publish(wt.Publish{Topic: "system/health/movement-esp32", Payload: `{"ok": true, "event": "ready", "timestamp": 12}`, QoS: 1, Retain: true})
	expect(t, p, "movement-esp32 ok ready bare", "movement-controller ok ready", "tars-esp32 ok ready")
	stop()
	b.Restart(t)

	w, _ := watch(t, b, func(o *health.Options) { o.Grace = 500 * time.Millisecond })
	dial(t, b, wt.V311, wt.Connect{ClientID: "tars-llm"})
	p = page(t, b, false)
	seen := map[string]int{}
	for range 7 {
		word, _ := next(t, p)
		seen[word]++
	}
	assert.Equal(t, 1, seen["llm ok ready"], "%v", seen)
	var words []string
	for range 5 {
		word, _ := next(t, p)
		words = append(words, word)
	}
	assert.ElementsMatch(t, []string{"camera bad disconnected", "tars-camera bad disconnected", "movement-esp32 bad disconnected bare",
		"movement-controller bad disconnected", "tars-esp32 bad disconnected"}, words)
	state(t, w, "llm", health.Reconnected)
	dev = dial(t, b, wt.V311, wt.Connect{ClientID: "tars-esp32"})
	expect(t, p, "movement-esp32 ok reconnected bare", "movement-controller ok reconnected", "tars-esp32 ok reconnected")
	dev.ExpectQuiet()
}

// What services say when they are stopped is carried before the watcher ends.
func TestLastWords(t *testing.T) {
	t.Parallel()
	b := brokertest.Start(t)
	_, stop := watch(t, b, nil)
	c := dial(t, b, wt.V5, wt.Connect{ClientID: "tars-router"})
	say(c, "router", false, "shutdown")
	stop()
	p := dial(t, b, wt.V5, wt.Connect{ClientID: "p"})
	p.Subscribe(wt.Filter{Name: "system/health/tars-router", Opts: 1 | wt.RetainAsPublished})
	expect(t, p, "tars-router bad shutdown")
}

// Heartbeats of a client that hangs, with time as it is. What is stale after three of them has to be so well
// after the broker speaks for a peer, 300 ms, or it never does.
func TestStale(t *testing.T) {
	t.Parallel()
	b := brokertest.Start(t)
	w, _ := watch(t, b, func(o *health.Options) { o.Heartbeat = 500 * time.Millisecond })
	p := page(t, b, true)
	c := dial(t, b, wt.V5, wt.Connect{ClientID: "tars-wake"})
	say(c, "wake", true, "ready")
	beat := wt.Publish{Topic: "system/keepalive/tars-wake", Payload: `{"ok":true,"event":"heartbeat","timestamp":1}`}
	c.Publish(beat)
	expect(t, p, "wake ok ready", "wake-activation ok ready", "wake bad stale", "wake-activation bad stale")
	state(t, w, "wake", health.Stale)
	c.Publish(beat)
	expect(t, p, "wake ok ready", "wake-activation ok ready")
}

// A flood of names and messages: the others are watched all the same.
func TestFloodOnABroker(t *testing.T) {
	t.Parallel()
	b := brokertest.Start(t)
	w, _ := watch(t, b, nil)
	c := dial(t, b, wt.V5, wt.Connect{ClientID: "tars-stt"})
	say(c, "stt", true, "ready")
	mallory := dial(t, b, wt.V5, wt.Connect{ClientID: "mallory"})
	var flood []byte
	for i := range 10_000 {
		flood = append(flood, wt.Publish{Topic: fmt.Sprintf("system/health/x%d", i), Payload: `{"ok":true}`, Retain: i%10 == 0}.Bytes(wt.V5)...)
	}
	for range 3 {
		mallory.Send(flood)
	}
	mallory.ExpectQuiet()
	c.Drop()
	state(t, w, "stt", health.Disconnected)
	assert.LessOrEqual(t, len(w.Report().Peers), 1024)
	mallory.Drop()
	c = dial(t, b, wt.V5, wt.Connect{ClientID: "tars-tts"})
	say(c, "tts", true, "ready")
	state(t, w, "tts", health.Ready)
}
