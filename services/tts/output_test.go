package tts

import (
	"context"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tarsd/tarsd/internal/audio"
)

// hung is a speaker that takes nothing.
type hung struct{ audio.Sink }

func (hung) Write(ctx context.Context, _ []int16) error {
	<-ctx.Done()
	return fmt.Errorf("play: %w", ctx.Err())
}

// TestHungDevice: it is given up after two writes, told of, and what is said goes on.
func TestHungDevice(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		o := Defaults()
		o.OpenSink = func(_ context.Context, _ string, rate int) (audio.Sink, error) {
			return hung{audio.NewPeerSink(deaf{}, rate, peerAhead)}, nil
		}
		var told error
		out := output{o: &o, log: zerolog.Nop(), tell: func(_ context.Context, err error, _ bool) { told = err }}
		out.gain.Store(100)
		begin := time.Now()
		out.aim(t.Context(), "", 16000)
		for range 100 {
			require.NoError(t, out.write(t.Context(), make([]int16, 320)))
		}
		require.ErrorIs(t, told, context.DeadlineExceeded)
		assert.InDelta(t, (2*writeLimit + 2*time.Second).Seconds(), time.Since(begin).Seconds(), 0.5)
		require.NoError(t, out.close())
	})
}
