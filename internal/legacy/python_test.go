package legacy

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/tarsd/tarsd/services/servicetest"
)

// pythonSTT owns the microphone.
func pythonSTT(t *testing.T, bus *servicetest.Bus) *peer {
	p := connect(t, bus, "tars-stt", "tars-stt")
	p.raw("system/keepalive/tars-stt", fmt.Sprintf(`{"ok":true,"event":"heartbeat","timestamp":%s}`, now()), 0, false)
	muted := func(payload []byte) {
		if data, _, ok := either(payload, statusModel); ok {
			p.note("hears of speech: %s", data.text("event"))
		}
	}
	p.subscribe("tts/status", 0, muted)
	p.subscribe("wake/mic", 0, func(payload []byte) {
		if data, _, ok := either(payload, fields("message_id action! reason ttl_ms")); ok {
			p.note("microphone: %s", data.text("action"))
		}
	})
	p.subscribe("wake/event", 0, func(payload []byte) {
		if data, _, ok := either(payload, wakeModel); ok {
			p.note("wake: %s", data.text("type"))
		}
	})
	p.event("system/health/tars-stt", "health.status", "", fmt.Sprintf(`{"message_id":%q,"ok":true,"event":"STT service ready","timestamp":%s}`, p.id(), now()), 1, true)
	return p
}

// final publishes a transcript; utterances have no id there.
func final(p *peer, text string) {
	p.event("stt/final", "stt.final", "", fmt.Sprintf(
		`{"message_id":%q,"text":%q,"lang":"en","confidence":1.0,"utt_id":null,"ts":%s,"is_final":true}`, p.id(), text, now()), 1, false)
}

// pythonTTS speaks until it is stopped.
func pythonTTS(t *testing.T, bus *servicetest.Bus) *peer {
	p := connect(t, bus, "tars-tts", "tars-tts")
	p.event("system/health/tts", "system.health.tts", "", fmt.Sprintf(
		`{"message_id":%q,"ok":true,"event":"ready","err":null,"timestamp":%s}`, p.id(), now()), 1, true)
	var active string // utterance; handlers run one at a time
	status := func(event, text string, reason any) {
		why, err := json.Marshal(reason)
		if err != nil {
			p.t.Error(err)
		}
		p.event("tts/status", "tts.status", "", fmt.Sprintf(
			`{"message_id":%q,"event":%q,"text":%q,"timestamp":%s,"utt_id":%q,"reason":%s,"wake_ack":false,"system_announce":false}`,
			p.id(), event, text, now(), active, why), 0, false)
	}
	p.subscribe("tts/say", 1, func(payload []byte) {
		data, _, ok := either(payload, sayModel)
		if !ok {
			p.note("drops a say")
			return
		}
		active = data.text("utt_id")
		p.note("speaks: %s", data.text("text"))
		status("speaking_start", data.text("text"), nil)
	})
	p.subscribe("tts/control", 1, func(payload []byte) {
		o := top(payload)
		action, reason := strings.ToLower(o.text("action")), strings.TrimSpace(o.text("reason"))
		if id := o.text("id"); id != "" && active != "" && id != active {
			p.note("another utterance")
			return
		}
		event, known := map[string]string{"pause": "paused", "resume": "resumed", "stop": "stopped"}[action]
		if !known || reason == "" {
			p.note("unsupported")
			return
		}
		p.note("%s: %s", event, reason)
		status(event, "", reason)
		if action == "stop" {
			status("speaking_end", "", reason)
		}
	})
	return p
}

// wakeService hears the wake word. What it reads, it reads at the top level.
type wakeService struct {
	*peer
	mu    sync.Mutex // guards what follows
	state string
	utt   string
	open  string // utterance of an interrupt that is open
}

func pythonWake(t *testing.T, bus *servicetest.Bus) *wakeService {
	w := &wakeService{peer: connect(t, bus, "wake-activation", "wake-activation"), state: "idle"}
	w.subscribe("system/health/stt", 0, func(payload []byte) {
		if data, _, ok := unwrap(payload); ok && data["ok"] == true || top(payload)["ok"] == true {
			w.note("stt is ready")
		}
	})
	w.event("wake/health", "wake.health", "", fmt.Sprintf(`{"ok":true,"version":"0.1.0","ts":%s}`, now()), 1, true)
	w.subscribe("tts/status", 0, w.speech)
	w.subscribe("stt/final", 0, w.words)
	return w
}

func (w *wakeService) speech(payload []byte) {
	o := top(payload)
	w.mu.Lock()
	defer w.mu.Unlock()
	switch o.text("event") {
	case "speaking_start", "resumed":
		w.state, w.utt = "speaking", o.text("utt_id")
	case "paused":
		w.state = "paused"
	case "speaking_end", "stopped":
		w.state, w.utt, w.open = "idle", "", ""
	default:
		w.note("hears nothing")
		return
	}
	w.note("speech is %s", w.state)
}

func (w *wakeService) words(payload []byte) {
	o := top(payload)
	said := strings.ToLower(strings.Trim(o.text("text"), " .!,"))
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.open == "" || o["is_final"] == false || said == "" {
		w.note("ignores words")
		return
	}
	utt := w.open
	w.open = ""
	if !slices.Contains([]string{"cancel", "stop", "never mind"}, said) {
		return
	}
	w.event("tts/control", "tts.control", "", fmt.Sprintf(`{"action":"stop","reason":"wake_cancel","id":%q}`, utt), 1, false)
	w.event("wake/event", "wake.event", "", fmt.Sprintf(`{"type":"cancelled","confidence":null,"energy":null,"tts_id":%q,"cause":"cancel","ts":%.3f}`, utt, uptime()), 1, false)
	w.note("cancels")
}

// detect is somebody who says the wake word.
func (w *wakeService) detect() {
	w.mu.Lock()
	defer w.mu.Unlock()
	kind, cause, id := "wake", "wake_phrase", "null"
	if w.state == "speaking" {
		kind, cause, id = "interrupt", "double_wake", fmt.Sprintf("%q", w.utt)
	}
	w.event("wake/event", "wake.event", "", fmt.Sprintf(`{"type":%q,"confidence":0.83,"energy":0.21,"tts_id":%s,"cause":%q,"ts":%.3f}`, kind, id, cause, uptime()), 1, false)
	w.event("wake/mic", "mic.control", "", `{"action":"unmute","reason":"wake","ttl_ms":3000}`, 1, false)
	if kind == "interrupt" {
		w.event("tts/control", "tts.control", "", fmt.Sprintf(`{"action":"pause","reason":"wake_interrupt","id":%q}`, w.utt), 1, false)
		w.open = w.utt
	}
}

// uptime is a clock that does not count from 1970.
func uptime() float64 { return float64(time.Now().UnixMilli()%100_000_000) / 1000 }

// pythonRouter waits for speech and hearing, announces, and asks the language model.
func pythonRouter(t *testing.T, bus *servicetest.Bus) *peer {
	p := connect(t, bus, "tars-router", "router")
	ready := map[string]bool{} // handlers run one at a time
	for _, name := range []string{"tts", "stt"} {
		p.subscribe("system/health/"+name, 1, func(payload []byte) {
			data, _, ok := either(payload, healthModel)
			if !ok || data["ok"] != true {
				return
			}
			before := ready["tts"] && ready["stt"]
			ready[name] = true
			if !before && ready["tts"] && ready["stt"] {
				p.event("tts/say", "tts.say", "boot", fmt.Sprintf(`{"message_id":%q,"text":"System online.","voice":"piper/en_US/amy","lang":"en","utt_id":"boot","style":"neutral","stt_ts":null,"wake_ack":null,"system_announce":true}`, p.id()), 1, false)
				p.note("announces")
			}
		})
	}
	p.subscribe("stt/final", 1, func(payload []byte) {
		data, _, ok := either(payload, finalModel)
		if !ok {
			p.note("drops a transcript")
			return
		}
		text, err := json.Marshal(data.text("text"))
		if err != nil {
			p.t.Error(err)
		}
		p.event("llm/request", "llm.request", data.text("message_id"), fmt.Sprintf(`{"message_id":%q,"id":"rt-1a2b3c4d","text":%s,"stream":true,"use_rag":null,"rag_k":null,"system":null,"params":null,"conversation_history":[{"role":"user","content":%s,"timestamp":%s}]}`, p.id(), text, text, now()), 1, false)
		p.note("asks: %s", data.text("text"))
	})
	p.subscribe("llm/response", 1, func(payload []byte) {
		if data, _, ok := either(payload, responseModel); ok && data.text("id") == "rt-1a2b3c4d" {
			p.note("is answered")
		}
	})
	p.event("system/health/router", "system.health.router", "", fmt.Sprintf(`{"message_id":%q,"ok":true,"event":"ready","err":null,"timestamp":%s}`, p.id(), now()), 1, true)
	return p
}

var commands = strings.Fields("reset step_forward step_backward turn_left turn_right wave laugh swing_legs pezz pezz_dispenser now balance mic_drop monster pose bow disable stop move_legs move_arm")

// pythonMovement checks commands and, as it was, does nothing with them.
func pythonMovement(t *testing.T, bus *servicetest.Bus) *peer {
	p := connect(t, bus, "tars-movement", "tars-movement")
	p.subscribe("movement/test", 1, func(payload []byte) {
		o := top(payload)
		if speed, has := o["speed"].(float64); !testModel.fits(o) || !slices.Contains(commands, o.text("command")) || has && (speed < 0.1 || speed > 1) {
			p.event("system/health/tars-movement", "health.status", "", fmt.Sprintf(
				`{"message_id":%q,"ok":false,"event":"invalid_command","err":"validation error","timestamp":%s}`, p.id(), now()), 1, true)
			p.note("refuses a command")
			return
		}
		p.note("takes %s", o.text("command"))
	})
	return p
}

// pythonMemory has one trait.
func pythonMemory(t *testing.T, bus *servicetest.Bus) *peer {
	p := connect(t, bus, "tars-memory", "memory-worker")
	p.subscribe("character/update", 0, func(payload []byte) {
		data, _, ok := unwrap(payload)
		if !ok {
			data = top(payload)
		}
		value, number := data["value"].(float64)
		switch {
		case data.text("action") == "reset_traits":
			p.note("resets traits")
		case data.text("section") == "traits" && data.text("trait") != "" && number:
			p.event("system/character/current", "system.character.current", "5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a", fmt.Sprintf(
				`{"message_id":"5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a5a","name":"TARS","description":null,"systemprompt":null,"traits":{%q:%d},"voice":{},"meta":{},"scenario":{},"personality_notes":{},"example_interactions":{}}`,
				data.text("trait"), int(value)), 1, true)
			p.note("sets %s to %d", data.text("trait"), int(value))
		default:
			p.note("ignores an update")
		}
	})
	return p
}

// pythonLLM sends what tools ask for, in envelopes, and reads the bare list of tools.
func pythonLLM(t *testing.T, bus *servicetest.Bus) *peer {
	p := connect(t, bus, "tars-llm", "llm-worker")
	p.subscribe("llm/request", 0, func(payload []byte) {
		if data, id, ok := either(payload, requestModel); ok {
			p.event("llm/response", "llm.response", id, fmt.Sprintf(`{"message_id":%q,"id":%q,"reply":"Certainly.","error":null,"provider":"openai","model":"gpt-4o-mini","tokens":{}}`, p.id(), data.text("id")), 0, false)
			p.note("answers")
		}
	})
	p.subscribe("system/character/current", 0, func(payload []byte) {
		if data, _, ok := either(payload, snapshotModel); ok {
			p.note("is %s", data.text("name"))
		}
	})
	p.subscribe("llm/tools/registry", 0, func(payload []byte) {
		tools, _ := top(payload)["tools"].([]any)
		p.note("has %d tools", len(tools))
	})
	return p
}

// pythonPage is the old page behind its bridge: what it shows, of what the bridge forwards whole.
func pythonPage(t *testing.T, bus *servicetest.Bus) *peer {
	p := connect(t, bus, "ui-web", "ui-web")
	for _, topic := range []string{"stt/partial", "stt/final", "stt/audio_fft", "tts/status", "tts/say", "llm/stream", "llm/response", "memory/results", "system/health/#"} {
		p.subscribe(topic, 1, func(payload []byte) {
			o := top(payload)
			data, _, wrapped := unwrap(payload)
			if !wrapped {
				data = o
			}
			switch topic {
			case "stt/final", "tts/say":
				p.note("%s bubble: %s", topic, o.text("text"))
			case "tts/status":
				p.note("speech: %s", o.text("event"))
			case "memory/results":
				p.note("results: %t", memoryHitsModel.fits(o))
			case "llm/response":
				p.note("answer: %s", data.text("reply"))
			}
		})
	}
	return p
}

// pythonPanel is the desktop program: envelopes with strict contracts, nothing else.
func pythonPanel(t *testing.T, bus *servicetest.Bus) *peer {
	p := connect(t, bus, "tars-ui", "tars-ui")
	for topic, m := range map[string]model{"stt/final": finalModel, "tts/status": statusModel, "llm/response": responseModel} {
		p.subscribe(topic, 0, func(payload []byte) {
			if data, _, ok := unwrap(payload); ok && m.fits(data) {
				p.note("%s: %s%s%s", topic, data.text("text"), data.text("event"), data.text("reply"))
				return
			}
			p.note("%s: invalid", topic)
		})
	}
	return p
}
