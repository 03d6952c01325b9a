package wyoming

import (
	"errors"
	"testing"

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
