// Package hooks joins the broker library and the engine: the adapter of the library's
// connection hooks, and the order of the message hooks.
package hooks

import (
	"context"
	"net"
	"strconv"
	"sync/atomic"
	"time"

	mqtt "github.com/mochi-mqtt/server/v2"
	"github.com/mochi-mqtt/server/v2/packets"
	"github.com/rs/xid"

	"github.com/tarsd/tarsd/broker"
	"github.com/tarsd/tarsd/hooks/delivery"
	"github.com/tarsd/tarsd/internal/wire"
)

// Front is the library's hook: it answers control packets with what the engine says. The
// library's own registry, index and retained messages stay empty.
type Front struct {
	mqtt.HookBase
	engine *delivery.Engine
	lim    delivery.Limits
	ctx    context.Context // ends at shutdown: frees logins that wait
	serial atomic.Uint64
}

// NewFront makes the hook for broker.Options.Front. lim is what the CONNACK announces; ctx ends
// authentication that is underway.
func NewFront(ctx context.Context, e *delivery.Engine, lim delivery.Limits) *Front {
	return &Front{engine: e, lim: lim, ctx: ctx}
}

// Stopping implements broker.Front: sessions that lose their connection from here on lose it to
// the broker's end, not to their client's.
func (f *Front) Stopping() { f.engine.Stopping() }

// attempt is the state of one connection.
type attempt struct {
	peer     *delivery.Peer
	assigned bool
	adm      delivery.Admission
	codes    []byte // of the SUBACK or UNSUBACK that is about to be sent
}

// ID implements mqtt.Hook.
func (f *Front) ID() string { return "tarsd" }

// Provides implements mqtt.Hook.
func (f *Front) Provides(b byte) bool {
	switch b {
	case mqtt.OnConnect, mqtt.OnConnectAuthenticate, mqtt.OnSessionEstablished, mqtt.OnSubscribe, mqtt.OnUnsubscribe,
		mqtt.OnPacketEncode, mqtt.OnPacketSent:
		return true
	}
	return false
}

func of(cl *mqtt.Client) (*broker.Conn, *attempt) {
	c, _ := cl.Net.Conn.(*broker.Conn)
	if c == nil {
		return nil, nil
	}
	a, _ := c.Value.(*attempt)
	return c, a
}

// OnConnect makes the library's client unique to its connection: sessions and takeover are the
// engine's, and the library must never find another client of the same id.
func (f *Front) OnConnect(cl *mqtt.Client, _ packets.Packet) error {
	c, _ := of(cl)
	if c == nil {
		return packets.ErrImplementationSpecificError
	}
	cp, info := c.Connect(), c.Info()
	a := &attempt{assigned: cp.ClientID == ""}
	id := cp.ClientID
	if a.assigned {
		id = xid.New().String()
	}
	cl.ID = strconv.FormatUint(f.serial.Add(1), 36)
	c.Bind(cl)
	c.Value = a
	p := &delivery.Peer{
		ID: id, Version: cp.Version, Listener: info.Listener, Remote: c.RemoteAddr().String(), KeepAlive: cp.KeepAlive,
		Clean: cp.CleanStart, Since: time.Now(), Local: info.Memory, SignedIn: info.SignedIn,
	}
	p.Host = p.Remote
	if host, _, err := net.SplitHostPort(p.Remote); err == nil {
		p.Host = host
	}
	switch t := c.RemoteAddr().(type) {
	case *net.TCPAddr:
		p.Local = t.IP.IsLoopback()
	case *net.UnixAddr:
		p.Local = true
		p.Remote, p.Host = "unix", "unix"
	}
	if info.TLS != nil && len(info.TLS.VerifiedChains) > 0 {
		p.CN = info.TLS.PeerCertificates[0].Subject.CommonName
	}
	a.peer = p
	return nil
}

// OnConnectAuthenticate admits the connection and gives it its session.
func (f *Front) OnConnectAuthenticate(cl *mqtt.Client, _ packets.Packet) bool {
	c, a := of(cl)
	a.adm = f.engine.Connect(f.ctx, c, a.peer)
	return a.adm.Code == wire.Success
}

// OnSessionEstablished begins deliveries: the CONNACK is in the outbound buffer.
func (f *Front) OnSessionEstablished(cl *mqtt.Client, _ packets.Packet) {
	_, a := of(cl)
	f.engine.Start(a.adm)
}

// OnSubscribe does all the work; the library is left with nothing to subscribe.
func (f *Front) OnSubscribe(cl *mqtt.Client, pk packets.Packet) packets.Packet {
	c, a := of(cl)
	a.codes = f.engine.Subscribe(a.adm, c.Subscribe())
	pk.Filters = nil
	return pk
}

// OnUnsubscribe is its counterpart.
func (f *Front) OnUnsubscribe(cl *mqtt.Client, pk packets.Packet) packets.Packet {
	c, a := of(cl)
	a.codes = f.engine.Unsubscribe(a.adm, c.Unsubscribe())
	pk.Filters = nil
	return pk
}

// OnPacketSent starts the retained messages behind the SUBACK. [MQTT-3.8.4-1] allows them
// before it, but clients do not expect that.
func (f *Front) OnPacketSent(cl *mqtt.Client, pk packets.Packet, _ []byte) {
	if pk.FixedHeader.Type == packets.Suback {
		_, a := of(cl)
		f.engine.Replay(a.adm)
	}
}

// OnPacketEncode writes our answers into the library's packets.
func (f *Front) OnPacketEncode(cl *mqtt.Client, pk packets.Packet) packets.Packet {
	c, a := of(cl)
	if a == nil {
		return pk
	}
	cp := c.Connect()
	pk.Mods.MaxSize = cp.MaximumPacket // [MQTT-3.1.2-24]
	pk.Mods.DisallowProblemInfo = cp.NoProblemInfo
	switch pk.FixedHeader.Type {
	case packets.Connack:
		f.connack(cp, a, &pk)
	case packets.Suback, packets.Unsuback:
		pk.ReasonCodes = a.codes
		pk.Properties = packets.Properties{}
	}
	return pk
}

// connack fills in a CONNACK: every limit that is enforced is in it.
func (f *Front) connack(cp *wire.ConnectPacket, a *attempt, pk *packets.Packet) {
	pk.Properties = packets.Properties{}
	p := &pk.Properties
	pk.SessionPresent = a.adm.Present && cp.Version > wire.V31 // a reserved bit in 3.1
	if code := a.adm.Code; code != wire.Success {
		pk.SessionPresent = false // [MQTT-3.2.2-6]
		pk.ReasonCode = byte(code)
		p.ReasonString = a.adm.Reason
		if cp.Version < wire.V5 {
			pk.ReasonCode = code.V3()
		}
		return
	}
	pk.ReasonCode = 0
	if cp.Version < wire.V5 {
		return
	}
	if a.assigned {
		p.AssignedClientID = a.peer.ID // [MQTT-3.1.3-7]
	}
	if a.adm.SessionExpiry != cp.SessionExpiry {
		p.SessionExpiryInterval, p.SessionExpiryIntervalFlag = a.adm.SessionExpiry, true
	}
	if a.adm.KeepAlive != cp.KeepAlive {
		p.ServerKeepAlive, p.ServerKeepAliveFlag = a.adm.KeepAlive, true // [MQTT-3.1.2-21]
	}
	p.ReceiveMaximum = f.lim.ReceiveMaximum
	p.TopicAliasMaximum = f.lim.TopicAliasMaximum
	p.MaximumPacketSize = uint32(f.lim.PacketBytes)
	if f.lim.MaxQoS < 2 {
		p.MaximumQos, p.MaximumQosFlag = f.lim.MaxQoS, true // [MQTT-3.2.2-9]
	}
	if !f.lim.Retain {
		p.RetainAvailable, p.RetainAvailableFlag = 0, true
	}
}
