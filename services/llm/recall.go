package llm

import (
	"context"
	"time"

	"github.com/tarsd/tarsd/services/client"
	"github.com/tarsd/tarsd/services/contract"
	"github.com/tarsd/tarsd/services/llm/chat"
)

// remember asks memory what fits the question, if that is wanted. It never takes longer than
// Memory.Wait, and what comes later is ignored: in the reference each such question waited 5 s for
// an answer that could not come. always is for those who have nothing else to answer from.
func (t *turn) remember(ctx context.Context, text string, always bool) []chat.Note {
	o := t.r.o.Memory
	use := o.Enabled || always
	if t.req.UseRAG != nil {
		use = *t.req.UseRAG
	}
	if !use {
		return nil
	}
	q := contract.New[contract.Query]()
	q.Text, q.TopK, q.Strategy = text, o.TopK, o.Strategy
	q.IncludeContext, q.ContextWindow = o.Around > 0, o.Around
	q.MaxTokens = new(max(1, min(o.Tokens, 10_000)))
	if k := contract.Value(t.req.RAGK); k > 0 {
		q.TopK = min(k, 50)
	}
	ctx, cancel := context.WithTimeout(ctx, o.Wait)
	defer cancel()
	answer := make(chan contract.QueryResults, 1)
	t.r.look(t.event, answer)
	defer t.r.unlook(t.event, answer)
	start := time.Now()
	asked := make(chan error, 1)
	// The acknowledgement of the question may take as long as its answer: neither waits for the other.
	t.r.wg.Go(func() {
		_, err := client.Publish(client.WithTurn(ctx, t.of), t.r.bus, contract.MemoryQuery, q, client.WithID(t.event), client.WithExpiry(time.Second))
		asked <- err
	})
	for {
		select {
		case res := <-answer:
			notes := notesOf(res, text)
			t.r.log.Debug().Str("turn", t.of.ID).Str("id", t.id).Int("notes", len(notes)).Dur("took", time.Since(start)).Msg("remembered")
			return notes
		case err := <-asked:
			if err != nil {
				t.r.log.Debug().Str("turn", t.of.ID).Err(err).Str("id", t.id).Msg("memory could not be asked")
				return nil
			}
			asked = nil
		case <-ctx.Done():
			t.r.log.Debug().Str("turn", t.of.ID).Str("id", t.id).Dur("took", time.Since(start)).Msg("memory did not answer in time")
			return nil
		}
	}
}

// look waits for the answer to a question. Two requests in one envelope id wait side by side.
func (r *run) look(event string, answer chan contract.QueryResults) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.lookups[event] = append(r.lookups[event], answer)
}

func (r *run) unlook(event string, answer chan contract.QueryResults) {
	r.mu.Lock()
	defer r.mu.Unlock()
	var rest []chan contract.QueryResults
	for _, a := range r.lookups[event] {
		if a != answer {
			rest = append(rest, a)
		}
	}
	if r.lookups[event] = rest; rest == nil {
		delete(r.lookups, event)
	}
}

// found takes what memory answers. Most of it answers somebody else.
func (r *run) found(_ context.Context, m client.Message[contract.QueryResults]) error {
	if m.Retained {
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, answer := range r.lookups[m.ID] {
		select {
		case answer <- m.Data:
		default: // a second answer
		}
	}
	return nil
}
