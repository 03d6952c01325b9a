package router

import (
	"context"
	"time"

	"github.com/rs/zerolog"

	"github.com/tarsd/tarsd/services/client"
	"github.com/tarsd/tarsd/services/contract"
)

// How long a message may be late, when it was held up by an outage, before nobody wants it any
// more. A motion that comes late is dangerous.
const (
	speechLate = 30 * time.Second
	motionLate = 2 * time.Second
)

// publishLimit bounds the wait for one acknowledgement.
const publishLimit = 10 * time.Second

// stateChange is the effect of a new state; the service makes it, not the machine.
type stateChange struct{ contract.Dialogue }

// publisher carries out effects. All lanes share it: it has no state.
type publisher struct {
	bus *client.Client
	log zerolog.Logger
	o   *Options
}

// publish carries out one effect.
func (p *publisher) publish(ctx context.Context, e effect) {
	if t := turnOf(e); t != nil {
		ctx = client.WithTurn(ctx, client.Turn{ID: t.id, Origin: t.origin, TraceParent: t.trace})
	}
	ctx, cancel := context.WithTimeout(ctx, publishLimit)
	defer cancel()
	var err error
	switch e := e.(type) {
	case saySpeech:
		err = p.say(ctx, e)
	case controlSpeech:
		c := contract.SpeechControl{Action: e.action, Reason: e.reason}
		if e.utt != "" {
			c.ID = &e.utt
		}
		err = publish(ctx, p.bus, contract.TTSControl, c, speechLate)
	case askModel:
		err = p.ask(ctx, e)
	case cancelModel:
		err = publish(ctx, p.bus, contract.LLMCancel, contract.ChatCancel{ID: e.id}, speechLate)
	case halt:
		err = publish(ctx, p.bus, contract.MovementStop, contract.StopMovement{Reason: &e.reason}, 0)
	default:
		err = p.change(ctx, e)
	}
	if err != nil && ctx.Err() == nil {
		p.log.Warn().Ctx(ctx).Err(err).Msg("not published")
	}
}

// change carries out what changes the body, the memory or the state.
func (p *publisher) change(ctx context.Context, e effect) error {
	switch e := e.(type) {
	case move:
		m := contract.New[contract.TestMovement]()
		m.Command, m.RequestID = e.command, &e.requestID
		if mv, ok := contract.MoveNamed(e.command); ok && mv.Speed > 0 {
			m.Speed = mv.Speed
		}
		if e.speed > 0 {
			m.Speed = e.speed
		}
		// In an envelope, unlike others: repeats of it are recognised, and a device that reads bare commands
		// leaves it to the movement service, which can stop what it begins.
		return publish(ctx, p.bus, contract.MovementTest.Wrapped(), m, motionLate)
	case release:
		return publish(ctx, p.bus, contract.MovementResume, contract.ResumeMovement{Reason: new("voice")}, motionLate)
	case remember:
		m := contract.New[contract.Remember]()
		m.Text = e.text
		return publish(ctx, p.bus, contract.MemoryAdd, m, 0)
	case forget:
		return publish(ctx, p.bus, contract.MemoryForget, contract.Forget{All: e.all, Last: !e.all}, 0)
	case setTrait:
		trait := contract.New[contract.SetTrait]()
		trait.Trait, trait.Value = e.trait, e.value
		return publish(ctx, p.bus, contract.CharacterUpdate, contract.UpdateCharacter{Trait: &trait}, 0)
	case resetTraits:
		reset := contract.New[contract.ResetTraits]()
		return publish(ctx, p.bus, contract.CharacterUpdate, contract.UpdateCharacter{Reset: &reset}, 0)
	case stateChange:
		return p.state(ctx, e.Dialogue)
	}
	return nil
}

// state publishes where the dialogue stands. The retained message ends with the state: should the
// router be lost, nobody is told for ever that it listens.
func (p *publisher) state(ctx context.Context, s contract.Dialogue) error {
	var late time.Duration
	if s.Deadline != nil {
		left := time.Duration((*s.Deadline - unix(time.Now())) * float64(time.Second))
		late = max(left, 0) + time.Second
	}
	return publish(ctx, p.bus, contract.DialogueState, s, late)
}

func (p *publisher) say(ctx context.Context, e saySpeech) error {
	s := contract.Say{Text: e.text, Style: &e.style}
	if e.utt != "" {
		s.UttID = &e.utt
	}
	if p.o.Voice != "" {
		s.Voice = &p.o.Voice
	}
	if e.wakeAck {
		s.WakeAck = new(true)
	}
	if e.announce {
		s.SystemAnnounce = new(true)
	}
	if e.turn != nil {
		s.STTTS = e.turn.heard
		if e.turn.lang != "" {
			s.Lang = &e.turn.lang
		}
	}
	return publish(ctx, p.bus, contract.TTSSay, s, speechLate)
}

func (p *publisher) ask(ctx context.Context, e askModel) error {
	r := contract.New[contract.ChatRequest]()
	r.ID, r.Text, r.Stream = e.turn.utt, e.turn.text, e.stream
	for _, l := range e.history {
		at := unix(l.at)
		r.History = append(r.History, contract.ChatTurn{Role: l.role, Content: l.text, Timestamp: &at})
	}
	return publish(ctx, p.bus, contract.LLMRequest, r, speechLate)
}

// publish sends one message, which the broker throws away when it is late; 0: never.
func publish[T any](ctx context.Context, bus *client.Client, t contract.Topic[T], data T, late time.Duration) error {
	var opts []client.PublishOption
	if late > 0 {
		opts = append(opts, client.WithExpiry(late))
	}
	_, err := client.Publish(ctx, bus, t, data, opts...)
	return err
}
