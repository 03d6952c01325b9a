package router

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestWakePhraseIsStripped(t *testing.T) {
	t.Parallel()
	phrases := []string{"hey tars", "okay tars"}
	for text, want := range map[string]string{
		"Hey Tars what time is it":    "what time is it",
		"hey, TARS! What time is it?": "What time is it?",
		"  Hey tars,  stop":           "stop",
		"okay Tars: turn left":        "turn left",
		"hey tars":                    "",
	} {
		rest, found := stripWake(text, phrases)
		assert.True(t, found, text)
		assert.Equal(t, want, rest, text)
	}
	for _, text := range []string{"hey tarsier look", "say hey tars", "hey", "", "heytars go"} {
		rest, found := stripWake(text, phrases)
		assert.False(t, found, text)
		assert.Equal(t, text, rest)
	}
}

func TestCommandsAreWholeUtterances(t *testing.T) {
	t.Parallel()
	o := Defaults()
	commands := newTable(o.Commands)
	for text, want := range map[string]string{
		"turn left":                              "turn_left",
		"Turn left, please.":                     "turn_left",
		"Could you please turn to the left?":     "turn_left",
		"please wave your hand":                  "wave",
		"take a bow":                             "bow",
		"Tars, strike a pose now":                "pose",
		"walk forward slowly":                    "step_forward",
		"drop the mic":                           "mic_drop",
		"do the monster":                         "monster",
		"can you laugh for me":                   "laugh",
		"now pose":                               "now",
		"you can move again":                     "resume",
		"turn off the lights":                    "",
		"what is my bank balance":                "",
		"do you know the microwave":              "",
		"I suppose so":                           "",
		"there is a rainbow over my elbow":       "",
		"when did the world stop turning left":   "",
		"now":                                    "",
		"turn":                                   "",
		"tell me a story about a monster":        "",
		"what does it mean to disable an alarm":  "",
		"is it true that a wave has a frequency": "",
	} {
		name, _ := commands.match(words(text))
		assert.Equal(t, want, name, text)
	}
	_, speed := commands.match(words("please turn left slowly"))
	assert.InDelta(t, 0.3, speed, 1e-9)
}

func TestStopWords(t *testing.T) {
	t.Parallel()
	o := Defaults()
	stops := newTable(map[string][]string{"stop": o.StopPhrases})
	for text, want := range map[string]bool{
		"stop": true, "Stop!": true, "Stop, stop, stop!": true, "please stop": true, "tars stop": true, "stop moving": true, "halt": true,
		"be quiet please": false, "stop talking": false, "silence": false,
		"when does the bus stop": false, "stop by the shop on your way": false, "the stop sign": false, "don't stop": false,
	} {
		name, _ := stops.match(words(text))
		assert.Equal(t, want, name != "", text)
	}
}

func TestTraits(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]struct {
		trait string
		value int
	}{
		"set humour to 75 percent":                     {"humor", 75},
		"set your humor to seventy five percent":       {"humor", 75},
		"Set the honesty level to 95%":                 {"honesty", 95},
		"humor 60 percent":                             {"humor", 60},
		"lower your sarcasm to thirty":                 {"sarcasm", 30},
		"set emotional stability to one hundred":       {"emotional_stability", 100},
		"set your humor setting to 0 percent":          {"humor", 0},
		"set a timer to 20":                            {"a_timer", 20}, // the persona decides whether it has that
		"humor is important to 20 percent of all":      {},
		"set humor to 175 percent":                     {},
		"what is 20 percent of 50":                     {},
		"set the alarm clock of my brother to 7 today": {},
	} {
		trait, value, ok := traitOf(words(text))
		assert.Equal(t, want.trait != "", ok, text)
		if ok {
			assert.Equal(t, want.trait, trait, text)
			assert.Equal(t, want.value, value, text)
		}
	}
}

func FuzzWords(f *testing.F) {
	f.Add("Hey, TARS: it's 3.5% — no?")
	f.Fuzz(func(t *testing.T, text string) {
		for _, w := range words(text) {
			if w == "" {
				t.Fatal("an empty word")
			}
		}
		stripWake(text, []string{"hey tars"})
		core(words(text))
	})
}
