package stt

import (
	"context"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tarsd/tarsd/internal/audio"
	"github.com/tarsd/tarsd/services/contract"
)

// TestGaps: lost sound ends an utterance, when it is more than a few words could bridge.
func TestGaps(t *testing.T) {
	t.Parallel()
	for gap, want := range map[time.Duration]bool{100 * time.Millisecond: false, 5 * time.Second: true} {
		o := Defaults()
		ms := newMics(&o)
		at := time.Now()
		ms.join(at, Room)
		ms.dialogue(at, contract.Dialogue{Live: true}, time.Hour, true)
		s := newSite(&o, Room, ms, loudness{})
		hear := func(pcm []int16, gap bool) {
			for ; len(pcm) >= audio.FrameLen; pcm = pcm[audio.FrameLen:] {
				s.hear(audio.Frame{PCM: pcm[:audio.FrameLen], At: at, Gap: gap})
				at, gap = at.Add(audio.FrameTime), false
			}
		}
		hear(hum(time.Second), false)
		u := <-s.queue
		require.False(t, u.done)
		end := at
		at = at.Add(gap)
		hear(hum(100*time.Millisecond), true)
		assert.Equal(t, want, u.done, gap)
		if want {
			assert.InDelta(t, 0, u.m.to.Sub(end).Milliseconds(), 33)
			assert.Len(t, s.queue, 1, "and another begins")
		}
	}
}

// TestSoundStops: who sends only while a button is held is not waited for, nor is a microphone that was
// unplugged; and a mute in the meantime counts.
func TestSoundStops(t *testing.T) {
	t.Parallel()
	for _, muted := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			o := Defaults()
			ms := newMics(&o)
			ms.join(time.Now(), Room)
			ms.dialogue(time.Now(), contract.Dialogue{Live: true}, time.Hour, true)
			s := newSite(&o, Room, ms, loudness{})
			m := &ear{in: make(chan audio.Frame), at: time.Now(), t: t}
			hub := audio.NewHub(audio.HubOptions{Open: func(context.Context) (audio.Source, error) { return m, nil }, Stall: -1})
			l := hub.Listen(0)
			ctx, cancel := context.WithCancel(t.Context())
			var wg sync.WaitGroup
			wg.Go(func() { _ = hub.Run(ctx) })
			wg.Go(func() {
				for {
					f, err := s.await(ctx, l)
					if err != nil {
						return
					}
					s.hear(f)
				}
			})
			m.hear(hum(time.Second))
			synctest.Wait()
			u := <-s.queue
			if muted {
				ms.command(time.Now(), contract.MicCommand{Action: "mute", Reason: "night"}, Room)
			}
			is := func(done, dropped bool) {
				t.Helper()
				synctest.Wait()
				u.mu.Lock()
				defer u.mu.Unlock()
				assert.Equal(t, done, u.done)
				assert.Equal(t, dropped, u.dropped)
			}
			time.Sleep(maxWait - time.Millisecond)
			is(false, false)
			time.Sleep(time.Millisecond)
			is(!muted, muted)
			m.hear(hum(time.Second))
			synctest.Wait()
			assert.Equal(t, !muted, len(s.queue) == 1, "what comes then is another")
			cancel()
			wg.Wait()
		})
	}
}
