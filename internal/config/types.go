package config

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// Size is a number of bytes. It is written with a unit, 64MiB, or as a plain number.
type Size int64

// Binary units.
const (
	KiB Size = 1 << 10
	MiB Size = 1 << 20
	GiB Size = 1 << 30
)

var sizeUnits = []struct {
	name  string
	bytes Size
}{
	{"GiB", GiB}, {"MiB", MiB}, {"KiB", KiB},
	{"GB", 1e9}, {"MB", 1e6}, {"KB", 1e3}, {"kB", 1e3}, {"B", 1},
}

// UnmarshalText implements encoding.TextUnmarshaler.
func (s *Size) UnmarshalText(b []byte) error {
	text := strings.TrimSpace(string(b))
	num, unit := text, Size(1)
	for _, u := range sizeUnits {
		if n, ok := strings.CutSuffix(text, u.name); ok {
			num, unit = strings.TrimSpace(n), u.bytes
			break
		}
	}
	n, err := strconv.ParseInt(num, 10, 64)
	if err != nil {
		return fmt.Errorf("%q is not a size such as 65536, 64KiB, 64MiB or 1GiB", text)
	}
	if n < 0 {
		return fmt.Errorf("%q is negative", text)
	}
	if n > math.MaxInt64/int64(unit) {
		return fmt.Errorf("%q is too large", text)
	}
	*s = Size(n) * unit
	return nil
}

// String is the size in the largest binary unit that is exact.
func (s Size) String() string {
	for _, u := range sizeUnits[:3] {
		if s != 0 && s%u.bytes == 0 {
			return strconv.FormatInt(int64(s/u.bytes), 10) + u.name
		}
	}
	return strconv.FormatInt(int64(s), 10)
}

// MarshalText implements encoding.TextMarshaler.
func (s Size) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// Duration is a time span such as 500ms, 24h or 30d.
type Duration time.Duration

// UnmarshalText implements encoding.TextUnmarshaler.
func (d *Duration) UnmarshalText(b []byte) error {
	text := strings.TrimSpace(string(b))
	v, err := time.ParseDuration(text)
	if days, ok := strings.CutSuffix(text, "d"); err != nil && ok {
		var n int64
		if n, err = strconv.ParseInt(days, 10, 32); err == nil {
			if n > int64(math.MaxInt64/(24*time.Hour)) {
				return fmt.Errorf("%q is too long", text)
			}
			v = time.Duration(n) * 24 * time.Hour
		}
	}
	if err != nil {
		return fmt.Errorf("%q is not a time span such as 500ms, 10s, 24h or 30d", text)
	}
	if v < 0 {
		return fmt.Errorf("%q is negative", text)
	}
	*d = Duration(v)
	return nil
}

// String is the span without zero units: 24h, not 24h0m0s.
func (d Duration) String() string {
	s := time.Duration(d).String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// MarshalText implements encoding.TextMarshaler.
func (d Duration) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// Secret is a value that must not be shown. Every way of printing it gives ***; Reveal is the
// only way to the value.
type Secret struct{ value string }

const hidden = "***"

// NewSecret wraps a value.
func NewSecret(v string) Secret { return Secret{v} }

// Reveal returns the value.
func (s Secret) Reveal() string { return s.value }

// IsZero reports whether there is no value.
func (s Secret) IsZero() bool { return s.value == "" }

// String implements fmt.Stringer.
func (s Secret) String() string {
	if s.value == "" {
		return ""
	}
	return hidden
}

// GoString implements fmt.GoStringer, so that %#v hides the value too.
func (s Secret) GoString() string { return `config.Secret("` + s.String() + `")` }

// MarshalText implements encoding.TextMarshaler, which YAML and map keys use.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// MarshalJSON implements json.Marshaler.
func (s Secret) MarshalJSON() ([]byte, error) { return []byte(`"` + s.String() + `"`), nil }

// UnmarshalText implements encoding.TextUnmarshaler. It refuses what String prints, so that a
// shown configuration is not taken for a real one.
func (s *Secret) UnmarshalText(b []byte) error {
	if string(b) == hidden {
		return errors.New("*** is what a hidden value looks like, not a value")
	}
	s.value = string(b)
	return nil
}

// choice sets *dst to the one of all that text names, whatever its case.
func choice[T ~string](dst *T, text []byte, all ...T) error {
	t := strings.ToLower(strings.TrimSpace(string(text)))
	names := make([]string, 0, len(all))
	for _, c := range all {
		if t == string(c) {
			*dst = c
			return nil
		}
		names = append(names, string(c))
	}
	return fmt.Errorf("%q is none of %s", text, strings.Join(names, ", "))
}

// Durability says what an acknowledgement means.
type Durability string

// The durabilities.
const (
	Strict  Durability = "strict"
	Relaxed Durability = "relaxed"
	None    Durability = "none"
)

// UnmarshalText implements encoding.TextUnmarshaler.
func (d *Durability) UnmarshalText(b []byte) error { return choice(d, b, Strict, Relaxed, None) }

// QueuePolicy says what gives when a queue is full.
type QueuePolicy string

// The queue policies.
const (
	Refuse     QueuePolicy = "refuse"
	DropOldest QueuePolicy = "drop_oldest"
	Expire     QueuePolicy = "expire"
)

// UnmarshalText implements encoding.TextUnmarshaler.
func (p *QueuePolicy) UnmarshalText(b []byte) error {
	return choice(p, b, Refuse, DropOldest, Expire)
}

// Anonymous says who gets in without a user name.
type Anonymous string

// The values of access.anonymous.
const (
	AnonymousLoopback Anonymous = "loopback"
	AnonymousAll      Anonymous = "true"
	AnonymousNone     Anonymous = "false"
)

// UnmarshalText implements encoding.TextUnmarshaler; it takes every spelling of a boolean.
func (a *Anonymous) UnmarshalText(b []byte) error {
	if v, err := parseBool(string(b)); err == nil {
		*a = AnonymousNone
		if v {
			*a = AnonymousAll
		}
		return nil
	}
	return choice(a, b, AnonymousLoopback, AnonymousAll, AnonymousNone)
}

// Level is the least level that is logged.
type Level string

// UnmarshalText implements encoding.TextUnmarshaler. The names of the reference system
// (INFO, WARNING, CRITICAL) are taken too.
func (l *Level) UnmarshalText(b []byte) error {
	switch strings.ToLower(strings.TrimSpace(string(b))) {
	case "warning":
		b = []byte("warn")
	case "critical", "fatal":
		b = []byte("error")
	}
	return choice(l, b, "debug", "info", "warn", "error")
}

// Format is how log lines look.
type Format string

// The log formats.
const (
	FormatAuto Format = "auto"
	FormatText Format = "text"
	FormatJSON Format = "json"
)

// UnmarshalText implements encoding.TextUnmarshaler.
func (f *Format) UnmarshalText(b []byte) error {
	return choice(f, b, FormatAuto, FormatText, FormatJSON)
}

// parseBool takes all the forms that the reference system's environment uses.
func parseBool(s string) (bool, error) {
	switch strings.ToLower(strings.TrimSpace(s)) {
	case "1", "true", "yes", "on":
		return true, nil
	case "0", "false", "no", "off":
		return false, nil
	}
	return false, fmt.Errorf("%q is neither true nor false", s)
}
