package tools

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/tarsd/tarsd/services/client"
	"github.com/tarsd/tarsd/services/contract"
	"github.com/tarsd/tarsd/services/tools/host"
	"github.com/tarsd/tarsd/services/tools/tool"
)

// publish publishes what a result of a server asks for, if the owner allows its topic, and if it is
// as the contract has it. At the reference every tool could publish anything, and what it published
// was often in a form that nobody read.
func (r *run) publish(ctx context.Context, s host.Server, d host.Directive) error {
	allowed := func(filter string) bool { return contract.Match(filter, d.Topic) }
	if d.Topic == "" || strings.ContainsAny(d.Topic, "+#$\x00") || forbidden(d.Topic) || !slices.ContainsFunc(s.Publish, allowed) {
		return errors.New("this is not allowed to its server")
	}
	data := d.Data
	if len(bytes.TrimSpace(data)) == 0 {
		data = json.RawMessage("{}")
	}
	spec, known := contract.Lookup(d.Topic)
	if !known {
		spec = contract.Spec{Type: strings.ReplaceAll(d.Topic, "/", "."), QoS: 1}
	}
	if spec.Form == contract.Raw {
		return errors.New("the topic carries no JSON")
	}
	payload := []byte(data)
	if spec.Form == contract.Enveloped {
		e := struct {
			ID     string          `json:"id"`
			Type   string          `json:"type"`
			TS     float64         `json:"ts"`
			Source string          `json:"source"`
			Data   json.RawMessage `json:"data"`
		}{client.NewID(), d.Type, float64(time.Now().UnixMicro()) / 1e6, tool.Cut(d.Source, 64), data}
		if e.Type == "" {
			e.Type = spec.Type
		}
		if e.Source == "" {
			e.Source = s.Name
		}
		var err error
		if payload, err = json.Marshal(e); err != nil {
			return err
		}
	}
	if known {
		if err := contract.Validate(d.Topic, payload); err != nil {
			return fmt.Errorf("nobody would read it: %w", err)
		}
	}
	_, err := r.bus.PublishRaw(ctx, d.Topic, payload, max(spec.QoS, 1), false)
	return err
}
