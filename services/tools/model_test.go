package tools_test

import (
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tarsd/tarsd/services/client"
	"github.com/tarsd/tarsd/services/contract"
	"github.com/tarsd/tarsd/services/llm"
	"github.com/tarsd/tarsd/services/llm/llmtest"
	"github.com/tarsd/tarsd/services/llm/openai"
	"github.com/tarsd/tarsd/services/movement"
	"github.com/tarsd/tarsd/services/servicetest"
)

// A model on the bus calls a tool, the robot moves, and the model is told: at the reference this
// could not happen at all.
func TestModelMovesTheRobot(t *testing.T) {
	t.Parallel()
	r := start(t)
	m, err := movement.New(movement.Options{})
	require.NoError(t, err)
	r.Run(t, m)
	s := llmtest.Start(t)
	s.Always(func(q llmtest.Request) llmtest.Reply {
		last := q.Messages[len(q.Messages)-1]
		switch {
		case last.Role == "tool":
			return llmtest.Say("I shrugged: " + last.Content)
		case len(q.Tools) == 0:
			return llmtest.Say("I have no tools.")
		}
		return llmtest.CallTool("call_1", "mcp__tars-movement__big_shrug", `{"speed":1}`)
	})
	r.Run(t, llm.New(llm.Options{
		Provider: llm.OpenAI, URL: s.URL, Key: func() (string, error) { return "sk-test", nil }, Model: "m",
		MaxTokens: 256, Window: 16384, Temperature: 0.7, TopP: 1,
		Timeouts: openai.Timeouts{Connect: 5 * time.Second, First: 10 * time.Second, Idle: 10 * time.Second},
		Turn:     time.Minute, Concurrency: 2, Queue: 4, Location: time.UTC,
		Memory: llm.Memory{TopK: 5, Tokens: 2000, Strategy: "hybrid", Template: llm.DefaultTemplate, Wait: time.Second},
		Tools:  llm.Tools{Enabled: true, Rounds: 3, Calls: 4, Timeout: 30 * time.Second, Bytes: 4096},
	}))
	answers := servicetest.Collect(t, r.peer, contract.LLMResponse)
	status := servicetest.Collect(t, r.peer, contract.MovementStatus)
	// The list and the health of movement come on their own, so that it may take more than one try.
	for {
		q := contract.New[contract.ChatRequest]()
		q.ID, q.Text, q.Stream, q.UseRAG = client.NewID(), "Shrug!", true, new(false)
		_, err := client.Publish(t.Context(), r.peer, contract.LLMRequest, q)
		require.NoError(t, err)
		reply := contract.Value(answers.Next(t).Data.Reply)
		if strings.Contains(reply, "no tools") || strings.Contains(reply, "there is no body") {
			continue
		}
		assert.Equal(t, "I shrugged: Done: big_shrug.", reply)
		break
	}
	status.Find(t, func(m client.Message[contract.MovementUpdate]) bool {
		return m.Data.Event == "command_completed" && contract.Value(m.Data.Command) == "big_shrug"
	})
}
