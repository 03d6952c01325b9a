package contract

import (
	"fmt"
	"slices"
	"strings"
)

// TypeScript is web/ui/src/lib/contract.gen.ts: the payloads and the topic table for the page, made of
// the rows and tags. A field that a peer may leave out is optional there.
func TypeScript() string {
	var b strings.Builder
	b.WriteString(typescriptHead)
	rows := sortedRows()
	seen := map[string]bool{}
	for _, t := range rows {
		if t.spec().Form != Raw {
			typescriptTypes(&b, planOf(t.payload()), seen)
		}
	}
	b.WriteString("\nexport const topics = {\n")
	for _, t := range rows {
		s := t.spec()
		payload := "Uint8Array"
		if s.Form != Raw {
			payload = t.payload().Name()
		}
		fmt.Fprintf(&b, "  %s: { name: %s, type: %s, qos: %d, retain: %t, form: %s } as Topic<%s>,\n",
			camel(s.Name), quote(s.Name), quote(s.Type), s.QoS, s.Retain, quote(s.Form.String()), payload)
	}
	b.WriteString("};\n\n/** Names of MQTT user properties. */\nexport const props = {\n")
	for _, p := range [][2]string{
		{"rate", PropRate}, {"dropped", PropDropped}, {"taken", PropTaken}, {"number", PropNumber}, {"stale", PropStale},
		{"turn", PropTurn}, {"origin", PropOrigin}, {"speechEnd", PropSpeechEnd},
	} {
		fmt.Fprintf(&b, "  %s: %s,\n", p[0], quote(p[1]))
	}
	b.WriteString("};\n\n/** Joints in the order of movement/joints. */\nexport const jointNames = [")
	for i, name := range JointNames() {
		b.WriteString(pick(i > 0, ", ", "") + quote(name))
	}
	b.WriteString("] as const;\nexport type Joint = (typeof jointNames)[number];\n\n/** Commands of movement/test. */\nexport const moves: Move[] = [\n")
	for _, m := range Moves() {
		fmt.Fprintf(&b, "  { name: %s, speed: %v, params: %t, doc: %s },\n", quote(m.Name), m.Speed, len(m.Params) > 0, quote(m.Doc))
	}
	b.WriteString("];\n")
	return b.String()
}

// TypeScriptDocs is web/ui/src/lib/docs.gen.ts: what each topic is for, with an example, for the page's
// publish form, which loads it when it is opened.
func TypeScriptDocs() string {
	var b strings.Builder
	b.WriteString("// Generated from services/contract; `make docs` writes it anew.\n\n" +
		"import type { Schema } from \"./schema\";\n\n/** A topic for people: who sends it, what it is, a valid message, and the schema of its payload. */\n" +
		"export interface TopicDoc {\n  topic: string;\n  qos: 0 | 1 | 2;\n  retain: boolean;\n  from: string[];\n  doc: string;\n  example: string;\n  schema: Schema | null;\n}\n\n" +
		"export const topicDocs: TopicDoc[] = [\n")
	for _, r := range Table() {
		from := make([]string, len(r.Publishers))
		for i, p := range r.Publishers {
			from[i] = quote(p)
		}
		fmt.Fprintf(&b, "  { topic: %s, qos: %d, retain: %t, from: [%s], doc: %s, example: %s, schema: %s },\n", quote(r.Name), r.QoS, r.Retain,
			strings.Join(from, ", "), quote(r.Doc), quote(string(r.Example)), pick(r.Schema == nil, "null", string(r.Schema)))
	}
	b.WriteString("];\n")
	return b.String()
}

// typescriptTypes writes a payload's type after the types that it is made of, each once.
func typescriptTypes(b *strings.Builder, p *plan, seen map[string]bool) {
	name := p.typ.Name()
	if seen[name] {
		return
	}
	seen[name] = true
	for i := range p.fields {
		for v := p.fields[i].val; v != nil; v = v.elem {
			if v.plan != nil {
				typescriptTypes(b, v.plan, seen)
			}
		}
	}
	if p.union {
		var variants []string
		for i := range p.fields {
			variants = append(variants, p.fields[i].val.plan.typ.Name())
		}
		fmt.Fprintf(b, "\nexport type %s = %s;\n", name, strings.Join(variants, " | "))
		return
	}
	fmt.Fprintf(b, "\nexport interface %s {\n", name)
	for i := range p.fields {
		f := &p.fields[i]
		if f.doc != "" {
			fmt.Fprintf(b, "  /** %s */\n", f.doc)
		}
		mark, null := "?", " | null"
		if f.required {
			mark, null = "", pick(f.val.null, " | null", "")
		}
		fmt.Fprintf(b, "  %s%s: %s%s;\n", f.name, mark, f.val.typescript(), null)
	}
	if p.extras >= 0 {
		elem := "unknown"
		if p.more != nil && p.more.elem != nil && len(p.fields) == 0 {
			elem = p.more.elem.typescript()
		}
		fmt.Fprintf(b, "  [key: string]: %s;\n", elem)
	}
	b.WriteString("}\n")
}

// typescript is the type of what may stand at a place.
func (t *value) typescript() string {
	switch t.kind {
	case kindString:
		if len(t.enum) == 0 || t.fold {
			return "string"
		}
		words := make([]string, len(t.enum))
		for i, e := range t.enum {
			words[i] = quote(e)
		}
		return strings.Join(words, " | ")
	case kindBool:
		return "boolean"
	case kindInt, kindFloat:
		return "number"
	case kindBytes: // base64
		return "string"
	case kindList:
		elem := t.elem.typescript()
		if strings.Contains(elem, "|") {
			elem = "(" + elem + ")"
		}
		return elem + "[]"
	case kindMap:
		return "Record<string, " + t.elem.typescript() + ">"
	case kindStruct:
		return t.plan.typ.Name()
	default:
		return "unknown"
	}
}

// quote is a string in JSON, which TypeScript reads too.
func quote(s string) string { return string(appendString(nil, s)) }

// camel is a topic as the name of a constant: audio/in/+ is audioIn.
func camel(topic string) string {
	words := strings.FieldsFunc(topic, func(r rune) bool { return !slices.Contains([]rune(letters), r) })
	for i := range words[1:] {
		words[i+1] = strings.ToUpper(words[i+1][:1]) + words[i+1][1:]
	}
	return strings.Join(words, "")
}

const letters = "abcdefghijklmnopqrstuvwxyz0123456789"

const typescriptHead = `// Generated from services/contract; ` + "`make docs`" + ` writes it anew.

/** A row of the topic table; T is the type of its payload. */
export interface Topic<T> {
  name: string;
  type: string;
  qos: 0 | 1 | 2;
  retain: boolean;
  form: "envelope" | "bare" | "raw";
  payload?: T;
}

/** A command of movement/test. */
export interface Move {
  name: string;
  /** that suits it, 0.1 to 1; 0: it has none */
  speed: number;
  /** it needs parameters */
  params: boolean;
  doc: string;
}
`
