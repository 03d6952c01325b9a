package audio

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"math/cmplx"
	"time"

	"gonum.org/v1/gonum/dsp/fourier"
)

// Trial is what a try of speaker and microphone has shown.
type Trial struct {
	Noise Level         // of the microphone before anything was played
	Loud  Level         // of the loudest frame since
	Alike float64       // how much of what was heard is what was played, 0 to 1
	Delay time.Duration // from the first Write until it was heard
}

// Heard reports whether the microphone has heard the speaker.
func (t Trial) Heard() bool { return t.Alike >= 0.2 }

const (
	tryQuiet = 500 * time.Millisecond // of listening before and after
	tryTime  = time.Second            // of the tone
)

// Try plays a rising tone of a second and listens to it, with specs as of OpenSink and OpenSource.
func Try(ctx context.Context, speaker, microphone string) (Trial, error) {
	src, err := OpenSource(ctx, microphone)
	if err != nil {
		return Trial{}, err
	}
	defer src.Close()
	sink, err := OpenSink(ctx, speaker, Rate)
	if err != nil {
		return Trial{}, err
	}
	defer sink.Close()
	ctx, cancel := context.WithTimeout(ctx, tryTime+2*tryQuiet+2*pulseTimeout)
	defer cancel()

	var t Trial
	before, err := hear(ctx, src, tryQuiet)
	if err != nil {
		return t, fmt.Errorf("listen to %s: %w", microphone, err)
	}
	t.Noise = Measure(join(before))

	played := make(chan error, 1)
	begin := time.Now()
	go func() { played <- errors.Join(sink.Write(ctx, tryTone()), sink.Drain(ctx)) }()
	heard, err := hear(ctx, src, tryTime+2*tryQuiet)
	cancelAfter := time.AfterFunc(pulseTimeout, cancel) // a speaker that takes no sound
	defer cancelAfter.Stop()
	if perr := <-played; perr != nil {
		return t, fmt.Errorf("play on %s: %w", speaker, perr)
	}
	if err != nil {
		return t, fmt.Errorf("listen to %s: %w", microphone, err)
	}
	t.compare(heard, begin)
	return t, nil
}

// hear reads a time of frames; a file may end before.
func hear(ctx context.Context, src Source, d time.Duration) (frames []Frame, err error) {
	for len(frames) < int(d/FrameTime) {
		f, err := src.Read(ctx)
		if errors.Is(err, io.EOF) && len(frames) > 0 {
			return frames, nil
		}
		if err != nil {
			return nil, err
		}
		frames = append(frames, f)
	}
	return frames, nil
}

// join returns the samples of frames.
func join(frames []Frame) (pcm []int16) {
	for _, f := range frames {
		pcm = append(pcm, f.PCM...)
	}
	return pcm
}

// tryTone rises from 300 to 3300 Hz, so that it is unlike itself a moment later.
func tryTone() []int16 {
	pcm := make([]int16, Samples(tryTime, Rate))
	for i := range pcm {
		x := float64(i) / Rate
		fade := min(1, 50*x, 50*(tryTime.Seconds()-x)) // no clicks
		pcm[i] = int16(8000 * fade * math.Sin(2*math.Pi*(300+1500*x)*x))
	}
	return pcm
}

// compare finds the tone in what was heard.
func (t *Trial) compare(heard []Frame, begin time.Time) {
	for _, f := range heard {
		if l := Measure(f.PCM); l.RMS > t.Loud.RMS {
			t.Loud = l
		}
	}
	at, alike := find(tryTone(), join(heard))
	t.Alike = alike
	if len(heard) > 0 {
		t.Delay = heard[at/FrameLen].At.Add(Duration(at%FrameLen, Rate)).Sub(begin)
	}
}

// find returns where in got a sound lies, and how much of what is there it is, whatever its loudness:
// their correlation, by way of their spectra.
func find(want, got []int16) (at int, alike float64) {
	if len(got) < len(want) {
		return 0, 0
	}
	n := 1
	for n < len(got)+len(want) {
		n *= 2
	}
	fft := fourier.NewFFT(n)
	a, self := padded(want, n)
	b, _ := padded(got, n)
	wf, gf := fft.Coefficients(nil, a), fft.Coefficients(nil, b)
	for i := range gf {
		gf[i] *= cmplx.Conj(wf[i])
	}
	corr, power := fft.Sequence(nil, gf), 0.0
	for _, x := range b[:len(want)] {
		power += x * x
	}
	for lag := 0; lag+len(want) <= len(got); lag++ {
		if c := math.Abs(corr[lag]) / float64(n) / math.Sqrt(self*power+1); c > alike {
			at, alike = lag, c
		}
		in, out := b[lag+len(want)], b[lag]
		power = max(0, power+in*in-out*out)
	}
	return at, alike
}

// padded returns the samples, with silence up to n, and their energy.
func padded(pcm []int16, n int) (x []float64, energy float64) {
	x = make([]float64, n)
	for i, s := range pcm {
		x[i] = float64(s)
		energy += x[i] * x[i]
	}
	return x, energy
}
