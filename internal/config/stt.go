package config

import (
	"slices"
	"strings"
	"time"
)

// STT is the robot's hearing.
type STT struct {
	Engines   []string     `yaml:"engines" doc:"Who understands, the first first; the next one does when one fails, hangs or is not there: pocketsphinx (built in, English), wyoming, openai, websocket."`
	Lang      string       `yaml:"lang" doc:"Language of speech, such as en or de; empty: the engine finds out, if it can."`
	Patience  Duration     `yaml:"patience" doc:"An engine that takes longer for a second of sound, a partial or a final transcript has failed."`
	VAD       STTVAD       `yaml:"vad"`
	Mic       STTMic       `yaml:"mic"`
	Partials  STTPartials  `yaml:"partials"`
	Urgent    STTUrgent    `yaml:"urgent"`
	Expected  STTExpected  `yaml:"expected"`
	Suppress  STTSuppress  `yaml:"suppress"`
	OpenAI    STTServer    `yaml:"openai"`
	WebSocket STTWebSocket `yaml:"websocket"`
	Wyoming   STTWyoming   `yaml:"wyoming"`
}

// STTVAD is where an utterance begins and ends.
type STTVAD struct {
	Threshold    float64  `yaml:"threshold" doc:"Probability of the voice detector from which on it is speech, 0.2 to 0.95; it ends 0.15 below."`
	Silence      Duration `yaml:"silence" doc:"Silence after which an utterance is over."`
	PreRoll      Duration `yaml:"pre_roll" doc:"Sound before speech that belongs to it."`
	MaxUtterance Duration `yaml:"max_utterance" doc:"Who speaks longer is heard in pieces, cut at the quietest point, each with a transcript of its own; at most 29s with pocketsphinx, else 1m."`
	MinSpeech    Duration `yaml:"min_speech" doc:"What is shorter is a click."`
	MinRMS       float64  `yaml:"min_rms" doc:"Level below which speech does not begin, RMS on the scale of 16 bits (0 to 32767)."`
	FloorFactor  float64  `yaml:"floor_factor" doc:"Nor does it below the noise floor times this. The floor is followed all the time."`
}

// STTMic is when a microphone is open.
type STTMic struct {
	WakeWindow     Duration `yaml:"wake_window" doc:"After a wake word, when neither the wake service nor the router says how long."`
	ResponseWindow Duration `yaml:"response_window" doc:"After an answer, when no router says how long; 0 for not at all."`
	OpenLimit      Duration `yaml:"open_limit" doc:"The longest that a command opens it for, also one without a time."`
	Guard          Duration `yaml:"guard" doc:"After the robot's own speech, when the room still sounds of it."`
	SpeechLimit    Duration `yaml:"speech_limit" doc:"The robot's own speech counts as over that long after its last sign, besides the time of its text, when nobody says that it has ended."`
}

// STTPartials are transcripts of what is still being said.
type STTPartials struct {
	Enabled  bool     `yaml:"enabled" doc:"Publish them, if the engine has them."`
	Interval Duration `yaml:"interval" doc:"Between two of them."`
}

// STTUrgent are phrases that are not waited for.
type STTUrgent struct {
	Phrases []string `yaml:"phrases" doc:"With one of these as partial transcript an utterance is over after a shorter silence, and none of them is taken for an echo, a repeat or noise."`
	Silence Duration `yaml:"silence" doc:"That silence."`
}

// STTExpected are the sentences that the dialogue's rules understand.
type STTExpected struct {
	Silence Duration `yaml:"silence" doc:"With one of the sentences that the dialogue's rules understand as partial transcript, an utterance is over after this silence; longer than vad.silence has no effect."`
}

// STTSuppress says what is not published.
type STTSuppress struct {
	MinConfidence float64  `yaml:"min_confidence" doc:"A transcript of which the engine is less sure is dropped, 0 to 1; those of engines that cannot say are not."`
	MinAlpha      float64  `yaml:"min_alpha" doc:"Least share of letters and digits in a transcript, spaces aside, 0 to 1."`
	MaxPunct      float64  `yaml:"max_punct" doc:"Largest share of .,!?;: in a transcript, 0 to 1."`
	Doubtful      []string `yaml:"doubtful" doc:"Phrases that engines make of noise: they are dropped when the voice detector was in doubt."`
	DoubtfulBelow float64  `yaml:"doubtful_below" doc:"Mean probability of speech below which that is so, 0 to 1."`
	Repeat        Duration `yaml:"repeat" doc:"The same transcript again within that is dropped; 0: never, since people repeat what was not heard."`
	Echo          bool     `yaml:"echo" doc:"Drop what the robot has just said itself."`
	EchoRatio     float64  `yaml:"echo_ratio" doc:"Share of words that must be the same for that, 0.5 to 1."`
	EchoTime      Duration `yaml:"echo_time" doc:"How long after the robot's own speech; one or two words are compared while it sounds only."`
}

// STTServer is an OpenAI-style server.
type STTServer struct {
	URL     URL    `yaml:"url" doc:"Base of the interface, such as http://127.0.0.1:8000/v1."`
	Key     Secret `yaml:"key" shown:"none" doc:"Its key. Better in the environment, or in key_file, than in this file."`
	KeyFile string `yaml:"key_file" doc:"File that holds the key; it is read for every utterance."`
	Model   string `yaml:"model" doc:"Model there."`
}

// STTWebSocket is a server of the system that tarsd replaces.
type STTWebSocket struct {
	URL      URL  `yaml:"url" doc:"Its address."`
	Partials bool `yaml:"partials" doc:"Ask it for partial transcripts, which cost it time."`
}

// STTWyoming is a Wyoming peer.
type STTWyoming struct {
	Address string `yaml:"address" shown:"none" doc:"tcp://HOST:PORT or unix:///PATH of the peer, such as tcp://127.0.0.1:10300."`
	Model   string `yaml:"model" shown:"the peer's own" doc:"Model there."`
}

func defaultSTT() STT {
	ms := func(n int) Duration { return Duration(time.Duration(n) * time.Millisecond) }
	return STT{
		Engines: []string{"pocketsphinx"}, Lang: "en", Patience: ms(10_000),
		VAD: STTVAD{
			Threshold: 0.5, Silence: ms(700), PreRoll: ms(300), MaxUtterance: ms(15_000), MinSpeech: ms(100), MinRMS: 40, FloorFactor: 1.5,
		},
		Mic:      STTMic{WakeWindow: ms(8000), ResponseWindow: ms(10_000), OpenLimit: ms(600_000), Guard: ms(200), SpeechLimit: ms(12_000)},
		Partials: STTPartials{Enabled: true, Interval: ms(250)},
		Expected: STTExpected{Silence: ms(450)},
		Urgent: STTUrgent{Silence: ms(250), Phrases: []string{
			"stop", "stop it", "stop now", "stop that", "stop moving", "halt", "freeze", "emergency stop", "stop stop", "don't move", "cancel", "never mind", "be quiet", "quiet",
		}},
		Suppress: STTSuppress{
			MinConfidence: 0.25, MinAlpha: 0.6, MaxPunct: 0.35, Doubtful: []string{"thank you", "thanks for watching", "you", "bye", "hmm", "uh"}, DoubtfulBelow: 0.75,
			Echo: true, EchoRatio: 0.75, EchoTime: ms(3000),
		},
		OpenAI:    STTServer{URL: URL{raw: "https://api.openai.com/v1"}, Model: "whisper-1"},
		WebSocket: STTWebSocket{URL: URL{raw: "ws://127.0.0.1:9000/stt"}, Partials: true},
	}
}

func (s STT) check(key string, ps *Problems) {
	known := []string{"pocketsphinx", "wyoming", "openai", "websocket"}
	for i, e := range s.Engines {
		switch {
		case !slices.Contains(known, e):
			ps.add(key+".engines", "", "%q is none of %s", e, strings.Join(known, ", "))
		case slices.Contains(s.Engines[:i], e):
			ps.add(key+".engines", "", "%s is there twice", e)
		}
	}
	needs := func(engine, name string, missing bool) {
		if slices.Contains(s.Engines, engine) && missing {
			ps.add(key+"."+name, "", "must be set, since engines has %s", engine)
		}
	}
	needs("wyoming", "wyoming.address", s.Wyoming.Address == "")
	needs("openai", "openai.url", s.OpenAI.URL.IsZero())
	needs("websocket", "websocket.url", s.WebSocket.URL.IsZero())
	for _, v := range []struct {
		name    string
		url     URL
		schemes []string
	}{{"openai.url", s.OpenAI.URL, []string{"http", "https"}}, {"websocket.url", s.WebSocket.URL, []string{"ws", "wss"}}} {
		if !v.url.IsZero() {
			if err := checkURL(v.url, v.schemes, strings.Join(v.schemes, ", ")); err != nil {
				ps.add(key+"."+v.name, "", "%s", err)
			}
		}
	}
	if slices.Contains(s.Engines, "pocketsphinx") && s.VAD.MaxUtterance > maxSphinx {
		ps.add(key+".vad.max_utterance", "", "%s is above %s, and pocketsphinx gives up after 30s", s.VAD.MaxUtterance, maxSphinx)
	}
	s.checkNumbers(key, ps)
}

// maxSphinx is what pocketsphinx.MaxSamples leaves for an utterance, which ends with a whole block of sound.
const maxSphinx = Duration(29 * time.Second)

func (s STT) checkNumbers(key string, ps *Problems) {
	for _, d := range []struct {
		name       string
		v          Duration
		least, top time.Duration
	}{
		{"patience", s.Patience, 100 * time.Millisecond, 2 * time.Minute}, {"vad.silence", s.VAD.Silence, 100 * time.Millisecond, 5 * time.Second},
		{"vad.pre_roll", s.VAD.PreRoll, 0, 2 * time.Second}, {"vad.max_utterance", s.VAD.MaxUtterance, 2 * time.Second, time.Minute},
		{"vad.min_speech", s.VAD.MinSpeech, 0, 2 * time.Second}, {"mic.wake_window", s.Mic.WakeWindow, time.Second, time.Minute},
		{"mic.response_window", s.Mic.ResponseWindow, 0, time.Minute}, {"mic.open_limit", s.Mic.OpenLimit, time.Second, 24 * time.Hour},
		{"mic.guard", s.Mic.Guard, 0, 5 * time.Second}, {"mic.speech_limit", s.Mic.SpeechLimit, time.Second, 10 * time.Minute},
		{"partials.interval", s.Partials.Interval, 50 * time.Millisecond, 10 * time.Second}, {"urgent.silence", s.Urgent.Silence, 100 * time.Millisecond, 5 * time.Second},
		{"expected.silence", s.Expected.Silence, 100 * time.Millisecond, 5 * time.Second},
		{"suppress.repeat", s.Suppress.Repeat, 0, time.Minute}, {"suppress.echo_time", s.Suppress.EchoTime, 0, time.Minute},
	} {
		if v := time.Duration(d.v); v < d.least || v > d.top {
			ps.add(key+"."+d.name, "", "%s is not from %s to %s", d.v, Duration(d.least), Duration(d.top))
		}
	}
	for _, f := range []struct {
		name          string
		v, least, top float64
	}{
		{"vad.threshold", s.VAD.Threshold, 0.2, 0.95}, {"vad.min_rms", s.VAD.MinRMS, 0, 32767}, {"vad.floor_factor", s.VAD.FloorFactor, 0, 20},
		{"suppress.min_confidence", s.Suppress.MinConfidence, 0, 1}, {"suppress.min_alpha", s.Suppress.MinAlpha, 0, 1},
		{"suppress.max_punct", s.Suppress.MaxPunct, 0, 1}, {"suppress.doubtful_below", s.Suppress.DoubtfulBelow, 0, 1}, {"suppress.echo_ratio", s.Suppress.EchoRatio, 0.5, 1},
	} {
		if !(f.v >= f.least && f.v <= f.top) { // NaN, too
			ps.add(key+"."+f.name, "", "%g is not from %g to %g", f.v, f.least, f.top)
		}
	}
}

// milliseconds makes a time span of a number of milliseconds.
func milliseconds(v string) string { return strings.TrimSpace(v) + "ms" }

// sttEnv are the reference's names. Its backend becomes the first engine, with ours behind it.
var sttEnv = []legacy{
	{"STT_BACKEND", "stt.engines", func(v string) string {
		switch strings.ToLower(strings.TrimSpace(v)) {
		case "ws":
			return "[websocket, pocketsphinx]"
		case "openai":
			return "[openai, pocketsphinx]"
		}
		return "[pocketsphinx]"
	}},
	{"WS_URL", "stt.websocket.url", nil},
	{"OPENAI_API_KEY", "stt.openai.key", strings.TrimSpace}, {"OPENAI_BASE_URL", "stt.openai.url", nil},
	{"OPENAI_STT_MODEL", "stt.openai.model", nil}, {"OPENAI_TIMEOUT_S", "stt.patience", seconds},
	{"SILENCE_THRESHOLD_MS", "stt.vad.silence", milliseconds}, {"NOISE_MIN_RMS", "stt.vad.min_rms", nil},
	{"NOISE_FLOOR_THRESHOLD_MULTIPLIER", "stt.vad.floor_factor", nil},
	{"TTS_MAX_MUTE_MS", "stt.mic.speech_limit", milliseconds}, {"TTS_RESPONSE_WINDOW_SEC", "stt.mic.response_window", seconds},
	{"WAKE_EVENT_FALLBACK_TTL_MS", "stt.mic.wake_window", milliseconds},
	{"STREAMING_PARTIALS", "stt.partials.enabled", nil}, {"PARTIAL_INTERVAL_MS", "stt.partials.interval", milliseconds},
	{"NOISE_MIN_ALPHA_RATIO", "stt.suppress.min_alpha", nil}, {"NOISE_MAX_PUNCT_RATIO", "stt.suppress.max_punct", nil},
	{"COUGH_SUSPICIOUS_PHRASES", "stt.suppress.doubtful", barList}, {"REPEAT_COOLDOWN_SEC", "stt.suppress.repeat", seconds},
	{"ECHO_SUPPRESS_MATCH", "stt.suppress.echo", nil}, {"ECHO_FUZZ_MIN_RATIO", "stt.suppress.echo_ratio", nil},
}

// Why names of the reference's speech recognition change nothing.
const (
	whySilero     = "the voice detector is another one: stt.vad"
	whyFloor      = "the noise floor is followed all the time; nothing has to be calibrated: stt.vad.floor_factor"
	whyShort      = "short commands must pass: stt.suppress has the rules that are left"
	whyPartials   = "partial transcripts have no such rule: stt.partials"
	whyPreprocess = "sound is not processed before it is recognised"
	whySpeech     = "the end of speech is known from tts/status; stt.mic.speech_limit is for when it is not"
)

// sttUnused are the reference's names for which there is nothing to set.
var sttUnused = map[string]string{
	"WHISPER_MODEL":     "no Whisper is built in; a server that has one can be used: stt.openai, stt.websocket",
	"CHUNK_DURATION_MS": whySilero, "VAD_AGGRESSIVENESS": whySilero, "VAD_ENHANCED_ANALYSIS": whySilero,
	"UNMUTE_GUARD_MS":              "it would eat the first words after a wake word; after own speech it is stt.mic.guard",
	"POST_PUBLISH_COOLDOWN_MS":     "the microphone closes with the answer that is being made",
	"WAKE_EVENT_FALLBACK_DELAY_MS": "the microphone opens with the event",
	"TTS_BASE_MUTE_MS":             whySpeech, "TTS_PER_CHAR_MS": whySpeech,
	"NOISE_FLOOR_CALIB_ENABLE": whyFloor, "NOISE_FLOOR_CALIB_SECS": whyFloor, "NOISE_FLOOR_ADAPTIVE_ENABLE": whyFloor, "NOISE_FLOOR_UPDATE_INTERVAL": whyFloor,
	"NOISE_FLOOR_INIT": whyFloor, "NOISE_FLOOR_ALPHA": whyFloor, "NOISE_GATE_OFFSET": whyFloor,
	"PARTIAL_MIN_DURATION_MS": whyPartials, "PARTIAL_MIN_CHARS": whyPartials, "PARTIAL_MIN_NEW_CHARS": whyPartials, "PARTIAL_ALPHA_RATIO_MIN": whyPartials,
	"TAIL_WINDOW_SEC":   "partial transcripts are of the whole utterance",
	"PREPROCESS_ENABLE": whyPreprocess, "PREPROCESS_MIN_MS": whyPreprocess, "PREPROCESS_TIMEOUT_S": whyPreprocess, "PREPROCESS_FILTERS": whyPreprocess,
	"NOISE_MIN_DURATION_MS": "it is about speech without silence now: stt.vad.min_speech",
	"NOISE_MIN_LENGTH":      whyShort, "DICT_MATCH_MIN_RATIO": whyShort, "COMMON_WORDS_EXTRA": whyShort, "SUPPRESS_USE_SYLLAPY": whyShort,
	"COUGH_ACTIVE_MIN_RATIO": whyShort, "COUGH_MIN_DURATION_MS": whyShort, "COUGH_MIN_SYLLABLES": whyShort,
	"NO_SPEECH_MAX":          "Whisper's own rule holds for servers that tell it; else stt.suppress.min_confidence",
	"AVG_LOGPROB_MIN":        "Whisper's own rule holds for servers that tell it; else stt.suppress.min_confidence",
	"SUPPRESS_USE_RAPIDFUZZ": "own speech is always compared by words: stt.suppress.echo_ratio",
}
