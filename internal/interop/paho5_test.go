package interop

import (
	"context"
	"fmt"
	"net/url"
	"slices"
	"testing"
	"time"

	"github.com/eclipse/paho.golang/autopaho"
	"github.com/eclipse/paho.golang/paho"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// paho5 is an autopaho connection whose messages wait in a channel.
type paho5 struct {
	*autopaho.ConnectionManager
	t        *testing.T
	ctx      context.Context
	messages chan *paho.Publish
	up       chan *paho.Connack
}

func newPaho5(t *testing.T, raw string, change func(o *autopaho.ClientConfig)) *paho5 {
	t.Helper()
	server, err := url.Parse(raw)
	require.NoError(t, err)
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	t.Cleanup(cancel)
	c := &paho5{t: t, ctx: ctx, messages: make(chan *paho.Publish, 10_000), up: make(chan *paho.Connack, 10)}
	o := autopaho.ClientConfig{
		ServerUrls:                    []*url.URL{server},
		KeepAlive:                     30,
		CleanStartOnInitialConnection: true,
		ReconnectBackoff:              autopaho.NewConstantBackoff(20 * time.Millisecond),
		ConnectTimeout:                wait,
		OnConnectionUp:                func(_ *autopaho.ConnectionManager, ack *paho.Connack) { c.up <- ack },
		ClientConfig: paho.ClientConfig{
			ClientID: name("go5"),
			OnPublishReceived: []func(paho.PublishReceived) (bool, error){func(m paho.PublishReceived) (bool, error) {
				c.messages <- m.Packet
				return true, nil
			}},
		},
	}
	if change != nil {
		change(&o)
	}
	c.ConnectionManager, err = autopaho.NewConnection(ctx, o)
	require.NoError(t, err)
	require.NoError(t, c.AwaitConnection(ctx))
	t.Cleanup(c.stop)
	return c
}

func (c *paho5) stop() {
	_ = c.Disconnect(c.ctx) // may have been stopped before
	<-c.Done()
}

func (c *paho5) subscribe(s paho.SubscribeOptions) {
	c.t.Helper()
	ack, err := c.Subscribe(c.ctx, &paho.Subscribe{Subscriptions: []paho.SubscribeOptions{s}})
	require.NoError(c.t, err)
	require.Equal(c.t, []byte{s.QoS}, ack.Reasons)
}

func (c *paho5) publish(p *paho.Publish) {
	c.t.Helper()
	_, err := c.Publish(c.ctx, p)
	require.NoError(c.t, err)
}

func (c *paho5) receive(topic, payload string) *paho.Publish {
	c.t.Helper()
	select {
	case m := <-c.messages:
		require.Equal(c.t, topic, m.Topic)
		require.Equal(c.t, payload, string(m.Payload))
		return m
	case <-time.After(wait):
		require.Fail(c.t, "no message", "%s %.60q", topic, payload)
		return nil
	}
}

func TestAutopaho(t *testing.T) {
	forBoth(t, func(t *testing.T, url string) {
		topic := name("go5/")
		sub, pub := newPaho5(t, url, nil), newPaho5(t, url, nil)
		sub.subscribe(paho.SubscribeOptions{Topic: topic + "/#", QoS: 2})
		for qos := range byte(3) {
			pub.publish(&paho.Publish{Topic: topic + "/q", QoS: qos, Payload: []byte(fmt.Sprint(qos))})
			assert.Equal(t, qos, sub.receive(topic+"/q", fmt.Sprint(qos)).QoS)
		}
		props := &paho.PublishProperties{
			ContentType: "text/plain", ResponseTopic: "answer", CorrelationData: []byte{0, 1},
			User: paho.UserProperties{{Key: "b", Value: "1"}, {Key: "a", Value: "2"}, {Key: "b", Value: "3"}},
		}
		pub.publish(&paho.Publish{Topic: topic + "/p", QoS: 1, Payload: []byte("x"), Properties: props})
		got := sub.receive(topic+"/p", "x").Properties
		assert.Equal(t, props.ContentType, got.ContentType)
		assert.Equal(t, props.ResponseTopic, got.ResponseTopic)
		assert.Equal(t, props.CorrelationData, got.CorrelationData)
		assert.True(t, slices.Equal(props.User, got.User), "%v", got.User)
		for i := range 500 {
			pub.publish(&paho.Publish{Topic: topic + "/order", QoS: 1 + byte(i/250), Payload: []byte(fmt.Sprint(i))})
		}
		for i := range 500 {
			sub.receive(topic+"/order", fmt.Sprint(i))
		}
	})
}

// TestAutopahoRequestResponse is how services ask each other in version 5.
func TestAutopahoRequestResponse(t *testing.T) {
	forBoth(t, func(t *testing.T, url string) {
		topic := name("go5/")
		server, client := newPaho5(t, url, nil), newPaho5(t, url, nil)
		server.subscribe(paho.SubscribeOptions{Topic: "$share/servers/" + topic + "/ask", QoS: 1})
		client.subscribe(paho.SubscribeOptions{Topic: topic + "/answer", QoS: 1, NoLocal: true})
		client.publish(&paho.Publish{Topic: topic + "/ask", QoS: 1, Payload: []byte("what?"), Properties: &paho.PublishProperties{
			ResponseTopic: topic + "/answer", CorrelationData: []byte("id 1"),
		}})
		q := server.receive(topic+"/ask", "what?")
		server.publish(&paho.Publish{Topic: q.Properties.ResponseTopic, QoS: 1, Payload: []byte("that"), Properties: &paho.PublishProperties{
			CorrelationData: q.Properties.CorrelationData,
		}})
		assert.Equal(t, "id 1", string(client.receive(topic+"/answer", "that").Properties.CorrelationData))
	})
}

// TestAutopahoBrokerRestart has a session with messages live through a restart of the broker.
func TestAutopahoBrokerRestart(t *testing.T) {
	t.Parallel()
	b := own(t)
	url, topic := "mqtt://"+b.tcp, name("go5/")
	kept := func(o *autopaho.ClientConfig) {
		o.CleanStartOnInitialConnection = false
		o.SessionExpiryInterval = 3600
	}
	here, pub := newPaho5(t, url, kept), newPaho5(t, url, nil)
	<-here.up
	<-pub.up
	here.subscribe(paho.SubscribeOptions{Topic: topic, QoS: 2})
	for i := range 20 {
		pub.publish(&paho.Publish{Topic: topic, QoS: 1 + byte(i/10), Payload: []byte(fmt.Sprint(i))})
	}
	for i := range 20 {
		here.receive(topic, fmt.Sprint(i))
	}
	b.restart(t)
	select {
	case ack := <-here.up:
		assert.True(t, ack.SessionPresent)
	case <-time.After(wait):
		t.Fatal("the subscriber did not come back")
	}
	<-pub.up
	pub.publish(&paho.Publish{Topic: topic, QoS: 2, Payload: []byte("after")})
	// Its subscription was kept. Paho acknowledges behind the back of its user, so the restart
	// may have come before the last acknowledgement.
	for m := range here.messages {
		if string(m.Payload) == "after" {
			return
		}
		require.Equal(t, "19", string(m.Payload))
	}
}
