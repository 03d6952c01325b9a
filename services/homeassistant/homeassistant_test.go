package homeassistant

import (
	"context"
	"encoding/json"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tarsd/tarsd/services/client"
	"github.com/tarsd/tarsd/services/contract"
	"github.com/tarsd/tarsd/services/servicetest"
)

// hass is a scripted Home Assistant: it listens to discovery and keeps what it is told.
type hass struct {
	t      *testing.T
	c      *client.Client
	config chan client.RawMessage
}

func newHass(t *testing.T, bus *servicetest.Bus) *hass {
	t.Helper()
	h := &hass{t, bus.Client(t, "hass"), make(chan client.RawMessage, 100)}
	_, err := h.c.SubscribeRaw("homeassistant/device/+/config", 1, func(_ context.Context, m client.RawMessage) error {
		h.config <- m
		return nil
	})
	require.NoError(t, err)
	require.NoError(t, h.c.Ready(t.Context()))
	return h
}

// next is the next announcement; a retained one is a replay.
func (h *hass) next() client.RawMessage {
	h.t.Helper()
	select {
	case m := <-h.config:
		return m
	case <-time.After(10 * time.Second):
		require.FailNow(h.t, "nothing announced")
		return client.RawMessage{}
	}
}

func (h *hass) publish(topic, payload string, retain bool) {
	h.t.Helper()
	_, err := h.c.PublishRaw(h.t.Context(), topic, []byte(payload), 1, retain)
	require.NoError(h.t, err)
}

func stop(t *testing.T, bus *servicetest.Bus, d *Device) func() {
	t.Helper()
	s := bus.Run(t, d)
	return func() { require.NoError(t, s.Stop(t.Context())) }
}

func TestAnnounce(t *testing.T) {
	t.Parallel()
	bus := servicetest.Start(t)
	h := newHass(t, bus)
	health := servicetest.Collect(t, h.c, contract.Health.At("homeassistant"))
	d := full(t)
	d.jitter = 50 * time.Millisecond
	end := stop(t, bus, d)
	first := h.next()
	assert.Equal(t, "homeassistant/device/tarsd/config", first.Topic)
	assert.Empty(t, violations(first.Topic, first.Payload))
	for range 5 {
		h.publish("homeassistant/status", "offline", false)
	}
	h.publish("homeassistant/status", "online", false)
	assert.Equal(t, first.Payload, h.next().Payload, "announced again")
	assert.Empty(t, h.config, "once")
	late := newHass(t, bus)
	m := late.next()
	assert.True(t, m.Retained, "one that comes later finds it")
	assert.Equal(t, first.Payload, m.Payload)
	health.Find(t, func(m client.Message[contract.HealthPing]) bool { return m.Data.OK })
	end()
	health.Find(t, func(m client.Message[contract.HealthPing]) bool { return !m.Data.OK })
}

func TestWhatIsNoLongerThereIsTakenBack(t *testing.T) {
	t.Parallel()
	bus := servicetest.Start(t)
	h := newHass(t, bus)
	d := full(t)
	end := stop(t, bus, d)
	h.next()
	end()
	less := full(t)
	less.jitter = time.Millisecond
	less.o.Traits = []string{"humor"}
	end = stop(t, bus, less)
	require.Eventually(t, func() bool {
		m := h.next()
		assert.Empty(t, violations(m.Topic, m.Payload))
		var a announcement
		require.NoError(t, json.Unmarshal(m.Payload, &a))
		return len(a.Components["trait_honesty"]) == 1 && a.Components["trait_honesty"].platform() == "number"
	}, 10*time.Second, time.Millisecond)
	end()
	off := full(t)
	off.o.Enabled = false
	stop(t, bus, off)
	require.Eventually(t, func() bool { return len(h.next().Payload) == 0 }, 10*time.Second, time.Millisecond, "switched off")
	late := newHass(t, bus)
	late.publish("homeassistant/device/mark/config", "{}", false)
	assert.Equal(t, "homeassistant/device/mark/config", late.next().Topic, "nothing is kept")
}

func TestOthersAreLeftAlone(t *testing.T) {
	t.Parallel()
	bus := servicetest.Start(t)
	h := newHass(t, bus)
	for _, payload := range []string{`{"o":{"name":"zigbee2mqtt"},"cmps":{}}`, `no JSON`, `[]`, `{"o":7}`} {
		h.publish("homeassistant/device/tarsd/config", payload, true)
		h.next()
		off := full(t)
		off.o.Enabled = false
		stop(t, bus, off)()
		assert.Empty(t, h.config, payload)
	}
}

func TestOptions(t *testing.T) {
	t.Parallel()
	o := Defaults()
	require.NoError(t, o.Validate())
	for name, change := range map[string]func(*Options){
		"prefix":   func(o *Options) { o.Prefix = "home/#" },
		"no topic": func(o *Options) { o.Prefix = "" },
		"system":   func(o *Options) { o.Prefix = "$SYS" },
		"id":       func(o *Options) { o.ID = "a/b" },
		"name":     func(o *Options) { o.Name = "a\nb" },
		"url":      func(o *Options) { o.URL = "javascript:alert(1)" },
		"password": func(o *Options) { o.URL = "http://u:p@robot" },
		"traits":   func(o *Options) { o.Traits = []string{"x'] }}{{ 1"} },
		"many":     func(o *Options) { o.Traits = make([]string, maxTraits+1) },
	} {
		o := Defaults()
		change(&o)
		_, err := New(o)
		assert.Error(t, err, name)
	}
}

// commands are what Home Assistant publishes when people use an entity: the template with the value in.
func commands(c component, value any) string {
	b, _ := json.Marshal(value)
	if press, ok := c["payload_press"].(string); ok {
		return press
	}
	return strings.NewReplacer("{{ value | to_json }}", string(b), "{{ value | int }}", string(b)).Replace(c["command_template"].(string))
}

// TestCommandsAreMessagesOfTheContract holds what entities send against the topics.
func TestCommandsAreMessagesOfTheContract(t *testing.T) {
	t.Parallel()
	all := full(t).components()
	for _, id := range []string{"say", "speech"} {
		m, err := contract.TTSSay.Decode([]byte(commands(all[id], `He said "no" \ 'yes' {{ 1 }}`)))
		require.NoError(t, err)
		assert.Equal(t, `He said "no" \ 'yes' {{ 1 }}`, m.Data.Text)
	}
	_, err := contract.MovementStop.Decode([]byte(commands(all["stop"], nil)))
	require.NoError(t, err)
	_, err = contract.MovementResume.Decode([]byte(commands(all["resume"], nil)))
	require.NoError(t, err)
	m, err := contract.CharacterUpdate.Decode([]byte(commands(all["trait_humor"], 65)))
	require.NoError(t, err)
	assert.Equal(t, "humor", m.Data.Trait.Trait)
	assert.Equal(t, 65, m.Data.Trait.Value)
}

// render puts messages through templates, as Home Assistant does, with Jinja.
func render(t *testing.T, template, message string) string {
	t.Helper()
	const program = `
import json, sys, jinja2
env = jinja2.Environment()
env.filters["to_json"] = json.dumps
sys.stdout.write(env.from_string(sys.argv[1]).render(value=sys.argv[2], value_json=json.loads(sys.argv[2]) if sys.argv[2][:1] == "{" else None))`
	out, err := exec.CommandContext(t.Context(), "python3", "-c", program, template, message).Output()
	require.NoError(t, err)
	return string(out)
}

func TestTemplates(t *testing.T) {
	t.Parallel()
	if exec.CommandContext(t.Context(), "python3", "-c", "import jinja2").Run() != nil {
		t.Skip("Jinja is not installed: apt-get install python3-jinja2")
	}
	all := full(t).components()
	for _, c := range []struct{ id, key, message, want string }{
		{"state", "value_template", `{"id":"1","type":"dialogue.state","ts":1,"source":"router","data":{"state":"listening","since":1}}`, "listening"},
		{"battery", "value_template", `{"event":"battery_low","timestamp":3}`, "ON"},
		{"battery", "value_template", `{"id":"1","data":{"event":"command_started"}}`, ""},
		{"battery", "value_template", `{"event":"connected"}`, "OFF"},
		{"motion", "value_template", `{"id":"1","data":{"event":"start"}}`, "ON"},
		{"motion", "value_template", `{"id":"1","data":{"event":"end"}}`, "OFF"},
		{"trait_humor", "value_template", `{"id":"1","data":{"name":"TARS","traits":{"humor":90}}}`, "90"},
		{"trait_humor", "value_template", `{"id":"1","data":{"name":"TARS","traits":{}}}`, "None"},
		{"health_router", "value_template", `{"id":"1","data":{"ok":true}}`, "OFF"},
		{"health_router", "value_template", `{"ok":false,"err":"x"}`, "ON"},
		{"health_router", "json_attributes_template", `{"id":"1","data":{"ok":false,"err":"no"}}`, `{"ok": false, "err": "no"}`},
		{"say", "command_template", `He said "no"`, `{"text": "He said \"no\"" }`},
		{"trait_humor", "command_template", "65.0", `{"trait": "humor", "value": 65 }`},
	} {
		assert.Equal(t, c.want, render(t, all[c.id][c.key].(string), c.message), "%s %s", c.id, c.message)
	}
	a := available("homeassistant")
	assert.Equal(t, "online", render(t, a.Template, `{"id":"1","data":{"ok":true,"event":"ready"}}`))
	assert.Equal(t, "offline", render(t, a.Template, `{"ok":false,"event":"disconnected"}`))
}

func FuzzOurs(f *testing.F) {
	d, err := New(Defaults())
	require.NoError(f, err)
	b, err := json.Marshal(d.announcement())
	require.NoError(f, err)
	f.Add(b)
	f.Add([]byte(`{"o":{"name":"tarsd"},"cmps":{"x":{"p":[]}}}`))
	f.Fuzz(func(t *testing.T, payload []byte) {
		r := &run{d: d, again: make(chan struct{}, 1), gone: map[string]component{}}
		r.before(client.RawMessage{Payload: payload, Retained: true})
		var a announcement
		if err := json.Unmarshal(r.config(), &a); err != nil {
			t.Fatal(err)
		}
	})
}
