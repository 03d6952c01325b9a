package conformance

import (
	"context"
	"net"
	"strings"
	"testing"

	"github.com/tarsd/tarsd/broker"
	"github.com/tarsd/tarsd/broker/brokertest"
	"github.com/tarsd/tarsd/hooks/delivery"
	"github.com/tarsd/tarsd/internal/wire"
)

// own is our broker in this process, one for each setting.
type own struct {
	*brokertest.Broker
	variants map[string]*own
}

func newOwn(t testing.TB) target {
	o := &own{Broker: brokertest.Start(t, brokertest.WithStore(t.TempDir())), variants: map[string]*own{}}
	for _, name := range []string{qos1, noRetain, shortAlive, narrow, guarded} {
		o.variants[name] = &own{Broker: brokertest.Start(t, options(name)...)}
	}
	return o
}

func (o *own) Transports() []string      { return []string{"tcp", "ws", "memory"} }
func (o *own) Known(byte, string) string { return "" }

func (o *own) Variant(_ testing.TB, name string) target {
	return o.variants[name]
}

func (o *own) Dial(t testing.TB, transport string) net.Conn {
	t.Helper()
	return o.Broker.Dial(t, transport)
}

func options(name string) []brokertest.Option {
	if name == guarded {
		return []brokertest.Option{brokertest.WithPolicy(guard{})}
	}
	if name == narrow {
		return []brokertest.Option{
			brokertest.WithConnLimits(func(l *broker.ConnLimits) { l.PacketBytes = 2048 }),
			brokertest.WithLimits(func(l *delivery.Limits) { l.ReceiveMaximum, l.TopicAliasMaximum, l.PacketBytes = 3, 3, 2048 }),
		}
	}
	return []brokertest.Option{brokertest.WithLimits(func(l *delivery.Limits) {
		switch name {
		case qos1:
			l.MaxQoS = 1
		case noRetain:
			l.Retain = false
		case shortAlive:
			l.KeepAlive = 1
		}
	})}
}

// guard refuses the user mallory, and everybody below deny/.
type guard struct{}

func (guard) Authenticate(_ context.Context, p *delivery.Peer, user *string, _ []byte) (wire.Code, string) {
	if user != nil && *user == "mallory" {
		return wire.NotAuthorized, "refused by the test"
	}
	return wire.Success, ""
}

// Current implements delivery.Policy: nobody's rights change.
func (guard) Current(*delivery.Peer) bool { return true }

func (guard) MayPublish(_ *delivery.Peer, topic string) bool {
	return !strings.HasPrefix(topic, "deny/")
}

func (guard) MaySubscribe(_ *delivery.Peer, filter string) bool {
	return !strings.HasPrefix(filter, "deny/")
}

// Publish is the server itself publishing; it may do so below "$", where clients may not.
func (o *own) Publish(topic, payload string) { o.Engine.Publish(topic, []byte(payload), 0, false) }
