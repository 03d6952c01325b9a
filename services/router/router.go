package router

import (
	"context"
	"errors"
	"fmt"
	"path"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/rs/zerolog"

	"github.com/tarsd/tarsd/services"
	"github.com/tarsd/tarsd/services/client"
	"github.com/tarsd/tarsd/services/contract"
)

var _ services.Service = (*Router)(nil)

// source is the name of the service, in envelopes too.
const source = "router"

// room is the origin of what is heard by a microphone that does not say which one it is.
const room = "room"

// maxEvents is how many events wait for the machine, which takes some microseconds for each.
const maxEvents = 256

// Router is the service. New makes it, Run runs it.
type Router struct{ o Options }

// New checks the options; the error names those that make no sense.
func New(o Options) (*Router, error) {
	if err := o.Validate(); err != nil {
		return nil, fmt.Errorf("router: %w", err)
	}
	if o.Location == nil {
		o.Location = time.Local
	}
	return &Router{o}, nil
}

// Name implements services.Service.
func (r *Router) Name() string { return source }

// run is one life of the service.
type run struct {
	bus    *client.Client
	log    zerolog.Logger
	o      *Options
	d      *dialogue
	events chan func(now time.Time)
	lanes  *lanes
	last   contract.Dialogue
	// understand finds motions by meaning; nil while there is nothing for that. Handlers call it, not the
	// machine, which takes microseconds for an event while this takes milliseconds.
	understand atomic.Pointer[func(string) string]
}

// Run implements services.Service.
func (r *Router) Run(ctx context.Context, rt services.Runtime) error {
	o := r.o
	u := &run{bus: rt.Bus, log: rt.Log, o: &o, d: newDialogue(&o, time.Now()), events: make(chan func(time.Time), maxEvents)}
	p := &publisher{bus: rt.Bus, log: rt.Log, o: &o}
	u.lanes = newLanes(p.publish)
	if err := u.subscribe(ctx); err != nil {
		return err
	}
	out, stop := context.WithCancel(ctx)
	var wg sync.WaitGroup
	defer wg.Wait()
	defer stop()
	wg.Go(func() { u.lanes.run(out) })
	wg.Go(rt.Ready)
	if o.Meaning != nil {
		wg.Go(func() { u.learn(out) })
	}
	u.loop(ctx)
	u.leave(ctx, p)
	return nil
}

// leaveWithin bounds what is published at the end.
const leaveWithin = 300 * time.Millisecond

// leave ends what nobody will hear any more, and the state, which would be retained otherwise.
func (u *run) leave(ctx context.Context, p *publisher) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), leaveWithin)
	defer cancel()
	for id := range u.d.asked {
		p.publish(ctx, cancelModel{id})
	}
	p.publish(ctx, stateChange{contract.Dialogue{State: string(Idle), Reason: "stopped", Since: unix(time.Now())}})
}

// learn makes what understands motions by meaning, and gives it to the machine.
func (u *run) learn(ctx context.Context) {
	find, err := u.o.Meaning(ctx, u.o.Commands)
	if ctx.Err() != nil {
		return
	}
	if err != nil {
		u.log.Warn().Err(err).Msg("motions are understood by their phrases only")
		return
	}
	u.understand.Store(&find)
}

// means is the motion that a text means, if it is none by its words.
func (u *run) means(text string) string {
	find := u.understand.Load()
	if find == nil {
		return ""
	}
	rest, _ := stripWake(strings.TrimSpace(text), u.o.WakePhrases)
	ws := words(rest)
	if len(ws) == 0 || u.d.motions(ws) != nil { // of the machine this reads what never changes
		return ""
	}
	return (*find)(strings.Join(ws, " "))
}

// loop is the machine's goroutine.
func (u *run) loop(ctx context.Context) {
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	for {
		u.carryOut()
		wait := time.Hour
		if at := u.d.next(); !at.IsZero() {
			wait = max(time.Until(at), 0)
		}
		timer.Reset(wait)
		select {
		case <-ctx.Done():
			return
		case f := <-u.events:
			if ctx.Err() != nil { // such as the last words of a model that ends with us
				return
			}
			f(time.Now())
		case <-timer.C:
			u.d.tick(time.Now())
		}
	}
}

// carryOut hands what the machine wants done to the lanes, and says the new state.
func (u *run) carryOut() {
	for _, e := range u.d.out {
		u.lanes.put(e)
	}
	clear(u.d.out)
	u.d.out = u.d.out[:0]
	if s := u.state(); differ(s, u.last) {
		u.last = s
		u.lanes.put(stateChange{s})
	}
}

// state is the machine's state as it is published.
func (u *run) state() contract.Dialogue {
	d := u.d
	s := contract.Dialogue{State: string(d.state), Reason: d.reason, Since: unix(d.since), Live: d.live}
	if !d.deadline.IsZero() {
		s.Deadline = new(unix(d.deadline))
	}
	if d.turn != nil {
		s.Turn = new(d.turn.id)
	}
	return s
}

// differ reports whether a change is worth a message. A deadline that moves by less than a fifth of
// a second is not: partial transcripts and statuses move it all the time.
func differ(s, last contract.Dialogue) bool {
	if s.State != last.State || s.Reason != last.Reason || s.Live != last.Live || contract.Value(s.Turn) != contract.Value(last.Turn) {
		return true
	}
	moved := contract.Value(s.Deadline) - contract.Value(last.Deadline)
	return moved >= 0.2 || moved <= -0.2
}

func unix(t time.Time) float64 { return float64(t.UnixMicro()) / 1e6 }

// on hands an event to the machine. It blocks while very many wait, which holds up the one
// subscription that the event comes from.
func (u *run) on(ctx context.Context, f func(now time.Time)) error {
	select {
	case u.events <- f:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// subscribe joins the topics to the machine's events.
func (u *run) subscribe(context.Context) error {
	d := u.d
	return errors.Join(
		listen(u, contract.STTFinal, func(ctx context.Context, m client.Message[contract.FinalTranscript]) error {
			t := m.Data
			who := client.TurnOf(ctx)
			if who.Origin == "" {
				who.Origin = room
			}
			ts, means := t.TS, u.means(t.Text)
			return u.on(ctx, func(now time.Time) {
				d.say(now, utterance{
					text: t.Text, means: means, lang: t.Lang, utt: contract.Value(t.UttID), heard: &ts,
					origin: who.Origin, turn: first(who.ID, m.ID), trace: who.TraceParent,
				})
			})
		}),
		listen(u, contract.DialogueText, func(ctx context.Context, m client.Message[contract.TypedText]) error {
			t := m.Data
			who, means := client.TurnOf(ctx), u.means(t.Text)
			return u.on(ctx, func(now time.Time) {
				d.say(now, utterance{
					text: t.Text, means: means, lang: contract.Value(t.Lang), origin: first(contract.Value(t.Origin), who.Origin, m.Source, "text"),
					turn: first(who.ID, m.ID, t.MessageID), trace: who.TraceParent, typed: true,
				})
			})
		}),
		listen(u, contract.STTPartial, func(ctx context.Context, m client.Message[contract.PartialTranscript]) error {
			return u.on(ctx, func(now time.Time) { d.partial(now, m.Data.Text) })
		}),
		listen(u, contract.WakeEvent, func(ctx context.Context, m client.Message[contract.Wake]) error {
			who := client.TurnOf(ctx)
			t := &turn{id: first(who.ID, m.ID), origin: first(who.Origin, room), trace: who.TraceParent}
			return u.on(ctx, func(now time.Time) { d.wake(now, strings.ToLower(m.Data.Type), contract.Value(m.Data.TTSID), t) })
		}),
		u.listenModel(),
		u.listenBody(),
	)
}

// modelQueue is how many messages about answers wait; a fast model writes some hundred pieces a second.
const modelQueue = 1024

// listenModel is for all about answers, by one subscription: pieces and the end of an answer are on
// topics of their own, and would overtake each other in queues of their own.
func (u *run) listenModel() error {
	d := u.d
	_, err := u.bus.SubscribeRaw(path.Dir(contract.LLMStream.Name)+"/+", 1, func(ctx context.Context, m client.RawMessage) error {
		switch m.Topic {
		case contract.LLMStream.Name:
			c, err := contract.LLMStream.Decode(m.Payload)
			if err != nil {
				return err
			}
			return u.on(ctx, func(now time.Time) { d.delta(now, c.Data.ID, c.Data.Seq, contract.Value(c.Data.Delta), c.Data.Done) })
		case contract.LLMResponse.Name:
			c, err := contract.LLMResponse.Decode(m.Payload)
			if err != nil {
				return err
			}
			if why := contract.Value(c.Data.Error); why != "" && why != contract.ChatCancelled {
				u.log.Warn().Ctx(ctx).Str("id", c.Data.ID).Str("error", why).Msg("no answer from the model")
			}
			return u.on(ctx, func(now time.Time) {
				d.response(now, c.Data.ID, contract.Value(c.Data.Reply), contract.Value(c.Data.Error))
			})
		case contract.LLMCancel.Name:
			c, err := contract.LLMCancel.Decode(m.Payload)
			if err != nil || c.Source == source {
				return err
			}
			return u.on(ctx, func(now time.Time) { d.cancelled(now, c.Data.ID) })
		}
		return nil
	}, client.Queue(modelQueue, client.Hold))
	return err
}

// listenBody is for speech, motion, health and persona.
func (u *run) listenBody() error {
	d := u.d
	_, stopErr := u.bus.SubscribeRaw(contract.MovementStop.Name, 1, func(ctx context.Context, m client.RawMessage) error {
		// Whatever arrives here is a stop, also what does not decode; but not our own.
		if s, err := contract.MovementStop.Decode(m.Payload); (err == nil && s.Source == source) || m.Retained {
			return nil
		}
		return u.on(ctx, d.halted)
	})
	return errors.Join(
		stopErr,
		listen(u, contract.TTSStatus, func(ctx context.Context, m client.Message[contract.SpeechStatus]) error {
			s := m.Data
			return u.on(ctx, func(now time.Time) {
				d.spoken(now, speech{
					event: s.Event, utt: contract.Value(s.UttID), text: s.Text, reason: contract.Value(s.Reason),
					ack: contract.Value(s.WakeAck), announce: contract.Value(s.SystemAnnounce),
				})
			})
		}),
		listen(u, contract.MovementStatus, func(ctx context.Context, m client.Message[contract.MovementUpdate]) error {
			s := m.Data
			if s.Detail != nil {
				u.log.Debug().Ctx(ctx).Str("event", s.Event).Str("detail", *s.Detail).Msg("motion")
			}
			return u.on(ctx, func(now time.Time) { d.motion(now, s.Event, contract.Value(s.RequestID)) })
		}),
		listen(u, contract.Health, func(ctx context.Context, m client.Message[contract.HealthPing]) error {
			name := serviceOf(m.Topic)
			return u.on(ctx, func(now time.Time) { d.health(now, name, m.Data.OK) })
		}),
		listen(u, contract.CharacterCurrent, func(ctx context.Context, m client.Message[contract.Character]) error {
			traits := make(map[string]bool, len(m.Data.Traits))
			for name := range m.Data.Traits {
				traits[strings.ToLower(name)] = true
			}
			return u.on(ctx, func(time.Time) { d.traits = traits })
		}),
	)
}

// listen subscribes to a topic.
func listen[T any](u *run, t contract.Topic[T], h client.Handler[T]) error {
	_, err := client.Subscribe(u.bus, t, h)
	return err
}

// serviceOf is the short name of the service that a health topic is about. Peers of the legacy
// system use their client ids.
func serviceOf(topic string) string {
	name := topic[strings.LastIndexByte(topic, '/')+1:]
	return strings.TrimPrefix(name, "tars-")
}

// first is the first of the texts that is not empty.
func first(texts ...string) string {
	for _, t := range texts {
		if t != "" {
			return t
		}
	}
	return ""
}
