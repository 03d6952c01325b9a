package flite

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io/fs"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// start opens the built-in synthesizer, or skips.
func start(tb testing.TB) *Engine {
	tb.Helper()
	e, err := Open()
	if errors.Is(err, ErrNoProgram) {
		tb.Skip(err)
	}
	require.NoError(tb, err)
	tb.Cleanup(func() { assert.NoError(tb, e.Close()) })
	return e
}

// speech collects what was emitted.
type speech struct {
	rate   int
	pieces int
	pcm    []int16
}

func (s *speech) emit(rate int, pcm []int16) error {
	s.rate, s.pcm = rate, append(s.pcm, pcm...)
	s.pieces++
	return nil
}

func (s *speech) seconds() float64 { return float64(len(s.pcm)) / float64(s.rate) }

// loudness is the root mean square, of full scale.
func (s *speech) loudness() float64 {
	sum := 0.0
	for _, v := range s.pcm {
		sum += float64(v) * float64(v)
	}
	return math.Sqrt(sum/float64(len(s.pcm))) / math.MaxInt16
}

// TestEngine has one engine for all, since the compiler is slow under the race detector.
func TestEngine(t *testing.T) {
	t.Parallel()
	e := start(t)
	for name, f := range map[string]func(*testing.T, *Engine){
		"refuses":               refuses,
		"speaks":                speaks,
		"sentencesComeOneByOne": sentencesComeOneByOne,
		"sameTextSameSound":     sameTextSameSound,
		"equalsNative":          equalsNative,
		"oddTexts":              oddTexts,
		"cancel":                cancel,
		"manyAtOnce":            manyAtOnce,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f(t, e)
		})
	}
}

func speaks(t *testing.T, e *Engine) {
	for _, v := range append(Voices(), "") {
		var s speech
		require.NoError(t, e.Speak(t.Context(), Request{Text: "Hey tars, what time is it?", Voice: v}, s.emit), v)
		assert.InDelta(t, 2, s.seconds(), 0.8, v)
		assert.Greater(t, s.loudness(), 0.02, v)
		want := 16000
		if v == "kal" {
			want = 8000
		}
		assert.Equal(t, want, s.rate, v)
	}
}

func sentencesComeOneByOne(t *testing.T, e *Engine) {
	var s speech
	require.NoError(t, e.Speak(t.Context(), Request{Text: "This is one. This is two. And three!"}, s.emit))
	assert.GreaterOrEqual(t, s.pieces, 3)
}

func sameTextSameSound(t *testing.T, e *Engine) {
	var a, b, slow speech
	require.NoError(t, e.Speak(t.Context(), Request{Text: "hello there"}, a.emit))
	require.NoError(t, e.Speak(t.Context(), Request{Text: "hello there"}, b.emit))
	assert.Equal(t, a.pcm, b.pcm)
	require.NoError(t, e.Speak(t.Context(), Request{Text: "hello there", Stretch: 1.5}, slow.emit))
	assert.InDelta(t, 1.5, slow.seconds()/a.seconds(), 0.2)
}

// equalsNative compares with the program that Debian builds of the same sources, where it is
// installed: it is of another version, so that the lengths are alike and the samples are not.
func equalsNative(t *testing.T, e *Engine) {
	native, err := exec.LookPath("flite")
	if err != nil {
		t.Skip("no flite installed")
	}
	for _, text := range []string{"It is a quarter past three.", "The robot turns left."} {
		path := filepath.Join(t.TempDir(), "native.wav")
		require.NoError(t, exec.CommandContext(t.Context(), native, "-voice", "slt", "-t", text, "-o", path).Run())
		raw, err := os.ReadFile(path)
		require.NoError(t, err)
		var s speech
		require.NoError(t, e.Speak(t.Context(), Request{Text: text}, s.emit))
		assert.InEpsilon(t, float64(len(raw)-44)/2/16000, s.seconds(), 0.05, text)
	}
}

func oddTexts(t *testing.T, e *Engine) {
	for _, text := range []string{"", " \n", "…", "!?", "日本", "\x00\x07", "---"} {
		var s speech
		require.NoError(t, e.Speak(t.Context(), Request{Text: text}, s.emit), "%q", text)
		assert.Empty(t, s.pcm, "%q", text)
	}
	for _, text := range []string{"-voice kal", "Café “Zoë” – naïve’s", "a", "<ssml> & \\ $HOME `id`", "1234567890123456789", strings.Repeat("word ", 98)} {
		var s speech
		require.NoError(t, e.Speak(t.Context(), Request{Text: text}, s.emit), "%q", text)
		assert.NotEmpty(t, s.pcm, "%q", text)
	}
}

func refuses(t *testing.T, e *Engine) {
	var s speech
	require.ErrorIs(t, e.Speak(t.Context(), Request{Text: "a", Voice: "../x"}, s.emit), ErrVoice)
	require.ErrorIs(t, e.Speak(t.Context(), Request{Text: strings.Repeat("a", MaxText+1)}, s.emit), ErrText)
	require.ErrorContains(t, e.Speak(t.Context(), Request{Text: "a", Stretch: math.NaN()}, s.emit), "stretch")
}

func cancel(t *testing.T, e *Engine) {
	long := Request{Text: strings.Repeat("This is a sentence that nobody will hear. ", 11)}
	for range 20 { // a storm of them
		ctx, cancel := context.WithCancel(t.Context())
		err := e.Speak(ctx, long, func(int, []int16) error { cancel(); return nil })
		require.ErrorIs(t, err, context.Canceled)
	}
	boom := errors.New("boom")
	require.ErrorIs(t, e.Speak(t.Context(), long, func(int, []int16) error { return boom }), boom)
	var s speech
	require.NoError(t, e.Speak(t.Context(), Request{Text: "Still here."}, s.emit))
	assert.NotEmpty(t, s.pcm)
}

func manyAtOnce(t *testing.T, e *Engine) {
	var wg sync.WaitGroup
	for range 6 {
		wg.Go(func() {
			var s speech
			assert.NoError(t, e.Speak(t.Context(), Request{Text: "All at once."}, s.emit))
			assert.NotEmpty(t, s.pcm)
		})
	}
	wg.Wait()
}

func TestClosed(t *testing.T) {
	t.Parallel()
	e := start(t)
	require.NoError(t, e.Close())
	require.ErrorIs(t, e.Speak(t.Context(), Request{Text: "a"}, func(int, []int16) error { return nil }), ErrClosed)
}

func TestDamaged(t *testing.T) {
	t.Parallel()
	_, err := open([]byte("no program"))
	require.ErrorContains(t, err, "damaged")
}

// FuzzWave writes what a broken program might.
func FuzzWave(f *testing.F) {
	head := append([]byte("RIFF....WAVEfmt "), make([]byte, 28)...)
	binary.LittleEndian.PutUint16(head[22:], 1)
	binary.LittleEndian.PutUint32(head[24:], 16000)
	binary.LittleEndian.PutUint16(head[34:], 16)
	copy(head[36:], "data")
	f.Add(head, int64(44), []byte("samples"))
	f.Fuzz(func(t *testing.T, first []byte, at int64, second []byte) {
		var got bytes.Buffer
		w := &wave{emit: func(_ int, b []byte) { got.Write(b) }}
		r := &root{w: w}
		file, errno := r.OpenFile(waveName, 0, fs.FileMode(0o644))
		require.Zero(t, errno)
		_, errno = file.Write(first)
		require.Zero(t, errno)
		if _, errno := file.Seek(at, 0); errno == 0 {
			_, errno = file.Write(second)
			assert.Equal(t, at+int64(len(second)) > maxWave, errno != 0)
		}
		assert.LessOrEqual(t, got.Len(), len(w.b))
		assert.Zero(t, got.Len()%2)
	})
}

func BenchmarkOpen(b *testing.B) {
	start(b)
	for b.Loop() {
		e, err := Open()
		require.NoError(b, err)
		require.NoError(b, e.Close())
	}
}

// BenchmarkSpeak reports the real-time factor and the time to the first sound.
func BenchmarkSpeak(b *testing.B) {
	for name, text := range map[string]string{
		"short": "It is a quarter past three.",
		"long":  "This is a longer sentence that goes on for a while, so that one can see what it takes when there is more to say.",
	} {
		b.Run(name, func(b *testing.B) {
			e := start(b)
			var audio, first float64
			for b.Loop() {
				var s speech
				begin := time.Now()
				require.NoError(b, e.Speak(b.Context(), Request{Text: text}, func(rate int, pcm []int16) error {
					if s.pieces == 0 {
						first += time.Since(begin).Seconds()
					}
					return s.emit(rate, pcm)
				}))
				audio += s.seconds()
			}
			b.ReportMetric(b.Elapsed().Seconds()/audio, "rtf")
			b.ReportMetric(first/float64(b.N)*1e3, "ms-first")
		})
	}
}
