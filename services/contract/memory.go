package contract

import "errors"

// Memory.
var (
	MemoryQuery = Topic[Query]{Spec{
		Name: "memory/query", Type: "memory.query", QoS: 1,
		Publishers: []string{"llm", "tools", "ui", "page"}, Subscribers: []string{"memory"},
		Doc: "Look for memories. Not deduplicated: it changes nothing, and who asks again wants an answer.",
	}}
	MemoryResults = Topic[QueryResults]{Spec{
		Name: "memory/results", Type: "memory.results", QoS: 1,
		Publishers: []string{"memory"}, Subscribers: []string{"llm", "tools", "ui", "page"},
		Doc: "What was found. A repeat finds nobody waiting.",
	}}
	MemoryAdd = Topic[Remember]{Spec{
		Name: "memory/add", Type: "memory.add", QoS: 1, Dedup: true,
		Publishers: []string{"llm", "tools", "page"}, Subscribers: []string{"memory"},
		Doc: "Keep a text. Deduplicated: a repeat would be a second memory.",
	}}
	MemoryAdded = Topic[Remembered]{Spec{
		Name: "memory/added", Type: "memory.added", QoS: 1,
		Publishers: []string{"memory"}, Subscribers: []string{"llm", "tools", "page"},
		Doc: "Answer to memory/add.",
	}}
	MemoryForget = Topic[Forget]{Spec{
		Name: "memory/forget", Type: "memory.forget", QoS: 1, Dedup: true,
		Publishers: []string{"llm", "tools", "page"}, Subscribers: []string{"memory"},
		Doc: "Delete memories. Deduplicated: a late repeat would delete what was added since.",
	}}
	MemoryForgotten = Topic[Forgotten]{Spec{
		Name: "memory/forgotten", Type: "memory.forgotten", QoS: 1,
		Publishers: []string{"memory"}, Subscribers: []string{"llm", "tools", "page"},
		Doc: "Answer to memory/forget.",
	}}
	MemoryExport = Topic[ExportMemory]{Spec{
		Name: "memory/export", Type: "memory.export", QoS: 1,
		Publishers: []string{"page"}, Subscribers: []string{"memory"},
		Doc: "Ask for a page of all memories, the oldest first. Not deduplicated: it changes nothing, and who asks again wants an answer.",
	}}
	MemoryExported = Topic[ExportedMemory]{Spec{
		Name: "memory/exported", Type: "memory.exported", QoS: 1,
		Publishers: []string{"memory"}, Subscribers: []string{"page"},
		Doc: "Answer to memory/export. A repeat finds nobody waiting.",
	}}
	MemoryImport = Topic[ImportMemory]{Spec{
		Name: "memory/import", Type: "memory.import", QoS: 1, Dedup: true,
		Publishers: []string{"page"}, Subscribers: []string{"memory"},
		Doc: "Keep memories that were exported, here or elsewhere. Deduplicated, although what is there already is left out anyway.",
	}}
	MemoryImported = Topic[ImportedMemory]{Spec{
		Name: "memory/imported", Type: "memory.imported", QoS: 1,
		Publishers: []string{"memory"}, Subscribers: []string{"page"},
		Doc: "Answer to memory/import.",
	}}
)

// Query asks for memories. New sets the defaults.
type Query struct {
	MessageID      string `json:"message_id" contract:"id" doc:"own id"`
	Text           string `json:"text" contract:"required" doc:"what to look for"`
	TopK           int    `json:"top_k" default:"5" min:"1" max:"50" doc:"how many"`
	MaxTokens      *int   `json:"max_tokens" min:"1" max:"10000" doc:"how long together"`
	IncludeContext bool   `json:"include_context" default:"false" doc:"also what was said around them"`
	ContextWindow  int    `json:"context_window" default:"1" min:"0" max:"5" doc:"how many before and after"`
	Strategy       string `json:"retrieval_strategy" default:"hybrid" doc:"hybrid, recent or similarity"`
}

// QueryResults are the memories that were found.
type QueryResults struct {
	MessageID   string        `json:"message_id" contract:"id" doc:"own id"`
	Query       string        `json:"query" contract:"required" doc:"text of the query"`
	K           int           `json:"k" contract:"required" doc:"how many of the results were found, without those around them"`
	Results     []QueryResult `json:"results" max:"1000" doc:"the memories"`
	TotalTokens *int          `json:"total_tokens" doc:"how long they are together"`
	Strategy    string        `json:"strategy_used" default:"hybrid" doc:"as asked"`
	Truncated   bool          `json:"truncated" default:"false" doc:"more would not have fitted"`
}

// QueryResult is one memory.
type QueryResult struct {
	Document    any      `json:"document" contract:"required" kinds:"object,string" doc:"the memory"`
	Score       *float64 `json:"score" doc:"how well it fits, more is better"`
	Timestamp   *string  `json:"timestamp" doc:"when it was said"`
	ContextType string   `json:"context_type" default:"target" enum:"target,previous,next" doc:"found, or said before or after"`
	TokenCount  *int     `json:"token_count" doc:"how long it is"`
}

// Remember is a text to keep.
type Remember struct {
	MessageID string   `json:"message_id" contract:"id" doc:"own id"`
	Text      string   `json:"text" contract:"required" pattern:"\\S" doc:"what to keep"`
	Role      string   `json:"role" default:"fact" enum:"user,assistant,fact" doc:"who said it"`
	Tags      []string `json:"tags" max:"32" doc:"words to find it by"`
	TS        float64  `json:"ts" contract:"now" doc:"Unix seconds"`
}

// Remembered says what became of a Remember.
type Remembered struct {
	MessageID string  `json:"message_id" contract:"id" doc:"own id"`
	OK        bool    `json:"ok" contract:"required" doc:"it is on disk"`
	ID        *string `json:"id" doc:"of the memory"`
	Err       *string `json:"err" doc:"why not"`
}

// Forget says which memories to delete: one by id, all that contain a text, those of a time, what
// was said last, or all.
type Forget struct {
	MessageID string   `json:"message_id" contract:"id" doc:"own id"`
	ID        *string  `json:"id" doc:"of the memory"`
	Text      *string  `json:"text" doc:"that they contain"`
	After     *float64 `json:"after" doc:"Unix seconds: those from then on; with before, those between"`
	Before    *float64 `json:"before" doc:"Unix seconds: those until then"`
	Last      bool     `json:"last" default:"false" doc:"what was said and answered before this request, and the request's own turn"`
	All       bool     `json:"all" default:"false" doc:"everything"`
}

// Check makes sure that an empty request does not delete anything by accident.
func (f *Forget) Check() error {
	n := 0
	for _, given := range []bool{f.ID != nil, f.Text != nil, f.After != nil || f.Before != nil, f.Last, f.All} {
		if given {
			n++
		}
	}
	if n != 1 {
		return errors.New("want exactly one of id, text, a time, last and all")
	}
	return nil
}

// Forgotten says what became of a Forget.
type Forgotten struct {
	MessageID string  `json:"message_id" contract:"id" doc:"own id"`
	OK        bool    `json:"ok" contract:"required" doc:"it is done"`
	Count     int     `json:"count" min:"0" doc:"how many were deleted"`
	Err       *string `json:"err" doc:"why not"`
}

// ExportMemory asks for memories in the order of their ids.
type ExportMemory struct {
	MessageID string  `json:"message_id" contract:"id" doc:"own id"`
	After     *string `json:"after" doc:"those after this id; null from the beginning"`
	Limit     int     `json:"limit" default:"500" min:"1" max:"1000" doc:"how many at most; fewer if they are long"`
}

// ExportedMemory is a page of memories.
type ExportedMemory struct {
	MessageID string         `json:"message_id" contract:"id" doc:"own id"`
	Records   []MemoryRecord `json:"records" contract:"required" max:"1000" doc:"the memories"`
	Next      *string        `json:"next" doc:"what after has to be for the next page; null at the end"`
	Err       *string        `json:"err" doc:"why there are none"`
}

// ImportMemory brings memories.
type ImportMemory struct {
	MessageID string         `json:"message_id" contract:"id" doc:"own id"`
	Records   []MemoryRecord `json:"records" contract:"required" max:"1000" doc:"the memories; their ids are given anew"`
}

// ImportedMemory says what became of an ImportMemory.
type ImportedMemory struct {
	MessageID string  `json:"message_id" contract:"id" doc:"own id"`
	OK        bool    `json:"ok" contract:"required" doc:"all of them are on disk"`
	Added     int     `json:"added" min:"0" doc:"how many are new"`
	Skipped   int     `json:"skipped" min:"0" doc:"how many were there already, or are blank"`
	Err       *string `json:"err" doc:"why not"`
}

// MemoryRecord is one memory, whole. It is what export files hold, one a line.
type MemoryRecord struct {
	ID       string   `json:"id" contract:"drop" doc:"its id here, when it is exported"`
	Text     string   `json:"text" contract:"required" doc:"what was said"`
	Role     string   `json:"role" default:"user" enum:"user,assistant,fact" doc:"who said it, or a fact that was told"`
	TS       float64  `json:"ts" default:"0" doc:"Unix seconds; 0 if nobody knows"`
	Lang     string   `json:"lang" contract:"drop" doc:"language"`
	SourceID string   `json:"message_id" contract:"drop" doc:"of the message that brought it"`
	Turn     string   `json:"turn" contract:"drop" doc:"turn that it belongs to"`
	Origin   string   `json:"origin" contract:"drop" doc:"microphone, page or device"`
	Tags     []string `json:"tags" contract:"drop" max:"32" doc:"more words to find it by"`
}
