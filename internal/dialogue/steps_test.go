package dialogue

import (
	"context"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/tarsd/tarsd/services/client"
	"github.com/tarsd/tarsd/services/contract"
	"github.com/tarsd/tarsd/services/llm/llmtest"
)

// verbs are the steps of scripts, by name. Those with > expect something.
func verbs() map[string]func(s *scene, rest string) error {
	return map[string]func(s *scene, rest string) error{
		"wake": func(s *scene, rest string) error {
			if rest == "" {
				rest = contract.WakeHeard
			}
			s.r.wake(rest)
			return nil
		},
		"hear": func(s *scene, rest string) error {
			s.utt++
			s.r.hear(s.originOr("mic"), "utt-"+strconv.Itoa(s.utt), rest)
			return nil
		},
		"type": func(s *scene, rest string) error {
			s.r.write(s.originOr("page"), rest)
			return nil
		},
		"partial": func(s *scene, rest string) error {
			p := contract.New[contract.PartialTranscript]()
			p.Text = rest
			send(s.r, contract.STTPartial, p)
			return nil
		},
		"publish": func(s *scene, rest string) error {
			topic, payload, _ := strings.Cut(rest, " ")
			_, err := s.r.peer.PublishRaw(context.Background(), topic, []byte(payload), 1, false)
			return err
		},
		"model": (*scene).script,
		"open": func(s *scene, rest string) error {
			close(s.gate(rest))
			return nil
		},
		"voice": func(s *scene, rest string) error {
			s.r.voice.set(rest)
			return nil
		},
		"tool": (*scene).tool,
		"restart": func(s *scene, _ string) error {
			s.r.stop(false)
			s.r.start()
			return nil
		},
		"kill": func(s *scene, _ string) error {
			s.r.stop(true)
			s.r.start()
			return nil
		},
		"quiet": func(s *scene, rest string) error { // nothing is said for that long
			d, err := time.ParseDuration(rest)
			if err != nil {
				return err
			}
			if e, found := s.caught("say", d); found {
				return fmt.Errorf("got say %q", e.text)
			}
			return nil
		},

		"> say":       func(s *scene, rest string) error { return s.expect("say", rest, s.from) },
		"> ask":       func(s *scene, rest string) error { return s.expect("ask", rest, s.from) },
		"> move":      func(s *scene, rest string) error { return s.expect("move", rest, s.from) },
		"> halt":      func(s *scene, rest string) error { return s.expect("halt", rest) },
		"> motion":    func(s *scene, rest string) error { return s.expect("motion", rest) },
		"> release":   func(s *scene, rest string) error { return s.expect("release", rest) },
		"> call":      func(s *scene, rest string) error { return s.expect("call", rest) },
		"> state":     func(s *scene, rest string) error { return s.expect("state", rest+"*") },
		"> control":   func(s *scene, rest string) error { return s.expect("control", rest) },
		"> cancel":    func(s *scene, rest string) error { return s.expect("cancel", rest+"*") },
		"> voice":     func(s *scene, rest string) error { return s.expect("voice", rest) },
		"> response":  func(s *scene, rest string) error { return s.expect("response", rest) },
		"> added":     func(s *scene, rest string) error { return s.expect("added", rest) },
		"> forgotten": func(s *scene, rest string) error { return s.expect("forgotten", rest) },
		"> persona":   func(s *scene, rest string) error { return s.expect("persona", rest) },
		"> health":    func(s *scene, rest string) error { return s.expect("health", rest) },
		"> gone": func(s *scene, rest string) error { // clients that the model has lost, in all
			n, err := strconv.Atoi(rest)
			s.r.model.WaitGone(s.t, n)
			return err
		},
		"> told": func(s *scene, rest string) error { // the last line of the next request at the model
			s.told++
			q := s.r.model.WaitRequests(s.t, s.told)[s.told-1]
			if !glob(rest).MatchString(q.Last()) {
				return fmt.Errorf("the model was told %q", q.Last())
			}
			return nil
		},
		"> context": func(s *scene, rest string) error { // all lines of that request
			all := s.context()
			if !glob(rest).MatchString(all) {
				return fmt.Errorf("the model was told all this:\n%s", all)
			}
			return nil
		},
		"> unaware": func(s *scene, rest string) error { // it does not hold that text
			if all := s.context(); strings.Contains(all, rest) {
				return fmt.Errorf("the model was told all this:\n%s", all)
			}
			return nil
		},
	}
}

// context is the request at the model that the last "told" was about.
func (s *scene) context() string {
	q := s.r.model.WaitRequests(s.t, s.told)[s.told-1]
	var b strings.Builder
	for _, m := range q.Messages {
		fmt.Fprintf(&b, "%s: %s\n", m.Role, m.Content)
	}
	return b.String()
}

// gate is a channel that a reply of the model waits for.
func (s *scene) gate(name string) chan struct{} {
	if s.gates[name] == nil {
		s.gates[name] = make(chan struct{})
	}
	return s.gates[name]
}

// script adds one reply to what the model will do. Its parts are split at commas; each is a verb and
// words in Go's quotes.
func (s *scene) script(rest string) error {
	var reply llmtest.Reply
	for rest != "" {
		verb, args, tail, err := part(rest)
		if err != nil {
			return err
		}
		rest = tail
		arg := func(i int) string {
			if i < len(args) {
				return args[i]
			}
			return ""
		}
		number, _ := strconv.Atoi(arg(0))
		switch verb {
		case "say":
			reply = append(reply, llmtest.Say(args...)...)
		case "words":
			reply = append(reply, llmtest.Words(args...))
		case "whole":
			reply = append(reply, llmtest.Whole(arg(0))...)
		case "wait":
			reply = append(reply, llmtest.Wait(s.gate(arg(0))))
		case "stall":
			reply = append(reply, llmtest.Stall())
		case "cut":
			reply = append(reply, llmtest.Cut())
		case "raw":
			reply = append(reply, llmtest.Raw(arg(0)))
		case "event":
			reply = append(reply, llmtest.Event(arg(0)))
		case "huge":
			reply = append(reply, llmtest.Huge(number))
		case "endless":
			reply = append(reply, llmtest.Endless(arg(0)))
		case "fail":
			reply = append(reply, llmtest.Fail(number, arg(1), args[2:]...)...)
		case "call":
			reply = append(reply, llmtest.CallTool("call-1", arg(0), arg(1))...)
		case "silence": // it ends without a word
			reply = append(reply, llmtest.Done("stop"))
		default:
			return fmt.Errorf("no part %q", verb)
		}
	}
	s.r.model.Script(reply)
	return nil
}

// part takes one part off a line.
func part(line string) (verb string, args []string, rest string, err error) {
	verb, rest, _ = strings.Cut(strings.TrimSpace(line), " ")
	if v, ok := strings.CutSuffix(verb, ","); ok {
		return v, nil, rest, nil
	}
	for {
		rest = strings.TrimSpace(rest)
		if rest == "" {
			return verb, args, "", nil
		}
		if rest[0] == ',' {
			return verb, args, rest[1:], nil
		}
		q, err := strconv.QuotedPrefix(rest)
		if err != nil {
			end := strings.IndexAny(rest+" ", " ,")
			q, args = rest[:end], append(args, rest[:end])
		} else {
			word, err := strconv.Unquote(q)
			if err != nil {
				return "", nil, "", err
			}
			args = append(args, word)
		}
		rest = rest[len(q):]
	}
}

// answerTools answers calls of the tools that were offered.
func (s *scene) answerTools() error {
	_, err := client.Subscribe(s.r.peer, contract.ToolCallRequest, func(ctx context.Context, m client.Message[contract.ToolCall]) error {
		result, ok := s.tools.get(m.Data.Name)
		if !ok || result == "nothing" {
			return nil
		}
		res := contract.ToolResult{CallID: m.Data.CallID}
		if why, failed := strings.CutPrefix(result, "error "); failed {
			res.Error = &why
		} else {
			res.Content = &result
		}
		_, err := client.Publish(ctx, s.r.peer, contract.ToolCallResult, res)
		return err
	})
	if err != nil {
		return err
	}
	return s.r.peer.Ready(s.t.Context())
}

// tools are the results of tools by name.
type tools struct {
	mu      sync.Mutex
	results map[string]string
	list    []contract.Tool
}

func (t *tools) get(name string) (string, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	r, ok := t.results[name]
	return r, ok
}

// tool offers a tool, "NAME SCHEMA => RESULT", and answers its calls from now on.
func (s *scene) tool(rest string) error {
	def, result, ok := strings.Cut(rest, "=>")
	name, schema, _ := strings.Cut(strings.TrimSpace(def), " ")
	if !ok {
		return fmt.Errorf("want NAME SCHEMA => RESULT")
	}
	var parameters contract.Object
	if err := json.Unmarshal([]byte(schema), &parameters); err != nil {
		return err
	}
	s.tools.mu.Lock()
	first := s.tools.results == nil
	if first {
		s.tools.results = map[string]string{}
	}
	s.tools.results[name] = strings.TrimSpace(result)
	s.tools.list = append(s.tools.list, contract.Tool{Type: "function", Function: contract.Function{Name: name, Description: name, Parameters: parameters}})
	list := s.tools.list
	s.tools.mu.Unlock()
	if first {
		if err := s.answerTools(); err != nil {
			return err
		}
	}
	send(s.r, contract.ToolsRegistry, contract.Tools{Tools: list})
	return nil
}
