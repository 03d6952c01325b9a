package interop

import (
	"bytes"
	"fmt"
	"testing"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// wait is how long a test waits for what should come at once.
const wait = 20 * time.Second

// paho3 is a Paho client of 3.1.1 whose messages wait in a channel.
type paho3 struct {
	mqtt.Client
	t        *testing.T
	messages chan mqtt.Message
	up, down chan struct{}
}

func newPaho3(t *testing.T, url string, change func(o *mqtt.ClientOptions)) *paho3 {
	t.Helper()
	c := &paho3{t: t, messages: make(chan mqtt.Message, 10_000), up: make(chan struct{}, 10), down: make(chan struct{}, 10)}
	o := mqtt.NewClientOptions().AddBroker(url).SetClientID(name("go3")).SetProtocolVersion(4).SetConnectTimeout(wait).
		SetAutoReconnect(true).SetMaxReconnectInterval(100 * time.Millisecond).SetConnectRetryInterval(20 * time.Millisecond).
		SetDefaultPublishHandler(func(_ mqtt.Client, m mqtt.Message) { c.messages <- m }).
		SetOnConnectHandler(func(mqtt.Client) { c.up <- struct{}{} }).
		SetConnectionLostHandler(func(mqtt.Client, error) { c.down <- struct{}{} })
	if change != nil {
		change(o)
	}
	c.Client = mqtt.NewClient(o)
	c.done(c.Connect())
	<-c.up
	t.Cleanup(func() { c.Disconnect(0) })
	return c
}

// done waits for a token.
func (c *paho3) done(token mqtt.Token) {
	c.t.Helper()
	require.True(c.t, token.WaitTimeout(wait), "no answer")
	require.NoError(c.t, token.Error())
}

func (c *paho3) subscribe(filter string, qos byte) {
	c.t.Helper()
	token := c.Subscribe(filter, qos, nil)
	c.done(token)
	require.Equal(c.t, map[string]byte{filter: qos}, token.(*mqtt.SubscribeToken).Result())
}

func (c *paho3) publish(topic, payload string, qos byte, retained bool) {
	c.t.Helper()
	c.done(c.Publish(topic, qos, retained, payload))
}

func (c *paho3) receive(topic, payload string) mqtt.Message {
	c.t.Helper()
	select {
	case m := <-c.messages:
		require.Equal(c.t, topic, m.Topic())
		require.Equal(c.t, payload, string(m.Payload()))
		return m
	case <-time.After(wait):
		require.Fail(c.t, "no message", "%s %.60q", topic, payload)
		return nil
	}
}

// forBoth runs a test over TCP and WebSocket.
func forBoth(t *testing.T, f func(t *testing.T, url string)) {
	t.Parallel()
	for transport, url := range map[string]string{"tcp": "tcp://" + shared.tcp, "ws": "ws://" + shared.ws + "/mqtt"} {
		t.Run(transport, func(t *testing.T) {
			t.Parallel()
			f(t, url)
		})
	}
}

func TestPahoGo3(t *testing.T) {
	forBoth(t, func(t *testing.T, url string) {
		topic := name("go3/")
		sub, pub := newPaho3(t, url, nil), newPaho3(t, url, nil)
		sub.subscribe(topic+"/#", 2)
		for qos := range byte(3) {
			pub.publish(topic+"/q", fmt.Sprint(qos), qos, false)
			assert.Equal(t, qos, sub.receive(topic+"/q", fmt.Sprint(qos)).Qos())
		}
		var tokens []mqtt.Token
		for i := range 1000 {
			tokens = append(tokens, pub.Publish(topic+"/order", 1+byte(i/500), false, fmt.Sprint(i)))
		}
		for i := range 1000 {
			sub.receive(topic+"/order", fmt.Sprint(i))
		}
		for _, token := range tokens {
			pub.done(token)
		}
		large := string(bytes.Repeat([]byte("large "), 200_000))
		pub.publish(topic+"/large", large, 2, false)
		sub.receive(topic+"/large", large)
		sub.done(sub.Unsubscribe(topic + "/#"))
		sub.subscribe(topic+"/end", 1)
		pub.publish(topic+"/q", "no longer", 1, false)
		pub.publish(topic+"/end", "x", 1, false)
		sub.receive(topic+"/end", "x")
	})
}

func TestPahoGo3RetainedAndWill(t *testing.T) {
	forBoth(t, func(t *testing.T, url string) {
		topic := name("go3/")
		pub := newPaho3(t, url, nil)
		pub.publish(topic+"/kept", "x", 1, true)
		sub := newPaho3(t, url, nil)
		sub.subscribe(topic+"/#", 1)
		assert.True(t, sub.receive(topic+"/kept", "x").Retained())
		newPaho3(t, url, func(o *mqtt.ClientOptions) { o.SetWill(topic+"/will", "polite", 1, false) }).Disconnect(250)
		id := name("go3")
		mine := func(o *mqtt.ClientOptions) {
			o.SetClientID(id).SetWill(topic+"/will", "taken over", 1, false).SetAutoReconnect(false)
		}
		newPaho3(t, url, mine)
		newPaho3(t, url, mine) // the same id: the Will of the first is due
		sub.receive(topic+"/will", "taken over")
		pub.publish(topic+"/kept", "", 1, true)
		sub.receive(topic+"/kept", "")
	})
}

func TestPahoGo3KeptSession(t *testing.T) {
	forBoth(t, func(t *testing.T, url string) {
		topic, id := name("go3/"), name("go3")
		kept := func(o *mqtt.ClientOptions) { o.SetClientID(id).SetCleanSession(false) }
		sub := newPaho3(t, url, kept)
		sub.subscribe(topic, 2)
		sub.Disconnect(250)
		pub := newPaho3(t, url, nil)
		for i := range 100 {
			pub.publish(topic, fmt.Sprint(i), 1+byte(i/50), false)
		}
		sub = newPaho3(t, url, kept)
		for i := range 100 {
			sub.receive(topic, fmt.Sprint(i))
		}
	})
}

// TestPahoGo3BrokerRestart is what a house sees when its broker is updated: clients come back
// by themselves, retained states and queued messages are there.
func TestPahoGo3BrokerRestart(t *testing.T) {
	t.Parallel()
	b := own(t)
	url, topic := "tcp://"+b.tcp, name("go3/")
	id := name("go3")
	kept := func(o *mqtt.ClientOptions) { o.SetClientID(id).SetCleanSession(false) }
	away := newPaho3(t, url, kept)
	away.subscribe(topic+"/queue", 1)
	away.Disconnect(250)
	here := newPaho3(t, url, func(o *mqtt.ClientOptions) { o.SetCleanSession(false).SetResumeSubs(true) })
	here.subscribe(topic+"/live", 1)
	pub := newPaho3(t, url, nil)
	pub.publish(topic+"/state", "retained", 1, true)
	for i := range 20 {
		pub.publish(topic+"/queue", fmt.Sprint(i), 1, false)
	}
	b.restart(t)
	for _, c := range []*paho3{here, pub} {
		<-c.down
		select {
		case <-c.up:
		case <-time.After(wait):
			t.Fatal("a client did not come back")
		}
	}
	pub.publish(topic+"/live", "after", 1, false)
	here.receive(topic+"/live", "after")
	late := newPaho3(t, url, nil)
	late.subscribe(topic+"/state", 1)
	late.receive(topic+"/state", "retained")
	away = newPaho3(t, url, kept)
	for i := range 20 {
		away.receive(topic+"/queue", fmt.Sprint(i))
	}
}
