package config

import (
	"slices"
	"strings"
)

// Unused is a name of the system that tarsd replaces that is set and changes nothing here.
type Unused struct{ Name, Why string }

// fixedTopics are the variables by which the old services could be told other topics, with the
// topics that ours use in any case.
var fixedTopics = map[string]string{
	"TOPIC_HEALTH_TTS": "system/health/tts", "TOPIC_HEALTH_STT": "system/health/stt", "TOPIC_HEALTH_ROUTER": "system/health/router",
	"TOPIC_HEALTH": "system/health/llm", "TOPIC_MEMORY_HEALTH": "system/health/memory",
	"TOPIC_STT_FINAL": "stt/final", "TOPIC_TTS_SAY": "tts/say", "TOPIC_TTS_STATUS": "tts/status",
	"TOPIC_LLM_REQUEST": "llm/request", "TOPIC_LLM_RESPONSE": "llm/response", "TOPIC_LLM_STREAM": "llm/stream", "TOPIC_LLM_CANCEL": "llm/cancel",
	"TOPIC_WAKE_EVENT": "wake/event", "TOPIC_MOVEMENT_TEST": "movement/test", "TOPIC_MOVEMENT_STOP": "movement/stop", "TOPIC_MOVEMENT_STATUS": "movement/status",
	"TOPIC_MEMORY_QUERY": "memory/query", "TOPIC_MEMORY_RESULTS": "memory/results",
	"TOPIC_CHARACTER_GET": "character/get", "TOPIC_CHARACTER_RESULT": "character/result", "TOPIC_CHARACTER_CURRENT": "system/character/current",
	"TOPIC_CHARACTER_UPDATE": "character/update", "CAMERA_FRAME_TOPIC": "camera/frame", "FFT_TOPIC": "stt/audio_fft",
	"MOVEMENT_TEST_TOPIC": "movement/test", "MOVEMENT_HEALTH_TOPIC": "system/health/movement",
}

// withoutUse are variables for which there is nothing to set any more.
var withoutUse = map[string]string{
	"ROUTER_QUEUE_MAXSIZE":   "each subscription has a bounded queue of its own",
	"ROUTER_QUEUE_OVERFLOW":  "what does not fit a queue stays at the broker",
	"ROUTER_HANDLER_TIMEOUT": "no handler of the router waits",
	"CAMERA_HTTP_HOST":       "pictures are on the HTTP port, /camera/stream",
	"CAMERA_HTTP_PORT":       "pictures are on the HTTP port, /camera/stream",
	"SAMPLE_RATE":            "every microphone is brought to 16 kHz",
	"AUDIO_FANOUT_RATE":      "the socket gives 16 kHz",
	"FFT_LOG_SCALE":          "the spectrum is always logarithmic",
	"CAMERA_RETRY_ATTEMPTS":  "a camera that fails is opened again until it works",
}

// unused are the variables of env that an owner might expect something of. A topic that is the
// fixed one is as expected.
func unused(env map[string]string) []Unused {
	var out []Unused
	for name, topic := range fixedTopics {
		if v := env[name]; v != "" && v != topic {
			out = append(out, Unused{name, "topics are fixed; it is " + topic})
		}
	}
	for _, names := range []map[string]string{withoutUse, sttUnused} {
		for name, why := range names {
			if env[name] != "" {
				out = append(out, Unused{name, why})
			}
		}
	}
	slices.SortFunc(out, func(a, b Unused) int { return strings.Compare(a.Name, b.Name) })
	return out
}
