package config

import (
	"fmt"
	"strings"
)

// LLM is the service that answers questions.
type LLM struct {
	Provider       LLMProvider `yaml:"provider" doc:"Who answers. auto: the server of url, if key, key_file or url is set; else an Ollama on this machine; else offline. openai: an OpenAI-style server. ollama: an Ollama. offline: no network, only what the robot knows by itself."`
	URL            URL         `yaml:"url" shown:"OpenAI's, or Ollama's on this machine" doc:"Base of the OpenAI-style interface, such as http://127.0.0.1:8080/v1."`
	Key            Secret      `yaml:"key" shown:"none" doc:"Key of the interface. Better in the environment, or in key_file, than in this file."`
	KeyFile        string      `yaml:"key_file" doc:"File that holds the key; it is read again for every request."`
	Model          string      `yaml:"model" shown:"gpt-4o-mini at OpenAI, elsewhere the first that the server lists" doc:"Model that is asked."`
	MaxTokens      int         `yaml:"max_tokens" doc:"Longest answer, tokens."`
	ContextWindow  int         `yaml:"context_window" doc:"Tokens that the model takes in, its answer included. Persona, memories and history are cut to fit."`
	Temperature    float64     `yaml:"temperature" doc:"How free the model is with words, 0 to 2. Left out for models that do not take it."`
	TopP           float64     `yaml:"top_p" doc:"Share of the likely words that the model chooses from, 0 to 1. Left out for models that do not take it."`
	ConnectTimeout Duration    `yaml:"connect_timeout" doc:"Time for a connection to the server."`
	FirstTimeout   Duration    `yaml:"first_timeout" doc:"Time until the answer begins."`
	IdleTimeout    Duration    `yaml:"idle_timeout" doc:"Silence in the middle of an answer that ends it."`
	TurnTimeout    Duration    `yaml:"turn_timeout" doc:"Time for the whole answer, tools included."`
	Concurrency    int         `yaml:"concurrency" doc:"Questions that are answered at once."`
	Queue          int         `yaml:"queue" doc:"Questions that wait; further ones are refused in words."`
	Memory         LLMMemory   `yaml:"memory"`
	Tools          LLMTools    `yaml:"tools"`
}

// LLMMemory is how the service looks into memory.
type LLMMemory struct {
	Enabled  bool        `yaml:"enabled" doc:"Look into memory for questions that do not say whether to. Without a model the robot does so in any case."`
	TopK     int         `yaml:"top_k" doc:"Memories for a question."`
	Tokens   int         `yaml:"max_tokens" doc:"Tokens of them, at most; never more than half of what the window has left."`
	Context  bool        `yaml:"include_context" doc:"Also what was said around them."`
	Around   int         `yaml:"context_window" doc:"How many before and after."`
	Strategy LLMStrategy `yaml:"strategy" doc:"hybrid, recent or similarity."`
	Template string      `yaml:"template" shown:"a line of caution, the memories, the question" doc:"How they are put to the model: {context} stands for the memories, {user} for the question."`
	Wait     Duration    `yaml:"wait" doc:"Time that memory has to answer; the question goes on without it."`
}

// LLMTools is how the model calls tools.
type LLMTools struct {
	Enabled bool     `yaml:"enabled" doc:"Offer the model the tools of llm/tools/registry."`
	Rounds  int      `yaml:"rounds" doc:"Rounds of calls for one question; then the model has to answer."`
	Calls   int      `yaml:"calls" doc:"Calls for one question."`
	Timeout Duration `yaml:"timeout" doc:"Time for one call."`
	Result  Size     `yaml:"result_bytes" doc:"Bytes of a result that the model sees."`
}

// LLMProvider is who answers.
type LLMProvider string

// UnmarshalText implements encoding.TextUnmarshaler.
func (p *LLMProvider) UnmarshalText(b []byte) error {
	return choice(p, b, "auto", "openai", "ollama", "offline")
}

// LLMStrategy is how memory looks.
type LLMStrategy string

// UnmarshalText implements encoding.TextUnmarshaler.
func (s *LLMStrategy) UnmarshalText(b []byte) error {
	return choice(s, b, "hybrid", "recent", "similarity")
}

func defaultLLM() LLM {
	return LLM{
		Provider: "auto", MaxTokens: 512, ContextWindow: 8192, Temperature: 0.7, TopP: 1,
		ConnectTimeout: Duration(5e9), FirstTimeout: Duration(30e9), IdleTimeout: Duration(15e9), TurnTimeout: Duration(120e9),
		Concurrency: 4, Queue: 16,
		Memory: LLMMemory{Enabled: true, TopK: 5, Tokens: 2000, Context: true, Around: 1, Strategy: "hybrid", Wait: Duration(150e6)},
		Tools:  LLMTools{Enabled: true, Rounds: 4, Calls: 8, Timeout: Duration(30e9), Result: 8 * KiB},
	}
}

func (l LLM) check(key string, ps *Problems) {
	if !l.URL.IsZero() {
		if err := checkURL(l.URL, []string{"http", "https"}, "http, https"); err != nil {
			ps.add(key+".url", "", "%s", err)
		}
	}
	if !l.Key.IsZero() && l.KeyFile != "" {
		ps.add(key+".key_file", "", "is set as well as %s.key", key)
	}
	if strings.ContainsFunc(strings.TrimSpace(l.Key.Reveal()), func(r rune) bool { return r <= ' ' || r == 0x7f }) {
		ps.add(key+".key", "", "holds spaces or control characters")
	}
	for _, r := range []struct {
		key           string
		v, least, top int
	}{
		{"context_window", l.ContextWindow, 1024, 10_000_000}, {"max_tokens", l.MaxTokens, 1, max(1, l.ContextWindow/2)},
		{"concurrency", l.Concurrency, 1, 64}, {"queue", l.Queue, 0, 1000},
		{"memory.top_k", l.Memory.TopK, 1, 50}, {"memory.max_tokens", l.Memory.Tokens, 1, 10_000}, {"memory.context_window", l.Memory.Around, 0, 5},
		{"tools.rounds", l.Tools.Rounds, 1, 32}, {"tools.calls", l.Tools.Calls, 1, 64}, {"tools.result_bytes", int(l.Tools.Result), 256, 1 << 20},
	} {
		if r.v < r.least || r.v > r.top {
			ps.add(key+"."+r.key, "", "%d is not from %d to %d", r.v, r.least, r.top)
		}
	}
	for _, r := range []struct {
		key string
		v   float64
		top float64
	}{{"temperature", l.Temperature, 2}, {"top_p", l.TopP, 1}} {
		if !(r.v >= 0 && r.v <= r.top) {
			ps.add(key+"."+r.key, "", "%v is not from 0 to %v", r.v, r.top)
		}
	}
	const ms, s = Duration(1e6), Duration(1e9)
	for _, r := range []struct {
		key           string
		v, least, top Duration
	}{
		{"connect_timeout", l.ConnectTimeout, 100 * ms, 60 * s}, {"first_timeout", l.FirstTimeout, 100 * ms, 600 * s},
		{"idle_timeout", l.IdleTimeout, 100 * ms, 600 * s}, {"turn_timeout", l.TurnTimeout, s, 3600 * s},
		{"memory.wait", l.Memory.Wait, ms, 10 * s}, {"tools.timeout", l.Tools.Timeout, 100 * ms, 600 * s},
	} {
		if r.v < r.least || r.v > r.top {
			ps.add(key+"."+r.key, "", "%s is not from %s to %s", r.v, r.least, r.top)
		}
	}
	if t := l.Memory.Template; t != "" && !strings.Contains(t, "{user}") {
		ps.add(key+".memory.template", "", "%s", fmt.Sprintf("has no {user}: the question would be lost in %.40q", t))
	}
}

// llmEnv are the names of the worker of the language model. Its provider "openai" is its default,
// which a robot without a key has as well: here that is auto.
var llmEnv = []legacy{
	{"LLM_PROVIDER", "llm.provider", func(v string) string {
		switch v = strings.ToLower(strings.TrimSpace(v)); v {
		case "ollama", "offline":
			return v
		}
		return "auto"
	}},
	{"OPENAI_API_KEY", "llm.key", strings.TrimSpace},
	{"OPENAI_BASE_URL", "llm.url", nil},
	{"OPENAI_MODEL", "llm.model", nil},
	{"LLM_MODEL", "llm.model", nil},
	{"LLM_MAX_TOKENS", "llm.max_tokens", nil},
	{"LLM_CTX_WINDOW", "llm.context_window", nil},
	{"LLM_TEMPERATURE", "llm.temperature", nil},
	{"LLM_TOP_P", "llm.top_p", nil},
	{"RAG_ENABLED", "llm.memory.enabled", nil},
	{"RAG_TOP_K", "llm.memory.top_k", nil},
	{"RAG_MAX_TOKENS", "llm.memory.max_tokens", nil},
	{"RAG_INCLUDE_CONTEXT", "llm.memory.include_context", nil},
	{"RAG_CONTEXT_WINDOW", "llm.memory.context_window", nil},
	// The memory worker has the same name with other values, of which all but hybrid mean similarity.
	{"RAG_STRATEGY", "llm.memory.strategy", func(v string) string {
		switch v = strings.ToLower(strings.TrimSpace(v)); v {
		case "hybrid", "recent":
			return v
		}
		return "similarity"
	}},
	// The sample file has {question}, which its own program does not know.
	{"RAG_PROMPT_TEMPLATE", "llm.memory.template", func(v string) string { return strings.ReplaceAll(v, "{question}", "{user}") }},
	{"TOOL_CALLING_ENABLED", "llm.tools.enabled", nil},
}
