package device

import (
	"bytes"
	"encoding/json"
	"slices"

	"github.com/tarsd/tarsd/internal/wire"
	"github.com/tarsd/tarsd/services/contract"
)

// maxForm bounds the messages whose form is changed, and with it the cost of one, in bytes.
const maxForm = 1 << 20

// form changes messages into the form that a client reads. What is not surely in the other form is left
// as it came.
type form struct{ withheld, bare, enveloped []string } // filters

// rewrite is delivery.Terms.Rewrite.
func (f *form) rewrite(topic string, payload []byte) []byte {
	matches := func(filter string) bool { return wire.Match(filter, topic) }
	switch {
	case slices.ContainsFunc(f.withheld, matches):
		return []byte("{}")
	case len(payload) > maxForm:
	case slices.ContainsFunc(f.bare, matches):
		if _, data, ok := contract.Peek(payload); ok {
			return data
		}
	case slices.ContainsFunc(f.enveloped, matches):
		return wrap(topic, payload)
	}
	return payload
}

// wrap puts a bare object of a topic in the contract table into an envelope. Its id is the object's
// message_id; that and ts, which no reader needs, may be missing.
func wrap(topic string, payload []byte) []byte {
	row, known := contract.Lookup(topic)
	if !known || !bytes.HasPrefix(bytes.TrimLeft(payload, " \t\r\n"), []byte("{")) {
		return payload
	}
	if _, _, is := contract.Peek(payload); is {
		return payload
	}
	var own struct {
		MessageID string `json:"message_id"`
	}
	if json.Unmarshal(payload, &own) != nil {
		return payload
	}
	b, err := json.Marshal(struct {
		ID     string          `json:"id,omitempty"`
		Type   string          `json:"type"`
		Source string          `json:"source"`
		Data   json.RawMessage `json:"data"`
	}{own.MessageID, row.Type, row.Publishers[0], payload})
	if err != nil {
		return payload
	}
	return b
}

// Legacy are the profiles of the Python services that tarsd replaces, for those who still run some of them.
// Each reads some topics in one form only, and their peers sent the other one. Their ids are also those of
// our services, which speak MQTT 5.
func Legacy() []Profile {
	all := []Profile{
		{Match: "wake-activation", Bare: []string{"tts/status", "stt/final"}},
		{Match: "tars-tts", Bare: []string{"tts/control"}},
		{Match: "tars-movement", Bare: []string{"movement/test"}},
		{Match: "tars-llm", Bare: []string{"llm/tools/registry", "llm/tool.call.result"}},
		{Match: "ui-web", Bare: []string{"stt/+", "tts/+", "memory/results"}}, // what its page reads
		{Match: "tars-ui", Enveloped: []string{"tts/status"}},
	}
	for i := range all {
		all[i].Name, all[i].OnlyV3 = "legacy", true
	}
	return all
}
