package legacy

import (
	"context"
	"encoding/json"
	"fmt"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tarsd/tarsd/broker/brokertest"
	"github.com/tarsd/tarsd/hooks/dedup"
	"github.com/tarsd/tarsd/hooks/device"
	"github.com/tarsd/tarsd/hooks/health"
	"github.com/tarsd/tarsd/internal/esp32"
	"github.com/tarsd/tarsd/services/client"
	"github.com/tarsd/tarsd/services/contract"
	"github.com/tarsd/tarsd/services/llm"
	"github.com/tarsd/tarsd/services/llm/openai"
	"github.com/tarsd/tarsd/services/memory"
	"github.com/tarsd/tarsd/services/movement"
	"github.com/tarsd/tarsd/services/router"
	"github.com/tarsd/tarsd/services/servicetest"
)

// start runs a broker with the hooks that it has by default.
func start(t *testing.T) *servicetest.Bus {
	t.Helper()
	d, err := dedup.New(dedup.Options{})
	require.NoError(t, err)
	profiles, err := device.New(append([]device.Profile{device.ESP32()}, device.Legacy()...))
	require.NoError(t, err)
	bus := servicetest.Start(t, brokertest.WithHooks(d, profiles))
	w := health.New(health.Options{Engine: bus.Broker.Engine, Log: zerolog.Nop()})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); assert.NoError(t, w.Run(ctx)) }()
	t.Cleanup(func() { cancel(); <-done })
	return bus
}

func publish[T any](t *testing.T, c *client.Client, topic contract.Topic[T], data T, opts ...client.PublishOption) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), within)
	defer cancel()
	_, err := client.Publish(ctx, c, topic, data, opts...)
	require.NoError(t, err)
}

// ready connects as a service of ours and says that it is ready.
func ready(t *testing.T, bus *servicetest.Bus, name string) *client.Client {
	t.Helper()
	c := bus.Client(t, name)
	ctx, cancel := context.WithTimeout(t.Context(), within)
	defer cancel()
	require.NoError(t, c.Ready(ctx))
	return c
}

func newRouter(t *testing.T, change func(*router.Options)) *router.Router {
	t.Helper()
	o := router.Defaults()
	o.Location = time.UTC
	if change != nil {
		change(&o)
	}
	r, err := router.New(o)
	require.NoError(t, err)
	return r
}

// The first link: wake -> tts/control -> tts.

func TestOldWakeControlsOurSpeech(t *testing.T) {
	t.Parallel()
	bus := start(t)
	wake, tts := pythonWake(t, bus), bus.Client(t, "tts")
	controls := servicetest.Collect(t, tts, contract.TTSControl)
	publish(t, tts, contract.TTSStatus, contract.SpeechStatus{Event: contract.SpeakingStart, UttID: new("u1")})
	wake.expect("speech is speaking")
	wake.detect()
	got := controls.Next(t)
	assert.Equal(t, "pause", got.Data.Action)
	assert.Equal(t, "wake_interrupt", got.Data.Reason)
	assert.Equal(t, "u1", contract.Value(got.Data.ID))
	assert.False(t, got.Bare)
	assert.Equal(t, "wake-activation", got.Source)
}

func TestOurPeersControlOldSpeech(t *testing.T) {
	t.Parallel()
	bus := start(t)
	tts, wake := pythonTTS(t, bus), bus.Client(t, "wake")
	publish(t, wake, contract.TTSSay, contract.Say{Text: "A long story.", UttID: new("u1")})
	tts.expect("speaks: A long story.")
	publish(t, wake, contract.TTSControl, contract.SpeechControl{Action: contract.ActionPause, Reason: "wake_interrupt", ID: new("u1")})
	tts.expect("paused: wake_interrupt")
	publish(t, wake, contract.TTSControl, contract.SpeechControl{Action: contract.ActionResume, Reason: "wake_resume"})
	tts.expect("resumed: wake_resume")
	publish(t, wake, contract.TTSControl, contract.SpeechControl{Action: contract.ActionStop})
	tts.expect("stopped: requested") // without a reason the old service would ignore it
}

func TestOldWakeControlsOldSpeech(t *testing.T) {
	t.Parallel()
	bus := start(t)
	tts, wake, asks := pythonTTS(t, bus), pythonWake(t, bus), bus.Client(t, "router")
	publish(t, asks, contract.TTSSay, contract.Say{Text: "A long story.", UttID: new("u1")})
	wake.expect("speech is speaking")
	wake.detect()
	tts.expect("paused: wake_interrupt")
	wake.expect("speech is paused")
	publish(t, bus.Client(t, "stt"), contract.STTFinal, contract.FinalTranscript{Text: "Never mind.", Lang: "en", IsFinal: true})
	wake.expect("cancels")
	tts.expect("stopped: wake_cancel")
}

// The second link: tts -> tts/status -> wake.

func TestOldSpeechIsHeard(t *testing.T) {
	t.Parallel()
	bus := start(t)
	tts, c := pythonTTS(t, bus), bus.Client(t, "wake")
	statuses := servicetest.Collect(t, c, contract.TTSStatus)
	states := servicetest.Collect(t, c, contract.DialogueState)
	bus.Run(t, newRouter(t, func(o *router.Options) { o.Announce = false }))
	publish(t, c, contract.WakeEvent, contract.Wake{Type: contract.WakeHeard})
	tts.expect("speaks: Hmm?")
	got := statuses.Next(t)
	assert.Equal(t, contract.SpeakingStart, got.Data.Event)
	assert.False(t, got.Bare)
	publish(t, c, contract.DialogueText, contract.TypedText{Text: "what time is it"})
	states.Find(t, func(m client.Message[contract.Dialogue]) bool { return m.Data.State == string(router.Speaking) })
	publish(t, c, contract.DialogueText, contract.TypedText{Text: "stop"})
	statuses.Find(t, func(m client.Message[contract.SpeechStatus]) bool { return m.Data.Event == contract.SpeechStopped })
}

func TestOurSpeechIsHeard(t *testing.T) {
	t.Parallel()
	bus := start(t)
	wake, stt, page, panel := pythonWake(t, bus), pythonSTT(t, bus), pythonPage(t, bus), pythonPanel(t, bus)
	tts := bus.Client(t, "tts")
	events := servicetest.Collect(t, tts, contract.WakeEvent)
	publish(t, tts, contract.TTSStatus, contract.SpeechStatus{Event: contract.SpeakingStart, Text: "Yes.", UttID: new("u1")})
	wake.expect("speech is speaking")
	stt.expect("hears of speech: speaking_start")
	page.expect("speech: speaking_start")
	panel.expect("tts/status: Yes.speaking_start")
	wake.detect()
	assert.Equal(t, contract.WakeInterrupt, events.Next(t).Data.Type)
	stt.expect("wake: interrupt")
	publish(t, tts, contract.TTSStatus, contract.SpeechStatus{Event: contract.SpeakingEnd, UttID: new("u1")})
	wake.expect("speech is idle")
	panel.expect("tts/status: speaking_end")
}

// The third link: stt -> stt/final -> wake.

func TestOldTranscriptsAreHeard(t *testing.T) {
	t.Parallel()
	bus := start(t)
	stt, wake := pythonSTT(t, bus), bus.Client(t, "wake")
	finals := servicetest.Collect(t, wake, contract.STTFinal)
	asks := servicetest.Collect(t, wake, contract.LLMRequest)
	states := servicetest.Collect(t, wake, contract.DialogueState)
	bus.Run(t, newRouter(t, func(o *router.Options) { o.Announce, o.WakeAck = false, false }))
	publish(t, wake, contract.WakeEvent, contract.Wake{Type: contract.WakeHeard})
	stt.expect("wake: wake")
	states.Find(t, func(m client.Message[contract.Dialogue]) bool { return m.Data.State == string(router.Listening) }) // what was said before is not for us
	final(stt, "tell me about pi")
	got := finals.Next(t)
	assert.Equal(t, "tell me about pi", got.Data.Text)
	assert.Equal(t, "tars-stt", got.Source)
	assert.Equal(t, "tell me about pi", asks.Next(t).Data.Text)
}

func TestOurTranscriptsAreHeard(t *testing.T) {
	t.Parallel()
	bus := start(t)
	wake, r, page, panel := pythonWake(t, bus), pythonRouter(t, bus), pythonPage(t, bus), pythonPanel(t, bus)
	c, stt := bus.Client(t, "tts"), bus.Client(t, "stt")
	controls := servicetest.Collect(t, c, contract.TTSControl)
	publish(t, c, contract.TTSStatus, contract.SpeechStatus{Event: contract.SpeakingStart, UttID: new("u1")})
	wake.expect("speech is speaking")
	wake.detect()
	assert.Equal(t, contract.ActionPause, controls.Next(t).Data.Action)
	f := contract.New[contract.FinalTranscript]()
	f.Text = "Cancel!"
	publish(t, stt, contract.STTFinal, f)
	wake.expect("cancels")
	got := controls.Next(t).Data
	assert.Equal(t, contract.ActionStop, got.Action)
	assert.Equal(t, "wake_cancel", got.Reason)
	r.expect("asks: Cancel!")
	page.expect("stt/final bubble: Cancel!")
	panel.expect("stt/final: Cancel!")
}

// TestRepeatsToOldPeers: an envelope that comes twice reaches those who get it bare once.
func TestRepeatsToOldPeers(t *testing.T) {
	t.Parallel()
	bus := start(t)
	page, c := pythonPage(t, bus), bus.Client(t, "stt")
	const text = `{"id":"%s","type":"stt.final","ts":1.5,"source":"stt","data":{"message_id":"m","text":"%s","utt_id":null,"ts":1.5}}`
	for _, m := range [][2]string{{"a", "one"}, {"a", "one"}, {"b", "two"}} {
		_, err := c.PublishRaw(t.Context(), "stt/final", fmt.Appendf(nil, text, m[0], m[1]), 1, false)
		require.NoError(t, err)
	}
	var got []string
	for range 2 {
		got = append(got, <-page.did)
	}
	assert.Equal(t, []string{"stt/final bubble: one", "stt/final bubble: two"}, got)
}

// The fourth link: health under the short name and under the client id.

func TestOldHealthIsFound(t *testing.T) {
	t.Parallel()
	bus := start(t)
	bus.Run(t, newRouter(t, nil))
	tts := pythonTTS(t, bus)
	pythonSTT(t, bus)
	tts.expect("speaks: System online.")
}

func TestOldHealthIsFoundByOldPeers(t *testing.T) {
	t.Parallel()
	bus := start(t)
	wake, r := pythonWake(t, bus), pythonRouter(t, bus)
	tts := pythonTTS(t, bus)
	pythonSTT(t, bus)
	wake.expect("stt is ready")
	r.expect("announces")
	tts.expect("speaks: System online.")
}

func TestOurHealthIsFound(t *testing.T) {
	t.Parallel()
	bus := start(t)
	wake, r := pythonWake(t, bus), pythonRouter(t, bus)
	ready(t, bus, "tts")
	stt := ready(t, bus, "stt")
	wake.expect("stt is ready")
	r.expect("announces")
	old := servicetest.Collect(t, stt, contract.Health.At("tars-stt"))
	assert.True(t, old.Next(t).Data.OK, "under the client id too")
}

// The fifth link: movement/test.

func TestOldToolsMoveOurRobot(t *testing.T) {
	t.Parallel()
	bus := start(t)
	m, err := movement.New(movement.Options{})
	require.NoError(t, err)
	c := bus.Client(t, "page")
	statuses := servicetest.Collect(t, c, contract.MovementStatus)
	bus.Run(t, m)
	tools := pythonLLM(t, bus)
	tools.event("movement/test", "movement.command", "", `{"command":"bow","speed":1.0,"params":{},"request_id":"c0ffee00-0000-4000-8000-000000000000"}`, 1, false)
	started := statuses.Next(t).Data
	assert.Equal(t, "command_started", started.Event)
	assert.Equal(t, "bow", contract.Value(started.Command))
	assert.Equal(t, "c0ffee00-0000-4000-8000-000000000000", contract.Value(started.RequestID))
}

func TestOldToolsMoveOldPeers(t *testing.T) {
	t.Parallel()
	bus := start(t)
	tools, old := pythonLLM(t, bus), pythonMovement(t, bus)
	tools.event("movement/test", "movement.command", "", `{"command":"bow","speed":1.0,"params":{},"request_id":"c0ffee00-0000-4000-8000-000000000000"}`, 1, false)
	old.expect("takes bow")
}

func TestOldToolsMoveTheESP32(t *testing.T) {
	t.Parallel()
	bus := start(t)
	d := esp32.Start(context.Background(), esp32.Options{Addr: bus.Broker.TCP(), Pace: 100, Poll: 10 * time.Millisecond})
	t.Cleanup(d.Close)
	ctx, cancel := context.WithTimeout(t.Context(), 2*within)
	defer cancel()
	_, err := d.Wait(ctx, func(s esp32.State) bool { return s.Count("subscribe", esp32.TopicStop) > 0 && s.Waiting == "" })
	require.NoError(t, err)
	m, err := movement.New(movement.Options{Backend: movement.ESP32})
	require.NoError(t, err)
	c := bus.Client(t, "page")
	infos := servicetest.Collect(t, c, contract.MovementInfo)
	bus.Run(t, m)
	infos.Find(t, func(m client.Message[contract.MotionInfo]) bool { return m.Data.Ready })
	tools := pythonLLM(t, bus)
	tools.event("movement/test", "movement.command", "", `{"command":"wave","speed":1.0,"params":{},"request_id":"one"}`, 1, false)
	_, err = d.Wait(ctx, func(s esp32.State) bool { return len(s.Ended) == 1 && s.Waiting == "" })
	require.NoError(t, err)
	publish(t, c, contract.MovementTest, contract.TestMovement{Command: "bow", Speed: 1, RequestID: new("two")})
	s, err := d.Wait(ctx, func(s esp32.State) bool { return len(s.Ended) >= 2 && s.Waiting == "" })
	require.NoError(t, err)
	assert.Len(t, s.Ended, 2, "each once: %+v", s.Ended)
}

func TestOurToolsMoveOldPeers(t *testing.T) {
	t.Parallel()
	bus := start(t)
	old, c := pythonMovement(t, bus), bus.Client(t, "llm")
	statuses := servicetest.Collect(t, c, contract.Health.At("movement"))
	publish(t, c, contract.MovementTest, contract.TestMovement{Command: "wave", Speed: 0.7, RequestID: new("r1")})
	old.expect("takes wave")
	assert.True(t, statuses.Next(t).Data.OK)
	publish(t, c, contract.MovementTest, contract.TestMovement{Command: "big_shrug", Speed: 0.7})
	old.expect("refuses a command") // it is none of its own, in any form
	statuses.Find(t, func(m client.Message[contract.HealthPing]) bool { return !m.Data.OK })
}

// The sixth link: updates of traits without a section.

func TestOldToolsSetOurTraits(t *testing.T) {
	t.Parallel()
	bus := start(t)
	bus.Run(t, memory.New(memory.Options{Character: "TARS"}))
	currents := servicetest.Collect(t, bus.Client(t, "page"), contract.CharacterCurrent)
	first, ok := currents.Next(t).Data.Traits["humor"]
	require.True(t, ok)
	humor := func(want any) {
		currents.Find(t, func(m client.Message[contract.Character]) bool {
			return fmt.Sprint(m.Data.Traits["humor"]) == fmt.Sprint(want)
		})
	}
	tools := pythonLLM(t, bus)
	tools.event("character/update", "character.trait.update", "", `{"trait":"humor","value":7}`, 1, false)
	humor(7)
	tools.expect("is TARS")
	tools.event("character/update", "character.trait.reset", "", `{"reset_all":true}`, 1, false)
	humor(first)
}

func TestOurToolsSetOldTraits(t *testing.T) {
	t.Parallel()
	bus := start(t)
	old, c := pythonMemory(t, bus), bus.Client(t, "llm")
	currents := servicetest.Collect(t, c, contract.CharacterCurrent)
	set := contract.New[contract.SetTrait]()
	set.Trait, set.Value = "humor", 7
	publish(t, c, contract.CharacterUpdate, contract.UpdateCharacter{Trait: &set})
	old.expect("sets humor to 7")
	assert.EqualValues(t, "7", fmt.Sprint(currents.Next(t).Data.Traits["humor"]))
	reset := contract.New[contract.ResetTraits]()
	publish(t, c, contract.CharacterUpdate, contract.UpdateCharacter{Reset: &reset})
	old.expect("resets traits")
}

// What the table says is bare for the sake of the old language model.

func TestToolsOfOldPeers(t *testing.T) {
	t.Parallel()
	bus := start(t)
	old, c := pythonLLM(t, bus), bus.Client(t, "llm-tools")
	const tool = `{"type":"function","function":{"name":"a","description":"b","parameters":{"type":"object","properties":{}}}}`
	say := func(payload string) {
		_, err := c.PublishRaw(t.Context(), "llm/tools/registry", []byte(payload), 1, true)
		require.NoError(t, err)
	}
	say(`{"tools":[` + tool + `]}`)
	old.expect("has 1 tools")
	say(`{"id":"x","type":"llm.tools.registry","ts":1.5,"source":"mcp","data":{"tools":[` + tool + "," + tool + `]}}`)
	old.expect("has 2 tools")
}

// Whole exchanges of one generation's router with the other's language model.

func TestOurRouterAsksTheOldModel(t *testing.T) {
	t.Parallel()
	bus := start(t)
	model, tts := pythonLLM(t, bus), pythonTTS(t, bus)
	page, panel := pythonPage(t, bus), pythonPanel(t, bus)
	c := bus.Client(t, "page")
	bus.Run(t, newRouter(t, func(o *router.Options) { o.Announce = false }))
	publish(t, c, contract.DialogueText, contract.TypedText{Text: "tell me about pi"})
	model.expect("answers")
	tts.expect("speaks: Certainly.")
	page.expect("answer: Certainly.")
	panel.expect("llm/response: Certainly.")
}

func TestTheOldRouterAsksOurModel(t *testing.T) {
	t.Parallel()
	bus := start(t)
	bus.Run(t, llm.New(llm.Options{
		Provider: llm.Offline, MaxTokens: 256, Window: 8192, Temperature: 0.7, TopP: 1, Turn: time.Minute, Concurrency: 2, Queue: 2, Location: time.UTC,
		Timeouts: openai.Timeouts{Connect: time.Second, First: time.Second, Idle: time.Second},
		Memory:   llm.Memory{TopK: 5, Tokens: 2000, Around: 1, Strategy: "hybrid", Template: llm.DefaultTemplate, Wait: time.Second},
	}))
	r, stt := pythonRouter(t, bus), pythonSTT(t, bus)
	final(stt, `who are "you"?`)
	r.expect(`asks: who are "you"?`)
	r.expect("is answered")
}

// TestOurMessagesFitOldModels: what contract writes is what a strict model of pydantic takes, in the envelope
// and bare.
func TestOurMessagesFitOldModels(t *testing.T) {
	t.Parallel()
	models := map[string]model{
		"stt/final": finalModel, "tts/say": sayModel, "tts/status": statusModel, "wake/event": wakeModel, "llm/response": responseModel,
		"llm/request": requestModel, "movement/test": testModel, "system/health/+": healthModel, "memory/results": memoryHitsModel,
		"system/character/current": snapshotModel,
	}
	for _, row := range contract.Table() {
		m, ok := models[row.Name]
		if !ok {
			continue
		}
		delete(models, row.Name)
		require.True(t, json.Valid(row.Example), row.Name)
		data, _, ok := unwrap(row.Example)
		if row.Form == contract.Bare {
			data, ok = top(row.Example), true
		}
		assert.True(t, ok && m.fits(data), "%s: %s", row.Name, row.Example)
	}
	assert.Empty(t, models, "not in the table")
}
