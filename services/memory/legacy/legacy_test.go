package legacy

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// want is in all files of testdata, which Python 3 and numpy 2.4 have written with pickle.dumps.
var want = []Entry{
	{Text: "I like pizza", Role: "user", TS: 1760000000, MessageID: "a1", Lang: "en"},
	{Text: "Noted. Pizza it is.", Role: "assistant", TS: 1760000001.5, MessageID: "a2"},
	{Text: "what is my name", Role: "user"},
	{Text: "You are Cooper.", Role: "assistant"},
	{Text: "a plain text document", Role: "user"},
	{Text: "naïve 日本 🤖 " + strings.Repeat("x", 300), Role: "user"},
	{Text: "big", Role: "user"},
}

func TestRead(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"p2.pickle", "p3.pickle", "p4.pickle", "p5.pickle", "memory.pickle.gz"} {
		f, err := os.Open(filepath.Join("testdata", name))
		require.NoError(t, err)
		r := bufio.NewReader(f)
		assert.True(t, Sniff(r), name)
		got, err := Read(r)
		require.NoError(t, err, name)
		assert.Equal(t, want, got, name)
		require.NoError(t, f.Close())
	}
	assert.False(t, Sniff(bufio.NewReader(strings.NewReader(`{"text":"x"}`))))
	assert.False(t, Sniff(bufio.NewReader(strings.NewReader(""))))
}

// TestPlainOldProtocol: protocol 0 is text.
func TestPlainOldProtocol(t *testing.T) {
	t.Parallel()
	got, err := Read(strings.NewReader("(dp0\nVdocuments\np1\n(lp2\n(dp3\nVtext\np4\nVhello\np5\nsVts\np6\nF12.5\nsVn\nL99999999999999999999L\nsVb\nI01\nsas."))
	require.NoError(t, err)
	assert.Equal(t, []Entry{{Text: "hello", Role: "user", TS: 12.5}}, got)
}

// TestRefusals: evil.pickle would run a shell where it is unpickled.
func TestRefusals(t *testing.T) {
	t.Parallel()
	evil, err := os.ReadFile("testdata/evil.pickle")
	require.NoError(t, err)
	var bomb bytes.Buffer
	z := gzip.NewWriter(&bomb)
	_, err = z.Write(append([]byte("\x80\x04\x8d\xff\xff\xff\xff\xff\xff\xff\x7f"), make([]byte, 1<<20)...))
	require.NoError(t, err)
	require.NoError(t, z.Close())
	for name, c := range map[string]struct{ file, want string }{
		"a program":         {string(evil), "system"},
		"old program":       {"cos\nsystem\n(S'true'\ntR.", "os.system"},
		"instance":          {"(ios\nsystem\n.", "not allowed"},
		"new object":        {"\x80\x02cnumpy\nndarray\n)\x81.", "not allowed"},
		"extension":         {"\x80\x02\x82\x01.", "not allowed"},
		"persistent":        {"\x80\x02Pid\n.", "not allowed"},
		"call of a text":    {"\x80\x04\x8c\x01x)R.", "plain value"},
		"cut":               {string(evil[:5]), "ends early"},
		"empty":             {"", "ends early"},
		"no object":         {"\x80\x04K\x01.", "no object"},
		"no documents":      {"\x80\x04}.", "no list of documents"},
		"nothing":           {"\x80\x04.", "missing"},
		"mark as value":     {"\x80\x04(.", "missing"},
		"number as key":     {"\x80\x04}K\x01K\x02s.", "no text"},
		"append to nothing": {"\x80\x04K\x01K\x01a.", "without a list"},
		"memo":              {"\x80\x04h\x07.", "nothing was kept"},
		"huge text":         {bomb.String(), "a text of"},
		"many values":       {"\x80\x04" + strings.Repeat("N0", maxValues/2+1), "values"},
		"bad gzip":          {"\x1f\x8b\x00", "refused"},
	} {
		_, err := Read(strings.NewReader(c.file))
		require.ErrorIs(t, err, ErrRefused, name)
		assert.ErrorContains(t, err, c.want, name)
	}
}

func FuzzRead(f *testing.F) {
	for _, name := range []string{"p2.pickle", "p4.pickle", "p5.pickle", "evil.pickle"} {
		raw, err := os.ReadFile(filepath.Join("testdata", name))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(raw)
	}
	f.Add([]byte("(dp0\nVdocuments\np1\n(lp2\nI01\nL5L\nF1e9\na."))
	f.Fuzz(func(t *testing.T, b []byte) {
		if _, err := Read(bytes.NewReader(b)); err != nil && !strings.HasPrefix(err.Error(), ErrRefused.Error()) {
			t.Fatal(err)
		}
	})
}
