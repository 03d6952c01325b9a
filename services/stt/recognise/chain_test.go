package recognise

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tarsd/tarsd/internal/engine/pocketsphinx"
)

// fake is an engine that does as it is told, and notes what it got.
type fake struct {
	name                         string
	begin, feed, partial, finish func(ctx context.Context) error
	got                          [][]int16 // of each stream
	open                         int
}

func (f *fake) Name() string { return f.name }
func (f *fake) Close() error { return errors.New(f.name + " does not close") }

func do(ctx context.Context, f func(context.Context) error) error {
	if f == nil {
		return nil
	}
	return f(ctx)
}

func (f *fake) Begin(ctx context.Context, _ Utterance) (Stream, error) {
	f.got = append(f.got, nil)
	if err := do(ctx, f.begin); err != nil {
		return nil, err
	}
	f.open++
	return &fakeStream{f: f}, nil
}

type fakeStream struct{ f *fake }

func (s *fakeStream) Feed(ctx context.Context, pcm []int16) error {
	n := len(s.f.got) - 1
	s.f.got[n] = append(s.f.got[n], pcm...)
	return do(ctx, s.f.feed)
}

func (s *fakeStream) Partial(ctx context.Context) (string, error) {
	return s.f.name + " so far", do(ctx, s.f.partial)
}

func (s *fakeStream) Finish(ctx context.Context) (Result, error) {
	return Result{Text: s.f.name}, do(ctx, s.f.finish)
}

func (s *fakeStream) Close() error {
	s.f.open--
	return nil
}

func fails(context.Context) error { return errors.New("no ears today") }

func hangs(ctx context.Context) error {
	<-ctx.Done()
	return ctx.Err()
}

func sound(n int) []int16 {
	pcm := make([]int16, n)
	for i := range pcm {
		pcm[i] = int16(i * 7)
	}
	return pcm
}

// hear has a relay hear sound, in two pieces with a partial transcript between them.
func hear(ctx context.Context, r *Relay, pcm []int16) (Result, error) {
	if err := r.Feed(ctx, pcm[:len(pcm)/2]); err != nil {
		return Result{}, err
	}
	if _, err := r.Partial(ctx); err != nil {
		return Result{}, err
	}
	if err := r.Feed(ctx, pcm[len(pcm)/2:]); err != nil {
		return Result{}, err
	}
	return r.Finish(ctx)
}

// TestChainGoesOn: whenever an engine fails, the next one gets all of the sound.
func TestChainGoesOn(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*fake, func(context.Context) error){
		"begin": func(f *fake, how func(context.Context) error) { f.begin = how }, "feed": func(f *fake, how func(context.Context) error) { f.feed = how },
		"partial": func(f *fake, how func(context.Context) error) { f.partial = how }, "finish": func(f *fake, how func(context.Context) error) { f.finish = how },
	} {
		for kind, how := range map[string]func(context.Context) error{"fails": fails, "hangs": hangs} {
			t.Run(name+" "+kind, func(t *testing.T) {
				t.Parallel()
				synctest.Test(t, func(t *testing.T) {
					first, second, pcm := &fake{name: "a"}, &fake{name: "b"}, sound(40_000)
					change(first, how)
					c := NewChain([]Engine{first, second}, nil, time.Second)
					begin := time.Now()
					r := c.Begin(Utterance{})
					assert.Equal(t, "a", r.Engine())
					res, err := hear(t.Context(), r, pcm)
					require.NoError(t, err)
					assert.Equal(t, "b", res.Text)
					assert.Equal(t, "b", r.Engine())
					assert.Equal(t, pcm, second.got[0])
					require.NoError(t, r.Close())
					assert.Zero(t, first.open+second.open)
					why := "a: no ears today"
					if kind == "hangs" {
						why = "a: nothing within 1s"
						assert.Equal(t, time.Second, time.Since(begin))
					}
					require.EqualError(t, c.Err(), why)
					assert.Equal(t, "b", c.Name())

					r = c.Begin(Utterance{})
					_, err = hear(t.Context(), r, pcm)
					require.NoError(t, err)
					require.NoError(t, r.Close())
					assert.Len(t, first.got, 1, "it is not asked again at once")
					time.Sleep(rest)
					first.begin, first.feed, first.partial, first.finish = nil, nil, nil, nil
					r = c.Begin(Utterance{})
					res, err = hear(t.Context(), r, pcm)
					require.NoError(t, err)
					assert.Equal(t, "a", res.Text)
					require.NoError(t, c.Err())
				})
			})
		}
	}
}

func TestChainEnds(t *testing.T) {
	t.Parallel()
	t.Run("all fail", func(t *testing.T) {
		t.Parallel()
		c := NewChain([]Engine{&fake{name: "a", feed: fails}, &fake{name: "b", finish: fails}}, []error{errors.New("x is missing")}, time.Second)
		_, err := hear(t.Context(), c.Begin(Utterance{}), sound(100))
		require.EqualError(t, err, "a: no ears today\nb: no ears today\nx is missing")
		require.EqualError(t, c.Close(), "a does not close\nb does not close")
	})
	t.Run("none", func(t *testing.T) {
		t.Parallel()
		c := NewChain(nil, nil, time.Second)
		r := c.Begin(Utterance{})
		require.ErrorIs(t, r.Feed(t.Context(), sound(100)), ErrNone)
		assert.Empty(t, r.Engine()+c.Name())
		require.NoError(t, r.Close())
	})
	t.Run("cancelled", func(t *testing.T) {
		t.Parallel()
		ctx, cancel := context.WithCancel(t.Context())
		second := &fake{name: "b"}
		c := NewChain([]Engine{&fake{name: "a", feed: func(ctx context.Context) error { cancel(); return ctx.Err() }}, second}, nil, time.Second)
		require.ErrorIs(t, c.Begin(Utterance{}).Feed(ctx, sound(100)), context.Canceled)
		assert.Empty(t, second.got)
		require.NoError(t, c.Err(), "a stop is no failure")
	})
	t.Run("too long", func(t *testing.T) {
		t.Parallel()
		a := &fake{name: "a"}
		r := NewChain([]Engine{a}, nil, time.Second).Begin(Utterance{})
		require.NoError(t, r.Feed(t.Context(), sound(maxKept)))
		require.ErrorIs(t, r.Feed(t.Context(), sound(1)), ErrTooLong)
		assert.Len(t, a.got[0], maxKept)
	})
	t.Run("slow", func(t *testing.T) {
		t.Parallel()
		synctest.Test(t, func(t *testing.T) {
			slow := func(context.Context) error { time.Sleep(900 * time.Millisecond); return nil }
			r := NewChain([]Engine{&fake{name: "a", feed: slow}}, nil, time.Second).Begin(Utterance{})
			require.NoError(t, r.Feed(t.Context(), sound(5*piece)), "a second for each second of sound")
		})
	})
}

// TestChainAskedTooMuch: an engine that does not have a language, or takes no more sound, has not failed.
func TestChainAskedTooMuch(t *testing.T) {
	t.Parallel()
	for _, why := range []error{ErrLang, ErrTooLong, pocketsphinx.ErrTooLong} {
		first, second := &fake{name: "a", feed: func(context.Context) error { return why }}, &fake{name: "b"}
		c := NewChain([]Engine{first, second}, nil, time.Second)
		r := c.Begin(Utterance{Lang: "de"})
		res, err := hear(t.Context(), r, sound(100))
		require.NoError(t, err)
		assert.Equal(t, "b", res.Text)
		require.NoError(t, r.Close())
		require.NoError(t, c.Err())
		assert.Equal(t, "a", c.Name(), "%v", why)
	}
}
