package audio

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// tone is a sine of half the full scale.
func tone(hz float64, n, rate int) []int16 {
	pcm := make([]int16, n)
	for i := range pcm {
		pcm[i] = int16(math.Round(16000 * math.Sin(2*math.Pi*hz*float64(i)/float64(rate))))
	}
	return pcm
}

// gain resamples a tone and returns its loudness relative to before, in dB, without both ends.
func gain(t *testing.T, hz float64, from, to int) float64 {
	t.Helper()
	in := tone(hz, from/2, from)
	out, err := Resample(in, from, to)
	require.NoError(t, err)
	cut := len(out) / 5
	out = out[cut : len(out)-cut]
	return 10 * math.Log10((energy(out)/float64(len(out))+1e-3)/(energy(in)/float64(len(in))))
}

// TestResamplerFilter measures ripple in the pass band, and what is left above it.
func TestResamplerFilter(t *testing.T) {
	t.Parallel()
	rates := []int{8000, 11025, 22050, 24000, 32000, 44100, 48000}
	worst, leak := 0.0, -200.0
	for _, r := range rates {
		for _, d := range [][2]int{{r, Rate}, {Rate, r}} {
			from, to := d[0], d[1]
			low := float64(min(from, to)) / 2
			for _, part := range []float64{0.05, 0.3, 0.6, 0.85, 0.89} {
				g := gain(t, low*part, from, to)
				assert.InDelta(t, 0, g, 0.05, "%d to %d Hz: %.0f Hz", from, to, low*part)
				worst = max(worst, math.Abs(g))
			}
			if from < to {
				continue
			}
			for _, part := range []float64{1.001, 1.1, 1.4} {
				if hz := low * part; hz < float64(from)/2 {
					g := gain(t, hz, from, to)
					assert.Less(t, g, -75.0, "%d to %d Hz: %.0f Hz", from, to, hz)
					leak = max(leak, g)
				}
			}
		}
	}
	t.Logf("ripple up to 0.89 of the band: %.4f dB; above it: %.1f dB", worst, leak)
}

// TestResamplerImages: what goes up brings no mirror image of itself along.
func TestResamplerImages(t *testing.T) {
	t.Parallel()
	out, err := Resample(tone(3000, 4000, 8000), 8000, Rate)
	require.NoError(t, err)
	want := tone(3000, 8000, Rate)
	diff := make([]int16, 0, 8000)
	for i := 1000; i < 7000; i++ {
		diff = append(diff, out[i]-want[i])
	}
	assert.Less(t, math.Sqrt(energy(diff)/float64(len(diff))), 2.0, "also moved in time, or else this would be large")
}

// TestResamplerPieces: the result does not depend on how the sound is cut, and its length is exact,
// which is defect 18 of the old service: a third too many samples from 44.1 kHz.
func TestResamplerPieces(t *testing.T) {
	t.Parallel()
	for _, d := range [][2]int{{44100, Rate}, {11025, Rate}, {Rate, 22050}, {48000, Rate}, {Rate, 44100}} {
		t.Run(fmt.Sprint(d), func(t *testing.T) {
			t.Parallel()
			in := sweep(12345, d[0], 9000)
			want, err := Resample(in, d[0], d[1])
			require.NoError(t, err)
			assert.Len(t, want, (12345*d[1]+d[0]-1)/d[0])
			r, err := NewResampler(d[0], d[1])
			require.NoError(t, err)
			for range 2 { // also after a Flush
				var got []int16
				rnd := rand.New(rand.NewPCG(1, 2))
				for rest := in; len(rest) > 0; {
					n := min(len(rest), rnd.IntN(500))
					got = r.Process(got, rest[:n])
					rest = rest[n:]
					assert.Less(t, r.Held(), 15*time.Millisecond)
				}
				assert.Equal(t, want, r.Flush(got))
			}
		})
	}
}

func TestResamplerRates(t *testing.T) {
	t.Parallel()
	for _, d := range [][2]int{{3999, Rate}, {Rate, 0}, {192001, Rate}, {-8000, Rate}, {191999, Rate}} {
		_, err := NewResampler(d[0], d[1])
		assert.Error(t, err, "%v", d)
	}
	r, err := NewResampler(7, 7)
	assert.Error(t, err)
	assert.Nil(t, r)
}

func BenchmarkResample(b *testing.B) {
	for _, from := range []int{22050, 48000} {
		b.Run(fmt.Sprint(from), func(b *testing.B) {
			r, err := NewResampler(from, Rate)
			require.NoError(b, err)
			in, out := sweep(from/50, from, 9000), make([]int16, 0, 1000)
			b.ReportAllocs()
			for b.Loop() {
				r.Process(out, in)
			}
			b.ReportMetric(float64(b.Elapsed())/float64(b.N)/float64(20*time.Millisecond), "of-real-time")
		})
	}
}
