package llm

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/tarsd/tarsd/internal/toolschema"
	"github.com/tarsd/tarsd/services/contract"
	"github.com/tarsd/tarsd/services/llm/chat"
)

// The limits of tools.
const (
	maxTools       = 128       // in the registry
	maxDescription = 2000      // bytes
	maxRegistry    = 256 << 10 // bytes of all schemas
	maxArguments   = 16 << 10  // bytes of one call
)

// toolName is what the chat completion interfaces take as a name.
var toolName = regexp.MustCompile(`^[a-zA-Z0-9_-]{1,64}$`)

// toolbox is what the model may call, as it was last announced. mu guards what follows it.
type toolbox struct {
	mu    sync.Mutex
	tools map[string]*tool
	list  []chat.Tool // in the order of the announcement
}

type tool struct {
	spec   chat.Tool
	schema *toolschema.Schema
}

// replace takes a new list of tools. It returns what is wrong with those that it leaves out.
func (b *toolbox) replace(announced []contract.Tool) []error {
	tools, list, size := map[string]*tool{}, []chat.Tool(nil), 0
	var problems []error
	for _, t := range announced {
		made, err := makeTool(t)
		switch {
		case err != nil:
		case tools[made.spec.Name] != nil:
			err = fmt.Errorf("tool %s is there twice", made.spec.Name)
		case len(list) >= maxTools:
			err = fmt.Errorf("tool %s: more than %d tools", made.spec.Name, maxTools)
		case size+len(made.spec.Parameters) > maxRegistry:
			err = fmt.Errorf("tool %s: the schemas are larger than %d bytes together", made.spec.Name, maxRegistry)
		}
		if err != nil {
			problems = append(problems, err)
			continue
		}
		tools[made.spec.Name] = made
		list = append(list, made.spec)
		size += len(made.spec.Parameters)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.tools, b.list = tools, list
	return problems
}

func makeTool(t contract.Tool) (*tool, error) {
	f := t.Function
	if t.Type != "" && t.Type != "function" {
		return nil, fmt.Errorf("tool %.64q is of type %.32q, not function", f.Name, t.Type)
	}
	if !toolName.MatchString(f.Name) {
		return nil, fmt.Errorf("%.64q is not a name for a tool", f.Name)
	}
	params := f.Parameters
	if params == nil {
		params = contract.Object{"type": "object", "properties": map[string]any{}}
	}
	raw, err := json.Marshal(params)
	if err != nil {
		return nil, fmt.Errorf("tool %s: %w", f.Name, err)
	}
	schema, err := toolschema.Compile(raw)
	if err != nil {
		return nil, fmt.Errorf("tool %s: %w", f.Name, err)
	}
	about := f.Description
	if len(about) > maxDescription {
		about = strings.ToValidUTF8(about[:maxDescription], "")
	}
	return &tool{chat.Tool{Name: f.Name, Description: about, Parameters: schema.Raw()}, schema}, nil
}

// offer is what is offered to a model, as many as fit into n tokens.
func (b *toolbox) offer(n int) []chat.Tool {
	b.mu.Lock()
	defer b.mu.Unlock()
	for i := range b.list {
		if n -= toolCost(b.list[i : i+1]); n < 0 {
			return slices.Clone(b.list[:i])
		}
	}
	return slices.Clone(b.list)
}

// names are the names of all tools, as they are spoken: without the server in front.
func (b *toolbox) names() []string {
	b.mu.Lock()
	defer b.mu.Unlock()
	var out []string
	for _, t := range b.list {
		name := t.Name
		if i := strings.LastIndex(name, "__"); i >= 0 {
			name = name[i+2:]
		}
		out = append(out, strings.ReplaceAll(name, "_", " "))
	}
	return out
}

// check judges a call that a model wants: the tool is one that was offered, and the arguments are
// as its schema says. The error is for the model, which may try again.
func (b *toolbox) check(c chat.Call, offered []chat.Tool) (contract.Object, error) {
	if !slices.ContainsFunc(offered, func(t chat.Tool) bool { return t.Name == c.Name }) {
		return nil, fmt.Errorf("there is no tool %.64q", c.Name)
	}
	b.mu.Lock()
	t := b.tools[c.Name]
	b.mu.Unlock()
	if t == nil {
		return nil, fmt.Errorf("the tool %s has gone", c.Name)
	}
	if len(c.Arguments) > maxArguments {
		return nil, fmt.Errorf("the arguments are larger than %d bytes", maxArguments)
	}
	var args any
	if err := json.Unmarshal([]byte(c.Arguments), &args); err != nil {
		return nil, fmt.Errorf("the arguments are not JSON: %w", err)
	}
	o, ok := args.(map[string]any)
	if !ok {
		return nil, fmt.Errorf("the arguments are not an object")
	}
	if err := t.schema.Check(o); err != nil {
		return nil, fmt.Errorf("the arguments are not as the tool wants them: %s", shortText(err.Error(), 500))
	}
	return o, nil
}
