package contract

// The language model.
var (
	LLMRequest = Topic[ChatRequest]{Spec{
		Name: "llm/request", Type: "llm.request", QoS: 1, Dedup: true,
		Publishers: []string{"router", "page"}, Subscribers: []string{"llm", "tts"},
		Doc: "Answer a text. Deduplicated: a repeat would be answered, and spoken, twice.",
	}}
	LLMResponse = Topic[ChatResponse]{Spec{
		Name: "llm/response", Type: "llm.response", QoS: 1, Dedup: true,
		Publishers: []string{"llm"}, Subscribers: []string{"router", "tts", "memory", "ui", "page"},
		Doc: "The whole answer or an error, after the stream. Deduplicated: a repeat could be spoken again.",
	}}
	LLMStream = Topic[ChatDelta]{Spec{
		Name: "llm/stream", Type: "llm.stream", Dedup: true,
		Publishers: []string{"llm"}, Subscribers: []string{"router", "ui", "page"},
		Doc: "The answer while it is made. Deduplicated by seq: a repeat would be spoken within the sentence.",
	}}
	LLMCancel = Topic[ChatCancel]{Spec{
		Name: "llm/cancel", Type: "llm.cancel", QoS: 1,
		Publishers: []string{"router", "page"}, Subscribers: []string{"llm", "router", "tts"},
		Doc: "Give up on an answer. Not deduplicated: a repeat finds nothing to cancel, and one that was lost must get through.",
	}}
)

// ChatCancelled is the error of the response to a request that was cancelled. It is not to be
// spoken; every other error is a sentence that is.
const ChatCancelled = "cancelled"

// ChatRequest asks the language model. New sets Stream.
type ChatRequest struct {
	MessageID string     `json:"message_id" contract:"id" doc:"own id"`
	ID        string     `json:"id" contract:"required" doc:"request: the answers carry it"`
	Text      string     `json:"text" contract:"required" doc:"what the user said"`
	Stream    bool       `json:"stream" default:"true" doc:"answer in pieces"`
	UseRAG    *bool      `json:"use_rag" doc:"look into memory; null as configured"`
	RAGK      *int       `json:"rag_k" doc:"how many memories; null or below 1 as configured"`
	System    *string    `json:"system" doc:"goes after the persona's prompt"`
	Params    Object     `json:"params" contract:"null" doc:"model, max_tokens, temperature, top_p"`
	History   []ChatTurn `json:"conversation_history" contract:"null" max:"1000" doc:"what was said before, oldest first"`
}

// ChatTurn is one side's part of a conversation.
type ChatTurn struct {
	Role      string   `json:"role" contract:"required" enum:"user,assistant" doc:"who"`
	Content   string   `json:"content" contract:"required" doc:"what"`
	Timestamp *float64 `json:"timestamp" doc:"Unix seconds"`
}

// ChatResponse is a whole answer, or why there is none.
type ChatResponse struct {
	MessageID string  `json:"message_id" contract:"id" doc:"own id"`
	ID        string  `json:"id" contract:"required" doc:"of the request"`
	Reply     *string `json:"reply" doc:"the answer"`
	Error     *string `json:"error" doc:"why there is none, or none to the end, as a sentence that can be spoken"`
	Provider  *string `json:"provider" doc:"who answered"`
	Model     *string `json:"model" doc:"with which model"`
	Tokens    Object  `json:"tokens" contract:"null" doc:"the provider's account of tokens"`
}

// ChatDelta is a piece of an answer.
type ChatDelta struct {
	MessageID string  `json:"message_id" contract:"id" doc:"own id"`
	ID        string  `json:"id" contract:"required" doc:"of the request"`
	Seq       *int    `json:"seq" doc:"place in the stream, from 0; the legacy worker begins at 1"`
	Delta     *string `json:"delta" doc:"text to add"`
	Done      bool    `json:"done" default:"false" doc:"nothing more comes"`
	Provider  *string `json:"provider" doc:"who answers"`
	Model     *string `json:"model" doc:"with which model"`
}

// ChatCancel gives up on an answer.
type ChatCancel struct {
	MessageID string `json:"message_id" contract:"id" doc:"own id"`
	ID        string `json:"id" contract:"required" doc:"of the request"`
}
