package audio

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// mute is a peer that takes everything, and notes when.
type mute struct{ at []time.Time }

func (m *mute) Send(context.Context, []int16) error { m.at = append(m.at, time.Now()); return nil }
func (m *mute) End(context.Context, bool) error     { return nil }

// TestFlushForgetsTheRest: what was flushed does not hold up what is said next.
func TestFlushForgetsTheRest(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		m := &mute{}
		s := NewPeerSink(m, Rate, time.Second)
		require.NoError(t, s.Write(t.Context(), make([]int16, Rate)))
		require.NoError(t, s.Flush())
		begin := time.Now()
		require.NoError(t, s.Write(t.Context(), make([]int16, Rate)))
		assert.Zero(t, time.Since(begin), "a second fits in again")
		require.NoError(t, s.Drain(t.Context()))
		assert.Equal(t, time.Second, time.Since(begin))
	})
}

// TestCloseWhileReviving: a device that comes back when nobody wants it any more is given back.
func TestCloseWhileReviving(t *testing.T) {
	t.Parallel()
	opening, goOn := make(chan struct{}), make(chan struct{})
	late := NewPeerSink(&mute{}, Rate, Ahead)
	first := true
	r, err := reviving(t.Context(), func(context.Context) (Sink, error) {
		if first {
			first = false
			return NewPeerSink(lost{}, Rate, Ahead), nil
		}
		close(opening)
		<-goOn
		return late, nil
	})
	require.NoError(t, err)
	require.ErrorIs(t, r.Write(t.Context(), make([]int16, 10)), errLost)
	wrote := make(chan error, 1)
	go func() { wrote <- r.Write(t.Context(), make([]int16, 10)) }()
	<-opening
	require.NoError(t, r.Close())
	close(goOn)
	require.ErrorIs(t, <-wrote, ErrClosed)
	require.ErrorIs(t, late.Write(t.Context(), make([]int16, 10)), ErrClosed)
}

// lost is a peer that has gone.
type lost struct{}

func (lost) Send(context.Context, []int16) error { return errLost }
func (lost) End(context.Context, bool) error     { return nil }
