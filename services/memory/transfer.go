package memory

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/tarsd/tarsd/services/client"
	"github.com/tarsd/tarsd/services/contract"
)

// pageBytes is how many bytes of texts a page of an export holds, well below what a packet may.
const pageBytes = 256 << 10

func (m *Memory) export(ctx context.Context, msg client.Message[contract.ExportMemory]) error {
	out := contract.ExportedMemory{Records: []contract.MemoryRecord{}}
	after := uint64(0)
	var err error
	if msg.Data.After != nil {
		after, err = strconv.ParseUint(*msg.Data.After, 10, 64)
	}
	if err != nil {
		out.Err = new(fmt.Sprintf("%.40q is no id", *msg.Data.After))
	} else {
		m.page(&out, after, msg.Data.After != nil, msg.Data.Limit)
	}
	_, err = client.Reply(ctx, m.bus, msg, contract.MemoryExported, out)
	return err
}

// page fills in the records after an id, or from the first on.
func (m *Memory) page(out *contract.ExportedMemory, after uint64, given bool, limit int) {
	from := after
	if given {
		from++
	}
	m.book.mu.RLock()
	ids := m.book.index.From(from, limit+1)
	m.book.mu.RUnlock()
	size := 0
	for i, id := range ids {
		if i == limit || size > pageBytes {
			out.Next = new(strconv.FormatUint(ids[i-1], 10))
			return
		}
		r, err := m.book.get(id)
		if err != nil {
			continue
		}
		size += len(r.text) + 256
		out.Records = append(out.Records, r.exported())
	}
}

func (m *Memory) importPage(ctx context.Context, msg client.Message[contract.ImportMemory]) error {
	out := contract.ImportedMemory{}
	done := make(chan error, len(msg.Data.Records))
	var err error
	for _, d := range msg.Data.Records {
		r := imported(d)
		if plainText(r.text) == "" {
			out.Skipped++
			continue
		}
		same := func(o record) bool { return o.role == r.role && o.text == r.text }
		var added bool
		if _, added, err = m.book.add(r, same, func(err error) { done <- err }); err != nil {
			break
		}
		if added {
			out.Added++
		} else {
			out.Skipped++
		}
	}
	for range out.Added {
		err = errors.Join(err, wait(ctx, done))
	}
	m.vectors.more()
	if out.OK = err == nil; err != nil {
		first, _, _ := strings.Cut(err.Error(), "\n")
		out.Err = &first
	}
	_, err = client.Reply(ctx, m.bus, msg, contract.MemoryImported, out)
	return err
}

// maxQueryText bounds a query that is text and not JSON.
const maxQueryText = 4096

// salvage makes a query of what is not as the contract says: an object or an envelope with a text,
// or plain text. id is what the answer is correlated by, if there is any.
func salvage(payload []byte) (q asked, id string, ok bool) {
	q.ContextWindow, q.Strategy, q.TopK = 1, hybrid, defaultTopK
	payload = bytes.TrimSpace(payload)
	var doc map[string]any
	if err := json.Unmarshal(payload, &doc); err != nil {
		if json.Valid(payload) || len(payload) > maxQueryText || !utf8.Valid(payload) {
			return q, "", false // a number or a list asks nothing
		}
		q.Text = string(payload)
		return q, "", q.Text != "" && payload[0] != '{'
	}
	text := func(o map[string]any, key string) string { s, _ := o[key].(string); return s }
	id = text(doc, "id")
	if data, is := doc["data"].(map[string]any); is {
		doc = data
	}
	id = cut(orElse(id, text(doc, "message_id")), maxNameBytes)
	q.Text = cut(orElse(text(doc, "text"), text(doc, "query")), maxQueryText)
	switch n := doc["top_k"].(type) {
	case float64:
		q.TopK = int(min(max(n, 1), maxTopK))
	case string:
		if k, err := strconv.Atoi(n); err == nil {
			q.TopK = min(max(k, 1), maxTopK)
		}
	}
	return q, id, id != "" || q.Text != ""
}
