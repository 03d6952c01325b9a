package app

import (
	"context"
	"fmt"
	"net/http"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tarsd/tarsd/services/client"
	"github.com/tarsd/tarsd/services/contract"
	"github.com/tarsd/tarsd/services/servicetest"
)

// TestAskedAgain: without a model, over the bus, what was told is the answer, however often it was asked
// for before.
func TestAskedAgain(t *testing.T) {
	t.Parallel()
	a := begin(t, load(t, t.TempDir(), "services=router,llm,memory", "llm.provider=offline", "llm.memory.wait=5s"))
	until(t, "the services are ready", func() bool {
		resp, err := http.Get("http://" + a.HTTP() + "/readyz")
		if err != nil {
			return false
		}
		resp.Body.Close()
		return resp.StatusCode == http.StatusOK
	})
	c := servicetest.Connect(t, client.Options{Dial: a.Dial, ID: "page", Name: "page", NoHealth: true})
	answers := servicetest.Collect(t, c, contract.LLMResponse)

	yesterday := float64(time.Now().Add(-24 * time.Hour).Unix())
	past := contract.ImportMemory{Records: []contract.MemoryRecord{{Text: "my brother lives in Reykjavik", Role: "user", TS: yesterday}}}
	for i := range 20 {
		past.Records = append(past.Records,
			contract.MemoryRecord{Text: "where does my brother live", Role: "user", TS: yesterday + float64(2*i+1)},
			contract.MemoryRecord{Text: fmt.Sprintf("which city is my brother living in since %d", 1990+i), Role: "user", TS: yesterday + float64(2*i+2)})
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	m, err := client.Request(ctx, c, contract.MemoryImport, contract.MemoryImported, past)
	require.NoError(t, err)
	require.Equal(t, 41, m.Data.Added)

	_, err = client.Publish(ctx, c, contract.DialogueText, contract.TypedText{Text: "where does my brother live", Origin: new("page-7")})
	require.NoError(t, err)
	got := answers.Next(t)
	require.NotNil(t, got.Data.Reply)
	assert.Regexp(t, "^You told me yesterday.*: my brother lives in Reykjavik.$", *got.Data.Reply)
}
