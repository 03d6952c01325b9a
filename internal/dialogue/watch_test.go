package dialogue

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tarsd/tarsd/services/client"
	"github.com/tarsd/tarsd/services/contract"
)

// event is one message on the bus, as scripts see it.
type event struct {
	kind   string // say, ask, state, ...
	text   string // what it says, in one line
	id     string // utterance, request or name that it is about
	turn   string
	origin string
	source string
	at     time.Time // of its arrival
	data   any
}

// watcher writes down everything that is published, in the order in which the broker hands it
// out, and judges it by rules that hold in every dialogue. mu guards all of it.
type watcher struct {
	t testing.TB
	c *client.Client

	mu      sync.Mutex
	changed chan struct{} // replaced at each event
	events  []event
	faults  []string
	seen    map[string]bool // topics and payloads at QoS 1
	down    bool            // the process is not running: nothing has to be in time
	state   contract.Dialogue
	known   bool

	asks    map[string]*asked
	turns   []string        // of what people said, in order
	cut     int             // how many of them a stop word or a stop ends
	over    map[string]bool // turns that were stopped
	given   map[string]bool // requests that were cancelled
	late    map[string]late // what was said of those, and has to be stopped at once
	apology map[string]bool // texts that are said of a request that was given up
}

// asked is a request to the model and what came of it.
type asked struct {
	text      string
	stream    bool
	next      int // sequence number of the next delta
	done      int
	responses int
	lost      bool // its process was killed
}

type late struct {
	text string
	at   time.Time
}

// slack is how long a state may last beyond its deadline.
const slack = time.Second

func watch(t testing.TB, c *client.Client) *watcher {
	t.Helper()
	w := &watcher{
		t: t, c: c, changed: make(chan struct{}), asks: map[string]*asked{}, seen: map[string]bool{},
		over: map[string]bool{}, given: map[string]bool{}, late: map[string]late{},
		apology: map[string]bool{"That is taking longer than I can justify. Ask me again.": true},
	}
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	wg.Go(func() { w.keep(ctx) })
	t.Cleanup(func() {
		cancel()
		wg.Wait()
		w.mu.Lock()
		defer w.mu.Unlock()
		for _, f := range w.faults {
			t.Error(f)
		}
		if t.Failed() {
			t.Logf("what was published:\n%s", w.story())
		}
	})
	_, err := c.SubscribeRaw("#", 1, w.take, client.Queue(100_000, client.DropNewest))
	require.NoError(t, err)
	require.NoError(t, c.Ready(t.Context()))
	return w
}

// sure are the kinds that must not be lost on the way.
var sure = []string{"say", "ask", "response", "control", "cancel", "call", "move", "halt", "release", "added", "forgotten", "persona", "state", "input", "wake"}

// keep looks at the clock.
func (w *watcher) keep(ctx context.Context) {
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-tick.C:
			w.mu.Lock()
			w.inTime(now)
			w.mu.Unlock()
		}
	}
}

// inTime checks what must have happened by now.
func (w *watcher) inTime(now time.Time) {
	if w.down {
		return
	}
	if d := w.state.Deadline; w.known && d != nil && unix(now) > *d+slack.Seconds() {
		w.fault("state %s (%s) is still there %.1f s after its deadline", w.state.State, w.state.Reason, unix(now)-*d)
		w.known = false // once is enough
	}
	for id, l := range w.late {
		if now.Sub(l.at) > slack {
			w.fault("%q was said of %s, which had been stopped", l.text, id)
			delete(w.late, id)
		}
	}
}

func unix(t time.Time) float64 { return float64(t.UnixMicro()) / 1e6 }

func (w *watcher) fault(format string, args ...any) {
	w.faults = append(w.faults, fmt.Sprintf(format, args...))
}

// take writes down one message.
func (w *watcher) take(_ context.Context, m client.RawMessage) error {
	e := event{at: m.Received}
	for _, p := range m.Props {
		switch p.Key {
		case "turn":
			e.turn = p.Value
		case "origin":
			e.origin = p.Value
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	if key := m.Topic + " " + string(m.Payload); m.Dup && w.seen[key] {
		return nil // the broker was killed before it had our acknowledgement
	} else if m.QoS > 0 {
		w.seen[key] = true
	}
	read(&e, m)
	if e.kind == "" {
		return nil
	}
	if m.QoS == 0 && slices.Contains(sure, e.kind) {
		w.fault("%s %q came at QoS 0", e.kind, e.text)
	}
	w.judge(&e)
	w.events = append(w.events, e)
	close(w.changed)
	w.changed = make(chan struct{})
	return nil
}

// decoded reads a payload of a topic; what breaks the contract has no text.
func decoded[T any](e *event, m client.RawMessage, t contract.Topic[T], kind string, f func(d T) (id, text string)) {
	d, err := t.Decode(m.Payload)
	e.kind = kind
	if err != nil {
		e.text = "broken: " + string(m.Payload)
		return
	}
	e.source, e.data = d.Source, d.Data
	if e.turn == "" {
		e.turn = d.ID
	}
	e.id, e.text = f(d.Data)
}

// read makes an event of a message that scripts know.
func read(e *event, m client.RawMessage) {
	v := contract.Value[string]
	switch m.Topic {
	case "tts/say":
		decoded(e, m, contract.TTSSay, "say", func(d contract.Say) (string, string) { return v(d.UttID), d.Text })
	case "tts/control":
		decoded(e, m, contract.TTSControl, "control", func(d contract.SpeechControl) (string, string) {
			if d.ID == nil {
				return "", d.Action + " all"
			}
			return *d.ID, d.Action
		})
	case "tts/status":
		decoded(e, m, contract.TTSStatus, "voice", func(d contract.SpeechStatus) (string, string) { return v(d.UttID), d.Event })
	case "llm/request":
		decoded(e, m, contract.LLMRequest, "ask", func(d contract.ChatRequest) (string, string) { return d.ID, d.Text })
	case "llm/stream":
		decoded(e, m, contract.LLMStream, "delta", func(d contract.ChatDelta) (string, string) { return d.ID, v(d.Delta) })
	case "llm/response":
		decoded(e, m, contract.LLMResponse, "response", func(d contract.ChatResponse) (string, string) {
			if d.Error != nil {
				return d.ID, "error: " + *d.Error
			}
			return d.ID, v(d.Reply)
		})
	case "llm/cancel":
		decoded(e, m, contract.LLMCancel, "cancel", func(d contract.ChatCancel) (string, string) { return d.ID, d.ID })
	case "llm/tool.call.request":
		decoded(e, m, contract.ToolCallRequest, "call", func(d contract.ToolCall) (string, string) {
			args := []byte("{}")
			if len(d.Arguments) > 0 {
				args, _ = json.Marshal(d.Arguments)
			}
			return d.CallID, d.Name + " " + string(args)
		})
	case "movement/status":
		decoded(e, m, contract.MovementStatus, "motion", func(d contract.MovementUpdate) (string, string) { return v(d.RequestID), d.Event })
	case "movement/test":
		decoded(e, m, contract.MovementTest, "move", func(d contract.TestMovement) (string, string) { return v(d.RequestID), d.Command })
	case "movement/stop":
		decoded(e, m, contract.MovementStop, "halt", func(d contract.StopMovement) (string, string) { return "", v(d.Reason) })
	case "movement/resume":
		decoded(e, m, contract.MovementResume, "release", func(d contract.ResumeMovement) (string, string) { return "", v(d.Reason) })
	case "memory/added":
		decoded(e, m, contract.MemoryAdded, "added", func(d contract.Remembered) (string, string) { return v(d.ID), fmt.Sprint(d.OK) })
	case "memory/forgotten":
		decoded(e, m, contract.MemoryForgotten, "forgotten", func(d contract.Forgotten) (string, string) { return "", fmt.Sprint(d.Count) })
	case "system/character/current":
		decoded(e, m, contract.CharacterCurrent, "persona", func(d contract.Character) (string, string) {
			b, _ := json.Marshal(d.Traits)
			return d.Name, string(b)
		})
	case "dialogue/text":
		decoded(e, m, contract.DialogueText, "input", func(d contract.TypedText) (string, string) { return v(d.Origin), d.Text })
	case "stt/final":
		decoded(e, m, contract.STTFinal, "input", func(d contract.FinalTranscript) (string, string) { return v(d.UttID), d.Text })
	case "wake/event":
		decoded(e, m, contract.WakeEvent, "wake", func(d contract.Wake) (string, string) { return "", d.Type })
	case "dialogue/state":
		decoded(e, m, contract.DialogueState, "state", func(d contract.Dialogue) (string, string) { return v(d.Turn), d.State + " " + d.Reason })
	default:
		if name, ok := strings.CutPrefix(m.Topic, "system/health/"); ok {
			decoded(e, m, contract.Health.At(name), "health", func(d contract.HealthPing) (string, string) {
				if d.OK {
					return name, "up"
				}
				return name, "down"
			})
		}
	}
}

// judge applies the rules to a message.
func (w *watcher) judge(e *event) {
	w.inTime(e.at)
	switch d := e.data.(type) {
	case contract.Dialogue:
		w.state, w.known = d, true
		if (d.State == contract.Idle) != (d.Deadline == nil) {
			w.fault("state %s has the deadline %v: idle has none, every other one has", d.State, d.Deadline)
		}
	case contract.ChatRequest:
		a := w.asked(d.ID)
		if a.text != "" {
			w.fault("two requests have the id %s", d.ID)
		}
		a.text, a.stream = d.Text, d.Stream
	case contract.ChatDelta:
		w.delta(d)
	case contract.ChatResponse:
		w.asked(d.ID).responses++
	case contract.ChatCancel:
		if e.source == "router" {
			w.given[d.ID] = true
		}
	case contract.TypedText:
		w.input(e.turn, d.Text)
	case contract.FinalTranscript:
		w.input(e.turn, d.Text)
	case contract.Wake:
		w.turns = append(w.turns, e.turn)
	case contract.SpeechControl:
		if d.Action != contract.ActionStop {
			return
		}
		if d.ID == nil {
			for _, turn := range w.turns[:w.cut] {
				w.over[turn] = true
			}
		}
		for id := range w.late {
			if d.ID == nil || *d.ID == id {
				delete(w.late, id)
			}
		}
	case contract.Say:
		id := contract.Value(d.UttID)
		if (w.over[e.turn] || w.given[id]) && !w.apology[d.Text] {
			w.late[id] = late{d.Text, e.at}
		}
	}
	if e.kind == "halt" && e.source != "router" {
		w.cut = len(w.turns)
	}
}

// asked is the request with an id. What answers it may come before it: after a new start the broker sends
// us again what it knows that we miss, and QoS 0 does not wait for that.
func (w *watcher) asked(id string) *asked {
	a := w.asks[id]
	if a == nil {
		a = &asked{}
		w.asks[id] = a
	}
	return a
}

func (w *watcher) delta(d contract.ChatDelta) {
	a := w.asked(d.ID)
	switch {
	case a.done > 0:
		w.fault("the stream of %q goes on after its end", a.text)
	case d.Seq == nil || *d.Seq != a.next:
		w.fault("the stream of %q has the delta %v after %d", a.text, contract.Value(d.Seq), a.next-1)
	}
	a.next = contract.Value(d.Seq) + 1
	if d.Done {
		a.done++
	}
}

// input notes what somebody said or typed.
func (w *watcher) input(turn, text string) {
	text = strings.Trim(strings.ToLower(text), " .!")
	if text == "stop" || text == "hey tars stop" || text == "stop moving" || text == "be quiet" || text == "shut up" {
		w.cut = len(w.turns)
	}
	w.turns = append(w.turns, turn)
}

// away says that the process ends: nothing is late until it is back. Requests of a process that
// is killed are never answered.
func (w *watcher) away(kill bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.down = true
	if kill {
		for _, a := range w.asks {
			a.lost = true
		}
	}
}

func (w *watcher) back() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.down = false
}

func (w *watcher) len() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.events)
}

// seek waits until the function has found what it looks for among the events.
func (w *watcher) seek(d time.Duration, f func(events []event) bool) bool {
	timeout := time.After(d)
	for {
		w.mu.Lock()
		found, changed := f(w.events), w.changed
		w.mu.Unlock()
		if found {
			return true
		}
		select {
		case <-changed:
		case <-timeout:
			return false
		}
	}
}

// find waits for an event of a kind at or after from, and returns it and its place.
func (w *watcher) find(t testing.TB, from int, kind string, ok func(event) bool) (event, int) {
	t.Helper()
	var e event
	at := from
	found := w.seek(within, func(events []event) bool {
		for ; at < len(events); at++ {
			if events[at].kind == kind && ok(events[at]) {
				e = events[at]
				return true
			}
		}
		return false
	})
	require.True(t, found, "no such %s", kind)
	return e, at
}

// finish waits for the answers to all requests and checks that each has exactly one.
func (w *watcher) finish() {
	w.seek(within, func([]event) bool {
		for _, a := range w.asks {
			if a.responses == 0 && !a.lost {
				return false
			}
		}
		return true
	})
	w.mu.Lock()
	defer w.mu.Unlock()
	for _, a := range w.asks {
		if a.lost {
			assert.LessOrEqual(w.t, a.responses, 1, "responses to %q, whose process was killed", a.text)
			continue
		}
		assert.NotEmpty(w.t, a.text, "what was answered was asked")
		assert.Equal(w.t, 1, a.responses, "responses to %q", a.text)
		if a.stream {
			assert.Equal(w.t, 1, a.done, "ends of the stream of %q", a.text)
		}
	}
}

// story is everything that happened, for people.
func (w *watcher) story() string {
	var b strings.Builder
	for _, e := range w.events {
		fmt.Fprintf(&b, "%s %-9s %-24.24s %-8.8s %s\n", e.at.Format("05.000"), e.kind, e.id, e.origin, e.text)
	}
	return b.String()
}
