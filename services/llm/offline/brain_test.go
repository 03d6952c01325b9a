package offline

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tarsd/tarsd/services/llm/chat"
)

var now = time.Date(2026, 11, 24, 15, 8, 0, 0, time.UTC) // a Tuesday

func plainScene() Scene {
	return Scene{
		Now: now, Started: now.Add(-90 * time.Minute), Robot: "TARS",
		Traits:   map[string]float64{"humor": 20, "verbosity": 50, "formality": 20, "emotional_stability": 100},
		Parts:    []Part{{Name: "camera", OK: true}, {Name: "memory", OK: true}},
		Commands: []string{"step_forward", "turn_left", "wave"},
		Tools:    []string{"walk", "look"},
	}
}

func brain(change ...func(*Scene)) *Brain {
	return New(func() Scene {
		s := plainScene()
		for _, f := range change {
			f(&s)
		}
		return s
	})
}

func TestSmallTalk(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"what time is it":                "It is 3:08 PM.",
		"Hello, what time is it, TARS?":  "It is 3:08 PM.",
		"Tell me the time, please.":      "It is 3:08 PM.",
		"What's the date?":               "It is Tuesday, 24 November 2026.",
		"what day is it today":           "It is Tuesday, 24 November 2026.",
		"What year is it?":               "It is 2026.",
		"two plus two":                   "That is 4.",
		"1 / 0":                          "That is not defined. Not even for me.",
		"Hello!":                         "Hello. What can I do for you?",
		"hey tars":                       "Hello. What can I do for you?",
		"...":                            "I am listening.",
		"how are you":                    "I am fine, thank you.",
		"status report":                  "All 2 of my parts work.",
		"How is your battery?":           "I have no reading of my battery.",
		"how long have you been running": "I have been awake for one hour.",
		"what can you do": "I can tell the time, do sums, report how I am, and answer from my memory. I know 3 moves, such as step forward, turn left and wave." +
			" With my language model I could also use 2 tools, such as walk and look.",
		"What is your humor setting?":                 "My humor is at 20 percent.",
		"your emotional stability level":              "My emotional stability is at 100 percent.",
		"who are you":                                 "I am TARS, your robot. My language model is out, so I answer from what I have on board.",
		"thank you very much":                         "You are welcome.",
		"remember that my brother lives in london":    "I will remember that.",
		"please remember that the key is in the shed": "I will remember that.",
		"My brother lives in London.":                 "I will remember that.",
		"I like pizza":                                "I will remember that.",
		"are you there?":                              "Yes, I hear you.",
		"good night":                                  "Goodbye.",
	} {
		got, known := brain().Reply(text, nil)
		assert.Equal(t, want, got, text)
		assert.True(t, known, text)
	}
}

func TestHonestWhenItDoesNotKnow(t *testing.T) {
	t.Parallel()
	for _, text := range []string{
		"what is the capital of france", "where does my brother live", "what time is my appointment", "what day did I say",
		"do you remember the time we met", "my brother lives where?", "my dear", "were you there that day", "what is your shoe size setting", strings.Repeat("long ", 10_000), "\xff\xfe",
	} {
		got, known := brain().Reply(text, nil)
		if text == "\xff\xfe" {
			assert.Equal(t, "I am listening.", got)
			continue
		}
		assert.False(t, known, text)
		assert.Equal(t, "I do not know. My language model is not set up, and I find nothing in my memory that fits.", got)
	}
	got, _ := brain(func(s *Scene) { s.Model = "gpt" }).Reply("what is love", nil)
	assert.Equal(t, "I do not know. I cannot reach my language model, and I find nothing in my memory that fits.", got)
}

func TestTraitsChangeTheWords(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		traits map[string]float64
		want   []string
	}{
		"plain":        {nil, []string{"You are welcome.", "You are welcome."}},
		"humor":        {map[string]float64{"humor": 90}, []string{"You are welcome. I will add it to your bill.", "You are welcome."}},
		"formal":       {map[string]float64{"formality": 80, "humor": 90}, []string{"You are most welcome.", "You are most welcome."}},
		"few words":    {map[string]float64{"verbosity": 10}, []string{"You are welcome.", "You are welcome."}},
		"out of range": {map[string]float64{"humor": 1e9, "formality": -5}, []string{"You are welcome. I will add it to your bill.", "You are welcome."}},
	} {
		b := brain(func(s *Scene) { s.Traits = c.traits })
		for i, want := range c.want {
			got, _ := b.Reply("thank you", nil)
			assert.Equal(t, want, got, "%s, question %d", name, i)
		}
	}
	terse := brain(func(s *Scene) { s.Traits = map[string]float64{"verbosity": 10} })
	got, _ := terse.Reply("hello", nil)
	assert.Equal(t, "Hello.", got)
	grave := brain(func(s *Scene) { s.Traits = map[string]float64{"humor": 0} })
	got, _ = grave.Reply("tell me a joke", nil)
	assert.Equal(t, "I am set not to joke.", got)
}

func TestStatus(t *testing.T) {
	t.Parallel()
	broken := func(s *Scene) {
		s.Parts = []Part{{Name: "camera", Err: "no such device"}, {Name: "memory", OK: true}, {Name: "speech"}}
		s.Battery = Battery{Low: true, Detail: "6.4 volts", At: now.Add(-time.Minute)}
		s.Model = "gpt"
	}
	for text, want := range map[string]string{
		"status":                  "1 of my 3 parts work. The camera does not work: no such device. The speech does not work. My battery is low. I cannot reach my language model.",
		"how is your battery":     "My battery is low. The last report, from today at 3:07 PM, says: 6.4 volts.",
		"remember that I like it": "I will remember that.",
	} {
		got, _ := brain(broken).Reply(text, nil)
		assert.Equal(t, want, got)
	}
	got, _ := brain(broken).Reply("how are you", nil)
	assert.True(t, strings.HasPrefix(got, "I have been better. "), got)
	got, _ = brain(func(s *Scene) { s.Parts = nil }).Reply("status", nil)
	assert.Equal(t, "I hear nothing from my parts, so I cannot tell.", got)
	got, _ = brain(func(s *Scene) { s.Parts = nil }).Reply("remember that I like it", nil)
	assert.Equal(t, "My memory is not running, so I cannot keep that.", got)
}

func TestMemoryNamesItsSource(t *testing.T) {
	t.Parallel()
	brother := chat.Note{Text: "my brother lives in london", Speaker: chat.User, At: now.Add(-26 * time.Hour)}
	for name, c := range map[string]struct {
		text  string
		notes []chat.Note
		want  string // empty: not known
	}{
		"said by the user": {"where does my brother live?", []chat.Note{brother}, "You told me yesterday: my brother lives in london."},
		"the question itself comes first": {"where does my brother live?", []chat.Note{
			{Text: "Where does my brother live?", Speaker: chat.User, At: now}, {Text: "do you know where my brother lives?", At: now}, brother,
		}, "You told me yesterday: my brother lives in london."},
		"said by the robot": {"what is the wifi password", []chat.Note{{Text: "The wifi password is swordfish!", Speaker: chat.Assistant, At: now.Add(-time.Hour)}},
			"I said today at 2:08 PM: The wifi password is swordfish!"},
		"nobody knows who": {"what food do I like", []chat.Note{{Text: "user likes pepperoni as food", At: now.AddDate(-1, 0, 0)}},
			"My memory says, from 24 November 2025: user likes pepperoni as food."},
		"nobody knows when": {"what food do I like", []chat.Note{{Text: "user likes pepperoni as food"}}, "My memory says: user likes pepperoni as food."},
		"name":              {"what is my name", []chat.Note{{Text: "My name is Bob.", Speaker: chat.User, At: now.AddDate(0, 0, -3)}}, "You told me on Saturday: My name is Bob."},
		"the better one":    {"where did I put the red key", []chat.Note{{Text: "the key is gone", Speaker: chat.User}, {Text: "the red key is in the shed", Speaker: chat.User}}, "You told me: the red key is in the shed."},
		"something else":    {"where does my brother live", []chat.Note{{Text: "my sister likes pizza", Speaker: chat.User}}, ""},
		"another question":  {"where does my brother live", []chat.Note{{Text: "why does my brother live in london", Speaker: chat.User}}, ""},
		"nothing new in it": {"where does my brother live", []chat.Note{{Text: "my brother, he lives", Speaker: chat.User}}, ""},
		"nothing to go by":  {"what is it", []chat.Note{brother}, ""},
	} {
		got, known := brain().Reply(c.text, c.notes)
		if c.want == "" {
			assert.False(t, known, "%s: %s", name, got)
			continue
		}
		assert.Equal(t, c.want, got, name)
	}
	long, _ := brain().Reply("where does my brother live", []chat.Note{{Text: "my brother lives " + strings.Repeat("ä", 5000)}})
	assert.Less(t, len(long), 400)
}

func TestCompleteSaysSentences(t *testing.T) {
	t.Parallel()
	var said []string
	a, err := brain().Complete(t.Context(), chat.Request{Question: "what can you do"}, func(s string) error {
		said = append(said, s)
		return nil
	})
	require.NoError(t, err)
	assert.Len(t, said, 3)
	assert.Equal(t, a.Text, strings.Join(said, ""))

	ctx, cancel := context.WithCancel(t.Context())
	a, err = brain().Complete(ctx, chat.Request{Question: "what can you do"}, func(string) error { cancel(); return nil })
	require.ErrorIs(t, err, context.Canceled)
	assert.Equal(t, said[0], a.Text)
}

func FuzzReply(f *testing.F) {
	f.Add("where does my brother live", "my brother lives in london")
	f.Add("hey hey hey tars tars", "?")
	f.Fuzz(func(t *testing.T, text, note string) {
		got, _ := brain().Reply(text, []chat.Note{{Text: note, At: now}})
		assert.NotEmpty(t, got)
		assert.Less(t, len(got), 1000)
		assert.Equal(t, got, strings.Join(sentences(got), ""))
	})
}
