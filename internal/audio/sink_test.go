package audio

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// note is what a peer was told, and when.
type note struct {
	at      time.Duration
	n       int
	end     bool
	dropped bool
}

type notes struct {
	mu    sync.Mutex
	begin time.Time
	list  []note
	err   error // of Send
}

func (p *notes) add(n note) {
	p.mu.Lock()
	defer p.mu.Unlock()
	n.at = time.Since(p.begin)
	p.list = append(p.list, n)
}

func (p *notes) Send(_ context.Context, pcm []int16) error {
	p.add(note{n: len(pcm)})
	return p.err
}

func (p *notes) End(_ context.Context, dropped bool) error {
	p.add(note{end: true, dropped: dropped})
	return nil
}

func TestPeerSinkPace(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := &notes{begin: time.Now()}
		s := NewPeerSink(p, Rate, 100*time.Millisecond)
		require.NoError(t, s.Drain(t.Context()), "nothing was played")
		require.NoError(t, s.Write(t.Context(), make([]int16, Rate+100)))
		assert.Equal(t, 906250*time.Microsecond, time.Since(p.begin), "100 ms ahead")
		require.NoError(t, s.Drain(t.Context()))
		require.NoError(t, s.Drain(t.Context()), "which has ended already")
		total := 0
		for i, n := range p.list[:len(p.list)-1] {
			total += n.n
			assert.LessOrEqual(t, n.n, FrameLen)
			assert.GreaterOrEqual(t, n.at, Duration(total, Rate)-100*time.Millisecond, "piece %d is early", i)
		}
		assert.Equal(t, Rate+100, total)
		assert.Equal(t, note{at: 1006250 * time.Microsecond, end: true}, p.list[len(p.list)-1])
		time.Sleep(time.Minute)
		begin := time.Now()
		require.NoError(t, s.Write(t.Context(), make([]int16, FrameLen)), "after a pause there is nothing to catch up with")
		require.NoError(t, s.Drain(t.Context()))
		assert.Equal(t, FrameTime, time.Since(begin))
		require.NoError(t, s.Close())
	})
}

func TestPeerSinkStop(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		p := &notes{begin: time.Now()}
		s := NewPeerSink(p, Rate, 100*time.Millisecond)
		var wg sync.WaitGroup
		errs := make([]error, 3)
		wg.Go(func() { errs[0] = s.Write(t.Context(), make([]int16, 10*Rate)) })
		synctest.Wait()
		wg.Go(func() { errs[1] = s.Write(t.Context(), make([]int16, 10*Rate)) })
		wg.Go(func() { errs[2] = s.Drain(t.Context()) })
		time.Sleep(time.Second)
		require.NoError(t, s.Flush())
		wg.Wait()
		for _, err := range errs {
			assert.ErrorIs(t, err, ErrFlushed)
		}
		assert.Equal(t, note{at: time.Second, end: true, dropped: true}, p.list[len(p.list)-1])
		n := len(p.list)
		require.NoError(t, s.Flush())
		assert.Len(t, p.list, n, "there was nothing to stop")

		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		assert.ErrorIs(t, s.Write(ctx, make([]int16, 10*Rate)), context.DeadlineExceeded)
		require.NoError(t, s.Close())
		assert.True(t, p.list[len(p.list)-1].dropped)
		assert.ErrorIs(t, s.Write(t.Context(), make([]int16, 1)), ErrClosed)
		assert.ErrorIs(t, s.Drain(t.Context()), ErrClosed)
		require.NoError(t, s.Close())
	})
}

func TestPeerSinkError(t *testing.T) {
	t.Parallel()
	broken := errors.New("nobody listens")
	s := NewPeerSink(&notes{err: broken}, Rate, Ahead)
	require.ErrorIs(t, s.Write(t.Context(), make([]int16, 10)), broken)
	require.NoError(t, s.Close())
}

func TestNoneTakesTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		s, err := OpenSink(t.Context(), "none", 22050)
		require.NoError(t, err)
		begin := time.Now()
		require.NoError(t, s.Write(t.Context(), make([]int16, 22050*3)))
		require.NoError(t, s.Drain(t.Context()))
		assert.Equal(t, 3*time.Second, time.Since(begin))
		require.NoError(t, s.Close())
	})
}

func TestSpecs(t *testing.T) {
	t.Parallel()
	for _, spec := range []string{"", "speaker", "wav:", "wav:/no/such/dir/x.wav", "pulse@nowhere", "none2:x"} {
		_, err := OpenSink(t.Context(), spec, Rate)
		assert.ErrorContains(t, err, "open sink "+spec)
		_, err = OpenSource(t.Context(), spec)
		assert.ErrorContains(t, err, "open microphone "+spec)
	}
	for _, rate := range []int{0, -1, 3999, 192001} {
		_, err := OpenSink(t.Context(), "none", rate)
		assert.ErrorContains(t, err, "Hz", "rate %d", rate)
	}
	kind, arg := splitSpec("pulse@tcp:host:4713")
	assert.Equal(t, []string{"pulse", "@tcp:host:4713"}, []string{kind, arg})
	kind, arg = splitSpec("aplay:plughw:1,0")
	assert.Equal(t, []string{"aplay", "plughw:1,0"}, []string{kind, arg})
	assert.Equal(t, []pulseAddr{{"unix", "/a"}, {"tcp", "[::1]:4713"}, {"tcp", "h:1"}, {"unix", "/b"}}, pulseServers("/a tcp:::1 {box}tcp:h:1 unix:/b bluetooth:x"))
}

// fragile is a device that is lost at will.
type fragile struct {
	Sink
	err    error
	closed int
}

func (f *fragile) Write(context.Context, []int16) error { return f.err }
func (f *fragile) Drain(context.Context) error          { return f.err }
func (f *fragile) Flush() error                         { return f.err }
func (f *fragile) Close() error                         { f.closed++; return nil }

func TestReviver(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var opened []*fragile
		var away error
		r, err := reviving(t.Context(), func(context.Context) (Sink, error) {
			if away != nil {
				return nil, away
			}
			opened = append(opened, &fragile{})
			return opened[len(opened)-1], nil
		})
		require.NoError(t, err)
		require.NoError(t, r.Write(t.Context(), nil))
		opened[0].err = ErrFlushed
		require.ErrorIs(t, r.Write(t.Context(), nil), ErrFlushed)
		assert.Zero(t, opened[0].closed, "a flush is no loss")
		opened[0].err, away = errLost, ErrNoDevice
		require.ErrorIs(t, r.Flush(), errLost)
		assert.Equal(t, 1, opened[0].closed)
		require.ErrorIs(t, r.Write(t.Context(), nil), away)
		away = nil
		require.ErrorIs(t, r.Write(t.Context(), nil), ErrNoDevice, "not tried again at once")
		time.Sleep(reopenEvery)
		require.NoError(t, r.Write(t.Context(), nil))
		require.Len(t, opened, 2)
		require.NoError(t, r.Close())
		require.NoError(t, r.Close())
		assert.Equal(t, 1, opened[1].closed)
		require.ErrorIs(t, r.Write(t.Context(), nil), ErrClosed)
	})
}
