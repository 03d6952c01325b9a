package mqttcli

import (
	"context"
	"errors"
	"io"
	"sync"
	"time"

	"github.com/eclipse/paho.golang/packets"
	"github.com/eclipse/paho.golang/paho"
	"github.com/eclipse/paho.golang/paho/session"
	"github.com/eclipse/paho.golang/paho/session/state"
)

// link5 is a connection with MQTT 5.
type link5 struct {
	o      *options
	client *paho.Client
	tap    *tap
	store  *receipts

	mu     sync.Mutex // of publish: receipts.last belongs to the message that is being sent
	gone   chan struct{}
	once   sync.Once
	cause  error
	endMu  sync.Mutex        // guards cause
	alias  map[uint16]string // of inbound topics; belongs to the handler's goroutine
	handle handler
}

func connect5(ctx context.Context, o *options, w *watch, clean bool, h handler) (link, bool, error) {
	ctx, cancel := context.WithTimeout(ctx, connectTimeout)
	defer cancel()
	nc, err := o.dial(ctx)
	if err != nil {
		return nil, false, cannotConnect(o, err)
	}
	l := &link5{o: o, tap: newTap(nc, w.see), gone: make(chan struct{}), alias: map[uint16]string{}, handle: h,
		store: &receipts{SessionManager: state.NewInMemory()}}
	l.client = paho.NewClient(paho.ClientConfig{
		ClientID:           o.id,
		Conn:               l.tap,
		Session:            l.store,
		PacketTimeout:      time.Hour, // the contexts of the callers end sooner
		OnPublishReceived:  []func(paho.PublishReceived) (bool, error){func(p paho.PublishReceived) (bool, error) { return l.received(p.Packet, w) }},
		OnServerDisconnect: l.serverDisconnect,
		OnClientError:      l.lose,
	})
	ca, err := l.client.Connect(ctx, o.connectPacket(clean))
	if err != nil {
		nc.Close()
		code, old := w.connackCode()
		switch {
		case old && code == 1, code == 0x84, old && code == 0:
			return nil, false, errors.Join(refused(0x84, reason(0x84, "try -V mqttv311")), errUnsupportedVersion)
		case ca != nil:
			detail := ""
			if ca.Properties != nil {
				detail = ca.Properties.ReasonString
			}
			return nil, false, refused(ca.ReasonCode, reason(ca.ReasonCode, detail))
		}
		return nil, false, cannotConnect(o, err)
	}
	if ca.Properties != nil && ca.Properties.AssignedClientID != "" {
		w.assigned(ca.Properties.AssignedClientID)
	}
	return l, ca.SessionPresent, nil
}

func (o *options) connectPacket(clean bool) *paho.Connect {
	props := o.props.connect
	props.RequestProblemInfo = true
	if o.hasExp || o.persist {
		props.SessionExpiryInterval = &o.expiry
	}
	cp := &paho.Connect{ClientID: o.id, KeepAlive: o.keep, CleanStart: clean, Properties: &props,
		Username: o.user, UsernameFlag: o.hasUser, Password: []byte(o.password), PasswordFlag: o.hasPass}
	if o.will != nil {
		cp.WillMessage = &paho.WillMessage{Topic: o.will.topic, Payload: []byte(o.will.payload), QoS: o.will.qos, Retain: o.will.retain}
		cp.WillProperties = &o.props.will
	}
	return cp
}

// received runs on paho's goroutine, one message at a time. What returns from here is
// acknowledged, so a message that must not be waits for the end of the connection.
func (l *link5) received(p *paho.Publish, w *watch) (bool, error) {
	m := &message{topic: p.Topic, payload: p.Payload, qos: p.QoS, retain: p.Retain, dup: p.Duplicate(), id: p.PacketID}
	if pp := p.Properties; pp != nil {
		if pp.TopicAlias != nil {
			if m.topic == "" {
				m.topic = l.alias[*pp.TopicAlias]
			} else {
				l.alias[*pp.TopicAlias] = m.topic
			}
		}
		if pp.PayloadFormat != nil || pp.MessageExpiry != nil || pp.ContentType != "" || pp.ResponseTopic != "" ||
			pp.CorrelationData != nil || pp.SubscriptionIdentifier != nil || pp.TopicAlias != nil || len(pp.User) > 0 {
			m.props = pp
		}
	}
	if w.begin(m.id, m.qos, m.dup) && !l.handle(m) {
		<-l.tap.leave
	}
	return true, nil
}

func (l *link5) serverDisconnect(d *paho.Disconnect) {
	detail := ""
	if d.Properties != nil {
		detail = d.Properties.ReasonString
	}
	l.lose(&serverEnd{d.ReasonCode, detail})
}

func (l *link5) lose(err error) {
	l.once.Do(func() {
		l.endMu.Lock()
		if errors.Is(err, io.EOF) {
			err = errors.New("the server closed the connection")
		}
		l.cause = err
		l.endMu.Unlock()
		l.tap.end()
		close(l.gone)
	})
}

func (l *link5) lost() <-chan struct{} { return l.gone }

func (l *link5) err() error {
	l.endMu.Lock()
	defer l.endMu.Unlock()
	return l.cause
}

func (l *link5) subscribe(ctx context.Context, filters []string) ([]byte, error) {
	s := &paho.Subscribe{}
	if p := l.o.props.subscribe; p.SubscriptionIdentifier != nil || len(p.User) > 0 {
		s.Properties = &p
	}
	for _, f := range filters {
		s.Subscriptions = append(s.Subscriptions, paho.SubscribeOptions{Topic: f, QoS: l.o.qos,
			RetainAsPublished: l.o.asPublished, RetainHandling: l.o.retainHandling})
	}
	sa, err := l.client.Subscribe(ctx, s)
	if sa != nil {
		return sa.Reasons, nil
	}
	return nil, err
}

func (l *link5) unsubscribe(ctx context.Context, filters []string) error {
	u := &paho.Unsubscribe{Topics: filters}
	if len(l.o.props.unsubscribe.User) > 0 {
		u.Properties = &l.o.props.unsubscribe
	}
	ua, err := l.client.Unsubscribe(ctx, u)
	if ua != nil {
		return nil // that there was no such subscription is no failure
	}
	return err
}

func (l *link5) publish(ctx context.Context, m *message) (<-chan error, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	p := &paho.Publish{Topic: m.topic, Payload: m.payload, QoS: m.qos, Retain: m.retain, Properties: m.props}
	l.store.last = nil
	if _, err := l.client.PublishWithOptions(ctx, p, paho.PublishOptions{Method: paho.PublishMethod_AsyncSend}); err != nil &&
		!errors.Is(err, paho.ErrNetworkErrorAfterStored) {
		return nil, err
	}
	result := make(chan error, 1)
	answer := l.store.last
	if answer == nil { // QoS 0
		result <- nil
		return result, nil
	}
	go func() { // ends with the answer, or with the connection
		select {
		case cp := <-answer:
			if cp.Content != nil {
				result <- answerError(&cp)
			}
		case <-l.gone:
		}
	}()
	return result, nil
}

// answerError is the refusal in an acknowledgement, or nil.
func answerError(cp *packets.ControlPacket) error {
	code, props := byte(0), (*packets.Properties)(nil)
	switch a := cp.Content.(type) {
	case *packets.Puback:
		code, props = a.ReasonCode, a.Properties
	case *packets.Pubrec:
		code, props = a.ReasonCode, a.Properties
	case *packets.Pubcomp:
		code, props = a.ReasonCode, a.Properties
	}
	if code < 0x80 {
		return nil
	}
	detail := ""
	if props != nil {
		detail = props.ReasonString
	}
	return exitf(int(code), "message refused: %s", reason(code, detail))
}

func (l *link5) disconnect(publishWill bool) {
	d := &paho.Disconnect{}
	if p := l.o.props.disconnect; p.SessionExpiryInterval != nil || len(p.User) > 0 {
		d.Properties = &p
	}
	if publishWill {
		d.ReasonCode = 4
	}
	_ = l.client.Disconnect(d) // the connection may be gone already, which is as good
	l.lose(nil)
}

// receipts is the session state of paho with one thing added: the channel on which the answer to
// the last PUBLISH will come, because an asynchronous publish does not hand it out.
type receipts struct {
	session.SessionManager
	last chan packets.ControlPacket // guarded by link5.mu
}

func (r *receipts) AddToSession(ctx context.Context, p session.Packet, resp chan<- packets.ControlPacket) error {
	if p.Type() == packets.PUBLISH {
		r.last = make(chan packets.ControlPacket, 1)
		resp = r.last
	}
	return r.SessionManager.AddToSession(ctx, p, resp)
}
