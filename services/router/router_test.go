package router

import (
	"context"
	"net"
	"strconv"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tarsd/tarsd/services/client"
	"github.com/tarsd/tarsd/services/contract"
	"github.com/tarsd/tarsd/services/servicetest"
)

// world is a router on a broker, and the peers that a test plays.
type world struct {
	t      *testing.T
	peer   *client.Client
	says   *servicetest.Collector[contract.Say]
	asks   *servicetest.Collector[contract.ChatRequest]
	states *servicetest.Collector[contract.Dialogue]
	speech *servicetest.Collector[contract.SpeechControl]
	cancel *servicetest.Collector[contract.ChatCancel]
	moves  *servicetest.Collector[contract.TestMovement]
	stops  *servicetest.Collector[contract.StopMovement]
}

func newWorld(t *testing.T, change ...func(*Options)) *world {
	t.Helper()
	bus := servicetest.Start(t)
	peer := bus.Client(t, "peer")
	w := &world{
		t: t, peer: peer,
		says: servicetest.Collect(t, peer, contract.TTSSay), asks: servicetest.Collect(t, peer, contract.LLMRequest),
		states: servicetest.Collect(t, peer, contract.DialogueState), speech: servicetest.Collect(t, peer, contract.TTSControl),
		cancel: servicetest.Collect(t, peer, contract.LLMCancel), moves: servicetest.Collect(t, peer, contract.MovementTest),
		stops: servicetest.Collect(t, peer, contract.MovementStop),
	}
	o := Defaults()
	o.Location = time.UTC
	for _, f := range change {
		f(&o)
	}
	r, err := New(o)
	require.NoError(t, err)
	bus.Run(t, r)
	return w
}

func send[T any](w *world, topic contract.Topic[T], data T, opts ...client.PublishOption) {
	w.t.Helper()
	ctx, cancel := context.WithTimeout(w.t.Context(), 10*time.Second)
	defer cancel()
	_, err := client.Publish(ctx, w.peer, topic, data, opts...)
	require.NoError(w.t, err)
}

func (w *world) typed(text string) {
	w.t.Helper()
	send(w, contract.DialogueText, contract.TypedText{Text: text, Origin: new("page-1")})
}

// state waits until the dialogue says that it is in a state.
func (w *world) state(want State) contract.Dialogue {
	w.t.Helper()
	return w.states.Find(w.t, func(m client.Message[contract.Dialogue]) bool { return m.Data.State == string(want) }).Data
}

func TestSpokenTurn(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	assert.Equal(t, "start", w.state(Idle).Reason)
	send(w, contract.Health.At("tars-tts"), contract.HealthPing{OK: true, Event: new("ready")}) // a legacy speech service
	send(w, contract.Health.At("stt"), contract.HealthPing{OK: true, Event: new("ready")})
	boot := w.says.Next(t).Data
	assert.Equal(t, "System online.", boot.Text)
	assert.True(t, contract.Value(boot.SystemAnnounce))

	send(w, contract.WakeEvent, contract.Wake{Type: "wake"})
	ack := w.says.Next(t).Data
	assert.Equal(t, "Hmm?", ack.Text)
	assert.True(t, contract.Value(ack.WakeAck))
	listening := w.state(Listening)
	require.NotNil(t, listening.Deadline)
	assert.InDelta(t, listening.Since+8, *listening.Deadline, 0.5)

	f := contract.New[contract.FinalTranscript]()
	f.Text, f.UttID = "hey tars tell me about pi", new("utt-7")
	send(w, contract.STTFinal, f, client.WithProps(client.UserProperty{Key: "origin", Value: "mic-2"}, client.UserProperty{Key: "turn", Value: "turn-9"}))
	ask := w.asks.Next(t)
	assert.Equal(t, "utt-7", ask.Data.ID)
	assert.Equal(t, "tell me about pi", ask.Data.Text, "without the wake phrase")
	assert.Empty(t, ask.Data.History)
	assert.Contains(t, ask.Props, client.UserProperty{Key: "turn", Value: "turn-9"})
	assert.Contains(t, ask.Props, client.UserProperty{Key: "origin", Value: "mic-2"})
	assert.Equal(t, "turn-9", contract.Value(w.state(Thinking).Turn))

	for i, delta := range []string{"Pi is 3.", "14. It never", " ends."} {
		send(w, contract.LLMStream, contract.ChatDelta{ID: "utt-7", Seq: new(i), Delta: &delta})
	}
	send(w, contract.LLMStream, contract.ChatDelta{ID: "utt-7", Seq: new(3), Done: true})
	send(w, contract.LLMResponse, contract.ChatResponse{ID: "utt-7", Reply: new("Pi is 3.14. It never ends.")})
	one, two := w.says.Next(t), w.says.Next(t)
	assert.Equal(t, "Pi is 3.14.", one.Data.Text)
	assert.Equal(t, "It never ends.", two.Data.Text)
	assert.Equal(t, "utt-7", contract.Value(two.Data.UttID))
	assert.Contains(t, two.Props, client.UserProperty{Key: "origin", Value: "mic-2"}, "the answer goes back")
	w.state(Speaking)
	send(w, contract.TTSStatus, contract.SpeechStatus{Event: contract.SpeakingEnd, UttID: new("utt-7")})
	assert.Equal(t, "follow_up", w.state(Listening).Reason)
}

// TestLegacyPeersAreHeard sends what the replaced system's services really send: bare payloads.
func TestLegacyPeersAreHeard(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(o *Options) { o.Announce = false })
	raw := func(topic, payload string) {
		_, err := w.peer.PublishRaw(t.Context(), topic, []byte(payload), 1, false)
		require.NoError(t, err)
	}
	raw("wake/event", `{"type":"wake","confidence":0.83,"energy":0.21,"tts_id":null,"cause":"wake_phrase","ts":5123.42}`)
	assert.Equal(t, "Hmm?", w.says.Next(t).Data.Text)
	raw("stt/final", `{"text":"what time is it","utt_id":"u1","is_final":true}`)
	assert.Contains(t, w.says.Next(t).Data.Text, "It is ")
	raw("stt/final", `{"id":"x","type":"stt.final","ts":"not a number","source":"stt","data":{"text":"stop"}}`) // refused, harmless
	raw("wake/event", `{"id":"y","type":"wake.event","ts":1762438467.1,"source":"wake-activation","data":{"type":"wake","confidence":null,"energy":null,"tts_id":null,"cause":"wake_phrase","ts":1.5}}`)
	assert.Equal(t, "Huh?", w.says.Next(t).Data.Text)
}

func TestStopOvertakesEverything(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(o *Options) { o.Announce = false })
	send(w, contract.Health.At("tts"), contract.HealthPing{OK: true})
	w.typed("tell me a story")
	id := w.asks.Next(t).Data.ID
	send(w, contract.LLMStream, contract.ChatDelta{ID: id, Seq: new(0), Delta: new("Once. Upon a time")})
	assert.Equal(t, "Once.", w.says.Next(t).Data.Text)
	w.typed("stop")
	assert.Equal(t, contract.ActionStop, w.speech.Next(t).Data.Action)
	assert.Equal(t, "stop_word", contract.Value(w.stops.Next(t).Data.Reason))
	assert.Equal(t, id, w.cancel.Next(t).Data.ID)
	send(w, contract.LLMStream, contract.ChatDelta{ID: id, Seq: new(1), Delta: new(". And so on.")})
	w.typed("what time is it")
	assert.Contains(t, w.says.Next(t).Data.Text, "It is ", "nothing of the story comes any more")
}

// TestStopOfOthers covers the page's button and a device: anything on movement/stop.
func TestStopOfOthers(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(o *Options) { o.Announce = false })
	for _, payload := range []string{"", "now!", `{"reason":"button"}`, `{"id":"1","type":"movement.stop","ts":1,"source":"page","data":{}}`} {
		w.typed("tell me a story")
		id := w.asks.Next(t).Data.ID
		_, err := w.peer.PublishRaw(t.Context(), "movement/stop", []byte(payload), 1, false)
		require.NoError(t, err)
		assert.Equal(t, contract.ActionStop, w.speech.Next(t).Data.Action, payload)
		assert.Equal(t, id, w.cancel.Next(t).Data.ID)
	}
	w.stops.Find(t, func(m client.Message[contract.StopMovement]) bool { return m.Source == "page" })
	assert.Zero(t, w.stops.Len(), "the router does not publish a stop again")
}

// TestAStopThatWasRetainedIsOld: it says nothing about now.
func TestAStopThatWasRetainedIsOld(t *testing.T) {
	t.Parallel()
	bus := servicetest.Start(t)
	peer := bus.Client(t, "peer")
	w := &world{t: t, peer: peer, asks: servicetest.Collect(t, peer, contract.LLMRequest), speech: servicetest.Collect(t, peer, contract.TTSControl)}
	_, err := peer.PublishRaw(t.Context(), contract.MovementStop.Name, []byte(`{}`), 1, true)
	require.NoError(t, err)
	r, err := New(Defaults())
	require.NoError(t, err)
	bus.Run(t, r)
	w.typed("tell me a story")
	w.asks.Next(t)
	send(w, contract.MovementStop, contract.StopMovement{})
	assert.Equal(t, "movement_stop", w.speech.Next(t).Data.Reason)
	w.typed("tell me a joke")
	w.asks.Next(t)
	assert.Zero(t, w.speech.Len(), "one stop")
}

// TestOwnCancelsAreOld: a transcript that comes again under the id of the one before cancels that one, and not
// itself when the cancel comes back.
func TestOwnCancelsAreOld(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(o *Options) { o.Announce = false })
	for _, text := range []string{"hey tars tell me a story", "hey tars tell me a joke"} {
		f := contract.New[contract.FinalTranscript]()
		f.Text, f.UttID = text, new("u1")
		send(w, contract.STTFinal, f)
		assert.Equal(t, "u1", w.asks.Next(t).Data.ID)
	}
	assert.Equal(t, "u1", w.cancel.Next(t).Data.ID)
	send(w, contract.LLMResponse, contract.ChatResponse{ID: "u1", Reply: new("Knock, knock.")})
	assert.Equal(t, "Knock, knock.", w.says.Next(t).Data.Text)
}

// TestTheEndTakesNoMoreEvents: what comes with the end, such as the last words of a model that ends too, is not said.
func TestTheEndTakesNoMoreEvents(t *testing.T) {
	t.Parallel()
	o := Defaults()
	u := &run{o: &o, d: newDialogue(&o, time.Now()), events: make(chan func(time.Time), maxEvents), lanes: newLanes(nil)}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for range 50 { // a select chooses as it likes
		u.events <- func(time.Time) { assert.Fail(t, "an event after the end") }
		u.loop(ctx)
	}
}

func TestMotionByVoice(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(o *Options) { o.Announce = false })
	w.typed("Could you please bow, and then turn left slowly?")
	bow, turn := w.moves.Next(t).Data, w.moves.Next(t).Data
	assert.Equal(t, "bow", bow.Command)
	assert.InDelta(t, 0.5, bow.Speed, 1e-9, "the speed that suits it")
	assert.Equal(t, "turn_left", turn.Command)
	assert.InDelta(t, 0.3, turn.Speed, 1e-9)
	send(w, contract.MovementStatus, contract.MovementUpdate{Event: "command_failed", RequestID: bow.RequestID})
	assert.Equal(t, Defaults().Errors["motion"], w.says.Next(t).Data.Text)
}

// TestEveryMoveCanBeSpoken goes through the table of moves.
func TestEveryMoveCanBeSpoken(t *testing.T) {
	t.Parallel()
	o := Defaults()
	commands := newTable(o.Commands)
	for _, m := range contract.Moves() {
		for _, phrase := range m.Spoken {
			if m.Name == "stop" {
				stop, _ := newTable(map[string][]string{"stop": o.StopPhrases}).match(words(phrase))
				assert.Equal(t, "stop", stop, phrase)
				continue
			}
			name, _ := commands.match(words("Hey, could you please " + phrase + "?")[1:])
			assert.Equal(t, m.Name, name, phrase)
		}
	}
}

func TestMeaning(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(o *Options) {
		o.Announce = false
		o.Meaning = func(context.Context, map[string][]string) (func(string) string, error) {
			return func(text string) string {
				if text == "turn around to the left please" {
					return "turn_left"
				}
				return ""
			}, nil
		}
	})
	assert.Eventually(t, func() bool { // it is learned beside the dialogue
		w.typed("Turn around to the left, please")
		return w.moves.Len() > 0
	}, 10*time.Second, 10*time.Millisecond)
	assert.Equal(t, "turn_left", w.moves.Next(t).Data.Command)
	w.typed("turn off the lights")
	w.asks.Find(t, func(m client.Message[contract.ChatRequest]) bool { return m.Data.Text == "turn off the lights" })
}

func TestMemoryAndPersonaByVoice(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(o *Options) { o.Announce = false })
	adds := servicetest.Collect(t, w.peer, contract.MemoryAdd)
	forgets := servicetest.Collect(t, w.peer, contract.MemoryForget)
	updates := servicetest.Collect(t, w.peer, contract.CharacterUpdate)
	w.typed("Remember that my brother lives in London.")
	assert.Equal(t, "my brother lives in London.", adds.Next(t).Data.Text)
	w.typed("forget that")
	assert.True(t, forgets.Next(t).Data.Last)
	w.typed("set humour to 75 percent")
	u := updates.Next(t).Data
	require.NotNil(t, u.Trait)
	assert.Equal(t, "humor", u.Trait.Trait)
	assert.Equal(t, 75, u.Trait.Value)
	w.typed("reset your personality")
	assert.NotNil(t, updates.Next(t).Data.Reset)
}

func TestOptionsAreChecked(t *testing.T) {
	t.Parallel()
	o := Defaults()
	o.ThinkLimit, o.HardMaxChars, o.History = 0, 1, -1
	_, err := New(o)
	require.Error(t, err)
	for _, key := range []string{"think_limit", "hard_max_chars", "history"} {
		assert.ErrorContains(t, err, key)
	}
}

// TestAnswersAreHeardInOrder: the error that ends an answer does not overtake its last pieces, although
// they come on different topics and at different QoS.
func TestAnswersAreHeardInOrder(t *testing.T) {
	t.Parallel()
	w := newWorld(t, func(o *Options) { o.Announce = false })
	for i := range 30 {
		w.typed("tell me more of part " + strconv.Itoa(i))
		id := w.asks.Next(t).Data.ID
		send(w, contract.LLMStream, contract.ChatDelta{ID: id, Seq: new(0), Delta: new("Half of")})
		send(w, contract.LLMStream, contract.ChatDelta{ID: id, Seq: new(1), Delta: new(" it. ")})
		send(w, contract.LLMStream, contract.ChatDelta{ID: id, Seq: new(2), Done: true})
		send(w, contract.LLMResponse, contract.ChatResponse{ID: id, Error: new("I lost the connection in the middle of that.")})
		assert.Equal(t, "Half of it.", w.says.Next(t).Data.Text)
		assert.Equal(t, "I lost the connection in the middle of that.", w.says.Next(t).Data.Text)
	}
}

// TestHealthOfBeforeIsHeard: what was retained before the router came counts, under each name, and what is said
// later counts more.
func TestHealthOfBeforeIsHeard(t *testing.T) {
	t.Parallel()
	bus := servicetest.Start(t)
	peer := bus.Client(t, "page")
	w := &world{t: t, peer: peer, says: servicetest.Collect(t, peer, contract.TTSSay), states: servicetest.Collect(t, peer, contract.DialogueState)}
	send(w, contract.Health.At("tars-stt"), contract.HealthPing{OK: true, Event: new("ready")})
	send(w, contract.Health.At("tts"), contract.HealthPing{OK: true, Event: new("ready")})
	r, err := New(Defaults())
	require.NoError(t, err)
	bus.Run(t, r)
	assert.Equal(t, "System online.", w.says.Next(t).Data.Text)
	w.typed("what time is it")
	w.state(Speaking)
	send(w, contract.MovementStop, contract.StopMovement{})
	w.state(Idle)
	send(w, contract.Health.At("tts"), contract.HealthPing{OK: false, Event: new("shutdown")})
	assert.Eventually(t, func() bool { // health and texts have queues of their own
		w.typed("what day is it")
		s := w.states.Find(t, func(m client.Message[contract.Dialogue]) bool {
			return m.Data.Turn != nil || m.Data.Reason == "follow_up"
		})
		return s.Data.State == string(Listening)
	}, 10*time.Second, time.Millisecond, "nobody speaks any more: no state waits for that")
}

// TestNoStateOutlivesTheRouter: what is retained of the dialogue ends with the router, in order or not.
func TestNoStateOutlivesTheRouter(t *testing.T) {
	t.Parallel()
	bus := servicetest.Start(t)
	peer := bus.Client(t, "page")
	w := &world{
		t: t, peer: peer, states: servicetest.Collect(t, peer, contract.DialogueState), asks: servicetest.Collect(t, peer, contract.LLMRequest),
		cancel: servicetest.Collect(t, peer, contract.LLMCancel),
	}
	r, err := New(Defaults())
	require.NoError(t, err)
	sup := bus.Run(t, r)
	w.typed("what is love")
	id := w.asks.Next(t).Data.ID
	w.state(Thinking)
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	require.NoError(t, sup.Stop(ctx))
	assert.Equal(t, "stopped", w.state(Idle).Reason)
	assert.Equal(t, id, w.cancel.Next(t).Data.ID, "nobody waits for the answer")

	late := Defaults()
	p := &publisher{bus: peer, log: zerolog.Nop(), o: &late}
	p.publish(ctx, stateChange{contract.Dialogue{State: string(Listening), Since: unix(time.Now()), Deadline: new(unix(time.Now()))}})
	w.state(Listening)
	assert.Eventually(t, func() bool { // one that was lost: the broker forgets it
		c := servicetest.Connect(t, client.Options{Dial: func(ctx context.Context) (net.Conn, error) { return bus.Broker.DialMemory(ctx) }, ID: client.NewID(), NoHealth: true})
		states, says := servicetest.Collect(t, c, contract.DialogueState), servicetest.Collect(t, c, contract.TTSSay)
		send(w, contract.TTSSay, contract.Say{Text: "behind what is retained"})
		says.Next(t)
		return states.Len() == 0
	}, 10*time.Second, 200*time.Millisecond)
}
