package mqttcli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/url"
	"sync"
	"time"

	mqtt "github.com/eclipse/paho.mqtt.golang"
	"github.com/rs/xid"
)

// link3 is a connection with MQTT 3.1.1 or 3.1.
type link3 struct {
	o      *options
	client mqtt.Client
	tap    *tap
	gone   chan struct{}
	once   sync.Once
	mu     sync.Mutex
	cause  error
}

func connect3(ctx context.Context, o *options, w *watch, clean bool, h handler) (link, bool, error) {
	ctx, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	if o.id == "" && o.version == v31 {
		o.id = "td-" + xid.New().String() // 3.1 wants one, of at most 23 characters
		w.assigned(o.id)
	}
	nc, err := o.dial(ctx)
	if err != nil {
		return nil, false, cannotConnect(o, err)
	}
	l := &link3{o: o, gone: make(chan struct{}), tap: newTap(nc, w.see)}
	l.client = mqtt.NewClient(l.clientOptions(clean, w, h))
	t, _ := l.client.Connect().(*mqtt.ConnectToken)
	select {
	case <-t.Done():
	case <-ctx.Done():
		nc.Close()
		return nil, false, cannotConnect(o, ctx.Err())
	}
	if err := t.Error(); err != nil {
		nc.Close()
		if code := t.ReturnCode(); code > 0 && code <= 5 {
			return nil, false, refused(code, connackText[code])
		}
		if errors.Is(err, io.EOF) {
			err = errors.New("the server closed the connection")
		}
		return nil, false, cannotConnect(o, err)
	}
	return l, t.SessionPresent(), nil
}

var connackText = [6]string{1: "unacceptable protocol version", "identifier rejected", "server unavailable",
	"bad user name or password", "not authorized"}

func (l *link3) clientOptions(clean bool, w *watch, h handler) *mqtt.ClientOptions {
	o := l.o
	c := mqtt.NewClientOptions().
		AddBroker("tcp://" + o.server.address()). // unused: the connection is open
		SetCustomOpenConnectionFn(func(*url.URL, mqtt.ClientOptions) (net.Conn, error) { return l.tap, nil }).
		SetClientID(o.id).
		SetProtocolVersion(uint(o.version)).
		SetCleanSession(clean).
		SetKeepAlive(time.Duration(o.keep) * time.Second).
		SetConnectTimeout(connectTimeout).
		SetAutoReconnect(false).
		SetConnectRetry(false).
		SetOrderMatters(true).
		SetAutoAckDisabled(true).
		SetConnectionLostHandler(func(_ mqtt.Client, err error) { l.lose(err) }).
		SetDefaultPublishHandler(func(_ mqtt.Client, p mqtt.Message) {
			m := &message{topic: p.Topic(), payload: p.Payload(), qos: p.Qos(), retain: p.Retained(), dup: p.Duplicate(), id: p.MessageID()}
			// This library hands every QoS 2 message on, also one that comes again.
			if !w.begin(m.id, m.qos, m.dup) || h(m) {
				p.Ack()
			}
		})
	if o.hasUser {
		c.SetUsername(o.user)
	}
	if o.hasPass {
		c.SetPassword(o.password)
	}
	if o.will != nil {
		c.SetBinaryWill(o.will.topic, []byte(o.will.payload), o.will.qos, o.will.retain)
	}
	return c
}

func (l *link3) lose(err error) {
	l.once.Do(func() {
		if errors.Is(err, io.EOF) {
			err = errors.New("the server closed the connection")
		}
		l.mu.Lock()
		l.cause = err
		l.mu.Unlock()
		l.tap.end()
		close(l.gone)
	})
}

func (l *link3) lost() <-chan struct{} { return l.gone }

func (l *link3) err() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.cause
}

// wait waits for a token, the end of the connection or the end of the caller.
func (l *link3) wait(ctx context.Context, t mqtt.Token) error {
	select {
	case <-t.Done():
		return t.Error()
	case <-l.gone:
		return fmt.Errorf("connection lost: %w", l.err())
	case <-ctx.Done():
		return ctx.Err()
	}
}

// subscribe sends a packet for each filter, because this library shuffles those of one packet.
func (l *link3) subscribe(ctx context.Context, filters []string) ([]byte, error) {
	var codes []byte
	for _, f := range filters {
		t := l.client.Subscribe(f, l.o.qos, nil)
		err := l.wait(ctx, t)
		st, _ := t.(*mqtt.SubscribeToken)
		code, answered := st.Result()[f]
		if err != nil && !answered {
			return codes, err
		}
		codes = append(codes, code)
	}
	return codes, nil
}

func (l *link3) unsubscribe(ctx context.Context, filters []string) error {
	return l.wait(ctx, l.client.Unsubscribe(filters...))
}

func (l *link3) publish(ctx context.Context, m *message) (<-chan error, error) {
	// The library's Publish can block for half a minute when the connection is just being lost.
	handed := make(chan mqtt.Token, 1)
	go func() { handed <- l.client.Publish(m.topic, m.qos, m.retain, m.payload) }()
	result := make(chan error, 1)
	var t mqtt.Token
	select {
	case t = <-handed:
	case <-l.gone:
		return result, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	go func() {
		select {
		case <-t.Done():
			if err := t.Error(); err != nil && !l.losing() {
				result <- exitf(exitLost, "%s", err)
			} else if err == nil {
				result <- nil
			}
		case <-l.gone:
		}
	}()
	return result, nil
}

// losing tells, after a moment, whether the connection has ended.
func (l *link3) losing() bool {
	select {
	case <-l.gone:
		return true
	case <-time.After(5 * time.Second):
		return false
	}
}

func (l *link3) disconnect(bool) { // MQTT 3 cannot ask for the will
	l.client.Disconnect(500) // returns as soon as the DISCONNECT has left
	l.lose(nil)
}
