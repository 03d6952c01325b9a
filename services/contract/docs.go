package contract

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
)

// Markdown is docs/topics.md: the table of all topics and their payloads, made of the rows and tags.
func Markdown() string {
	var b strings.Builder
	b.WriteString(docsHead)
	rows := sortedRows()
	b.WriteString("\n| Topic | Payload | Form | QoS | Retained | Repeats | From | To |\n| --- | --- | --- | --- | --- | --- | --- | --- |\n")
	for _, t := range rows {
		s := t.spec()
		fmt.Fprintf(&b, "| [`%s`](#%s) | %s | %s | %d | %s | %s | %s | %s |\n", s.Name, anchor(s.Name), payloadName(t), s.Form, s.QoS,
			pick(s.Retain, "yes", ""), pick(s.Dedup, "dropped", ""), strings.Join(s.Publishers, ", "), strings.Join(s.Subscribers, ", "))
	}
	b.WriteString("\n## What is sent without the envelope, and why\n\n| Topic | Reason |\n| --- | --- |\n")
	for _, t := range rows {
		if s := t.spec(); s.Form != Enveloped {
			fmt.Fprintf(&b, "| `%s` | %s |\n", s.Name, escape(s.Reason))
		}
	}
	group := ""
	for _, t := range rows {
		first, _, _ := strings.Cut(t.spec().Name, "/")
		if first != group {
			group = first
			fmt.Fprintf(&b, "\n## %s\n", group)
		}
		topicDocs(&b, t)
	}
	return b.String()
}

func topicDocs(b *strings.Builder, t row) {
	s := t.spec()
	fmt.Fprintf(b, "\n### %s\n\n%s\n", s.Name, s.Doc)
	fmt.Fprintf(b, "\nType `%s`", s.Type)
	if len(s.Aliases) > 0 {
		fmt.Fprintf(b, "; legacy peers also write `%s`", strings.Join(s.Aliases, "`, `"))
	}
	b.WriteString(".")
	if s.Form == Raw {
		b.WriteString("\n")
		return
	}
	fmt.Fprintf(b, " [JSON Schema](schema/%s.json).\n", fileName(s.Name))
	planDocs(b, planOf(t.payload()), "", map[*plan]bool{})
	fmt.Fprintf(b, "\n```json\n%s\n```\n", example(s))
}

// planDocs writes the table of an object's fields, and then those of the objects in it.
func planDocs(b *strings.Builder, p *plan, of string, seen map[*plan]bool) {
	if seen[p] {
		return
	}
	seen[p] = true
	if p.union {
		for i := range p.fields {
			f := &p.fields[i]
			note := "otherwise"
			if len(f.when) > 0 {
				note = "with " + strings.Join(f.when, " or ")
			}
			planDocs(b, f.val.plan, note, seen)
		}
		return
	}
	if of != "" {
		fmt.Fprintf(b, "\n%s (%s):\n", p.typ.Name(), of)
	}
	b.WriteString("\n| Field | Kind | Default | Meaning |\n| --- | --- | --- | --- |\n")
	type inner struct {
		plan *plan
		of   string
	}
	var nested []inner
	for i := range p.fields {
		f := &p.fields[i]
		fmt.Fprintf(b, "| `%s` | %s | %s | %s |\n", f.name, escape(f.val.words()), f.absent(), escape(f.doc))
		if v := f.val; v.kind == kindStruct {
			nested = append(nested, inner{v.plan, f.name})
		} else if v.kind == kindList && v.elem.kind == kindStruct {
			nested = append(nested, inner{v.elem.plan, "item of " + f.name})
		}
	}
	switch {
	case p.lenient:
		b.WriteString("\nUnknown keys are ignored.\n")
	case p.extras >= 0 && p.more.pattern != nil:
		fmt.Fprintf(b, "| `%s` | %s | | any number of them |\n", escape(p.more.pattern.String()), escape(p.more.elem.words()))
	case p.extras >= 0:
		b.WriteString("\nFurther keys are kept.\n")
	}
	for _, in := range nested {
		planDocs(b, in.plan, in.of, seen)
	}
}

// absent says what a field is when it is not there.
func (f *field) absent() string {
	switch {
	case f.required:
		return "**required**"
	case f.id:
		return "new id"
	case f.now:
		return "now"
	case f.val.def.IsValid() && f.val.kind == kindString:
		return "`" + f.val.def.String() + "`"
	case f.val.def.IsValid():
		return "`" + fmt.Sprint(f.val.def.Interface()) + "`"
	case f.val.null:
		return "null"
	default:
		return "empty"
	}
}

// words is what may stand at a place, for people.
func (t *value) words() string {
	s := [...]string{"text", "true or false", "whole number", "number", "base64", "list", "object", "object", "anything"}[t.kind]
	switch t.kind {
	case kindString:
		if len(t.enum) > 0 {
			s = strings.Join(t.enum, ", ")
		} else if t.pattern != nil {
			s = "text like `" + t.pattern.String() + "`"
		}
		if t.loose {
			s += ", numbers as their text"
		}
	case kindInt, kindFloat:
		if !math.IsInf(t.min, 0) || !math.IsInf(t.max, 0) {
			s += ", " + t.span()
		}
		if t.numeric {
			s += ", also as text"
		}
	case kindList:
		s = "list of " + plural(t.elem)
		if !math.IsInf(t.max, 0) {
			s += ", at most " + strconv.Itoa(int(t.max))
		}
	case kindMap:
		if t.elem.kind != kindAny {
			s = "object of " + plural(t.elem)
		}
		if t.pattern != nil {
			s += ", keys like `" + t.pattern.String() + "`"
		}
	case kindAny:
		if len(t.kinds) > 0 {
			s = strings.Join(t.kinds, " or ")
		}
	default:
	}
	return s
}

func plural(t *value) string {
	s := map[kind]string{kindString: "texts", kindInt: "whole numbers", kindFloat: "numbers", kindStruct: "objects"}[t.kind]
	if s == "" {
		s = "values"
	}
	if !math.IsInf(t.min, 0) || !math.IsInf(t.max, 0) {
		s += " (" + t.span() + ")"
	}
	return s
}

func payloadName(t row) string {
	if t.spec().Form == Raw {
		return "bytes"
	}
	return t.payload().Name()
}

func pick(yes bool, a, b string) string {
	if yes {
		return a
	}
	return b
}

// anchor is what renderers make of a heading.
func anchor(heading string) string {
	keep := slices.DeleteFunc([]rune(strings.ToLower(heading)), func(r rune) bool {
		return (r < 'a' || r > 'z') && (r < '0' || r > '9') && r != '_' && r != '-'
	})
	return string(keep)
}

func escape(s string) string { return strings.ReplaceAll(s, "|", `\|`) }

const docsHead = `# Topics

This page and the schemas are generated from services/contract; ` + "`make docs`" + ` writes them anew.

A message is JSON in UTF-8, in one of two forms. Everybody takes both:

- the **envelope**, an object with the keys id, type, ts, source and data, of which type and data must be there. ` + "`data`" + ` is the
  payload; ` + "`id`" + ` is 32 hex digits, and an answer carries the id of its request; ` + "`ts`" + ` is Unix seconds. Nobody refuses a message by its type;
- **bare**, the payload alone. It has no id but the payload's message_id, so repeats are not recognised.

A **raw** topic carries bytes that are not JSON.

Decoding is strict: unknown keys, repeated keys, wrong kinds, values out of range and data after the object are errors that
name topic, field and value. Whole numbers may be written 5.0. A message has at most 8 MiB, 65,536 values, and 32 levels.
Fields with null as their default may be null; others may not. We write null for them, but on system/health.
` + "`new id` and `now`" + ` are filled in by whoever sends.

From and To are short names of services; device is the robot's board or another microcontroller, page the web page, any everybody.
Repeats of an envelope (same type, id and content) are dropped where the table says so.

A ` + "`+`" + ` stands for a name: of a service or a client, or of the place where a microphone or speaker is.
`
