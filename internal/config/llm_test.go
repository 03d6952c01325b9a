package config

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestLLMTakesTheNamesOfTheReplacedSystem(t *testing.T) {
	t.Parallel()
	l, err := Load(Source{File: write(t, ""), Env: []string{
		"LLM_PROVIDER=openai", "OPENAI_API_KEY= sk-secret-1 ", "OPENAI_BASE_URL=http://user:hunter2@127.0.0.1:8080/v1", "LLM_MODEL=gpt-5",
		"LLM_MAX_TOKENS=256", "LLM_CTX_WINDOW=4096", "LLM_TEMPERATURE=0.2", "LLM_TOP_P=0.9", "RAG_ENABLED=0", "RAG_TOP_K=3", "RAG_MAX_TOKENS=500",
		"RAG_INCLUDE_CONTEXT=0", "RAG_CONTEXT_WINDOW=2", "RAG_STRATEGY=naive", "RAG_PROMPT_TEMPLATE={context} {question}", "TOOL_CALLING_ENABLED=no",
		"RAG_CACHE_TTL=300", "LLM_TTS_STREAM=0", "OPENAI_RESPONSES_MODELS=gpt-5*", "TARSD_LLM_MODEL=ours",
	}})
	require.NoError(t, err)
	want := defaultLLM()
	want.Key, want.URL, want.Model = NewSecret("sk-secret-1"), l.LLM.URL, "ours"
	want.MaxTokens, want.ContextWindow, want.Temperature, want.TopP = 256, 4096, 0.2, 0.9
	want.Memory = LLMMemory{TopK: 3, Tokens: 500, Around: 2, Strategy: "similarity", Template: "{context} {user}", Wait: want.Memory.Wait}
	want.Tools.Enabled = false
	assert.Equal(t, want, l.LLM)
	assert.Equal(t, "http://user:hunter2@127.0.0.1:8080/v1", l.LLM.URL.Reveal())
	for _, v := range l.Values() {
		assert.NotContains(t, v.Text, "sk-secret-1")
		assert.NotContains(t, v.Text, "hunter2")
	}
	for given, want := range map[string]LLMProvider{"OLLAMA": "ollama", "offline": "offline", "gemini": "auto"} {
		l, err := Load(Source{File: write(t, ""), Env: []string{"LLM_PROVIDER=" + given}})
		require.NoError(t, err)
		assert.Equal(t, want, l.LLM.Provider)
	}
}

func TestLLMProblems(t *testing.T) {
	t.Parallel()
	file := write(t, `llm:
  provider: gemini
  url: ftp://x
  key: "a b"
  key_file: /k
  max_tokens: 5000
  temperature: warm
  top_p: NaN
  concurrency: 0
  turn_timeout: 1ms
  memory: {top_k: 51, strategy: naive, template: "{context}", wait: 1m}
  tools: {rounds: 0, result_bytes: 2MiB}
`)
	_, err := Load(Source{File: file})
	assert.ElementsMatch(t, []string{
		`tarsd.yaml:2: llm.provider: "gemini" is none of auto, openai, ollama, offline`,
		`tarsd.yaml:7: llm.temperature: "warm" is not a number`,
		`tarsd.yaml:8: llm.top_p: "NaN" is not a number`,
		`tarsd.yaml:11: llm.memory.strategy: "naive" is none of hybrid, recent, similarity`,
		`tarsd.yaml:3: llm.url: ` + urlProblem(t),
		`tarsd.yaml:5: llm.key_file: is set as well as llm.key`,
		`tarsd.yaml:4: llm.key: holds spaces or control characters`,
		`tarsd.yaml:6: llm.max_tokens: 5000 is not from 1 to 4096`,
		`tarsd.yaml:9: llm.concurrency: 0 is not from 1 to 64`,
		`tarsd.yaml:11: llm.memory.top_k: 51 is not from 1 to 50`,
		`tarsd.yaml:12: llm.tools.rounds: 0 is not from 1 to 32`,
		`tarsd.yaml:12: llm.tools.result_bytes: 2097152 is not from 256 to 1048576`,
		`tarsd.yaml:10: llm.turn_timeout: 1ms is not from 1s to 1h`,
		`tarsd.yaml:11: llm.memory.wait: 1m is not from 1ms to 10s`,
		`tarsd.yaml:11: llm.memory.template: has no {user}: the question would be lost in "{context}"`,
	}, complaints(t, file, err))
}

// urlProblem is what checkURL says of a scheme that is none of its.
func urlProblem(t *testing.T) string {
	t.Helper()
	var u URL
	require.NoError(t, u.UnmarshalText([]byte("ftp://x")))
	return checkURL(u, []string{"http", "https"}, "http, https").Error()
}
