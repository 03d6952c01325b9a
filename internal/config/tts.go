package config

import (
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"
)

// TTS is the robot's mouth.
type TTS struct {
	Engines    []string     `yaml:"engines" doc:"Who speaks, the first first; the next one does when one fails, is not there, or does not speak the language: flite (built in, English), espeak-ng, piper, wyoming, openai, elevenlabs."`
	Voice      string       `yaml:"voice" shown:"the engine's own" doc:"Voice when a text asks for none; an engine that does not have it uses its own."`
	Lang       string       `yaml:"lang" doc:"Language of texts that do not say theirs, such as en or de."`
	Sink       string       `yaml:"sink" doc:"Where speech goes: auto (PulseAudio or PipeWire, else ALSA, else nowhere, in real time), pulse[:SINK][@SERVER], aplay[:DEVICE], wav:PATH, none."`
	Sites      []string     `yaml:"sites" shown:"none" doc:"Origins, such as pages and satellites, whose answers always go to audio/out/SITE instead. Whoever sends sound on audio/in/SITE is such a one without being listed."`
	Volume     int          `yaml:"volume" doc:"Percent, until somebody changes it with tts/control."`
	Gap        Duration     `yaml:"gap" doc:"Longest silence within an answer while the model is still at it; then the answer counts as spoken, and the rest of it as another."`
	PauseLimit Duration     `yaml:"pause_limit" doc:"A pause that nobody ends becomes a stop."`
	Silence    Duration     `yaml:"silence" doc:"An engine that gives no sound for that long has failed."`
	Cache      TTSCache     `yaml:"cache"`
	Flite      TTSFlite     `yaml:"flite"`
	Espeak     TTSEspeak    `yaml:"espeak"`
	Piper      TTSPiper     `yaml:"piper"`
	Wyoming    TTSWyoming   `yaml:"wyoming"`
	OpenAI     TTSServer    `yaml:"openai"`
	ElevenLabs TTSElevenLab `yaml:"elevenlabs"`
}

// TTSCache keeps the sound of short phrases.
type TTSCache struct {
	Max     int      `yaml:"max" doc:"Answers to the wake word, announcements and the phrases of preload whose sound is kept, if they are short; 0 for none."`
	Dir     string   `yaml:"dir" shown:"speech in the data directory" doc:"Directory for them."`
	Preload []string `yaml:"preload" shown:"none" doc:"Phrases that are made at the start, besides the router's acknowledgements and its announcement."`
}

// TTSFlite is the built-in engine.
type TTSFlite struct {
	Voice string `yaml:"voice" doc:"slt, rms, kal, awb or kal16."`
}

// TTSEspeak is espeak-ng.
type TTSEspeak struct {
	Program string `yaml:"program" doc:"The program."`
	Voice   string `yaml:"voice" shown:"by the language" doc:"Voice for English, such as en-us or en-gb+m3."`
}

// TTSPiper is Piper.
type TTSPiper struct {
	Program string `yaml:"program" doc:"The program: the one that takes lines of JSON (--json-input). For the newer Piper use its Wyoming or HTTP server."`
	Model   string `yaml:"model" doc:"File of the voice (.onnx), beside which lies its .onnx.json."`
}

// TTSWyoming is a Wyoming peer.
type TTSWyoming struct {
	Address string `yaml:"address" shown:"none" doc:"tcp://HOST:PORT or unix:///PATH of the peer, such as tcp://127.0.0.1:10200."`
	Voice   string `yaml:"voice" shown:"the peer's own" doc:"Voice there."`
}

// TTSServer is an OpenAI-style server.
type TTSServer struct {
	URL     URL    `yaml:"url" shown:"none" doc:"Base of the interface, such as http://127.0.0.1:8880/v1."`
	Key     Secret `yaml:"key" shown:"none" doc:"Its key. Better in the environment, or in key_file, than in this file."`
	KeyFile string `yaml:"key_file" doc:"File that holds the key; it is read for every sentence."`
	Model   string `yaml:"model" doc:"Model there."`
	Voice   string `yaml:"voice" doc:"Voice there."`
}

// TTSElevenLab is ElevenLabs.
type TTSElevenLab struct {
	URL     URL    `yaml:"url" doc:"Base of the interface."`
	Key     Secret `yaml:"key" shown:"none" doc:"Its key. Better in the environment, or in key_file, than in this file."`
	KeyFile string `yaml:"key_file" doc:"File that holds the key; it is read for every sentence."`
	Model   string `yaml:"model" doc:"Model there."`
	Voice   string `yaml:"voice" shown:"none" doc:"Id of the voice there."`
}

func defaultTTS() TTS {
	return TTS{
		Engines: []string{"flite", "espeak-ng"}, Lang: "en", Sink: "auto", Volume: 100,
		Gap: Duration(4 * time.Second), PauseLimit: Duration(2 * time.Minute), Silence: Duration(10 * time.Second),
		Cache: TTSCache{Max: 32}, Flite: TTSFlite{Voice: "slt"}, Espeak: TTSEspeak{Program: "espeak-ng"}, Piper: TTSPiper{Program: "piper", Model: "/voices/TARS.onnx"},
		OpenAI:     TTSServer{Model: "gpt-4o-mini-tts", Voice: "onyx"},
		ElevenLabs: TTSElevenLab{URL: URL{raw: "https://api.elevenlabs.io/v1"}, Model: "eleven_multilingual_v2"},
	}
}

var site = regexp.MustCompile(`^[^/+#\s]{1,256}$`)

func (t TTS) check(key string, ps *Problems) {
	known := []string{"flite", "espeak-ng", "piper", "wyoming", "openai", "elevenlabs"}
	for i, e := range t.Engines {
		switch {
		case !slices.Contains(known, e):
			ps.add(key+".engines", "", "%q is none of %s", e, strings.Join(known, ", "))
		case slices.Contains(t.Engines[:i], e):
			ps.add(key+".engines", "", "%s is there twice", e)
		}
	}
	has := func(e string) bool { return slices.Contains(t.Engines, e) }
	needs := func(engine, name string, missing bool) {
		if has(engine) && missing {
			ps.add(key+"."+name, "", "must be set, since engines has %s", engine)
		}
	}
	needs("wyoming", "wyoming.address", t.Wyoming.Address == "")
	needs("openai", "openai.url", t.OpenAI.URL.IsZero())
	for name, u := range map[string]URL{"openai.url": t.OpenAI.URL, "elevenlabs.url": t.ElevenLabs.URL} {
		if !u.IsZero() {
			if err := checkURL(u, []string{"http", "https"}, "http, https"); err != nil {
				ps.add(key+"."+name, "", "%s", err)
			}
		}
	}
	if !slices.Contains([]string{"slt", "rms", "kal", "awb", "kal16"}, t.Flite.Voice) {
		ps.add(key+".flite.voice", "", "%q is none of slt, rms, kal, awb, kal16", t.Flite.Voice)
	}
	if t.Volume < 0 || t.Volume > 100 {
		ps.add(key+".volume", "", "%d is not from 0 to 100", t.Volume)
	}
	if t.Cache.Max < 0 || t.Cache.Max > 1000 {
		ps.add(key+".cache.max", "", "%d is not from 0 to 1000", t.Cache.Max)
	}
	if t.Sink == "" {
		ps.add(key+".sink", "", "must be set; none is nowhere")
	}
	for _, s := range t.Sites {
		if !site.MatchString(s) {
			ps.add(key+".sites", "", "%q is no level of a topic", s)
		}
	}
	for _, d := range []struct {
		name          string
		v, least, top Duration
	}{
		{"gap", t.Gap, 0, Duration(time.Minute)}, {"pause_limit", t.PauseLimit, Duration(time.Second), Duration(time.Hour)},
		{"silence", t.Silence, Duration(100 * time.Millisecond), Duration(2 * time.Minute)},
	} {
		if d.v < d.least || d.v > d.top {
			ps.add(key+"."+d.name, "", "%s is not from %s to %s", d.v, d.least, d.top)
		}
	}
}

// SpeechDir is where the sound of short phrases is kept.
func (c Config) SpeechDir() string {
	if c.TTS.Cache.Dir != "" {
		return c.TTS.Cache.Dir
	}
	return filepath.Join(c.DataDir, "speech")
}

// ttsEnv are the reference's names. Its provider becomes the first engine, with ours behind it.
var ttsEnv = []legacy{
	{"TTS_PROVIDER", "tts.engines", func(v string) string {
		if strings.EqualFold(strings.TrimSpace(v), "elevenlabs") {
			return "[elevenlabs, flite, espeak-ng]"
		}
		return "[piper, flite, espeak-ng]"
	}},
	{"PIPER_VOICE", "tts.piper.model", nil},
	{"TTS_WAKE_CACHE_DIR", "tts.cache.dir", nil}, {"TTS_WAKE_CACHE_MAX", "tts.cache.max", nil}, {"TTS_WAKE_ACK_TEXTS", "tts.cache.preload", barList},
	{"ELEVEN_API_BASE", "tts.elevenlabs.url", nil}, {"ELEVEN_API_KEY", "tts.elevenlabs.key", nil},
	{"ELEVEN_VOICE_ID", "tts.elevenlabs.voice", nil}, {"ELEVEN_MODEL_ID", "tts.elevenlabs.model", nil},
}
