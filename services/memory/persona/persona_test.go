package persona

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestBuiltIn(t *testing.T) {
	t.Parallel()
	p, err := Load(filepath.Join(t.TempDir(), "none"), "TARS")
	require.NoError(t, err)
	assert.Equal(t, "TARS", p.Name)
	assert.Len(t, p.Traits, 18)
	assert.EqualValues(t, 90, p.Traits["humor"])
	assert.Equal(t, map[string]any{"voice_id": "TARS", "rate": 1.0, "pitch": 0.0}, p.Voice)
	assert.Len(t, p.Notes, 4)
	assert.Len(t, p.Examples, 5)
	assert.NotEmpty(t, p.SystemPrompt)
	_, err = json.Marshal(p)
	require.NoError(t, err)
}

func TestLoad(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write := func(name, text string) {
		t.Helper()
		path := filepath.Join(dir, name)
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o700))
		require.NoError(t, os.WriteFile(path, []byte(text), 0o600))
	}
	write("Kit.toml", "[info]\nname='K.I.T.T.'\nsystemprompt='  '\n[traits]\nhumor=40\nmood='calm'\n[meta]\nupdated=2025-10-04\n")
	write("Case/character.toml", "[traits]\nhonesty=90\n")
	write("Bad.toml", "[info\n")
	write("Far.toml", "[traits]\nhumor=101\n")
	write("Odd.toml", "[info]\nname=3\n")
	write("Huge.toml", strings.Repeat("# comment\n", maxFileBytes/10+1))
	write("TARS.toml", "[traits\n")

	p, err := Load(dir, "Kit")
	require.NoError(t, err)
	assert.Equal(t, "K.I.T.T.", p.Name)
	assert.Empty(t, p.SystemPrompt, "blank is none")
	assert.Equal(t, map[string]any{"humor": int64(40), "mood": "calm"}, p.Traits, "words are traits too")
	assert.Equal(t, "2025-10-04", p.Meta["updated"], "a date becomes text")
	assert.NotNil(t, p.Voice)

	p, err = Load(dir, "Case")
	require.NoError(t, err)
	assert.Equal(t, "Case", p.Name)
	assert.EqualValues(t, 90, p.Traits["honesty"])

	for name, want := range map[string]string{
		"Bad": "Bad.toml", "Far": "traits.humor", "Odd": "info.name", "Huge": "larger", "None": "no such file",
		"../x": ErrName.Error(), "": ErrName.Error(), "a/b": ErrName.Error(),
	} {
		p, err := Load(dir, name)
		require.ErrorContains(t, err, want, name)
		assert.Equal(t, blank(name), p, "usable, with its name")
	}
	p, err = Load(dir, "TARS")
	require.ErrorContains(t, err, "TARS.toml")
	assert.Len(t, p.Traits, 18, "a broken file of the built-in one leaves that")
}

func FuzzParse(f *testing.F) {
	f.Add("[info]\nname='x'\n[traits]\na=1\nb=1979-05-27T07:32:00Z\nc=[1979-05-27]\n[[meta.x]]\ny=1")
	f.Add(tars)
	f.Fuzz(func(t *testing.T, s string) {
		p, err := Parse(strings.NewReader(s), "x")
		if err != nil {
			return
		}
		if _, err := json.Marshal(p); err != nil {
			t.Fatal(err)
		}
	})
}
