// Package tool is what a tool is for tarsd: a name, a schema and a function, and the one way to call
// it, with all limits. Where tools come from and who calls them is left to the packages beside it.
package tool

import (
	"context"
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"time"

	"github.com/tarsd/tarsd/internal/toolschema"
)

// The limits of a tool. What is longer is cut, or the tool is not taken.
const (
	MaxDescription = 1024     // bytes; longer ones are cut
	MaxArguments   = 16 << 10 // bytes of JSON
	MaxName        = 64       // bytes of Tool.ID, which models insist on
)

// InstanceKey is the key of a tool's metadata in which tarsd's own MCP server says which tarsd it
// is, so that it is not made a client of itself.
const InstanceKey = "tarsd/instance"

// idPattern is what the interfaces of models take as a name.
var idPattern = regexp.MustCompile(`^[a-zA-Z0-9_-]{1,64}$`)

// Tool is a tool before its schema was looked at.
type Tool struct {
	Server string // who has it, such as tars-movement
	Name   string // at that server, such as wave
	ID     string // for models; empty: mcp__SERVER__NAME
	Doc    string // for people and for the model
	Schema json.RawMessage

	Timeout time.Duration // of a call
	Writes  bool          // it changes something
	Deletes bool          // what it changes cannot be had again
	Outside bool          // of no use to the robot's own model, which is not offered it
	Urgent  bool          // never refused for being busy
	Do      func(ctx context.Context, args Args) (Result, error)
}

// Result is what a tool says. An error in place of it is for the model too.
type Result struct {
	Text   string
	Data   any // the same for programs, as JSON; nil: there is only the text
	Images []Image
}

// Image is a picture in a result.
type Image struct {
	Data []byte
	MIME string // such as image/jpeg
}

// Args are arguments that are as the schema says. A missing one is its zero value.
type Args map[string]any

// Text is a string.
func (a Args) Text(name string) string {
	s, _ := a[name].(string)
	return s
}

// Number is a number, or fallback.
func (a Args) Number(name string, fallback float64) float64 {
	if f, ok := a[name].(float64); ok {
		return f
	}
	return fallback
}

// Flag is a boolean.
func (a Args) Flag(name string) bool {
	b, _ := a[name].(bool)
	return b
}

// Ready is a tool that can be called.
type Ready struct {
	Tool
	schema *toolschema.Schema
}

// Prepare checks a tool, whose name, text and schema may come from outside.
func Prepare(t Tool) (*Ready, error) {
	if t.ID == "" {
		t.ID = ID(t.Server, t.Name)
	}
	if !idPattern.MatchString(t.ID) {
		return nil, fmt.Errorf("tool %.80q: not a name of at most %d letters, digits, _ and -", t.ID, MaxName)
	}
	s, err := toolschema.Compile(t.Schema)
	if err != nil {
		return nil, fmt.Errorf("tool %s: %w", t.ID, err)
	}
	t.Schema, t.Doc = s.Raw(), Cut(t.Doc, MaxDescription)
	return &Ready{Tool: t, schema: s}, nil
}

// ID is the name of a tool for models. What they do not take in a name becomes _.
func ID(server, name string) string {
	safe := func(r rune) rune {
		if r < 0x80 && idPattern.MatchString(string(r)) {
			return r
		}
		return '_'
	}
	return "mcp__" + server + "__" + strings.Map(safe, name)
}

// Cut is s, or its beginning of at most n bytes.
func Cut(s string, n int) string {
	s = strings.ToValidUTF8(s, "\uFFFD")
	if len(s) <= n {
		return s
	}
	return strings.ToValidUTF8(s[:n], "")
}
