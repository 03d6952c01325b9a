package legacy

import (
	"bufio"
	"encoding/json"
	"fmt"
	"maps"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tarsd/tarsd/internal/wire"
	wt "github.com/tarsd/tarsd/internal/wire/wiretest"
	"github.com/tarsd/tarsd/services/servicetest"
)

// within is how long a test waits for what should come at once.
const within = 10 * time.Second

// peer is the MQTT client of the Python services: handlers run one after another in the order in which
// messages came, and get the payload only.
type peer struct {
	t      *testing.T
	source string // of envelopes
	nc     net.Conn

	mu       sync.Mutex // guards what follows
	last     uint16
	acks     map[uint16]chan struct{}
	handlers map[string]func(payload []byte)
	envelope int // sent so far

	did  chan string // what the service did
	inst chan wt.Packet
}

// connect begins a script as the client library does, with the health message of those that had it.
func connect(t *testing.T, bus *servicetest.Bus, id, source string) *peer {
	t.Helper()
	nc := bus.Broker.Dial(t, "tcp")
	p := &peer{
		t: t, source: source, nc: nc, acks: map[uint16]chan struct{}{}, handlers: map[string]func([]byte){},
		did: make(chan string, 1000), inst: make(chan wt.Packet, 1000),
	}
	in := bufio.NewReader(nc)
	p.write(wt.Connect{ClientID: id, KeepAlive: 60}.Bytes(wire.V311))
	ack, err := wt.Read(in, wire.V311)
	require.NoError(t, err)
	require.EqualValues(t, wt.CONNACK, ack.Type)
	require.Zero(t, ack.Code)
	var both sync.WaitGroup
	both.Go(func() { p.read(in) })
	both.Go(p.dispatch)
	t.Cleanup(func() { _ = nc.Close(); both.Wait() })
	if id != "ui-web" && id != "tars-ui" {
		p.health(id, true, "ready")
	}
	return p
}

func (p *peer) write(b []byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	_ = p.nc.SetWriteDeadline(time.Now().Add(within))
	_, _ = p.nc.Write(b) // who waits for an answer says so
}

// read acknowledges as paho does: before the handlers run.
func (p *peer) read(in *bufio.Reader) {
	defer close(p.inst)
	for {
		pk, err := wt.Read(in, wire.V311)
		if err != nil {
			return
		}
		switch pk.Type {
		case wt.PUBLISH:
			if pk.QoS == 1 {
				p.write(wt.Ack(wt.PUBACK, pk.ID))
			}
			p.inst <- pk
		case wt.PUBACK, wt.SUBACK:
			p.mu.Lock()
			if c := p.acks[pk.ID]; c != nil {
				close(c)
				delete(p.acks, pk.ID)
			}
			p.mu.Unlock()
		}
	}
}

func (p *peer) dispatch() {
	for pk := range p.inst {
		p.mu.Lock()
		h := p.handlers[pk.Topic]
		for f, other := range p.handlers {
			if h == nil && wire.Match(f, pk.Topic) {
				h = other
			}
		}
		p.mu.Unlock()
		if h != nil {
			h([]byte(pk.Payload))
		}
	}
}

// acked sends a packet with a new id and waits for its acknowledgement.
func (p *peer) acked(packet func(id uint16) []byte) {
	p.mu.Lock()
	p.last++
	id, done := p.last, make(chan struct{})
	p.acks[id] = done
	p.mu.Unlock()
	p.write(packet(id))
	select {
	case <-done:
	case <-time.After(within):
		p.t.Errorf("%s: packet %d is not acknowledged", p.source, id)
	}
}

func (p *peer) subscribe(topic string, qos byte, h func(payload []byte)) {
	p.mu.Lock()
	p.handlers[topic] = h
	p.mu.Unlock()
	p.acked(func(id uint16) []byte {
		return wt.Subscribe(wire.V311, id, nil, wt.Filter{Name: topic, Opts: qos})
	})
}

func (p *peer) raw(topic, payload string, qos byte, retain bool) {
	m := wt.Publish{Topic: topic, Payload: payload, QoS: qos, Retain: retain}
	if qos == 0 {
		p.write(m.Bytes(wire.V311))
		return
	}
	p.acked(func(id uint16) []byte { m.ID = id; return m.Bytes(wire.V311) })
}

// event publishes data in an envelope; id is that of what it answers, or "".
func (p *peer) event(topic, typ, id, data string, qos byte, retain bool) {
	if id == "" {
		id = p.id()
	}
	p.raw(topic, fmt.Sprintf(`{"id":%q,"type":%q,"ts":%s,"source":%q,"data":%s}`, id, typ, now(), p.source, data), qos, retain)
}

// id is a new one: 32 hex digits.
func (p *peer) id() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.envelope++
	return fmt.Sprintf("%016x%016x", time.Now().UnixNano(), p.envelope)
}

// health is what the client library says of itself: no nulls.
func (p *peer) health(id string, ok bool, event string) {
	p.event("system/health/"+id, "health.status", "", fmt.Sprintf(`{"message_id":%q,"ok":%t,"event":%q,"timestamp":%s}`, p.id(), ok, event, now()), 1, true)
}

// now is the time as Python writes it.
func now() string { return fmt.Sprintf("%.6f", float64(time.Now().UnixMicro())/1e6) }

// expect waits until the service does something, and drops what it did before.
func (p *peer) expect(want string) {
	p.t.Helper()
	var before []string
	timeout := time.After(within)
	for {
		select {
		case got := <-p.did:
			if got == want {
				return
			}
			before = append(before, got)
		case <-timeout:
			require.Fail(p.t, "it does not", "%s: %q; it did %q", p.source, want, before)
		}
	}
}

func (p *peer) note(format string, args ...any) { p.did <- fmt.Sprintf(format, args...) }

// object is a JSON object as Python has it.
type object map[string]any

func (o object) text(key string) string { s, _ := o[key].(string); return s }

// top reads the top level of a message, as those services do that know no envelope.
func top(payload []byte) object {
	var o object
	_ = json.Unmarshal(payload, &o)
	return o
}

// model is a strict payload model: keys that must be there and keys that may; "a!" must be.
type model struct{ must, may []string }

func fields(names string) model {
	var m model
	for f := range strings.FieldsSeq(names) {
		if name, ok := strings.CutSuffix(f, "!"); ok {
			m.must = append(m.must, name)
			f = name
		}
		m.may = append(m.may, f)
	}
	return m
}

func (m model) fits(o object) bool {
	for _, k := range m.must {
		if v, ok := o[k]; !ok || v == nil {
			return false
		}
	}
	for k := range maps.Keys(o) {
		if !slices.Contains(m.may, k) {
			return false
		}
	}
	return true
}

// The payload models that scripts need.
var (
	envelopeModel   = fields("id type! ts source data!")
	healthModel     = fields("message_id ok! event err timestamp")
	finalModel      = fields("message_id text! lang confidence utt_id ts is_final")
	sayModel        = fields("message_id text! voice lang utt_id style stt_ts wake_ack system_announce")
	statusModel     = fields("message_id event! text timestamp utt_id reason wake_ack system_announce")
	wakeModel       = fields("message_id type! tts_id confidence energy cause ts")
	responseModel   = fields("message_id id! reply error provider model tokens")
	requestModel    = fields("message_id id! text! stream use_rag rag_k system params conversation_history")
	testModel       = fields("message_id timestamp command! speed params request_id")
	snapshotModel   = fields("message_id name! description systemprompt traits voice meta scenario personality_notes example_interactions")
	memoryHitsModel = fields("message_id query! k! results total_tokens strategy_used truncated")
)

// unwrap takes the data of an envelope, as strict as pydantic.
func unwrap(payload []byte) (data object, id string, ok bool) {
	o := top(payload)
	if !envelopeModel.fits(o) {
		return nil, "", false
	}
	data, ok = o["data"].(map[string]any)
	if _, text := o["type"].(string); !ok || !text {
		return nil, "", false
	}
	return data, o.text("id"), true
}

// either reads an envelope or the bare object, and checks it against the model.
func either(payload []byte, m model) (data object, id string, ok bool) {
	data, id, ok = unwrap(payload)
	if !ok {
		data = top(payload)
	}
	return data, id, m.fits(data)
}
