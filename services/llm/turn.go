package llm

import (
	"cmp"
	"context"
	"errors"
	"strings"
	"time"

	"github.com/tarsd/tarsd/services/client"
	"github.com/tarsd/tarsd/services/contract"
	"github.com/tarsd/tarsd/services/llm/chat"
	"github.com/tarsd/tarsd/services/llm/offline"
)

// turn is one request on its way to its response. Its fields belong to the goroutine that runs it;
// cancel may be called by anybody. A turn that does not begin is finished by who took it away.
type turn struct {
	r      *run
	id     string // of the request
	event  string // envelope id of all that is published for it
	of     client.Turn
	req    contract.ChatRequest
	begin  func() // runs it
	cancel context.CancelCauseFunc
	start  time.Time
	came   time.Time // when the request arrived

	text     strings.Builder // of the answer
	gap      bool            // a new round begins: its text is set apart from that before
	seq      int             // of the next delta
	provider string
	model    string
	usage    chat.Usage
	first    time.Duration // until the first word
}

func newTurn(ctx context.Context, r *run, of client.Turn, m client.Message[contract.ChatRequest]) *turn {
	t := &turn{r: r, id: m.Data.ID, event: cmp.Or(m.ID, client.NewID()), of: of, req: m.Data, start: time.Now(), came: m.Received}
	ctx, stop := context.WithTimeoutCause(ctx, r.o.Turn, chat.Errorf(chat.Slow, "no answer within %s", r.o.Turn))
	ctx, cancel := context.WithCancelCause(ctx)
	t.cancel = func(err error) {
		cancel(err)
		stop()
	}
	t.begin = func() { t.run(ctx) }
	return t
}

// run answers, and sees to it that there is exactly one end.
func (t *turn) run(ctx context.Context) {
	defer t.r.done()
	err := t.answer(ctx)
	if cause := context.Cause(ctx); err != nil && cause != nil {
		err = cause
	}
	t.r.forget(t) // who has the response may ask with the same id again
	t.finish(err)
	t.cancel(nil)
}

// answer makes the answer, and says it piece by piece.
func (t *turn) answer(ctx context.Context) error {
	text := strings.TrimSpace(t.req.Text)
	switch {
	case t.id == "":
		return chat.Errorf(chat.Invalid, "the request has no id")
	case text == "":
		return chat.Errorf(chat.Empty, "the request has no text")
	case len(text) > maxText:
		return chat.Errorf(chat.TooLong, "the text has %d bytes", len(text))
	}
	model := t.r.models.provider()
	if model == nil {
		return t.board(ctx, text)
	}
	notes := t.remember(ctx, text, false)
	if err := t.r.models.missing(); err != nil {
		return err
	}
	err := t.converse(ctx, model, text, notes)
	var e *chat.Error
	if !t.r.models.auto || t.text.Len() > 0 || ctx.Err() != nil || !errors.As(err, &e) || !provider(e) {
		return err
	}
	// Without its model the robot still knows the time; what it does not know is the model's fault.
	words, known := t.r.brain.Reply(text, notes)
	if !known {
		return err
	}
	t.r.log.Info().Str("turn", t.of.ID).Err(err).Str("id", t.id).Msg("answered without the language model")
	t.provider, t.model = offline.Name, offline.Name
	return t.say(words)
}

// board answers with what is on board. Memory is asked only for what the brain does not know by
// itself: the time of day waits for nobody.
func (t *turn) board(ctx context.Context, text string) error {
	t.provider, t.model = offline.Name, offline.Name
	if words, known := t.r.brain.Reply(text, nil); known {
		return t.say(words)
	}
	q := chat.Request{Question: text, Notes: t.remember(ctx, text, true)}
	_, err := t.r.brain.Complete(ctx, q, t.say)
	return err
}

// converse goes through the rounds: as long as the model calls tools, it is given their results.
func (t *turn) converse(ctx context.Context, model chat.Provider, text string, notes []chat.Note) error {
	o := t.r.o
	q, b := t.parameters()
	t.provider, t.model = model.Name(), q.Model
	if t.model == "" {
		t.model = t.r.models.name()
	}
	if o.Tools.Enabled {
		q.Tools = t.r.tools.offer(b.window / 2)
	}
	p := prompt{
		system: t.system(), text: text, notes: notes, tools: q.Tools,
		history: conversation(t.req.History, text),
	}
	var err error
	if q.Messages, q.Notes, err = b.fit(p, o.Memory.Template); err != nil {
		return err
	}
	q.Question = text
	calls := caller{t: t, offered: q.Tools, room: b.window - b.answer - slack - toolCost(q.Tools) - costOf(q.Messages)}
	for round := 0; ; round++ {
		if round >= o.Tools.Rounds {
			q.Tools = nil // now it has to answer
		}
		a, err := model.Complete(ctx, q, t.say)
		t.usage = t.usage.Add(a.Usage)
		if a.Model != "" {
			t.model = a.Model
		}
		if err != nil {
			return err
		}
		if len(a.Calls) == 0 || len(q.Tools) == 0 {
			break
		}
		results, err := calls.run(ctx, a)
		if err != nil {
			return err
		}
		q.Messages = append(q.Messages, results...)
		t.gap = t.text.Len() > 0
	}
	if strings.TrimSpace(t.text.String()) == "" {
		return chat.Errorf(chat.Nothing, "the answer has no words")
	}
	return nil
}

// parameters are the settings of a request, with what it may change. What is out of range is taken
// as configured: a page's slider must not end a conversation.
func (t *turn) parameters() (chat.Request, budget) {
	o := t.r.o
	q := chat.Request{MaxTokens: o.MaxTokens, Temperature: o.Temperature, TopP: o.TopP}
	number := func(key string, least, most float64, set func(float64)) {
		v, ok := t.req.Params[key]
		if !ok || v == nil {
			return
		}
		if f, isNumber := v.(float64); isNumber && f >= least && f <= most {
			set(f)
			return
		}
		t.r.log.Warn().Str("turn", t.of.ID).Str("id", t.id).Str("param", key).Msg("parameter out of range")
	}
	number("max_tokens", 1, float64(o.Window/2), func(f float64) { q.MaxTokens = int(f) })
	number("temperature", 0, 2, func(f float64) { q.Temperature = f })
	number("top_p", 0, 1, func(f float64) { q.TopP = f })
	if m, ok := t.req.Params["model"].(string); ok && m != "" && len(m) <= 200 {
		q.Model = m
	}
	return q, budget{window: o.Window, answer: q.MaxTokens, notes: o.Memory.Tokens}
}

// system is the prompt of the persona, the way to talk, and the request's own part.
func (t *turn) system() string {
	extra := contract.Value(t.req.System)
	if len(extra) > maxSystem {
		extra = strings.ToValidUTF8(extra[:maxSystem], "")
	}
	rule := spokenRule(clock(time.Now().In(t.r.o.Location)))
	return systemPrompt(t.r.persona.snapshot(), strings.TrimSpace(rule+"\n\n"+extra))
}

// say takes a piece of the answer, and publishes it.
func (t *turn) say(s string) error {
	if t.gap {
		t.gap = false
		if before := t.text.String(); !strings.HasSuffix(before, " ") && !strings.HasSuffix(before, "\n") && !strings.HasPrefix(s, " ") {
			s = " " + s // or the words of two rounds would grow together
		}
	}
	if t.text.Len() == 0 {
		t.first = time.Since(t.start)
	}
	t.text.WriteString(s)
	t.delta(&s, false)
	return nil
}

// publishWithin bounds what is published for a turn: a broker that does not take it must not keep
// the turn.
const publishWithin = 2 * time.Second

// out is the context of what a turn publishes: it outlives a cancel, since the end is told too.
func (t *turn) out() (context.Context, context.CancelFunc) {
	return context.WithTimeout(client.WithTurn(context.Background(), t.of), publishWithin)
}

// delta publishes a piece, the end, or a sign of life.
func (t *turn) delta(text *string, done bool) {
	if !t.req.Stream {
		return
	}
	ctx, cancel := t.out()
	defer cancel()
	d := contract.ChatDelta{ID: t.id, Seq: new(t.seq), Delta: text, Done: done, Provider: optional(t.provider), Model: optional(t.model)}
	t.seq++
	if _, err := client.Publish(ctx, t.r.bus, contract.LLMStream, d, client.WithID(t.event)); err != nil {
		t.r.log.Debug().Str("turn", t.of.ID).Err(err).Str("id", t.id).Msg("delta not published") // the response has the whole text
	}
}

// finish publishes the end: of the stream, if there is one, and then the response.
func (t *turn) finish(err error) {
	t.delta(nil, true)
	resp := contract.ChatResponse{ID: t.id, Provider: optional(t.provider), Model: optional(t.model)}
	log := t.r.log.Info().Str("turn", t.of.ID)
	var e *chat.Error
	switch {
	case err == nil:
		resp.Reply = new(t.text.String())
		if t.usage != (chat.Usage{}) {
			resp.Tokens = contract.Object{"prompt": t.usage.Prompt, "completion": t.usage.Completion, "total": t.usage.Total}
		}
	case errors.Is(err, errCancelled):
		resp.Error = new(contract.ChatCancelled)
	case errors.As(err, &e):
		resp.Error = new(e.Spoken())
		log = t.r.log.Warn().Str("turn", t.of.ID).Err(err)
	case errors.Is(err, context.Canceled): // of the service
		resp.Error = new(errStopping.Spoken())
	default:
		resp.Error = new((&chat.Error{}).Spoken())
		log = t.r.log.Error().Str("turn", t.of.ID).Err(err)
	}
	ctx, cancel := t.out()
	defer cancel()
	_, perr := client.Publish(ctx, t.r.bus, contract.LLMResponse, resp, client.WithID(t.event))
	if perr != nil {
		log = t.r.log.Error().Str("turn", t.of.ID).AnErr("publish", perr)
	}
	log.Str("id", clipped(t.id)).Str("provider", t.provider).Str("model", t.model).Int("deltas", t.seq).Int("bytes", t.text.Len()).
		Int("tokens", t.usage.Total).Dur("first", t.first).Dur("took", time.Since(t.start)).Msg("turn")
}

// optional is nil for an empty string.
func optional(s string) *string {
	if s == "" {
		return nil
	}
	return &s
}
