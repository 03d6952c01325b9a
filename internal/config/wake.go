package config

import (
	"time"
)

// Wake is what hears the wake word.
type Wake struct {
	Head            string   `yaml:"head" shown:"the built-in one, \"hey tars\"" doc:"File of a wake word head, made by tarsd wake train."`
	Threshold       float64  `yaml:"threshold" shown:"the head's own" doc:"Score, 0 to 1, from which on the wake word counts as heard; 0 is the one that the head was made with. Lower hears more, and more that is none."`
	Faint           float64  `yaml:"faint" doc:"Factor of the threshold for a faint voice in a quiet room, 0.1 to 1; 1 for none."`
	VADThreshold    float64  `yaml:"vad_threshold" doc:"How sure the voice detector must be that somebody speaks, 0 to 1; 0 does not ask it."`
	Retrigger       Duration `yaml:"retrigger" doc:"After the wake word there is no other for that long."`
	EnergyWindow    Duration `yaml:"energy_window" doc:"Over which the loudness is measured that is reported with the wake word."`
	EnergyBoost     float64  `yaml:"energy_boost" doc:"Factor of that loudness."`
	IdleTimeout     Duration `yaml:"idle_timeout" doc:"How long is waited for somebody to speak after the wake word, from the end of speech on; the microphone is opened for that long."`
	InterruptWindow Duration `yaml:"interrupt_window" doc:"The same after a wake word over the robot's own speech, which is paused meanwhile."`
	SpeechLimit     Duration `yaml:"speech_limit" doc:"How long somebody may speak before the wait ends all the same."`
	OwnVoice        float64  `yaml:"own_voice" doc:"How alike what is heard and what is being played may be, 0 to 1, before the wake word must be more certain."`
	Scores          bool     `yaml:"scores" doc:"Publish what the detector thinks of each 80 ms, for the page's graph."`
	Rest            bool     `yaml:"rest" doc:"Let the detector rest while nothing is louder than the room."`
}

func defaultWake() Wake {
	return Wake{
		Faint: 0.8, Retrigger: Duration(time.Second), EnergyWindow: Duration(750 * time.Millisecond), EnergyBoost: 1,
		IdleTimeout: Duration(8 * time.Second), InterruptWindow: Duration(2500 * time.Millisecond), SpeechLimit: Duration(15 * time.Second),
		OwnVoice: 0.5, Scores: true, Rest: true,
	}
}

func (w Wake) check(key string, ps *Problems) {
	for _, f := range []struct {
		name          string
		v, least, top float64
	}{
		{"threshold", w.Threshold, 0, 1}, {"faint", w.Faint, 0.1, 1}, {"vad_threshold", w.VADThreshold, 0, 1},
		{"energy_boost", w.EnergyBoost, 0.1, 100}, {"own_voice", w.OwnVoice, 0, 1},
	} {
		if !(f.v >= f.least && f.v <= f.top) {
			ps.add(key+"."+f.name, "", "%g is not from %g to %g", f.v, f.least, f.top)
		}
	}
	for _, d := range []struct {
		name          string
		v, least, top Duration
	}{
		{"retrigger", w.Retrigger, 0, Duration(time.Minute)}, {"energy_window", w.EnergyWindow, Duration(80 * time.Millisecond), Duration(10 * time.Second)},
		{"idle_timeout", w.IdleTimeout, Duration(500 * time.Millisecond), Duration(time.Hour)},
		{"interrupt_window", w.InterruptWindow, Duration(100 * time.Millisecond), Duration(time.Minute)},
		{"speech_limit", w.SpeechLimit, Duration(time.Second), Duration(5 * time.Minute)},
	} {
		if d.v < d.least || d.v > d.top {
			ps.add(key+"."+d.name, "", "%s is not from %s to %s", d.v, d.least, d.top)
		}
	}
}

// wakeEnv are the reference's names. Its model files are of another kind, and its topics are not for change.
var wakeEnv = []legacy{
	{"WAKE_DETECTION_THRESHOLD", "wake.threshold", nil},
	{"WAKE_MIN_RETRIGGER_SEC", "wake.retrigger", seconds},
	{"WAKE_INTERRUPT_WINDOW_SEC", "wake.interrupt_window", seconds},
	{"WAKE_IDLE_TIMEOUT_SEC", "wake.idle_timeout", seconds},
	{"WAKE_DETECTION_WINDOW_MS", "wake.energy_window", func(v string) string { return v + "ms" }},
	{"WAKE_VAD_THRESHOLD", "wake.vad_threshold", nil},
	{"WAKE_ENERGY_BOOST_FACTOR", "wake.energy_boost", nil},
	{"WAKE_LOW_ENERGY_THRESHOLD_FACTOR", "wake.faint", nil},
}
