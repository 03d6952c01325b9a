package ears

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/rs/zerolog"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tarsd/tarsd/internal/audio"
	"github.com/tarsd/tarsd/services/client"
	"github.com/tarsd/tarsd/services/contract"
	"github.com/tarsd/tarsd/services/servicetest"
)

// deaf is a robot without a microphone of its own.
func deaf(t *testing.T, change func(*Options)) *Ears {
	t.Helper()
	o := Defaults()
	o.Microphone = None
	if change != nil {
		change(&o)
	}
	e, err := New(o)
	require.NoError(t, err)
	return e
}

// ramp is sound of which each sample is unlike the one before.
func ramp(n int) []int16 {
	pcm := make([]int16, n)
	for i := range pcm {
		pcm[i] = int16(i%20000 - 10000)
	}
	return pcm
}

func send(t *testing.T, c *client.Client, site string, b []byte, rate int) {
	t.Helper()
	var opts []client.PublishOption
	if rate != 0 {
		opts = append(opts, client.WithProps(client.UserProperty{Key: contract.PropRate, Value: strconv.Itoa(rate)}))
	}
	_, err := c.PublishRaw(t.Context(), "audio/in/"+site, b, 0, false, opts...)
	require.NoError(t, err)
}

// event is what a listener has heard.
type event struct {
	site  string
	frame audio.Frame
	gone  error
}

// listen collects what all sites give.
func listen(t *testing.T, e *Ears) <-chan event {
	t.Helper()
	out := make(chan event, 10_000)
	e.sites.mu.Lock()
	had := len(e.sites.watchers)
	e.sites.mu.Unlock()
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() {
		assert.NoError(t, e.Each(ctx, func(ctx context.Context, site string, l *audio.Listener) {
			for {
				f, err := l.Next(ctx)
				if err != nil {
					break
				}
				out <- event{site: site, frame: f}
			}
			<-ctx.Done()
			out <- event{site: site, gone: context.Cause(ctx)}
		}))
	})
	t.Cleanup(func() { cancel(); wg.Wait() })
	require.Eventually(t, func() bool {
		e.sites.mu.Lock()
		defer e.sites.mu.Unlock()
		return len(e.sites.watchers) == had+1
	}, 10*time.Second, time.Millisecond)
	return out
}

func next(t *testing.T, events <-chan event) event {
	t.Helper()
	select {
	case e := <-events:
		return e
	case <-time.After(10 * time.Second):
		require.FailNow(t, "nothing is heard")
		return event{}
	}
}

// TestSite: what a device or a page publishes reaches each listener, whole and in order, in frames of
// 16 kHz, and its end is told.
func TestSite(t *testing.T) {
	t.Parallel()
	bus := servicetest.Start(t)
	e := deaf(t, func(o *Options) { o.Idle = time.Second })
	bus.Run(t, e)
	sat := bus.Client(t, "satellite")
	one, two := listen(t, e), listen(t, e)
	for name, c := range map[string]struct {
		rate int
		wav  bool
	}{
		"raw":  {0, false},
		"page": {48000, false},
		"wav":  {16000, true},
		"wäv":  {8000, true},
	} {
		t.Run(name, func(t *testing.T) {
			rate := c.rate
			if rate == 0 {
				rate = audio.Rate
			}
			pcm := ramp(rate * 4 / 5)
			for rest := pcm; len(rest) > 0; rest = rest[rate/50:] {
				if c.wav {
					send(t, sat, name, audio.AppendWAV(nil, rest[:rate/50], rate), 0)
				} else {
					send(t, sat, name, audio.AppendBytes(nil, rest[:rate/50]), c.rate)
				}
			}
			for _, events := range []<-chan event{one, two} {
				var got []int16
				for {
					ev := next(t, events)
					if ev.site != name {
						continue
					}
					if ev.gone != nil {
						assert.Equal(t, ErrGone, ev.gone)
						break
					}
					got = append(got, ev.frame.PCM...)
				}
				if rate == audio.Rate {
					assert.True(t, slices.Equal(pcm, got), "%d samples of %d", len(got), len(pcm))
				} else {
					assert.InDelta(t, 12800, len(got), 640)
				}
			}
			send(t, sat, name, audio.AppendBytes(nil, ramp(audio.FrameLen)), 0)
			for _, events := range []<-chan event{one, two} {
				ev := next(t, events)
				for ev.site != name { // that of the test before goes, too
					ev = next(t, events)
				}
				require.NoError(t, ev.gone, "it has come back")
				assert.True(t, slices.Equal(ramp(audio.FrameLen), ev.frame.PCM))
			}
		})
	}
}

// TestHostile: what is no sound makes no site, and takes nothing from those that there are.
func TestHostile(t *testing.T) {
	t.Parallel()
	bus := servicetest.Start(t)
	e := deaf(t, func(o *Options) { o.MaxSites = 2 })
	bus.Run(t, e)
	sat := bus.Client(t, "satellite")
	events := listen(t, e)
	good := audio.AppendBytes(nil, ramp(audio.FrameLen))
	wav := audio.AppendWAV(nil, ramp(audio.FrameLen), audio.Rate)
	for _, b := range [][]byte{nil, {1}, good[:639], bytes.Repeat(good, 11), bytes.Repeat(good, 1000), wav[:20], wav[:44], append(slices.Clone(wav), make([]byte, chunkBytes)...), []byte("RIFF\xff\xff\xff\xffWAVEfmt \xff\xff\xff\xff")} {
		send(t, sat, "kitchen", b, 0)
	}
	for _, rate := range []int{1, 7999, 96000, 1 << 30} {
		send(t, sat, "kitchen", good, rate)
	}
	for _, rate := range []string{"", "0", "-16000", "16e3", strings.Repeat("9", 1000), "16000 "} {
		_, err := sat.PublishRaw(t.Context(), "audio/in/kitchen", good, 0, false, client.WithProps(client.UserProperty{Key: "rate", Value: rate}))
		require.NoError(t, err)
	}
	for _, site := range []string{"", "room", strings.Repeat("x", 129)} {
		send(t, sat, site, good, 0)
	}
	for i := range 4 {
		send(t, sat, fmt.Sprint("site", i), good, 0)
	}
	assert.ElementsMatch(t, []string{"site0", "site1"}, []string{next(t, events).site, next(t, events).site})
	send(t, sat, "site0", []byte{1}, 0)
	send(t, sat, "site1", good, 0)
	ev := next(t, events)
	assert.Equal(t, "site1", ev.site)
	assert.True(t, slices.Equal(ramp(audio.FrameLen), ev.frame.PCM))
	assert.Empty(t, events)
}

// TestFlood: who sends faster than one can speak has two seconds at once, and then no more than time has.
func TestFlood(t *testing.T) {
	t.Parallel()
	r := &run{o: new(Defaults()), sites: &sites{}, log: zerolog.Nop(), remotes: remotes{all: map[string]*remote{}}}
	r.begin = func(string, *remote) {}
	m := client.Message[[]byte]{Topic: "audio/in/kitchen"}
	m.Data = audio.AppendBytes(nil, ramp(audio.Samples(audio.MaxChunk, audio.Rate)))
	var err error
	n := 0
	for ; err == nil && n < 100; n++ {
		err = r.take("kitchen", m)
	}
	require.ErrorIs(t, err, audio.ErrChunk)
	assert.Equal(t, 11, n)
	m.Retained = true
	assert.ErrorIs(t, r.take("attic", m), errLate)
	m.Retained = false
	require.NoError(t, r.take("hall", client.Message[[]byte]{Topic: "audio/in/hall"}), "who only listens is no fault")
	assert.NotContains(t, r.remotes.all, "hall")
	r.remotes.close()
	require.NoError(t, r.take("attic", m))
	assert.Len(t, r.remotes.all, 1, "no site begins when the service ends")
}

// TestRefusedLine: a flood of what is no sound is a counter, and a line a minute.
func TestRefusedLine(t *testing.T) {
	t.Parallel()
	var log bytes.Buffer
	r := &run{o: new(Defaults()), sites: &sites{}, log: zerolog.New(&log), remotes: remotes{all: map[string]*remote{}}}
	m := client.Message[[]byte]{Topic: "audio/in/kitchen", Received: time.Unix(0, 0)}
	for range 10_000 {
		m.Received = m.Received.Add(refuseLine / 5000)
		m.Data = []byte{1, 2, 3}
		r.chunk(t.Context(), m)
	}
	lines := strings.Split(strings.TrimSpace(log.String()), "\n")
	require.Len(t, lines, 2)
	assert.JSONEq(t, `{"level":"warn","error":"bad sound: 3 bytes are not whole samples","topic":"audio/in/kitchen","refused":5001,"message":"sound refused"}`, lines[1])
	assert.Empty(t, r.remotes.all)
}
