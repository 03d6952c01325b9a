// Package chat is the small interface between the llm service and whatever answers: one round of
// a conversation, its text as it comes, the tools that are asked for, and errors that can be told
// apart. It leaves topics to services/llm and the wire to the providers.
package chat

import (
	"context"
	"encoding/json"
	"time"
)

// The roles of a message.
const (
	System    = "system"
	User      = "user"
	Assistant = "assistant"
	ToolRole  = "tool" // the result of a call
)

// Provider answers one round of a conversation.
type Provider interface {
	// Name is the short name that health and responses carry: openai, ollama, offline.
	Name() string
	// Complete answers q. It hands each piece of text to say, in order and from the calling
	// goroutine; an error of say ends the round. It does not start over once say has been called,
	// since what was said may have been spoken. The answer holds the whole text and the calls that
	// the model wants. When ctx ends, Complete stops whatever is under way and returns soon. Its
	// errors are *Error, ctx's own aside.
	Complete(ctx context.Context, q Request, say func(text string) error) (Answer, error)
}

// Request is one round.
type Request struct {
	Model       string // empty: the provider's own
	Messages    []Message
	Tools       []Tool
	MaxTokens   int     // of the answer; 0: the provider's own
	Temperature float64 // 0..2; below 0: not sent
	TopP        float64 // 0..1; below 0: not sent

	// Question and Notes are in Messages too, in prose. A provider that is no language model reads
	// them here.
	Question string
	Notes    []Note
}

// Message is one entry of the conversation.
type Message struct {
	Role    string
	Content string
	Calls   []Call // of an assistant: the tools it asked for
	CallID  string // of a tool: the call that this is the result of
}

// Call is a tool that a model wants called.
type Call struct {
	ID        string
	Name      string
	Arguments string // JSON, as the model wrote it; not checked
}

// Tool is what a model may call.
type Tool struct {
	Name        string
	Description string
	Parameters  json.RawMessage // JSON Schema of the arguments
}

// Note is something that memory found for a question.
type Note struct {
	Text    string
	Speaker string    // user, assistant, or empty when it is not known
	At      time.Time // zero when it is not known
	Context bool      // a neighbour of a hit, not a hit
}

// Answer is what one round came to.
type Answer struct {
	Text   string // everything that went through say
	Calls  []Call
	Model  string // that answered
	Finish string // stop, length, tool_calls, content_filter, size; empty when not known
	Usage  Usage
}

// Usage is what a round cost, in tokens; zero when the provider does not say.
type Usage struct{ Prompt, Completion, Total int }

// Add is the sum of two rounds.
func (u Usage) Add(v Usage) Usage {
	return Usage{u.Prompt + v.Prompt, u.Completion + v.Completion, u.Total + v.Total}
}
