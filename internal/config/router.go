package config

import "time"

// Router is the dialogue: what is listened to, for how long, and what is said.
type Router struct {
	Announce        bool     `yaml:"announce" doc:"Say once, when hearing and speech are up, that the robot is online."`
	AnnounceText    string   `yaml:"announce_text" doc:"What is said then."`
	Voice           string   `yaml:"voice" shown:"the speech service's own" doc:"Voice that is asked for with every text."`
	WakePhrases     []string `yaml:"wake_phrases" doc:"What wakes the robot; taken off the beginning of an utterance."`
	InlineWake      bool     `yaml:"inline_wake" doc:"An utterance that begins with a wake phrase is answered without an event of the wake service."`
	WakeWindow      Duration `yaml:"wake_window" doc:"How long is listened after the wake word, and again after its acknowledgement was spoken."`
	ResponseWindow  Duration `yaml:"response_window" doc:"How long is listened after an answer, without a wake word."`
	InterruptWindow Duration `yaml:"interrupt_window" doc:"How long speech stays paused after an interruption when nothing is said. The wake service's own window is shorter and comes first."`
	ThinkLimit      Duration `yaml:"think_limit" doc:"Time to the first piece of an answer; then an apology is spoken."`
	StallLimit      Duration `yaml:"stall_limit" doc:"Time between two pieces of an answer."`
	SpeechLimit     Duration `yaml:"speech_limit" doc:"Time until the speech service begins; the length of what it has to say adds to it."`
	Stream          bool     `yaml:"stream" doc:"Speak sentences while the model still writes."`
	BoundaryChars   string   `yaml:"boundary_chars" doc:"Characters at which text may be cut for speech. Clause ends such as ; and : cut only behind min_chars."`
	BoundaryOnly    bool     `yaml:"boundary_only" doc:"Never cut between boundaries, up to hard_max_chars."`
	MinChars        int      `yaml:"min_chars" doc:"A clause is not spoken by itself when it is shorter."`
	MaxChars        int      `yaml:"max_chars" doc:"Longest piece when boundary_only is false."`
	HardMaxChars    int      `yaml:"hard_max_chars" doc:"Longest piece in any case, in bytes."`
	History         int      `yaml:"history" doc:"Lines of the conversation that go to the model with a question."`
	Meaning         bool     `yaml:"meaning" doc:"Also understand motions by meaning, with the built-in sentence encoder, when no phrase matches."`
	MeaningAtLeast  float64  `yaml:"meaning_at_least" doc:"How alike an utterance and a phrase have to be for that, 0 to 1 (cosine)."`

	Ack   RouterAck   `yaml:"ack"`
	Live  RouterLive  `yaml:"live"`
	Texts RouterTexts `yaml:"texts"`

	StopPhrases   []string            `yaml:"stop_phrases" doc:"Utterances that stop speech, thought and motion at once, as a whole and with politeness around them. Motion stays stopped until resume."`
	HushPhrases   []string            `yaml:"hush_phrases" doc:"Utterances that stop speech and thought in the same way, and let motion go on."`
	CancelPhrases []string            `yaml:"cancel_phrases" doc:"Utterances that end the present exchange only."`
	Commands      map[string][]string `yaml:"commands" shown:"see docs/dialogue.md" doc:"Motion: its phrases. An entry replaces the built-in phrases of that motion; resume lifts an emergency stop."`
}

// RouterAck is the answer to the wake word.
type RouterAck struct {
	Enabled bool     `yaml:"enabled" doc:"Answer the wake word."`
	Choices []string `yaml:"choices" doc:"What is answered, in turn."`
	Style   string   `yaml:"style" doc:"How."`
}

// RouterLive is live mode, in which everything is heard.
type RouterLive struct {
	Default      bool     `yaml:"default" doc:"Begin in live mode."`
	Limit        Duration `yaml:"limit" doc:"Live mode ends after that much silence."`
	EnterPhrase  string   `yaml:"enter_phrase" doc:"Utterance that begins it."`
	ExitPhrase   string   `yaml:"exit_phrase" doc:"Utterance that ends it."`
	EnterAck     string   `yaml:"enter_ack" doc:"What is said when it begins."`
	ExitAck      string   `yaml:"exit_ack" doc:"What is said when it ends."`
	ActiveHint   string   `yaml:"active_hint" doc:"What is said when it is on already."`
	InactiveHint string   `yaml:"inactive_hint" doc:"What is said when it is off already."`
}

// RouterTexts are what is said at events; empty: nothing.
type RouterTexts struct {
	Reprompt  string            `yaml:"reprompt" doc:"After the acknowledgement of the wake word; empty for nothing, as the next four."`
	Interrupt string            `yaml:"interrupt" doc:"When the robot is interrupted."`
	Resume    string            `yaml:"resume" doc:"When it goes on."`
	Cancel    string            `yaml:"cancel" doc:"When an exchange is cancelled."`
	Timeout   string            `yaml:"timeout" doc:"When nobody says anything after the wake word."`
	Greeting  string            `yaml:"greeting" doc:"Answer to a greeting."`
	Errors    map[string]string `yaml:"errors" shown:"in character" doc:"What is said when something fails: model_error, timeout, no_answer, no_model, busy, motion, stopped. An entry replaces the built-in text."`
}

func defaultRouter() Router {
	return Router{
		Announce: true, AnnounceText: "System online.",
		WakePhrases: []string{"hey tars"}, InlineWake: true,
		WakeWindow: Duration(8 * time.Second), ResponseWindow: Duration(10 * time.Second), InterruptWindow: Duration(4 * time.Second),
		ThinkLimit: Duration(45 * time.Second), StallLimit: Duration(20 * time.Second), SpeechLimit: Duration(10 * time.Second),
		Stream: true, BoundaryChars: ".!?;:", BoundaryOnly: true, MinChars: 60, MaxChars: 240, HardMaxChars: 2000, History: 10,
		Meaning: true, MeaningAtLeast: 0.7,
		Ack: RouterAck{Enabled: true, Choices: []string{"Hmm?", "Huh?", "Yes?"}, Style: "friendly"},
		Live: RouterLive{
			Limit: Duration(10 * time.Minute), EnterPhrase: "enter live mode", ExitPhrase: "exit live mode",
			EnterAck: "Live mode enabled.", ExitAck: "Live mode disabled.",
			ActiveHint: "Live mode is already active.", InactiveHint: "Live mode is already off.",
		},
		Texts: RouterTexts{Greeting: "Hello! How can I help?"},
		StopPhrases: []string{
			"stop", "stop it", "stop now", "stop that", "stop moving", "halt", "freeze", "emergency stop", "stop stop", "stop stop stop", "don't move",
		},
		HushPhrases:   []string{"be quiet", "quiet", "shut up", "silence", "hush", "stop talking", "stop speaking"},
		CancelPhrases: []string{"cancel", "cancel that", "never mind", "nevermind", "forget it", "forget about it"},
	}
}

func (r Router) check(key string, ps *Problems) {
	for _, d := range []struct {
		name string
		v    Duration
	}{
		{"wake_window", r.WakeWindow}, {"response_window", r.ResponseWindow}, {"interrupt_window", r.InterruptWindow}, {"think_limit", r.ThinkLimit},
		{"stall_limit", r.StallLimit}, {"speech_limit", r.SpeechLimit}, {"live.limit", r.Live.Limit},
	} {
		if d.v < Duration(time.Second) || d.v > Duration(time.Hour) {
			ps.add(key+"."+d.name, "", "%s is not from 1s to 1h: no state of the dialogue lasts for ever", d.v)
		}
	}
	if r.HardMaxChars < 40 {
		ps.add(key+".hard_max_chars", "", "%d is below 40", r.HardMaxChars)
	}
	if r.History < 0 || r.History > 200 {
		ps.add(key+".history", "", "%d is not from 0 to 200", r.History)
	}
	if r.MeaningAtLeast < 0 || r.MeaningAtLeast > 1 {
		ps.add(key+".meaning_at_least", "", "%v is not from 0 to 1", r.MeaningAtLeast)
	}
	if len(r.WakePhrases) == 0 {
		ps.add(key+".wake_phrases", "", "must name one at least")
	}
	if len(r.StopPhrases) == 0 {
		ps.add(key+".stop_phrases", "", "must name one at least: there has to be a word that stops the robot")
	}
}

// routerEnv are the reference's names.
var routerEnv = []legacy{
	{"ONLINE_ANNOUNCE", "router.announce", nil},
	{"ONLINE_ANNOUNCE_TEXT", "router.announce_text", nil},
	{"PIPER_VOICE", "router.voice", nil}, {"ROUTER_TTS_VOICE", "router.voice", nil},
	{"WAKE_PHRASES", "router.wake_phrases", barList}, {"ROUTER_WAKE_PHRASES", "router.wake_phrases", barList},
	{"ROUTER_WAKE_WINDOW_SEC", "router.wake_window", seconds},
	{"ROUTER_LLM_TTS_STREAM", "router.stream", nil},
	{"STREAM_MIN_CHARS", "router.min_chars", nil}, {"ROUTER_STREAM_MIN_CHARS", "router.min_chars", nil},
	{"STREAM_MAX_CHARS", "router.max_chars", nil}, {"ROUTER_STREAM_MAX_CHARS", "router.max_chars", nil},
	{"STREAM_BOUNDARY_CHARS", "router.boundary_chars", nil}, {"ROUTER_STREAM_BOUNDARY_CHARS", "router.boundary_chars", nil},
	{"ROUTER_STREAM_BOUNDARY_ONLY", "router.boundary_only", nil},
	{"ROUTER_STREAM_HARD_MAX_CHARS", "router.hard_max_chars", nil},
	{"ROUTER_WAKE_ACK_ENABLED", "router.ack.enabled", nil},
	{"ROUTER_WAKE_ACK_TEXT", "router.ack.choices", barList},
	{"WAKE_ACK_CHOICES", "router.ack.choices", barList}, {"ROUTER_WAKE_ACK_CHOICES", "router.ack.choices", barList},
	{"ROUTER_WAKE_ACK_STYLE", "router.ack.style", nil},
	{"ROUTER_WAKE_REPROMPT_TEXT", "router.texts.reprompt", nil},
	{"ROUTER_WAKE_INTERRUPT_TEXT", "router.texts.interrupt", nil},
	{"ROUTER_WAKE_RESUME_TEXT", "router.texts.resume", nil},
	{"ROUTER_WAKE_CANCEL_TEXT", "router.texts.cancel", nil},
	{"ROUTER_WAKE_TIMEOUT_TEXT", "router.texts.timeout", nil},
	{"ROUTER_LIVE_MODE_DEFAULT", "router.live.default", nil},
	{"ROUTER_LIVE_MODE_ENTER_PHRASE", "router.live.enter_phrase", nil},
	{"ROUTER_LIVE_MODE_EXIT_PHRASE", "router.live.exit_phrase", nil},
	{"ROUTER_LIVE_MODE_ENTER_ACK", "router.live.enter_ack", nil},
	{"ROUTER_LIVE_MODE_EXIT_ACK", "router.live.exit_ack", nil},
	{"ROUTER_LIVE_MODE_ACTIVE_HINT", "router.live.active_hint", nil},
	{"ROUTER_LIVE_MODE_INACTIVE_HINT", "router.live.inactive_hint", nil},
}
