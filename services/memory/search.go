package memory

import (
	"context"
	"slices"
	"time"

	"github.com/tarsd/tarsd/services/contract"
	"github.com/tarsd/tarsd/services/memory/index"
)

// Strategies. What a query asks for besides these is answered by the first.
const (
	hybrid     = "hybrid"
	similarity = "similarity"
	recent     = "recent"
	words      = "words" // similarity, when there are no vectors
)

const (
	defaultTopK = 5
	maxTopK     = 50
	// leastDepth is how many hits of each kind are fused at least. More than twice what is wanted
	// make the result worse: a text that is thirtieth by its meaning and has a word of the question
	// by chance would beat the one that is first by its meaning.
	leastDepth = 10
	// echoTime is how old a record may be that is taken for the question itself because it says
	// the same, when nothing tells the turn of either.
	echoTime = 5 * time.Second
)

// asked is what a query is about, and who asks: its own turn and message are never found for it.
type asked struct {
	contract.Query
	id   string // of the query's envelope
	turn string
	now  time.Time
}

// answer makes the results of a query. vector is that of its text, or nil.
func (b *book) answer(q asked, vector []float32) contract.QueryResults {
	out := contract.QueryResults{Query: q.Text, Results: []contract.QueryResult{}, Strategy: q.strategy(vector)}
	targets, scores, cutOff := b.targets(q, out.Strategy, vector)
	total := 0
	for _, r := range targets {
		total += r.tokens()
	}
	around, left := b.around(q, targets, total)
	for _, c := range around {
		total += c.tokens()
		out.Results = append(out.Results, result(c.record, 0, c.place))
	}
	for i, r := range targets {
		out.Results = append(out.Results, result(r, scores[i], "target"))
	}
	out.K, out.TotalTokens = len(targets), &total
	out.Truncated = cutOff || left || (q.MaxTokens != nil && total >= *q.MaxTokens)
	return out
}

func result(r record, score float64, place string) contract.QueryResult {
	n := r.tokens()
	return contract.QueryResult{Document: r.document(), Score: &score, Timestamp: r.when(), ContextType: place, TokenCount: &n}
}

// strategy is what the query gets.
func (q asked) strategy(vector []float32) string {
	switch q.Strategy {
	case recent:
		return recent
	case similarity:
		if vector == nil {
			return words
		}
		return similarity
	}
	return hybrid
}

// targets finds the records, the best first, within the budget. The first is taken even if it is
// larger than that: an answer without any would say that nothing is known.
func (b *book) targets(q asked, strategy string, vector []float32) (out []record, scores []float64, cutOff bool) {
	sum := 0
	for _, h := range b.hits(q, strategy, vector) {
		r, err := b.get(h.ID)
		if err != nil {
			continue // forgotten meanwhile
		}
		if sum += r.tokens(); q.MaxTokens != nil && sum > *q.MaxTokens && len(out) > 0 {
			return out, scores, true
		}
		out, scores = append(out, r), append(scores, h.Score)
	}
	return out, scores, q.MaxTokens != nil && sum > *q.MaxTokens
}

// hits ranks. What users asked before is like what they ask now, but answers nothing: it comes behind
// everything that was told, if there is room.
func (b *book) hits(q asked, strategy string, vector []float32) (hits []index.Hit) {
	b.mu.RLock()
	defer b.mu.RUnlock()
	own := b.own(q)
	if strategy == recent {
		b.index.Last(func(id uint64) bool {
			if !slices.Contains(own, id) {
				hits = append(hits, index.Hit{ID: id, Score: 1})
			}
			return len(hits) < q.TopK
		})
		return hits
	}
	told := b.rank(q, q.TopK, strategy, vector, func(id uint64) bool { _, asked := b.asked[id]; return asked || slices.Contains(own, id) })
	if len(told) == q.TopK || len(b.asked) == 0 {
		return told
	}
	return append(told, b.rank(q, q.TopK-len(told), strategy, vector, func(id uint64) bool { _, asked := b.asked[id]; return !asked || slices.Contains(own, id) })...)
}

// rank returns the k best hits by words, by meaning or both, but those of skip. mu is held.
func (b *book) rank(q asked, k int, strategy string, vector []float32, skip func(id uint64) bool) []index.Hit {
	switch strategy {
	case similarity:
		return b.index.Meaning(vector, k, skip)
	case words:
		return b.index.Words(q.Text, k, skip)
	}
	n := max(2*k, leastDepth)
	lists := [][]index.Hit{b.index.Words(q.Text, n, skip)}
	if vector != nil { // first: of equal scores the meaning decides
		lists = slices.Insert(lists, 0, b.index.Meaning(vector, n, skip))
	}
	hits := index.Fuse(b.index.Len(), lists...)
	return hits[:min(len(hits), k)]
}

// own returns the records that are the question itself: of its turn, of the message that it is
// correlated with, or, when it has neither, one that has just been said and says the same. mu is
// held.
func (b *book) own(q asked) (ids []uint64) {
	text := ""
	for _, r := range slices.Backward(b.recent) {
		switch {
		case q.turn != "" && r.turn == q.turn,
			q.id != "" && (r.message == q.id || r.turn == q.id),
			q.MessageID != "" && r.message == q.MessageID:
			ids = append(ids, r.id)
		case r.role == roleUser && q.now.Sub(time.UnixMilli(int64(r.ts*1000))).Abs() < echoTime:
			if text == "" {
				text = plainText(q.Text)
			}
			if plainText(r.text) == text {
				ids = append(ids, r.id)
			}
		}
	}
	return ids
}

// neighbour is a record that was said before or after a target.
type neighbour struct {
	record
	place string // previous or next
}

// around returns what was said before and after the targets, as far as the budget goes: each record
// once, and none that is a target. left says that some did not fit.
func (b *book) around(q asked, targets []record, total int) (out []neighbour, left bool) {
	if !q.IncludeContext || q.ContextWindow <= 0 {
		return nil, false
	}
	taken := make(map[uint64]bool, len(targets))
	for _, r := range targets {
		taken[r.id] = true
	}
	b.mu.RLock()
	for _, id := range b.own(q) {
		taken[id] = true
	}
	type place struct {
		id   uint64
		name string
	}
	var places []place
	for _, r := range targets {
		before, after := b.index.Around(r.id, q.ContextWindow)
		for i, id := range append(before, after...) {
			if taken[id] {
				continue
			}
			taken[id] = true
			name := "previous"
			if i >= len(before) {
				name = "next"
			}
			places = append(places, place{id, name})
		}
	}
	b.mu.RUnlock()
	for _, p := range places {
		r, err := b.get(p.id)
		if err != nil {
			continue
		}
		if total += r.tokens(); q.MaxTokens != nil && total > *q.MaxTokens {
			return out, true
		}
		out = append(out, neighbour{r, p.name})
	}
	return out, false
}

// search answers a query.
func (m *Memory) search(ctx context.Context, q asked) contract.QueryResults {
	if q.TopK < 1 {
		q.TopK = defaultTopK
	}
	q.TopK = min(q.TopK, maxTopK)
	if plainText(q.Text) == "" && q.Strategy != recent {
		total := 0
		return contract.QueryResults{Query: q.Text, Results: []contract.QueryResult{}, TotalTokens: &total, Strategy: q.strategy(nil)}
	}
	var vector []float32
	if q.Strategy != recent {
		vector = m.vectors.query(ctx, q.Text)
	}
	return m.book.answer(q, vector)
}
