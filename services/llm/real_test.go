package llm_test

import (
	"bufio"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tarsd/tarsd/services/contract"
	"github.com/tarsd/tarsd/services/llm"
)

// llamaCpp starts llama.cpp's own server with a model of 135 million parameters.
func llamaCpp(t *testing.T) string {
	t.Helper()
	python := os.Getenv("TARSD_TEST_LLAMACPP")
	if python == "" {
		t.Skip("TARSD_TEST_LLAMACPP is not set; testdata/llamacpp/setup.sh installs what it needs")
	}
	cmd := exec.CommandContext(t.Context(), python, "testdata/llamacpp/serve.py")
	in, err := cmd.StdinPipe()
	require.NoError(t, err)
	out, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		in.Close()
		_ = cmd.Wait()
	})
	address, err := bufio.NewReader(out).ReadString('\n')
	require.NoError(t, err, "the server did not start")
	return strings.TrimSpace(address) + "/v1"
}

// TestLlamaCpp goes through turns with a real server and a real, if simple, model.
func TestLlamaCpp(t *testing.T) {
	url := llamaCpp(t)
	w := start(t, nil, func(o *llm.Options) {
		o.URL, o.Key, o.Model, o.MaxTokens, o.Temperature, o.Window = url, nil, "", 24, 0, 2048
	})
	patient := func(id string) contract.ChatResponse {
		t.Helper()
		waitFor(t, 2*time.Minute, func() bool { return w.resp.Len() > 0 }) // longer than response does
		return w.response(id)
	}
	_, err := w.asker.PublishRaw(t.Context(), contract.ToolsRegistry.Name, []byte(registry), 1, true)
	require.NoError(t, err)

	w.ask("r1", "What is the capital of France?")
	r := patient("r1")
	require.NotNil(t, r.Reply, "error: %s", contract.Value(r.Error))
	text, deltas := w.streamed("r1")
	assert.Equal(t, *r.Reply, text)
	assert.Greater(t, len(deltas), 3)
	assert.Contains(t, *r.Model, "SmolLM2")
	assert.Greater(t, r.Tokens["prompt"], 10.0)
	assert.Greater(t, r.Tokens["completion"], 3.0)
	t.Logf("%d deltas: %s", len(deltas), text)

	w.ask("r2", "Tell me a long story.", func(q *contract.ChatRequest) { q.Params = contract.Object{"max_tokens": 900.0} })
	waitFor(t, 2*time.Minute, func() bool { return w.stream.Len() > 3 })
	t0 := time.Now()
	publish(w, contract.LLMCancel, contract.ChatCancel{ID: "r2"})
	r = patient("r2")
	took := time.Since(t0)
	assert.Equal(t, contract.ChatCancelled, *r.Error)
	assert.Less(t, took, 5*time.Second)
	t.Logf("cancelled within %s", took)
	w.streamed("r2")

	w.ask("r3", "Say hello.", func(q *contract.ChatRequest) { q.Stream = false })
	r = patient("r3")
	require.NotNil(t, r.Reply, "error: %s", contract.Value(r.Error))
	t.Logf("not streamed: %s", *r.Reply)
}

// waitFor waits until ok, which is looked at often.
func waitFor(t *testing.T, d time.Duration, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	end := time.After(d)
	for !ok() {
		select {
		case <-tick.C:
		case <-end:
			require.FailNow(t, "it took too long")
		}
	}
}
