package enginetest

import (
	"bytes"
	"math"
	"runtime"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// Open opens an engine with what is built in. Without it, which is none, the test skips.
func Open[E any](tb testing.TB, open func() (E, error), none error) E {
	tb.Helper()
	e, err := open()
	if err != nil {
		require.ErrorIs(tb, err, none)
		tb.Skip(err)
	}
	return e
}

// BenchOpen measures Open; B/op is what an engine keeps.
func BenchOpen[E any](b *testing.B, open func() (E, error), none error) {
	Open(b, open, none)
	b.ReportAllocs()
	for b.Loop() {
		e, err := open()
		if err != nil {
			b.Fatal(err)
		}
		runtime.KeepAlive(e)
	}
}

// Harsh is the sound numbered round of those that nobody makes: full scale up and down, ever faster.
func Harsh(sound []int16, round int) {
	for i := range sound {
		sound[i] = int16(32767 - 65535*((i+round)%(1+round%7)&1))
	}
}

// Farthest is the largest difference between two rows of equal length, and the mean one.
func Farthest(tb testing.TB, want, got []float32) (most, mean float64) {
	tb.Helper()
	require.Len(tb, got, len(want))
	for i, v := range want {
		d := math.Abs(float64(v - got[i]))
		most, mean = max(most, d), mean+d/float64(len(want))
	}
	return most, mean
}

// Streams makes sure that an engine remembers what it heard until it is reset, and that another one of
// the same weights does not hear it. other makes that one and lets the first hear something else.
func Streams(t *testing.T, hear func() []float32, reset func(), other func() []float32) {
	t.Helper()
	want := hear()
	assert.NotEqual(t, want, hear(), "it remembers")
	reset()
	assert.Equal(t, want, hear())
	assert.Equal(t, want, other(), "streams are independent")
}

// RefusesDamage makes sure that load takes a file, and none of what is left of it after an accident.
func RefusesDamage(t *testing.T, file []byte, load func([]byte) error, damaged error) {
	t.Helper()
	require.NoError(t, load(file))
	flipped := bytes.Clone(file)
	flipped[len(file)/2] ^= 1
	for name, b := range map[string][]byte{
		"empty": nil, "short": file[:100], "cut": file[:len(file)-1], "longer": append(bytes.Clone(file), 0),
		"flipped": flipped, "other": bytes.Repeat([]byte("x"), 5000),
	} {
		assert.ErrorIs(t, load(b), damaged, name)
	}
}
