package router

import (
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"github.com/tarsd/tarsd/services/client"
	"github.com/tarsd/tarsd/services/contract"
	"github.com/tarsd/tarsd/services/servicetest"
)

// report gives quantiles of what each turn took, in milliseconds.
func report(b *testing.B, took []time.Duration) {
	b.Helper()
	slices.Sort(took)
	at := func(q float64) float64 { return took[min(int(q*float64(len(took))), len(took)-1)].Seconds() * 1e3 }
	b.ReportMetric(at(0.5), "p50-ms")
	b.ReportMetric(at(0.99), "p99-ms")
	b.ReportMetric(at(0.999), "p999-ms")
}

func benchWorld(b *testing.B) (*client.Client, *servicetest.Collector[contract.Say], *servicetest.Collector[contract.ChatRequest]) {
	b.Helper()
	bus := servicetest.Start(b)
	peer := bus.Client(b, "page")
	says, asks := servicetest.Collect(b, peer, contract.TTSSay), servicetest.Collect(b, peer, contract.LLMRequest)
	o := Defaults()
	o.Announce = false
	r, err := New(o)
	require.NoError(b, err)
	bus.Run(b, r)
	return peer, says, asks
}

// BenchmarkRuleTurn is from a transcript to the text that is spoken, through the broker and back, with the
// in-memory transport.
func BenchmarkRuleTurn(b *testing.B) {
	peer, says, _ := benchWorld(b)
	f := contract.New[contract.FinalTranscript]()
	f.Text = "hey tars what time is it"
	var took []time.Duration
	b.ReportAllocs()
	for b.Loop() {
		t0 := time.Now()
		_, err := client.Publish(b.Context(), peer, contract.STTFinal, f)
		require.NoError(b, err)
		took = append(took, says.Next(b).Received.Sub(t0))
	}
	report(b, took)
}

// BenchmarkFirstSentence is from the piece of an answer that completes a sentence to the text that is spoken.
func BenchmarkFirstSentence(b *testing.B) {
	peer, says, asks := benchWorld(b)
	f := contract.New[contract.FinalTranscript]()
	f.Text = "hey tars tell me something"
	var took []time.Duration
	for n := 0; b.Loop(); n++ {
		f.UttID = new("u" + strconv.Itoa(n))
		_, err := client.Publish(b.Context(), peer, contract.STTFinal, f)
		require.NoError(b, err)
		id := asks.Next(b).Data.ID
		t0 := time.Now()
		_, err = client.Publish(b.Context(), peer, contract.LLMStream, contract.ChatDelta{ID: id, Seq: new(0), Delta: new("Well, hello there. And")})
		require.NoError(b, err)
		took = append(took, says.Next(b).Received.Sub(t0))
		_, err = client.Publish(b.Context(), peer, contract.LLMResponse, contract.ChatResponse{ID: id, Reply: new("Well, hello there.")})
		require.NoError(b, err)
	}
	report(b, took)
}
