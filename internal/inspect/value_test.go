package inspect

import (
	"bytes"
	"image"
	"image/png"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func entry(payload string) *Entry {
	return &Entry{Message: Message{Payload: []byte(payload)}, Size: len(payload)}
}

func TestValueOf(t *testing.T) {
	t.Parallel()
	var pic bytes.Buffer
	require.NoError(t, png.Encode(&pic, image.NewGray(image.Rect(0, 0, 7, 5))))
	cut := entry("ab\xc3\xbc")
	cut.Payload = cut.Payload[:3]
	tests := map[string]struct {
		e     *Entry
		hex   bool
		kind  Kind
		about string
		lines []string
	}{
		"empty":   {entry(""), false, Empty, "empty", nil},
		"JSON":    {entry(`{"b":1.50,"a":[1,{}]}`), false, JSON, "JSON", []string{"{", `  "b": 1.50,`, `  "a": [`, "    1,", "    {}", "  ]", "}"}},
		"text":    {entry("a\tb\r\nc\n"), false, Text, "text", []string{"a  b", "c"}},
		"number":  {entry("12.5"), false, JSON, "JSON", []string{"12.5"}},
		"binary":  {entry("\x00\x01AB\xff567890123456"), false, Binary, "binary", []string{"0000  00 01 41 42 ff 35 36 37 38 39 30 31 32 33 34 35  ..AB.56789012345", "0010  36                                               6"}},
		"as hex":  {entry("{}"), true, JSON, "JSON", []string{"0000  7b 7d                                            {}"}},
		"escape":  {entry("\x1b]0;x\a"), false, Binary, "binary", []string{"0000  1b 5d 30 3b 78 07                                .]0;x."}},
		"cut":     {cut, false, Text, "text", []string{"ab·"}},
		"deep":    {entry(strings.Repeat("[", maxDepth+1) + strings.Repeat("]", maxDepth+1)), false, Text, "text", []string{strings.Repeat("[", maxDepth+1) + strings.Repeat("]", maxDepth+1)}},
		"flat":    {entry(`"` + strings.Repeat(`[\"`, maxDepth+1) + `"`), false, JSON, "JSON", []string{`"` + strings.Repeat(`[\"`, maxDepth+1) + `"`}},
		"invalid": {entry("ab\xc3"), false, Binary, "binary", []string{"0000  61 62 c3                                         ab."}},
		"shed":    {&Entry{Size: 9, Shed: true}, false, Binary, "given up to save memory", nil},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			v := ValueOf(tt.e, tt.hex, 71)
			assert.Equal(t, tt.kind, v.Kind)
			assert.Equal(t, tt.about, v.About)
			assert.Equal(t, tt.lines, v.Lines)
		})
	}
	v := ValueOf(entry(pic.String()), false, 80)
	assert.Equal(t, Picture, v.Kind)
	assert.Equal(t, "PNG picture, 7×5", v.About)
	assert.NotEmpty(t, v.Lines)
	assert.Equal(t, []string{"0000  30 31 32 33 34 35 36 37  01234567", "0008  38                       8"}, ValueOf(entry("012345678"), true, 39).Lines)
	assert.Equal(t, []string{"0000  30 31 32 33  0123", "0004  34           4"}, ValueOf(entry("01234"), true, 20).Lines)
	long := ValueOf(entry(strings.Repeat("x\n", maxLines+5)), false, 80).Lines
	assert.Len(t, long, maxLines+1)
	assert.Len(t, ValueOf(entry(strings.Repeat("é", maxLine)), false, 80).Lines[0], maxLine+len("…"))
}

func TestClean(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"plain ü 漢 🙂": "plain ü 漢 🙂", "a\x1b[31mb": "a·[31mb", "a\u202eb": "a·b", "a\u009bb": "a·b", "a\tb": "a  b", "a\nb\x00": "a·b·",
		"a\xffb": "a·b", "a\u00a0b\u2028c": "a b c", "\ufeff": "·",
	} {
		assert.Equal(t, want, Clean(in), "%q", in)
	}
}

func TestLine(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"": "(empty)", "a\n  b": "a b", "\x00\x01": "(2 bytes)", `{"id":"1","type":"t","data":{"x": 1}}`: `{"x": 1}`,
		"0123456789012345678901234": "01234567890123456789",
	} {
		assert.Equal(t, want, Line(entry(in), 20), "%q", in)
	}
	assert.Equal(t, "(given up)", Line(&Entry{Shed: true, Size: 3}, 20))
}

func TestDiff(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		before, after string
		want          string
	}{
		"same":    {"a b", "a b", " a  b"},
		"changed": {"{ a b }", "{ a c }", " {  a -b +c  }"},
		"added":   {"{ }", "{ a }", " { +a  }"},
		"removed": {"{ a }", "{ }", " { -a  }"},
		"all new": {"", "a", "+a"},
		"moved":   {"a b c", "c a b", "+c  a  b -c"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			d, ok := Diff(strings.Fields(tt.before), strings.Fields(tt.after))
			require.True(t, ok)
			var got []string
			for _, l := range d {
				got = append(got, [...]string{" ", "+", "-"}[l.Change]+l.Text)
			}
			assert.Equal(t, tt.want, strings.Join(got, " "))
		})
	}
	_, ok := Diff(make([]string, maxDiff+1), nil)
	assert.False(t, ok)
}

func TestQuery(t *testing.T) {
	t.Parallel()
	m := New(DefaultLimits())
	m.Add(text("house/Kitchen/temp", `{"v":21}`))
	m.Add(text("house/hall/temp", `Frost`))
	m.Add(text("other", "x"))
	m.Add(text("$SYS/x", "frost"))
	paths := func(q *Query) []string {
		var out []string
		for _, r := range m.Rows(map[*Node]bool{}, q, nil) {
			out = append(out, r.Node.Path)
		}
		return out
	}
	assert.Nil(t, m.Query("  "))
	assert.Equal(t, []string{"house", "other", "$SYS"}, paths(nil), "folded; the broker's own last")
	assert.Equal(t, []string{"house", "house/Kitchen", "house/Kitchen/temp"}, paths(m.Query("KITCHEN")))
	assert.Equal(t, []string{"house", "house/Kitchen", "house/Kitchen/temp"}, paths(m.Query(`"v":2`)))
	assert.Equal(t, []string{"house", "house/hall", "house/hall/temp"}, paths(m.Query("house/hall/+")))
	assert.Empty(t, paths(m.Query("nothing")))
	q := m.Query("frost")
	assert.Equal(t, []string{"house", "house/hall", "house/hall/temp", "$SYS", "$SYS/x"}, paths(q))
	m.Add(text("house/hall/temp", "warm"))
	assert.Equal(t, []string{"$SYS", "$SYS/x"}, paths(q), "it follows the newest value")

	temp := m.Query("temp")
	first := m.Find(temp, nil, nil, false)
	require.NotNil(t, first)
	assert.Equal(t, "house/Kitchen/temp", first.Path)
	second := m.Find(temp, nil, first, false)
	assert.Equal(t, "house/hall/temp", second.Path)
	assert.Equal(t, first, m.Find(temp, nil, second, false), "from the top again")
	assert.Equal(t, second, m.Find(temp, nil, first, true), "backwards")
	assert.Equal(t, second, m.Find(temp, m.Query("hall"), nil, false), "within the filter")
	assert.Nil(t, m.Find(m.Query("nothing"), nil, first, false))
	assert.Equal(t, m.Topic("other"), m.Find(m.Query("other"), nil, m.Topic("other"), false), "the only one is itself the next")
}
