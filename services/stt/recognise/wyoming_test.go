package recognise

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tarsd/tarsd/internal/wyoming"
)

// peerOf is an engine whose peer serves each connection by f, after the first two events of it.
func peerOf(t *testing.T, o WyomingOptions, f func(ctx context.Context, c *wyoming.Conn, asked wyoming.Transcribe) error) *Wyoming {
	t.Helper()
	a, err := wyoming.ParseAddress("unix://" + filepath.Join(t.TempDir(), "asr.sock"))
	require.NoError(t, err)
	l, err := wyoming.Listen(a)
	require.NoError(t, err)
	s := wyoming.Server{Connections: 4, Log: zerolog.Nop(), Conn: wyoming.Options{ReadTime: time.Minute, WriteTime: time.Minute}}
	s.Handle = func(ctx context.Context, c *wyoming.Conn) error {
		var q wyoming.Transcribe
		ev, err := c.Read(ctx)
		if err != nil || ev.Type != wyoming.TypeTranscribe {
			return fmt.Errorf("%s is no transcribe: %w", ev.Type, err)
		}
		if err := ev.Decode(&q); err != nil {
			return err
		}
		if ev, err = c.Read(ctx); err != nil || ev.Type != wyoming.TypeAudioStart {
			return fmt.Errorf("%s is no audio-start: %w", ev.Type, err)
		}
		return f(ctx, c, q)
	}
	ctx, cancel := context.WithCancel(context.Background())
	served := make(chan error, 1)
	go func() { served <- s.Serve(ctx, l) }()
	t.Cleanup(func() { cancel(); assert.NoError(t, <-served) })
	o.Address = a.String()
	if o.Wait == 0 {
		o.Wait = 10 * time.Second
	}
	if o.Stuck == 0 {
		o.Stuck = 10 * time.Second
	}
	e, err := NewWyoming(o)
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, e.Close()) })
	assert.Equal(t, "wyoming", e.Name())
	return e
}

func begin(t *testing.T, e Engine, lang string) Stream {
	t.Helper()
	s, err := e.Begin(t.Context(), Utterance{Lang: lang})
	require.NoError(t, err)
	t.Cleanup(func() { assert.NoError(t, s.Close()) })
	return s
}

// until reads up to an event of a type, and counts the samples before it.
func until(ctx context.Context, c *wyoming.Conn, kind string) (samples int, err error) {
	for {
		ev, err := c.Read(ctx)
		if err != nil {
			return samples, err
		}
		if ev.Type == kind {
			return samples, nil
		}
		f, err := ev.Format()
		if err != nil || f.Check() != nil || f.Rate != 16000 {
			return samples, fmt.Errorf("%s of %v: %w", ev.Type, f, err)
		}
		samples += len(f.Mono(ev.Payload))
	}
}

func utter(kind, text string) wyoming.Event {
	return wyoming.New(kind, wyoming.Transcript{Text: text})
}

func TestWyoming(t *testing.T) {
	t.Parallel()
	e := peerOf(t, WyomingOptions{Model: "tiny"}, func(ctx context.Context, c *wyoming.Conn, q wyoming.Transcribe) error {
		n, err := until(ctx, c, wyoming.TypeAudioStop)
		if err != nil {
			return err
		}
		return c.Write(ctx, wyoming.New(wyoming.TypeTranscript, wyoming.Transcript{Text: fmt.Sprintf(" %s %s %d\n", q.Name, q.Language, n)}))
	})
	for _, lang := range []string{"en", "de"} {
		s := begin(t, e, lang)
		for range 50 {
			require.NoError(t, s.Feed(t.Context(), make([]int16, 320)))
		}
		require.NoError(t, s.Feed(t.Context(), nil))
		p, err := s.Partial(t.Context())
		require.NoError(t, err)
		assert.Empty(t, p)
		r, err := s.Finish(t.Context())
		require.NoError(t, err)
		assert.Equal(t, Result{Text: "tiny " + lang + " 16000", Lang: lang, Confidence: -1}, r)
	}
}

// TestWyomingStreams: a peer that streams its transcript gives partials, and one that finds the end of
// speech itself may be done before we are.
func TestWyomingStreams(t *testing.T) {
	t.Parallel()
	e := peerOf(t, WyomingOptions{}, func(ctx context.Context, c *wyoming.Conn, _ wyoming.Transcribe) error {
		for _, ev := range []wyoming.Event{
			wyoming.New("voice-started", wyoming.At{}), wyoming.New(wyoming.TypeTranscriptStart, wyoming.Transcript{Language: "en"}),
			utter(wyoming.TypeTranscriptChunk, "what time"), utter(wyoming.TypeTranscriptChunk, " is"), wyoming.New("from-the-future", nil),
		} {
			if err := c.Write(ctx, ev); err != nil {
				return err
			}
		}
		if _, err := until(ctx, c, wyoming.TypeAudioStop); err != nil {
			return err
		}
		return errors.Join(c.Write(ctx, utter(wyoming.TypeTranscriptChunk, " it")), c.Write(ctx, wyoming.New(wyoming.TypeTranscript, wyoming.Transcript{Text: "What time is it?", Language: "en-GB"})),
			c.Write(ctx, wyoming.New(wyoming.TypeTranscriptStop, nil)))
	})
	s := begin(t, e, "en")
	require.NoError(t, s.Feed(t.Context(), make([]int16, 320)))
	require.Eventually(t, func() bool {
		p, err := s.Partial(t.Context())
		return err == nil && p == "what time is"
	}, 10*time.Second, time.Millisecond)
	r, err := s.Finish(t.Context())
	require.NoError(t, err)
	assert.Equal(t, Result{Text: "What time is it?", Lang: "en-GB", Confidence: -1}, r)

	early := peerOf(t, WyomingOptions{}, func(ctx context.Context, c *wyoming.Conn, _ wyoming.Transcribe) error {
		if _, err := c.Read(ctx); err != nil {
			return err
		}
		return c.Write(ctx, utter(wyoming.TypeTranscript, "stop"))
	})
	s = begin(t, early, "")
	fed := func() bool { // the peer has hung up by and by
		require.NoError(t, s.Feed(t.Context(), make([]int16, 320)))
		over, err := s.(*wyomingStream).over()
		require.NoError(t, err)
		return over
	}
	require.Eventually(t, fed, 10*time.Second, time.Millisecond)
	require.NoError(t, s.Feed(t.Context(), make([]int16, 320)))
	r, err = s.Finish(t.Context())
	require.NoError(t, err)
	assert.Equal(t, Result{Text: "stop", Confidence: -1}, r)
}

// TestWyomingFails: what a peer does that hangs, dies or is none is an error, in time.
func TestWyomingFails(t *testing.T) {
	t.Parallel()
	type peer = func(ctx context.Context, c *wyoming.Conn, _ wyoming.Transcribe) error
	atEnd := func(evs ...wyoming.Event) peer {
		return func(ctx context.Context, c *wyoming.Conn, _ wyoming.Transcribe) error {
			if _, err := until(ctx, c, wyoming.TypeAudioStop); err != nil {
				return err
			}
			for _, ev := range evs {
				if err := c.Write(ctx, ev); err != nil {
					return err
				}
			}
			return nil
		}
	}
	hang := func(ctx context.Context, c *wyoming.Conn, _ wyoming.Transcribe) error {
		var err error
		for err == nil {
			_, err = c.Read(ctx)
		}
		return err
	}
	for name, v := range map[string]struct {
		peer peer
		o    WyomingOptions
		want string
	}{
		"hangs up":        {atEnd(), WyomingOptions{}, "unexpected EOF before the transcript"},
		"error":           {atEnd(wyoming.New(wyoming.TypeError, wyoming.Error{Text: "no such model"})), WyomingOptions{}, `the peer says: "no such model"`},
		"wrong data":      {atEnd(wyoming.New(wyoming.TypeTranscript, []int{7})), WyomingOptions{}, "transcript: json"},
		"endless text":    {atEnd(utter(wyoming.TypeTranscript, strings.Repeat("x", maxTranscript+1))), WyomingOptions{}, "says too much"},
		"endless partial": {atEnd(utter(wyoming.TypeTranscriptChunk, strings.Repeat("x", maxTranscript)), utter(wyoming.TypeTranscriptChunk, "x")), WyomingOptions{}, "says too much"},
		"endless events": {func(ctx context.Context, c *wyoming.Conn, _ wyoming.Transcribe) error {
			for {
				if err := c.Write(ctx, wyoming.New(wyoming.TypePing, nil)); err != nil {
					return err
				}
			}
		}, WyomingOptions{}, "says too much"},
		"says nothing": {hang, WyomingOptions{Wait: 50 * time.Millisecond}, "no transcript in 50ms"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := begin(t, peerOf(t, v.o, v.peer), "en")
			err := s.Feed(t.Context(), make([]int16, 320))
			if err == nil {
				_, err = s.Finish(t.Context())
			}
			require.ErrorContains(t, err, v.want)
			assert.Less(t, len(err.Error()), 400)
		})
	}
	t.Run("dies midway", func(t *testing.T) {
		t.Parallel()
		s := begin(t, peerOf(t, WyomingOptions{}, func(context.Context, *wyoming.Conn, wyoming.Transcribe) error { return errors.New("out of memory") }), "en")
		var err error
		require.Eventually(t, func() bool { err = s.Feed(t.Context(), make([]int16, 320)); return err != nil }, 10*time.Second, time.Millisecond)
		require.ErrorContains(t, err, `the peer says: "out of memory"`)
		_, err = s.Partial(t.Context())
		require.Error(t, err)
	})
	t.Run("takes nothing", func(t *testing.T) {
		t.Parallel()
		s := begin(t, peerOf(t, WyomingOptions{Stuck: 50 * time.Millisecond}, func(ctx context.Context, _ *wyoming.Conn, _ wyoming.Transcribe) error { <-ctx.Done(); return nil }), "en")
		var err error
		for err == nil {
			err = s.Feed(t.Context(), make([]int16, 64<<10))
		}
		require.ErrorIs(t, err, wyoming.ErrStuck)
	})
	t.Run("cancelled", func(t *testing.T) {
		t.Parallel()
		s := begin(t, peerOf(t, WyomingOptions{}, hang), "en")
		ctx, cancel := context.WithCancel(t.Context())
		timer := time.AfterFunc(20*time.Millisecond, cancel)
		defer timer.Stop()
		_, err := s.Finish(ctx)
		require.ErrorIs(t, err, context.Canceled)
	})
	t.Run("cancelled when deaf", func(t *testing.T) { // the peer takes no more, and does not say why
		t.Parallel()
		path := filepath.Join(t.TempDir(), "deaf.sock")
		l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
		require.NoError(t, err)
		defer l.Close()
		e, err := NewWyoming(WyomingOptions{Address: "unix://" + path, Wait: time.Minute, Stuck: time.Minute})
		require.NoError(t, err)
		s := begin(t, e, "en")
		c, err := l.AcceptUnix()
		require.NoError(t, err)
		defer c.Close()
		require.NoError(t, c.CloseRead())
		ctx, cancel := context.WithCancel(t.Context())
		timer := time.AfterFunc(20*time.Millisecond, cancel)
		defer timer.Stop()
		start := time.Now()
		require.ErrorIs(t, s.Feed(ctx, make([]int16, 320)), context.Canceled)
		assert.Less(t, time.Since(start), 30*time.Second)
	})
	t.Run("closed", func(t *testing.T) {
		t.Parallel()
		e := peerOf(t, WyomingOptions{}, hang)
		s := begin(t, e, "en")
		require.NoError(t, e.Close())
		_, err := s.Finish(t.Context())
		require.Error(t, err)
		require.NotContains(t, err.Error(), "no transcript in", "it was not waited for")
		_, err = e.Begin(t.Context(), Utterance{})
		require.ErrorIs(t, err, errClosed)
	})
	t.Run("garbage", func(t *testing.T) {
		t.Parallel()
		l, err := net.Listen("tcp", "127.0.0.1:0")
		require.NoError(t, err)
		defer l.Close()
		go func() {
			c, err := l.Accept()
			if err == nil {
				_, _ = io.WriteString(c, "HTTP/1.1 400 Bad Request\r\n\r\n")
				_, _ = io.Copy(io.Discard, c)
				c.Close()
			}
		}()
		e, err := NewWyoming(WyomingOptions{Address: "tcp://" + l.Addr().String(), Wait: time.Minute, Stuck: time.Minute})
		require.NoError(t, err)
		s := begin(t, e, "en")
		_, err = s.Finish(t.Context())
		require.ErrorContains(t, err, "read event: invalid character 'H'")
	})
	t.Run("nobody there", func(t *testing.T) {
		t.Parallel()
		e, err := NewWyoming(WyomingOptions{Address: "unix://" + filepath.Join(t.TempDir(), "no.sock"), Wait: 1, Stuck: 1})
		require.NoError(t, err)
		_, err = e.Begin(t.Context(), Utterance{})
		require.ErrorContains(t, err, "no such file")
	})
	for _, o := range []WyomingOptions{{Address: "127.0.0.1:1", Wait: 1, Stuck: 1}, {Address: "tcp://127.0.0.1:1", Stuck: 1}, {Address: "tcp://127.0.0.1:1", Wait: 1}} {
		_, err := NewWyoming(o)
		require.Error(t, err)
	}
}
