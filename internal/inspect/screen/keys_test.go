package screen

import (
	"fmt"
	"testing"

	tea "charm.land/bubbletea/v2"
	"github.com/charmbracelet/x/ansi"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tarsd/tarsd/internal/inspect"
)

// begin is the robot on a screen of 80 by 24.
func begin() (*inspect.Model, *State) {
	m, s := robot(), newState(80, 24)
	Draw(m, s, now)
	return m, s
}

func shown(m *inspect.Model, s *State) string { return ansi.Strip(Draw(m, s, now)) }

func TestTreeKeys(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		keys []string
		want string // the selected path
		open int
	}{
		"start":             {nil, "evil\x1b[31m", 0},
		"down":              {[]string{"down", "down"}, "llm", 0},
		"past the end":      {[]string{"end", "down"}, "$SYS", 0},
		"home":              {[]string{"end", "home"}, "evil\x1b[31m", 0},
		"page":              {[]string{"pgdown"}, "$SYS", 0},
		"right unfolds":     {[]string{"down", "right", "down", "down"}, "house/kitchen", 1},
		"left folds":        {[]string{"down", "right", "left"}, "house", 0},
		"left goes up":      {[]string{"down", "right", "down", "left"}, "house", 1},
		"left at the top":   {[]string{"down", "left", "left"}, "house", 0},
		"enter":             {[]string{"down", "enter"}, "house", 1},
		"enter again":       {[]string{"down", "enter", "enter"}, "house", 0},
		"all below":         {[]string{"down", "o"}, "house", 2},
		"none below":        {[]string{"down", "o", "O"}, "house", 0},
		"search":            {[]string{"/", "'TEMP", "enter"}, "house/kitchen/temp", 3},
		"search by payload": {[]string{"/", "'noon", "enter"}, "llm/stream", 2},
		"next":              {[]string{"/", "'noon", "enter", "n"}, "tts/status", 3},
		"next of all":       {[]string{"/", "'noon", "enter", "n", "n"}, "llm/stream", 3},
		"previous":          {[]string{"/", "'noon", "enter", "N"}, "tts/status", 3},
		"nothing found":     {[]string{"down", "/", "'nowhere", "enter"}, "house", 0},
		"search given up":   {[]string{"down", "/", "'temp", "esc", "n"}, "house", 0},
		"filter":            {[]string{"end", "f", "'kitchen", "enter"}, "house/kitchen/temp", 0},
		"filter ended":      {[]string{"f", "'kitchen", "enter", "esc", "end"}, "$SYS", 0},
		"j and k":           {[]string{"j", "j", "k"}, "house", 0},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m, s := begin()
			press(t, s, m, tt.keys...)
			require.NotNil(t, s.selected)
			assert.Equal(t, tt.want, s.selected.Path)
			assert.Len(t, s.open, tt.open)
		})
	}
}

func TestHistoryKeys(t *testing.T) {
	t.Parallel()
	m, s := begin()
	press(t, s, m, "/", "'meter", "enter", "tab", "tab", "down", "down")
	assert.Equal(t, `{"w":197}`, string(s.entry().Payload))
	m.Add(at(29_000, "house/meter", `{"w":"new"}`))
	assert.Contains(t, shown(m, s), "older: ", "it stays where somebody looks")
	assert.Equal(t, `{"w":197}`, string(s.entry().Payload))
	press(t, s, m, "home")
	assert.Equal(t, `{"w":"new"}`, string(s.entry().Payload))
	m.Add(at(29_500, "house/meter", `{"w":"newer"}`))
	assert.Equal(t, `{"w":"newer"}`, string(s.entry().Payload), "the newest follows")
	press(t, s, m, "end")
	assert.Equal(t, m.Topic("house/meter").History()[0], s.entry())
	for i := range 100 {
		m.Add(at(29_600, "house/meter", fmt.Sprint(i)))
	}
	assert.Equal(t, "99", string(s.entry().Payload), "what is gone gives way to the newest")
	press(t, s, m, "esc", "esc")
	assert.Equal(t, paneTree, s.focus)
}

func TestValueKeys(t *testing.T) {
	t.Parallel()
	m, s := begin()
	m.Add(at(0, "long", "1\n2\n3\n4\n5\n6\n7\n8\n9\n10\n11\n12\n13\n14\n15\n16\n17\n18\n19\n20\n21\n22\n23\n24\n25\n26\n27\n28\n29\n30"))
	press(t, s, m, "/", "'long", "enter", "enter", "pgdown")
	assert.NotContains(t, shown(m, s), "│1  ")
	assert.Contains(t, shown(m, s), "│25 ")
	press(t, s, m, "end")
	assert.Contains(t, shown(m, s), "│30 ")
	press(t, s, m, "home", "x")
	assert.Contains(t, shown(m, s), "│0000  31 0a 32 0a")
}

func TestViews(t *testing.T) {
	t.Parallel()
	m, s := begin()
	for key, want := range map[string]view{"t": viewTurns, "c": viewClients, "h": viewHealth, "v": viewProblems, "?": viewHelp} {
		press(t, s, m, key)
		assert.Equal(t, want, s.view)
		press(t, s, m, key)
		assert.Equal(t, viewTopics, s.view, "again goes back")
		press(t, s, m, key, "esc")
		assert.Equal(t, viewTopics, s.view)
	}
	press(t, s, m, "space")
	on, _ := m.Paused()
	assert.True(t, on)
	press(t, s, m, "space")
	on, _ = m.Paused()
	assert.False(t, on)
	assert.True(t, press(t, s, m, "q").quit)
	assert.True(t, press(t, s, m, "f", "ctrl+c").quit)
}

// A turn that was chosen stays chosen while new ones come; the newest follows.
func TestTurnsStay(t *testing.T) {
	t.Parallel()
	m, s := begin()
	typed := func(id string) {
		m.Add(at(29_000, "dialogue/text", `{"id":"`+id+`","type":"t","data":{"text":"say `+id+`"}}`))
	}
	typed("t2")
	press(t, s, m, "t")
	assert.Contains(t, shown(m, s), "turn t2")
	assert.Regexp(t, `first token +… 1000 ms`, shown(m, s), "it goes on")
	typed("t3")
	assert.Contains(t, shown(m, s), "turn t3")
	press(t, s, m, "down")
	typed("t4")
	assert.Contains(t, shown(m, s), "turn t2")
	press(t, s, m, "end")
	assert.Contains(t, shown(m, s), "turn w1")
	press(t, s, m, "home")
	typed("t5")
	assert.Contains(t, shown(m, s), "turn t5")
}

func TestPublish(t *testing.T) {
	t.Parallel()
	m, s := begin()
	act := press(t, s, m, "/", "'temp", "enter", "p", "enter", "enter", "r", "1", "y")
	assert.Equal(t, []outgoing{{"house/kitchen/temp", []byte(`{"v":21,"unit":"C","ok":true}`), 1, true}}, act.send, "the newest value is the template")
	assert.Nil(t, s.input)

	act = press(t, s, m, "p", "'/a", "enter", "'hello", "enter", "y")
	assert.Equal(t, []outgoing{{"house/kitchen/temp/a", []byte("hello"), 0, false}}, act.send)

	for _, keys := range [][]string{{"n"}, {"esc"}, {"q"}} {
		act = press(t, s, m, append([]string{"p", "enter", "enter"}, keys...)...)
		assert.Empty(t, act.send)
		assert.False(t, act.quit)
		assert.Equal(t, "nothing was sent", s.note)
	}
	press(t, s, m, "p", "'/+", "enter")
	assert.Nil(t, s.input)
	assert.Contains(t, s.note, "no topic to publish on")

	press(t, s, m, "/", "'tts/say", "enter", "p", "enter")
	s.input.line.SetValue(`{"txt":1}`)
	press(t, s, m, "enter")
	assert.Contains(t, s.input.label, "publish 9 bytes on tts/say, QoS 1? (y/n) BREAKS THE CONTRACT: tts/say: txt: unknown key")
	press(t, s, m, "n", "p", "enter")
	s.input.line.SetValue("")
	s.paste(tea.PasteMsg{Content: `{"text":"x"}`})
	press(t, s, m, "enter")
	assert.NotContains(t, s.input.label, "BREAKS")
}

func TestClear(t *testing.T) {
	t.Parallel()
	m, s := begin()
	act := press(t, s, m, "/", "'temp", "enter", "D", "y")
	assert.Equal(t, []outgoing{{topic: "house/kitchen/temp", qos: 1, retain: true}}, act.send)
	assert.Empty(t, press(t, s, m, "delete", "n").send)

	both := []outgoing{{topic: "system/health/stt", qos: 1, retain: true}, {topic: "system/health/wake", qos: 1, retain: true}}
	press(t, s, m, "/", "'system", "enter", "left", "left", "left")
	require.Equal(t, "system", s.selected.Path)
	assert.Empty(t, press(t, s, m, "D", "y", "enter").send, "many need the word")
	assert.Equal(t, "nothing was cleared", s.note)
	assert.Empty(t, press(t, s, m, "D", "'clear 3", "enter").send, "and the number")
	assert.Empty(t, press(t, s, m, "D", "'clear 2", "esc").send)
	assert.Equal(t, both, press(t, s, m, "D", "'clear 2", "enter").send)

	press(t, s, m, "end", "D")
	assert.Nil(t, s.input)
	assert.Contains(t, s.note, "nothing is retained", "the broker's own are its own")
	for i := range maxClear + 1 {
		m.Add(kept(0, fmt.Sprintf("many/%d", i), "x"))
	}
	press(t, s, m, "/", "'many", "enter", "left", "D")
	assert.Contains(t, s.note, "go further down")
}

func TestMouse(t *testing.T) {
	t.Parallel()
	m, s := begin()
	s.click(m, 10, headRows+1)
	assert.Equal(t, "house", s.selected.Path)
	assert.Empty(t, s.open)
	s.click(m, 10, headRows+1)
	assert.Len(t, s.open, 1, "a click on what is selected unfolds")
	s.click(m, 0, headRows+1)
	assert.Empty(t, s.open, "and on its mark")
	s.click(m, 60, headRows+5)
	assert.Equal(t, paneValue, s.focus)
	s.click(m, 60, headRows+19)
	assert.Equal(t, paneHistory, s.focus)
	s.scroll(m, 5, headRows+5, false)
	assert.Equal(t, "system", s.selected.Path, "the wheel turns what is below it")
	assert.Equal(t, paneHistory, s.focus)
	s.scroll(m, 5, headRows+5, true)
	assert.Equal(t, "house", s.selected.Path)
	s.click(m, 5, headRows+50)
	s.click(m, 10, 1)
	assert.Equal(t, viewTurns, s.view)
	s.scroll(m, 5, 5, false)
	s.click(m, 2, 1)
	assert.Equal(t, viewTopics, s.view)
	press(t, s, m, "p")
	s.click(m, 10, headRows)
	assert.Equal(t, "house", s.selected.Path, "a question comes first")
}

func TestMouseInTables(t *testing.T) {
	t.Parallel()
	m, s := begin()
	for i := range 40 {
		m.Add(at(29_000, "dialogue/text", fmt.Sprintf(`{"id":"t%d","type":"t","data":{"text":"x"}}`, i)))
	}
	press(t, s, m, "t")
	s.click(m, 5, headRows+4)
	assert.Contains(t, shown(m, s), "turn t36", "the fourth row")
	press(t, s, m, "end")
	assert.Contains(t, shown(m, s), "turn w1")
	s.click(m, 5, headRows+1)
	assert.NotContains(t, shown(m, s), "turn t39", "the first row in sight, not of all")
	s.click(m, 5, headRows)
	s.click(m, 5, headRows+15)
	assert.Contains(t, shown(m, s), "turn ")
}

// The lists of problems and the help end where they end: a key back moves at once.
func TestScrollingOfOtherScreens(t *testing.T) {
	t.Parallel()
	m, s := begin()
	for i := range 40 {
		m.Add(at(29_000, "tts/say", fmt.Sprintf(`{"no%d":1}`, i)))
		m.Add(at(29_000, "$SYS/tarsd/audit", fmt.Sprintf(`{"event":"drop","client":"c%d.","reason":"queue full"}`, i)))
	}
	press(t, s, m, "v")
	assert.Contains(t, shown(m, s), "no39")
	assert.Contains(t, shown(m, s), "c39.")
	press(t, s, m, "end")
	assert.Contains(t, shown(m, s), "txt: unknown key", "the oldest")
	assert.Contains(t, shown(m, s), "drop porch", "the oldest")
	assert.NotContains(t, shown(m, s), "c1.")
	press(t, s, m, "up")
	assert.Contains(t, shown(m, s), "no0")
	assert.Contains(t, shown(m, s), "c0.")

	s.W, s.H = 40, 10
	press(t, s, m, "?")
	assert.NotContains(t, shown(m, s), "Ctrl+C")
	press(t, s, m, "end")
	assert.Contains(t, shown(m, s), "broke the contract")
	assert.Contains(t, shown(m, s), "Ctrl+C")
	press(t, s, m, "up", "up", "up")
	assert.NotContains(t, shown(m, s), "Ctrl+C")
	press(t, s, m, "home")
	assert.Contains(t, shown(m, s), "PgUp")
}

func TestScrolling(t *testing.T) {
	t.Parallel()
	m, s := begin()
	for i := range 100 {
		m.Add(at(0, fmt.Sprintf("list%03d", i), "x"))
	}
	press(t, s, m, "/", "'list050", "enter")
	assert.Contains(t, shown(m, s), "list050")
	press(t, s, m, "end")
	assert.Contains(t, shown(m, s), "$SYS")
	s.H = 12
	assert.Contains(t, shown(m, s), "$SYS", "what is selected stays in sight")
	press(t, s, m, "home")
	assert.NotContains(t, shown(m, s), "$SYS")
	m.Add(at(0, "aaa", "x"))
	press(t, s, m, "down")
	assert.Equal(t, "house", s.selected.Path)
}
