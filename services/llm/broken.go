package llm

import (
	"context"
	"encoding/json"

	"github.com/tarsd/tarsd/services/client"
	"github.com/tarsd/tarsd/services/contract"
	"github.com/tarsd/tarsd/services/llm/chat"
)

// broken answers requests that are not as the contract says, if it can be told whose they are: who
// asked waits for a response, in vain at the reference. Whole ones go to request.
func (r *run) broken(_ context.Context, m client.RawMessage) error {
	_, err := contract.LLMRequest.Decode(m.Payload)
	if err == nil {
		return nil
	}
	event, id := salvage(m.Payload)
	if id == "" {
		return nil // the client has logged it
	}
	ctx, cancel := context.WithTimeout(context.Background(), publishWithin)
	defer cancel()
	resp := contract.ChatResponse{ID: id, Error: new((&chat.Error{Kind: chat.Invalid}).Spoken())}
	var opts []client.PublishOption
	if event != "" {
		opts = append(opts, client.WithID(event))
	}
	_, err = client.Publish(ctx, r.bus, contract.LLMResponse, resp, opts...)
	return err
}

// salvage finds the ids in a request that does not decode.
func salvage(payload []byte) (event, id string) {
	var m struct {
		ID   json.RawMessage `json:"id"`
		Data json.RawMessage `json:"data"`
		Mess json.RawMessage `json:"message_id"`
	}
	if json.Unmarshal(payload, &m) != nil {
		return "", ""
	}
	text := func(raw json.RawMessage) string {
		var s string
		_ = json.Unmarshal(raw, &s)
		if len(s) > 256 {
			return ""
		}
		return s
	}
	if m.Data == nil {
		return text(m.Mess), text(m.ID)
	}
	var d struct {
		ID json.RawMessage `json:"id"`
	}
	_ = json.Unmarshal(m.Data, &d)
	return text(m.ID), text(d.ID)
}
