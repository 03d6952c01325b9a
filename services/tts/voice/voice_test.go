package voice

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"math"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// hum is n samples that are no silence.
func hum(n int) []int16 {
	pcm := make([]int16, n)
	for i := range pcm {
		pcm[i] = int16(8000 * math.Sin(float64(i)/5))
	}
	return pcm
}

func raw(pcm []int16) []byte {
	b := make([]byte, 0, 2*len(pcm))
	for _, v := range pcm {
		b = binary.LittleEndian.AppendUint16(b, uint16(v))
	}
	return b
}

// wav is a file whose header tells of size bytes of sound.
func wav(rate int, size uint32, pcm []int16) []byte {
	b := &bytes.Buffer{}
	b.WriteString("RIFF\xff\xff\xff\xffWAVEfmt ")
	for _, v := range []any{uint32(16), uint16(1), uint16(1), uint32(rate), uint32(2 * rate), uint16(2), uint16(16)} {
		_ = binary.Write(b, binary.LittleEndian, v)
	}
	b.WriteString("data")
	_ = binary.Write(b, binary.LittleEndian, size)
	b.Write(raw(pcm))
	return b.Bytes()
}

// heard collects what an engine says.
type heard struct {
	rate int
	pcm  []int16
}

func (h *heard) emit(s Sound) error {
	h.rate, h.pcm = s.Rate, append(h.pcm, s.PCM...)
	return nil
}

// speak has an engine speak, with patience for a broken one.
func speak(t *testing.T, e Engine, text Text) (heard, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	var h heard
	err := e.Speak(ctx, text, h.emit)
	require.NoError(t, ctx.Err(), "it took for ever")
	return h, err
}

// silent has an engine speak in a chain that gives it a moment: one that says nothing has failed.
func silent(t *testing.T, e Engine) {
	t.Helper()
	begin := time.Now()
	_, err := NewChain([]Engine{e}, nil, 300*time.Millisecond).Speak(t.Context(), Text{Text: "Hello."}, (&heard{}).emit)
	require.ErrorIs(t, err, errSilent)
	assert.Less(t, time.Since(begin), 5*time.Second)
}

// stopped has an engine speak, and stops it once that has begun: it returns soon.
func stopped(t *testing.T, e Engine, begun <-chan struct{}) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- e.Speak(ctx, Text{Text: "Hello."}, (&heard{}).emit) }()
	select {
	case <-begun:
	case <-time.After(10 * time.Second):
		t.Fatal("it does not begin")
	}
	begin := time.Now()
	cancel()
	require.ErrorIs(t, <-ended, context.Canceled)
	assert.Less(t, time.Since(begin), time.Second)
}

// fake is an engine that does as it is told.
type fake struct {
	id    string
	speak func(ctx context.Context, emit func(Sound) error) error
	suits func(Text) bool
	calls int
}

func (f *fake) ID() string   { return f.id }
func (f *fake) Close() error { return errors.New(f.id + " does not close") }
func (f *fake) Suits(t Text) bool {
	return f.suits == nil || f.suits(t)
}

func (f *fake) Speak(ctx context.Context, _ Text, emit func(Sound) error) error {
	f.calls++
	return f.speak(ctx, emit)
}

func TestChain(t *testing.T) {
	t.Parallel()
	good := func(_ context.Context, emit func(Sound) error) error { return emit(Sound{16000, hum(100)}) }
	bad := func(context.Context, func(Sound) error) error { return errors.New("no voice today") }
	hello := Text{Text: "Hello."}
	t.Run("the next one", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			first, second := &fake{id: "a 1", speak: bad}, &fake{id: "b 1", speak: good}
			c := NewChain([]Engine{first, second}, nil, time.Second)
			for range 3 {
				name, err := c.Speak(t.Context(), hello, (&heard{}).emit)
				require.NoError(t, err)
				assert.Equal(t, "b", name)
			}
			assert.Equal(t, 1, first.calls, "it is not asked again at once")
			require.EqualError(t, c.Err(), "a: no voice today")
			name, id := c.First(&hello)
			assert.Equal(t, "b b 1", name+" "+id)
			time.Sleep(patience)
			first.speak = good
			name, err := c.Speak(t.Context(), hello, (&heard{}).emit)
			require.NoError(t, err)
			assert.Equal(t, "a", name)
			require.NoError(t, c.Err())
			require.EqualError(t, c.Close(), "a 1 does not close\nb 1 does not close")
		})
	})
	t.Run("begun", func(t *testing.T) {
		t.Parallel()
		second := &fake{id: "b", speak: good}
		c := NewChain([]Engine{&fake{id: "a", speak: func(_ context.Context, emit func(Sound) error) error {
			return errors.Join(emit(Sound{16000, hum(100)}), errors.New("cut"))
		}}, second}, nil, time.Second)
		name, err := c.Speak(t.Context(), hello, (&heard{}).emit)
		require.EqualError(t, err, "a: cut")
		assert.Equal(t, "a", name)
		assert.Zero(t, second.calls, "it would say the beginning twice")
	})
	t.Run("no sound", func(t *testing.T) {
		t.Parallel()
		nothing := &fake{id: "a", speak: func(_ context.Context, emit func(Sound) error) error { return emit(Sound{16000, nil}) }}
		c := NewChain([]Engine{nothing, &fake{id: "b", speak: good}}, nil, time.Second)
		name, err := c.Speak(t.Context(), hello, (&heard{}).emit)
		require.NoError(t, err)
		assert.Equal(t, "b", name, "an answer without sound is none")
		require.ErrorIs(t, c.Err(), ErrSound)
		c = NewChain([]Engine{nothing}, nil, time.Second)
		_, err = c.Speak(t.Context(), Text{Text: "…"}, (&heard{}).emit)
		require.NoError(t, err, "there is nothing to say")
	})
	t.Run("time", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			drip := &fake{id: "a", speak: func(ctx context.Context, emit func(Sound) error) error {
				for ctx.Err() == nil {
					if err := emit(Sound{16000, hum(1)}); err != nil {
						return err
					}
					select {
					case <-time.After(900 * time.Millisecond):
					case <-ctx.Done():
					}
				}
				return ctx.Err()
			}}
			begin := time.Now()
			_, err := NewChain([]Engine{drip}, nil, time.Second).Speak(t.Context(), hello, (&heard{}).emit)
			require.ErrorIs(t, err, errSlow)
			assert.Equal(t, sentenceTime, time.Since(begin))
			hang := &fake{id: "a", speak: func(ctx context.Context, _ func(Sound) error) error { <-ctx.Done(); return ctx.Err() }}
			begin = time.Now()
			_, err = NewChain([]Engine{hang}, nil, time.Second).Speak(t.Context(), hello, (&heard{}).emit)
			require.ErrorIs(t, err, errSilent)
			assert.Equal(t, time.Second, time.Since(begin))
		})
	})
	t.Run("stopped", func(t *testing.T) {
		t.Parallel()
		ctx, cancel := context.WithCancel(t.Context())
		second := &fake{id: "b", speak: good}
		c := NewChain([]Engine{&fake{id: "a", speak: func(ctx context.Context, _ func(Sound) error) error { cancel(); return ctx.Err() }}, second}, nil, time.Second)
		_, err := c.Speak(ctx, hello, (&heard{}).emit)
		require.ErrorIs(t, err, context.Canceled)
		assert.Zero(t, second.calls)
		require.NoError(t, c.Err(), "a stop is no failure")
	})
	t.Run("suits", func(t *testing.T) {
		t.Parallel()
		first := &fake{id: "a", speak: good, suits: func(t Text) bool { return english(t.Lang) }}
		c := NewChain([]Engine{first, &fake{id: "b", speak: good}}, nil, time.Second)
		name, err := c.Speak(t.Context(), Text{Text: "Hallo.", Lang: "de"}, (&heard{}).emit)
		require.NoError(t, err)
		assert.Equal(t, "b", name)
		name, err = c.Speak(t.Context(), Text{Text: "Hello.", Lang: "en-GB"}, (&heard{}).emit)
		require.NoError(t, err)
		assert.Equal(t, "a", name)
	})
	t.Run("none", func(t *testing.T) {
		t.Parallel()
		c := NewChain(nil, []error{errors.New("x is missing")}, time.Second)
		_, err := c.Speak(t.Context(), hello, (&heard{}).emit)
		require.EqualError(t, err, "x is missing")
		name, _ := c.First(nil)
		assert.Empty(t, name)
		c = NewChain([]Engine{&fake{id: "a", speak: bad}}, []error{errors.New("x is missing")}, time.Second)
		_, err = c.Speak(t.Context(), hello, (&heard{}).emit)
		require.EqualError(t, err, "a: no voice today\nx is missing")
	})
}

func TestCutText(t *testing.T) {
	t.Parallel()
	for _, v := range []struct {
		in   string
		most int
		want []string
	}{
		{"", 5, []string{""}}, {"short", 5, []string{"short"}}, {"one two three", 8, []string{"one two", "three"}},
		{"abcdefgh", 3, []string{"abc", "def", "gh"}}, {"ééé", 3, []string{"é", "é", "é"}},
	} {
		assert.Equal(t, v.want, cutText(v.in, v.most), v.in)
	}
}

// TestFlite: the built-in engine speaks in the voice and at the pace that it is asked for.
func TestFlite(t *testing.T) {
	t.Parallel()
	e, err := NewFlite("nobody")
	if err != nil {
		t.Skip("make assets: ", err)
	}
	defer func() { require.NoError(t, e.Close()) }()
	usual, err := speak(t, e, Text{Text: "Hello there."})
	require.NoError(t, err)
	assert.Equal(t, 16000, usual.rate)
	slow, err := speak(t, e, Text{Text: "Hello there.", Style: "calm"})
	require.NoError(t, err)
	assert.InDelta(t, 1/0.85, float64(len(slow.pcm))/float64(len(usual.pcm)), 0.05)
	other, err := speak(t, e, Text{Text: "Hello there.", Voice: "rms"})
	require.NoError(t, err)
	assert.NotEqual(t, usual.pcm, other.pcm)
	same, err := speak(t, e, Text{Text: "Hello there.", Voice: "alloy"})
	require.NoError(t, err)
	assert.Equal(t, usual.pcm, same.pcm, "a voice that it does not have is no reason to be silent")
	assert.False(t, e.Suits(Text{Lang: "de"}))
	assert.True(t, e.Suits(Text{Lang: "en-US"}))
	long := make([]byte, 0, 5000)
	for len(long) < 4500 {
		long = append(long, "so "...)
	}
	ctx, cancel := context.WithCancel(t.Context())
	err = e.Speak(ctx, Text{Text: string(long)}, func(Sound) error { cancel(); return nil })
	require.ErrorIs(t, err, context.Canceled)
}
