package audio

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// counter is a source whose frames hold their number.
type counter struct {
	n, until int // fails with err when n comes to until
	err      error
	paced    bool
	closed   *int
}

func (c *counter) Read(ctx context.Context) (Frame, error) {
	if c.n == c.until {
		if c.err == nil { // hangs
			<-ctx.Done()
			return Frame{}, context.Cause(ctx)
		}
		return Frame{}, c.err
	}
	if c.paced {
		if err := sleep(ctx, FrameTime); err != nil {
			return Frame{}, err
		}
	}
	c.n++
	pcm := make([]int16, FrameLen)
	pcm[0] = int16(c.n)
	return Frame{PCM: pcm, At: time.Now()}, nil
}

func (c *counter) Close() error { *c.closed++; return nil }

func TestHubListeners(t *testing.T) {
	t.Parallel()
	var closed int
	h := NewHub(HubOptions{Open: func(context.Context) (Source, error) {
		return &counter{until: 50, err: io.EOF, closed: &closed}, nil
	}})
	quick, slow, gone := h.Listen(50), h.Listen(10), h.Listen(0)
	gone.Close()
	require.NoError(t, h.Run(t.Context()))
	assert.Equal(t, 1, closed)
	for i := range 50 {
		f, err := quick.Next(t.Context())
		require.NoError(t, err)
		assert.EqualValues(t, i+1, f.PCM[0])
		assert.False(t, f.Gap)
	}
	for i := range 10 {
		f, err := slow.Next(t.Context())
		require.NoError(t, err)
		assert.EqualValues(t, i+41, f.PCM[0], "the oldest go")
		assert.Equal(t, i == 0, f.Gap, "and the next says so")
	}
	assert.EqualValues(t, 40, slow.Dropped())
	assert.Zero(t, quick.Dropped())
	for _, l := range []*Listener{quick, slow, h.Listen(0)} {
		_, err := l.Next(t.Context())
		assert.ErrorIs(t, err, io.EOF)
	}
	_, err := gone.Next(t.Context())
	assert.ErrorIs(t, err, ErrClosed)
}

// TestHubLoss: errors and silence of the device are told once, waits grow, and the first frame
// afterwards is marked.
func TestHubLoss(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		boom := errors.New("unplugged")
		var closed, opens int
		var tries []time.Duration
		begin := time.Now()
		h := NewHub(HubOptions{})
		var states []State
		h.o.OnState = func(s State) { states = append(states, s) }
		h.o.Open = func(context.Context) (Source, error) {
			opens++
			tries = append(tries, time.Since(begin))
			switch {
			case opens == 1:
				return &counter{until: 5, err: boom, closed: &closed}, nil
			case opens < 8:
				return nil, boom
			case opens == 8:
				return &counter{until: 5, closed: &closed}, nil // falls silent
			}
			return &counter{until: 1 << 30, paced: true, closed: &closed}, nil
		}
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan error)
		l := h.Listen(0)
		go func() { done <- h.Run(ctx) }()
		time.Sleep(time.Minute)
		cancel()
		require.ErrorIs(t, <-done, context.Canceled)
		const ms = time.Millisecond
		// Waits of 0.25, 0.5, 1, 2, 4, 5, 5 s; then 3 s of silence, and 5 s.
		assert.Equal(t, []time.Duration{0, 250 * ms, 750 * ms, 1750 * ms, 3750 * ms, 7750 * ms, 12750 * ms, 17750 * ms, 25750 * ms}, tries)
		require.Len(t, states, 5)
		assert.Equal(t, []bool{true, false, true, false, true}, []bool{states[0].OK, states[1].OK, states[2].OK, states[3].OK, states[4].OK})
		assert.ErrorIs(t, states[1].Err, boom)
		assert.ErrorContains(t, states[3].Err, "no sound for 3s")
		assert.Equal(t, 3, closed)
		var marks int
		var f Frame
		var err error
		for err == nil {
			if f.Gap {
				marks++
			}
			f, err = l.Next(t.Context())
		}
		require.ErrorIs(t, err, io.EOF)
		assert.Equal(t, 1, marks, "all but the last were overtaken in a queue of 2 s")
	})
}

func TestWAVSource(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	want := sweep(22050, 22050, 8000)
	path := filepath.Join(dir, "x.wav")
	require.NoError(t, os.WriteFile(path, AppendWAV(nil, want, 22050), 0o600))
	for _, spec := range []string{"wav:", "wav-fast:"} {
		synctest.Test(t, func(t *testing.T) {
			begin := time.Now()
			s, err := OpenSource(t.Context(), spec+path)
			require.NoError(t, err)
			var got []int16
			for n := 0; ; n++ {
				f, err := s.Read(t.Context())
				if errors.Is(err, io.EOF) {
					assert.Equal(t, 50, n)
					break
				}
				require.NoError(t, err)
				assert.Equal(t, begin.Add(time.Duration(n)*FrameTime), f.At)
				assert.Len(t, f.PCM, FrameLen)
				got = append(got, f.PCM...)
			}
			resampled, err := Resample(want, 22050, Rate)
			require.NoError(t, err)
			assert.Equal(t, resampled, got[:Rate])
			if spec == "wav:" {
				assert.Equal(t, time.Second, time.Since(begin))
			} else {
				assert.Zero(t, time.Since(begin))
			}
			require.NoError(t, s.Close())
		})
	}
	_, err := OpenSource(t.Context(), "wav:"+dir)
	assert.Error(t, err, "a directory")
	require.NoError(t, os.WriteFile(path, []byte("RIFF"), 0o600))
	_, err = OpenSource(t.Context(), "wav:"+path)
	assert.ErrorIs(t, err, ErrWAV)
}
