package persona

import (
	_ "embed"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"os"
	"path"
	"strings"
	"time"
	"unicode"

	"github.com/BurntSushi/toml"
)

// BuiltIn is the name of the persona that needs no file.
const BuiltIn = "TARS"

//go:embed tars.toml
var tars string

// maxFileBytes bounds a file: all of it goes into every prompt.
const maxFileBytes = 256 << 10

// ErrName is a name that cannot be that of a file.
var ErrName = errors.New("a persona's name has 1 to 64 letters, digits, spaces, - or _")

// Persona is what a file says. The maps are never nil.
type Persona struct {
	Name         string
	Description  string // "" if there is none
	SystemPrompt string
	Traits       map[string]any // mostly int64 from 0 to 100, but a word is fine
	Voice        map[string]any
	Meta         map[string]any
	Scenario     map[string]any
	Notes        map[string]any
	Examples     map[string]any
}

// CheckName says whether a persona can have this name.
func CheckName(name string) error {
	bad := func(r rune) bool {
		return !unicode.IsLetter(r) && !unicode.IsDigit(r) && !strings.ContainsRune(" -_", r)
	}
	if name == "" || len(name) > 64 || strings.TrimSpace(name) != name || strings.ContainsFunc(name, bad) {
		return fmt.Errorf("%q: %w", name, ErrName)
	}
	return nil
}

// Load reads the persona of that name from dir: NAME.toml, or NAME/character.toml as the system
// before this one has it. dir may be missing. TARS needs no file. When it returns an error the
// persona is usable all the same: the built-in one, or one that has but the name.
func Load(dir, name string) (Persona, error) {
	p, err := load(dir, name)
	if err == nil {
		return p, nil
	}
	fallback := blank(name)
	if strings.EqualFold(name, BuiltIn) {
		if fallback, builtIn := Parse(strings.NewReader(tars), BuiltIn); builtIn == nil && errors.Is(err, fs.ErrNotExist) {
			return fallback, nil
		} else if builtIn == nil {
			return fallback, err
		}
	}
	return fallback, err
}

func load(dir, name string) (p Persona, err error) {
	if err := CheckName(name); err != nil {
		return p, err
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return p, fmt.Errorf("persona %s: %w", name, err)
	}
	defer root.Close()
	var f *os.File
	for _, file := range []string{name + ".toml", strings.ToLower(name) + ".toml", path.Join(name, "character.toml")} {
		if f, err = root.Open(file); !errors.Is(err, fs.ErrNotExist) {
			break
		}
	}
	if err != nil {
		return p, fmt.Errorf("persona %s: %w", name, err)
	}
	defer f.Close()
	p, err = Parse(f, name)
	if err != nil {
		return p, fmt.Errorf("persona file %s: %w", f.Name(), err)
	}
	return p, nil
}

// Parse reads one file. name is what it is called if it does not say so.
func Parse(r io.Reader, name string) (Persona, error) {
	raw, err := io.ReadAll(io.LimitReader(r, maxFileBytes+1))
	if err != nil {
		return Persona{}, err
	}
	if len(raw) > maxFileBytes {
		return Persona{}, fmt.Errorf("larger than %d bytes", maxFileBytes)
	}
	var doc struct {
		Info     map[string]any `toml:"info"`
		Traits   map[string]any `toml:"traits"`
		Voice    map[string]any `toml:"voice"`
		Meta     map[string]any `toml:"meta"`
		Scenario map[string]any `toml:"scenario"`
		Notes    map[string]any `toml:"personality_notes"`
		Examples map[string]any `toml:"example_interactions"`
	}
	if _, err := toml.Decode(string(raw), &doc); err != nil {
		return Persona{}, err
	}
	p := blank(name)
	for key, to := range map[string]*string{"name": &p.Name, "description": &p.Description, "systemprompt": &p.SystemPrompt} {
		v, ok := doc.Info[key]
		if !ok {
			continue
		}
		text, ok := v.(string)
		if !ok {
			return Persona{}, fmt.Errorf("info.%s: %v is not a text", key, v)
		}
		if text = strings.TrimSpace(text); text != "" {
			*to = text
		}
	}
	for _, s := range []struct{ to, from *map[string]any }{
		{&p.Traits, &doc.Traits}, {&p.Voice, &doc.Voice}, {&p.Meta, &doc.Meta},
		{&p.Scenario, &doc.Scenario}, {&p.Notes, &doc.Notes}, {&p.Examples, &doc.Examples},
	} {
		for k, v := range *s.from {
			(*s.to)[k] = plain(v)
		}
	}
	return p, p.checkTraits()
}

// checkTraits refuses numbers out of range; words such as "calm" are fine.
func (p Persona) checkTraits() error {
	for name, v := range p.Traits {
		n, number := 0.0, true
		switch v := v.(type) {
		case int64:
			n = float64(v)
		case float64:
			n = v
		default:
			number = false
		}
		if number && !(n >= 0 && n <= 100) {
			return fmt.Errorf("traits.%s: %v is not from 0 to 100", name, v)
		}
	}
	return nil
}

// plain turns what JSON does not have into text: dates, which a file may well say without quotes,
// and numbers that are none.
func plain(v any) any {
	switch v := v.(type) {
	case float64:
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return fmt.Sprint(v)
		}
	case time.Time:
		if v.Location() != nil && v.Equal(v.Truncate(24*time.Hour)) {
			return v.Format(time.DateOnly)
		}
		return v.Format(time.RFC3339)
	case map[string]any:
		for k := range v {
			v[k] = plain(v[k])
		}
		return v
	case []any:
		for i := range v {
			v[i] = plain(v[i])
		}
		return v
	case []map[string]any:
		out := make([]any, len(v))
		for i := range v {
			out[i] = plain(v[i])
		}
		return out
	}
	return v
}

func blank(name string) Persona {
	return Persona{
		Name: name, Traits: map[string]any{}, Voice: map[string]any{}, Meta: map[string]any{},
		Scenario: map[string]any{}, Notes: map[string]any{}, Examples: map[string]any{},
	}
}
