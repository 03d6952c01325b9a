package openai

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"strings"

	"github.com/tarsd/tarsd/services/llm/chat"
)

// maxList bounds the list of models, bytes; OpenRouter's is about 1 MB.
const maxList = 4 << 20

// pick returns the model to ask: the one that is wanted, the one that is set, or else the first
// that the server lists.
func (c *Client) pick(ctx context.Context, wanted string) (string, error) {
	if wanted != "" {
		return wanted, nil
	}
	if m := c.Model(); m != "" {
		return m, nil
	}
	models, err := c.Models(ctx)
	if err != nil {
		return "", err
	}
	for _, m := range models {
		if embeds := strings.Contains(m, "embed") || strings.Contains(m, "bge-"); !embeds {
			c.mu.Lock()
			defer c.mu.Unlock()
			c.model = m
			return m, nil
		}
	}
	return "", chat.Errorf(chat.Setup, "the server lists no model that can talk")
}

// Models are the names of the models that the server lists, at most 1000. It gives up after the
// idle timeout.
func (c *Client) Models(ctx context.Context) ([]string, error) {
	limit := c.o.Timeouts.Idle
	ctx, cancel := context.WithTimeoutCause(ctx, limit, chat.Errorf(chat.Slow, "no list of models within %s", limit))
	defer cancel()
	r, err := c.request(ctx, http.MethodGet, "models", http.NoBody)
	if err != nil {
		return nil, err
	}
	resp, err := c.http.Do(r)
	if err != nil {
		return nil, c.fault(ctx, err, "list the models")
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(io.LimitReader(resp.Body, maxList))
	if err != nil {
		return nil, c.fault(ctx, err, "list the models")
	}
	if resp.StatusCode != http.StatusOK {
		return nil, c.status(resp, parseError(b))
	}
	var list struct {
		Data []struct {
			ID string `json:"id"`
		} `json:"data"`
	}
	if err := json.Unmarshal(b, &list); err != nil {
		return nil, chat.Errorf(chat.Garbled, "the list of models: %s", c.clean(err.Error()))
	}
	var names []string
	for _, m := range list.Data {
		if m.ID != "" && len(m.ID) <= 200 && len(names) < 1000 {
			names = append(names, m.ID)
		}
	}
	return names, nil
}
