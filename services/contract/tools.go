package contract

// Tools of the language model. The models of two legacy packages and what the worker reads differ;
// here they are one, and as in the package that others import, unknown keys are ignored.
var (
	ToolsRegistry = Topic[Tools]{Spec{
		Name: "llm/tools/registry", Type: "llm.tools.registry", Aliases: []string{"llm/tools/registry"}, QoS: 1, Retain: true, Form: Bare,
		Reason:     "the legacy worker of the language model reads tools at the top level",
		Publishers: []string{"tools"}, Subscribers: []string{"llm", "page"},
		Doc: "All tools that the language model may call.",
	}}
	ToolCallRequest = Topic[ToolCall]{Spec{
		Name: "llm/tool.call.request", Type: "llm.tool.call.request", Aliases: []string{"llm/tool.call.request"}, QoS: 1, Dedup: true,
		Publishers: []string{"llm"}, Subscribers: []string{"tools", "any"},
		Doc: "Call a tool that another service has. Deduplicated: a tool may have effects.",
	}}
	ToolCallResult = Topic[ToolResult]{Spec{
		Name: "llm/tool.call.result", Type: "llm.tool.call.result", Aliases: []string{"llm/tool.call.result"}, QoS: 1, Form: Bare,
		Reason:     "the legacy worker of the language model reads call_id at the top level; call_id correlates",
		Publishers: []string{"any"}, Subscribers: []string{"llm"},
		Doc: "What the tool said. A repeat finds nobody waiting.",
	}}
)

// Tools is the list of tools.
type Tools struct {
	_         struct{} `contract:"lenient"`
	MessageID string   `json:"message_id" contract:"id" doc:"own id"`
	Tools     []Tool   `json:"tools" max:"1000" doc:"the tools; each replaces the whole list before"`
}

// Tool is one tool in the shape of the chat completion interfaces.
type Tool struct {
	_        struct{} `contract:"lenient"`
	Type     string   `json:"type" default:"function" doc:"always function"`
	Function Function `json:"function" contract:"required" doc:"what it is"`
}

// Function describes a tool. Keys of its own are kept, since the list is handed on to providers.
type Function struct {
	Name        string `json:"name" contract:"required" doc:"mcp__server__tool"`
	Description string `json:"description" contract:"drop" doc:"when to use it"`
	Parameters  Object `json:"parameters" contract:"drop" doc:"JSON Schema of the arguments"`
	More        Object `contract:"extras"`
}

// ToolCall calls a tool.
type ToolCall struct {
	_         struct{} `contract:"lenient"`
	MessageID string   `json:"message_id" contract:"id" doc:"own id"`
	CallID    string   `json:"call_id" contract:"required" doc:"the result carries it"`
	Name      string   `json:"name" contract:"required" doc:"of the tool"`
	Arguments Object   `json:"arguments" doc:"as its parameters say"`
}

// ToolResult is what a tool said.
type ToolResult struct {
	_         struct{} `contract:"lenient"`
	MessageID string   `json:"message_id" contract:"id" doc:"own id"`
	CallID    string   `json:"call_id" contract:"required" doc:"of the call"`
	Content   *string  `json:"content" doc:"the text for the model"`
	Result    any      `json:"result" contract:"null" doc:"the result as JSON"`
	Error     *string  `json:"error" doc:"why it failed"`
	ErrorMsg  *string  `json:"error_msg" contract:"drop" doc:"error in the other legacy spelling; read, not sent"`
}

// Failure is why the tool failed, empty when it did not.
func (r ToolResult) Failure() string {
	if r.Error != nil {
		return *r.Error
	}
	return Value(r.ErrorMsg)
}
