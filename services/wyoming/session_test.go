package wyoming

import (
	"errors"
	"net"
	"testing"
	"testing/synctest"
	"time"

	"github.com/rs/zerolog"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	proto "github.com/tarsd/tarsd/internal/wyoming"
	"github.com/tarsd/tarsd/services/tts/voice"
)

// TestSynthesizeStreamHasOneRate: also when another engine takes over in the middle of a text.
func TestSynthesizeStreamHasOneRate(t *testing.T) {
	t.Parallel()
	good, spare := &tone{rate: 22050}, &tone{rate: 16000}
	o := offer(t, good, &scribe{})
	o.TTS.Engines = func() ([]voice.Engine, []error) { return []voice.Engine{good, spare}, nil }
	p := run(t, o)()
	p.send(proto.TypeSynthesizeStart, nil)
	p.send(proto.TypeSynthesizeChunk, proto.Synthesize{Text: "This is the first sentence. This"})
	rate, n := p.heard()
	assert.Equal(t, 22050, rate)
	assert.Equal(t, 100*len("This is the first sentence."), n)
	good.breaks(errors.New("no voice today"))
	p.send(proto.TypeSynthesizeChunk, proto.Synthesize{Text: " is the second one. "})
	p.send(proto.TypeSynthesizeStop, nil)
	rate, n = p.heard()
	assert.Equal(t, 22050, rate, "not that of the engine which says it")
	assert.InDelta(t, 100*len("This is the second one.")*22050/16000, n, 20)
	p.next(proto.TypeSynthesizeStopped, nil)
	require.Len(t, spare.texts(), 1)
}

// TestHearTime: who begins to speak and does not end does not keep a recogniser.
func TestHearTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		r := &scribe{slow: 2 * time.Second}
		h := &host{o: offer(t, &tone{rate: 16000}, r), recogniser: r}
		ours, theirs := net.Pipe()
		server := proto.Server{Handle: h.handle, Log: zerolog.Nop()}
		served := make(chan error, 1)
		go func() {
			served <- server.ServeConn(t.Context(), proto.NewConn(ours, proto.Options{ReadTime: idleTime, WriteTime: writeTime}))
		}()
		p := &peer{t, proto.NewConn(theirs, proto.Options{}), theirs}
		p.send(proto.TypeTranscribe, nil)
		p.send(proto.TypeAudioStart, proto.Mono16(16000))
		p.sound(16000, 1, hum(320))
		time.Sleep(hearTime - time.Second)
		p.send(proto.TypeAudioStop, nil)
		p.next(proto.TypeTranscript, nil)
		time.Sleep(time.Minute) // what was heard to its end is over, also when the text takes a while

		p.send(proto.TypeAudioStart, proto.Mono16(16000))
		begin := time.Now()
		for range 2 { // it is not silent
			time.Sleep(time.Minute)
			p.send(proto.TypePing, nil)
			p.next(proto.TypePong, nil)
		}
		p.fails("no audio-stop in 3m0s")
		assert.Equal(t, hearTime, time.Since(begin))
		require.ErrorContains(t, <-served, "no audio-stop")
		assert.Zero(t, r.open.Load())
		require.NoError(t, p.c.Close())
	})
}
