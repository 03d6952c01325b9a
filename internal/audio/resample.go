package audio

import (
	"fmt"
	"math"
	"time"
)

// Rates that a resampler takes, in samples a second.
const (
	MinRate = 4000
	MaxRate = 192000
)

// The filter: 48 zero crossings on each side of the centre and a Kaiser window, which leave 80 dB
// of attenuation from half of the lower rate on, and a flat pass band up to nine tenths of that.
const (
	crossings  = 48
	kaiserBeta = 8.0
	rollOff    = 0.947   // -6 dB point, so that the transition ends at half of the lower rate
	maxTable   = 1 << 18 // coefficients: bounds memory for rates that have little in common
)

// Resampler changes the rate of mono sound, piece by piece: a polyphase filter of a windowed sinc.
// It is not safe for use by several goroutines.
type Resampler struct {
	up, down int
	taps     int       // of one phase
	table    []float32 // up phases of taps coefficients
	hist     []float32 // input that is still needed, beginning at sample first
	pos      int       // of the next output, in steps of 1/up input sample from the start of hist
	in, out  int64     // samples taken and given since the start
	from     int
}

// NewResampler returns a resampler between two rates of MinRate to MaxRate, at most some
// ten thousand to one another in lowest terms.
func NewResampler(from, to int) (*Resampler, error) {
	if min(from, to) < MinRate || max(from, to) > MaxRate {
		return nil, fmt.Errorf("resample %d to %d Hz: rates are %d to %d Hz", from, to, MinRate, MaxRate)
	}
	g := gcd(from, to)
	r := &Resampler{up: to / g, down: from / g, from: from}
	half := crossings
	if r.down > r.up {
		half = (crossings*r.down + r.up - 1) / r.up
	}
	r.taps = 2 * half
	if r.up*r.taps > maxTable {
		return nil, fmt.Errorf("resample %d to %d Hz: the rates have too little in common", from, to)
	}
	r.design(half)
	r.Reset()
	return r, nil
}

// design fills the table: phase p is the filter that reads p/up of a sample later.
func (r *Resampler) design(half int) {
	cut := rollOff * min(1, float64(r.up)/float64(r.down)) // of half of the input's rate
	r.table = make([]float32, r.up*r.taps)
	for p := range r.up {
		row, sum := r.table[p*r.taps:][:r.taps], 0.0
		coef := make([]float64, r.taps)
		for k := range coef {
			x := float64(k-half+1) - float64(p)/float64(r.up)
			coef[k] = cut * sinc(cut*x) * kaiser(x/float64(half))
			sum += coef[k]
		}
		for k := range coef { // every phase passes a constant unchanged, else the phases buzz
			row[k] = float32(coef[k] / sum)
		}
	}
}

// Reset forgets the sound so far.
func (r *Resampler) Reset() {
	r.hist = append(r.hist[:0], make([]float32, r.taps/2-1)...) // the first output lies on the first input
	r.pos, r.in, r.out = 0, 0, 0
}

// Held returns how much sound was taken and not given yet, for want of what follows.
func (r *Resampler) Held() time.Duration {
	return Duration(int(r.in*int64(r.up)-r.out*int64(r.down)), r.from*r.up)
}

// Process appends to dst what pcm makes, and keeps what the next piece needs.
func (r *Resampler) Process(dst, pcm []int16) []int16 {
	for _, s := range pcm {
		r.hist = append(r.hist, float32(s))
	}
	r.in += int64(len(pcm))
	return r.produce(dst, math.MaxInt64)
}

// Flush appends the rest of the sound, and resets: n samples in all make n*to/from, rounded up.
func (r *Resampler) Flush(dst []int16) []int16 {
	want := (r.in*int64(r.up) + int64(r.down) - 1) / int64(r.down)
	r.hist = append(r.hist, make([]float32, r.taps)...)
	dst = r.produce(dst, want)
	r.Reset()
	return dst
}

// produce makes outputs while there is input for them, and no more than want since the start.
func (r *Resampler) produce(dst []int16, want int64) []int16 {
	for r.out < want {
		i, phase := r.pos/r.up, r.pos%r.up
		if i+r.taps > len(r.hist) {
			break
		}
		dst = append(dst, round(dot(r.table[phase*r.taps:][:r.taps], r.hist[i:][:r.taps])))
		r.pos += r.down
		r.out++
	}
	if used := min(r.pos/r.up, len(r.hist)); used > 0 {
		r.hist = r.hist[:copy(r.hist, r.hist[used:])]
		r.pos -= used * r.up
	}
	return dst
}

// Resample returns pcm at another rate, whole.
func Resample(pcm []int16, from, to int) ([]int16, error) {
	if from == to {
		return pcm, nil
	}
	r, err := NewResampler(from, to)
	if err != nil {
		return nil, err
	}
	return r.Flush(r.Process(make([]int16, 0, len(pcm)*to/from+1), pcm)), nil
}

func dot(a, b []float32) float32 {
	var s0, s1, s2, s3 float32 // four sums, which the processor can work on at a time
	b = b[:len(a)]
	i := 0
	for ; i+4 <= len(a); i += 4 {
		s0 += a[i] * b[i]
		s1 += a[i+1] * b[i+1]
		s2 += a[i+2] * b[i+2]
		s3 += a[i+3] * b[i+3]
	}
	for ; i < len(a); i++ {
		s0 += a[i] * b[i]
	}
	return s0 + s1 + s2 + s3
}

// round returns the nearest sample, with what is too loud clipped.
func round(x float32) int16 {
	return int16(max(math.MinInt16, min(math.MaxInt16, math.RoundToEven(float64(x)))))
}

func sinc(x float64) float64 {
	if x == 0 {
		return 1
	}
	return math.Sin(math.Pi*x) / (math.Pi * x)
}

// kaiser is the window at x of -1 to 1.
func kaiser(x float64) float64 {
	if x <= -1 || x >= 1 {
		return 0
	}
	return bessel(kaiserBeta*math.Sqrt(1-x*x)) / bessel(kaiserBeta)
}

// bessel is the modified Bessel function of the first kind and order 0.
func bessel(x float64) float64 {
	sum, term := 1.0, 1.0
	for k := 1.0; term > sum*1e-12; k++ {
		term *= x / 2 / k * x / 2 / k
		sum += term
	}
	return sum
}

func gcd(a, b int) int {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}
