package llm_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/tarsd/tarsd/services/contract"
	"github.com/tarsd/tarsd/services/llm/llmtest"
)

// BenchmarkTurn measures what is ours of a turn: from the request to the first delta and to the
// response, over the broker and a scripted server on loopback that answers at once.
func BenchmarkTurn(b *testing.B) {
	for _, words := range []int{1, 100} {
		b.Run(fmt.Sprintf("deltas=%d", words), func(b *testing.B) {
			s := llmtest.Start(b)
			all := slices.Repeat([]string{"word "}, words)
			s.Always(func(llmtest.Request) llmtest.Reply { return llmtest.Say(all...) })
			w := start(b, s)
			var first, whole []time.Duration
			b.ReportAllocs()
			n := 0
			for b.Loop() {
				n++
				t0 := time.Now()
				w.ask(fmt.Sprint("r", n), "What is love?")
				w.stream.Next(b)
				first = append(first, time.Since(t0))
				for range words {
					w.stream.Next(b)
				}
				w.resp.Next(b)
				whole = append(whole, time.Since(t0))
			}
			report(b, "first", first)
			report(b, "turn", whole)
			b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(n*words), "µs/delta")
		})
	}
}

// BenchmarkOffline is a turn without a model.
func BenchmarkOffline(b *testing.B) {
	w := start(b, nil, offlineOnly)
	var whole []time.Duration
	n := 0
	for b.Loop() {
		n++
		t0 := time.Now()
		w.ask(fmt.Sprint("r", n), "What is six times seven?", func(q *contract.ChatRequest) { q.Stream = false })
		w.resp.Next(b)
		whole = append(whole, time.Since(t0))
	}
	report(b, "turn", whole)
}

// report gives the median and the 99th percentile.
func report(b *testing.B, what string, d []time.Duration) {
	b.Helper()
	slices.Sort(d)
	b.ReportMetric(float64(d[len(d)/2].Microseconds()), what+"-p50-µs")
	b.ReportMetric(float64(d[len(d)*99/100].Microseconds()), what+"-p99-µs")
}
