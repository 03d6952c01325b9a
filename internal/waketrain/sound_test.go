package waketrain

import (
	"math"
	"math/rand/v2"
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestNoise(t *testing.T) {
	t.Parallel()
	for kind := range noises {
		a, b := noise(rand.New(rand.NewPCG(1, 2)), kind, 32000), noise(rand.New(rand.NewPCG(1, 2)), kind, 32000)
		assert.Equal(t, a, b, "the same each time")
		assert.InDelta(t, 1, rms(a), 1e-3, "kind %d", kind)
		for _, v := range a {
			assert.False(t, math.IsNaN(float64(v)))
		}
	}
	assert.Empty(t, noise(rand.New(rand.NewPCG(1, 2)), music, 0))
}

func TestEcho(t *testing.T) {
	t.Parallel()
	x := make([]float32, 16000)
	x[1000] = 1
	y := echo(rand.New(rand.NewPCG(1, 2)), x, 0.3, 0.1)
	assert.Len(t, y, len(x))
	assert.InDelta(t, 1, y[1000], 1e-6)
	assert.Zero(t, rms(y[:1000]), "nothing before the sound")
	early, late := rms(y[1001:3000]), rms(y[4000:7000])
	assert.Positive(t, early)
	assert.Less(t, late, early)
	assert.Less(t, rms(y[1001:])*math.Sqrt(float64(len(y)-1001)), 1.0, "the sound itself is louder than all of it")
}

func TestTrim(t *testing.T) {
	t.Parallel()
	x := make([]int16, 1600)
	for i := 480; i < 960; i++ {
		x[i] = int16(5000 * (1 - 2*(i%2)))
	}
	assert.Len(t, trim(x), 480)
	assert.Empty(t, trim(make([]int16, 1600)))
	assert.Empty(t, trim(nil))
}

func TestPCMClips(t *testing.T) {
	t.Parallel()
	assert.Equal(t, []int16{32767, -32768, 0, 16383}, pcm([]float32{5, -5, 0, 0.5}))
}
