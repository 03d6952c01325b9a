package screen

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/x/ansi"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tarsd/tarsd/internal/inspect"
	"github.com/tarsd/tarsd/internal/inspect/feed"
)

var update = flag.Bool("update", false, "write the golden screens anew")

var t0 = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)

// at is a message after some milliseconds.
func at(ms int, topic, payload string, props ...inspect.Prop) inspect.Message {
	return inspect.Message{Topic: topic, Payload: []byte(payload), At: t0.Add(time.Duration(ms) * time.Millisecond), Props: props}
}

func kept(ms int, topic, payload string) inspect.Message {
	m := at(ms, topic, payload)
	m.Retain = true
	return m
}

// robot is a model in which something of everything happened, 30 s long.
func robot() *inspect.Model {
	m := inspect.New(inspect.DefaultLimits())
	turn := inspect.Prop{Key: "turn", Value: "w1"}
	for _, msg := range []inspect.Message{
		kept(0, "$SYS/broker/version", "tarsd version 1.0.0"),
		kept(0, "$SYS/broker/publish/messages/dropped", "12"),
		kept(0, "$SYS/tarsd/dropped/queue full", "12"),
		kept(0, "system/health/stt", `{"id":"1","type":"health.status","ts":1,"source":"stt","data":{"ok":true,"event":"ready","timestamp":1795521600}}`),
		kept(0, "system/health/wake", `{"ok":false,"event":"error","err":"no microphone","timestamp":1795521500}`),
		at(1000, "$SYS/tarsd/audit", `{"event":"connect","client":"porch","user":"mic","remote":"192.168.1.9:50122","listener":"tcp://:1883"}`),
		at(1500, "$SYS/tarsd/audit", `{"event":"drop","client":"porch","topic":"audio/out/porch","reason":"queue full","count":12}`),
		at(2000, "wake/event", `{"id":"w1","type":"wake.event","ts":1,"source":"wake","data":{"type":"wake"}}`),
		at(3500, "stt/partial", `{"id":"p","type":"x","data":{"text":"what"}}`, turn),
		at(4100, "stt/final", `{"id":"f1","type":"x","data":{"text":"what time is it"}}`, turn),
		at(4500, "llm/stream", `{"id":"f1","type":"x","data":{"id":"f1","delta":"It is noon.","provider":"offline"}}`, turn),
		at(4550, "tts/say", `{"id":"s","type":"x","source":"router","data":{"text":"It is noon."}}`, turn),
		at(4800, "tts/status", `{"event":"speaking_start","text":"It is noon."}`, turn),
		at(6000, "tts/status", `{"event":"speaking_end","text":"It is noon."}`, turn),
		at(7000, "tts/say", `{"txt":"oops"}`),
		kept(8000, "house/kitchen/temp", `{"v":20.5,"unit":"C"}`),
		kept(9000, "house/kitchen/temp", `{"v":21,"unit":"C","ok":true}`),
		at(9000, "house/cam", "\xff\xd8\xff\x00binary"),
		at(9500, "evil\x1b[31m/\u202etopic", "\x1b]0;title\a"),
		at(9600, "wide/漢字漢字漢字漢字漢字漢字漢字漢字", "漢字"),
	} {
		m.Add(msg)
	}
	for i := range 200 {
		m.Add(at(20_000+i*40, "house/meter", fmt.Sprintf(`{"w":%d}`, i)))
	}
	return m
}

// newState is a state of that size which is connected.
func newState(w, h int) *State {
	s := NewState()
	s.W, s.H = w, h
	s.Status = feed.Status{Where: "tcp://127.0.0.1:1883", Connected: true}
	return s
}

var now = t0.Add(30 * time.Second)

// press sends keys, by their names; a word in quotes is typed.
func press(t *testing.T, s *State, m *inspect.Model, keys ...string) action {
	t.Helper()
	var act action
	for _, k := range keys {
		if word, is := strings.CutPrefix(k, "'"); is {
			for _, r := range word {
				act = s.key(m, tea.KeyPressMsg{Code: r, Text: string(r)}, now)
			}
			continue
		}
		act = s.key(m, keyOf(k), now)
		Draw(m, s, now) // as the program does after each key
	}
	return act
}

func keyOf(name string) tea.KeyPressMsg {
	code, ok := map[string]rune{
		"up": tea.KeyUp, "down": tea.KeyDown, "left": tea.KeyLeft, "right": tea.KeyRight, "enter": tea.KeyEnter, "esc": tea.KeyEscape,
		"tab": tea.KeyTab, "end": tea.KeyEnd, "home": tea.KeyHome, "pgdown": tea.KeyPgDown, "delete": tea.KeyDelete,
	}[name]
	switch {
	case ok:
		return tea.KeyPressMsg{Code: code}
	case name == "space":
		return tea.KeyPressMsg{Code: tea.KeySpace, Text: " "}
	case name == "ctrl+c":
		return tea.KeyPressMsg{Code: 'c', Mod: tea.ModCtrl}
	}
	return tea.KeyPressMsg{Code: rune(name[0]), Text: name}
}

// screens are the golden ones: keys that lead there, and the size.
func screens() map[string]struct {
	w, h int
	keys []string
} {
	return map[string]struct {
		w, h int
		keys []string
	}{
		"start":       {80, 24, nil},
		"unfolded":    {80, 24, []string{"/", "'kitchen", "enter", "o"}},
		"value":       {80, 24, []string{"/", "'temp", "enter", "d"}},
		"value-wide":  {140, 34, []string{"/", "'temp", "enter", "d"}},
		"narrow":      {50, 16, []string{"/", "'temp", "enter", "tab"}},
		"hex":         {80, 24, []string{"/", "'cam", "enter"}},
		"filter":      {80, 24, []string{"f", "'house/+", "enter"}},
		"hostile":     {80, 24, []string{"/", "'evil", "enter", "x"}},
		"paused":      {80, 24, []string{"space"}},
		"turns":       {80, 24, []string{"t"}},
		"turns-wide":  {140, 34, []string{"t"}},
		"clients":     {80, 24, []string{"c"}},
		"health":      {80, 24, []string{"h"}},
		"problems":    {80, 24, []string{"v"}},
		"help":        {80, 24, []string{"?"}},
		"publish":     {80, 24, []string{"/", "'tts/say", "enter", "p", "enter", "'!", "enter"}},
		"clear":       {80, 24, []string{"/", "'system", "enter", "left", "D"}},
		"clear-one":   {80, 24, []string{"/", "'temp", "enter", "D"}},
		"small":       {40, 10, nil},
		"too-small":   {30, 9, nil},
		"turns-small": {40, 10, []string{"t"}},
	}
}

func TestGolden(t *testing.T) {
	t.Parallel()
	for name, tt := range screens() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m, s := robot(), newState(tt.w, tt.h)
			Draw(m, s, now)
			press(t, s, m, tt.keys...)
			got := ansi.Strip(Draw(m, s, now))
			for i, line := range strings.Split(got, "\n") {
				assert.Equal(t, tt.w, ansi.StringWidth(line), "width of line %d: %q", i, line)
			}
			assert.Equal(t, got, ansi.Strip(Draw(m, s, now)), "drawing changes nothing")
			lines := strings.Split(got, "\n")
			for i := range lines {
				lines[i] = strings.TrimRight(lines[i], " ")
			}
			got = strings.Join(lines, "\n") + "\n"
			file := filepath.Join("testdata", name+".txt")
			if *update {
				require.NoError(t, os.WriteFile(file, []byte(got), 0o644)) //nolint:gosec // a file of the tree
			}
			want, err := os.ReadFile(file)
			require.NoError(t, err)
			assert.Equal(t, string(want), got)
		})
	}
}

// Whatever the size and the screen, the lines fit; and a window that is resized while something is open
// draws as one that had the size before.
func TestSizes(t *testing.T) {
	t.Parallel()
	m := robot()
	for w := minW; w < 180; w += 19 {
		for h := minH; h < 50; h += 9 {
			for _, k := range []string{"", "t", "c", "h", "v", "?", "tab", "p", "D", "f"} {
				s := newState(80, 24)
				Draw(m, s, now)
				if k != "" {
					press(t, s, m, "/", "'temp", "enter", k)
				}
				s.W, s.H = w, h
				lines := strings.Split(Draw(m, s, now), "\n")
				require.Len(t, lines, h, "%dx%d %s", w, h, k)
				for _, l := range lines {
					require.Equal(t, w, ansi.StringWidth(l), "%dx%d %s: %q", w, h, k, l)
				}
			}
		}
	}
}

// What comes from outside never reaches the terminal as it is.
func TestNoEscapesGetThrough(t *testing.T) {
	t.Parallel()
	m, bad := robot(), "\x1b]0;x\a\u202e\x9b31m"
	m.Add(kept(0, bad, bad))
	m.Add(kept(0, "system/health/"+bad, `{"ok":false,"event":"\u001b]0;x","err":"\u001b]0;x"}`))
	m.Add(at(0, "tts/say", `{"id":"\u001b]0;x","type":"t","source":"\u001b]0;x","data":{"\u001b]0;x":1}}`, inspect.Prop{Key: bad, Value: bad}))
	m.Add(at(0, "dialogue/text", `{"id":"\u001b]0;x","type":"t","data":{"text":"\u001b]0;x"}}`, inspect.Prop{Key: "origin", Value: bad}))
	m.SetClients(inspect.Clients{Clients: []inspect.Client{{ID: bad, User: bad, Remote: bad, Listener: bad, Dropped: 1}}}, now)
	for _, keys := range [][]string{
		nil, {"t"}, {"c"}, {"h"}, {"v"}, {"end", "o"}, {"f", "'x", "enter"}, {"/", "'" + bad, "enter"}, {"/", "']0", "enter", "D"}, {"/", "'tts/say", "enter"}, {"/", "']0", "enter", "p", "enter", "enter"},
	} {
		s := newState(120, 40)
		s.Status.Where, s.Status.Problem = bad, bad
		s.keeper = feed.Keeper{Topic: bad, From: bad}
		Draw(m, s, now)
		press(t, s, m, keys...)
		s.keeper = feed.Keeper{Topic: bad, From: bad}
		text := Draw(m, s, now)
		for _, no := range []string{"\x1b]", "\a", "\u202e", "\x9b"} {
			assert.NotContains(t, text, no, "%v", keys)
		}
	}
}

// Without colours what matters is still to be seen: the selected row is reversed.
func TestSelectionNeedsNoColour(t *testing.T) {
	t.Parallel()
	m, s := robot(), newState(80, 24)
	first := strings.Split(Draw(m, s, now), "\n")[headRows]
	assert.True(t, strings.HasPrefix(first, "\x1b[7m"), "%q", first)
}

func TestLightBackground(t *testing.T) {
	t.Parallel()
	m, s := robot(), newState(80, 24)
	s.view = viewProblems
	dark := Draw(m, s, now)
	s.Dark = false
	light := Draw(m, s, now)
	assert.Contains(t, dark, "\x1b[33m")
	assert.NotContains(t, light, "\x1b[33m", "yellow on white cannot be read")
}

func BenchmarkDraw(b *testing.B) {
	m, s := robot(), newState(120, 40)
	for i := range 5000 {
		m.Add(at(0, fmt.Sprintf("many/%d/%d", i%50, i), "x"))
	}
	s.fold(m.Root, true)
	b.ReportAllocs()
	for b.Loop() {
		m.Add(at(0, "many/1/1", "x"))
		Draw(m, s, now)
	}
}
