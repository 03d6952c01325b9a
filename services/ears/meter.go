package ears

import (
	"context"
	"errors"
	"io"
	"math"
	"time"

	"github.com/tarsd/tarsd/internal/audio"
	"github.com/tarsd/tarsd/services/client"
	"github.com/tarsd/tarsd/services/contract"
)

// What counts as somebody who speaks, for the spectrum only: 9 dB above the noise, and half a second
// after that. The noise is the faintest sound of late: it is followed down at once, and up by a
// decibel a second.
const (
	aboveNoise = 9.0
	noiseRise  = 1.0 / 50 // dB a frame
	loudHang   = 25       // frames
)

// mutedAfter is how long nothing but zeros comes until the microphone counts as muted: there is noise
// in every microphone that is on.
const mutedAfter = 10 * time.Second

// meter measures the level of a microphone.
type meter struct {
	noise float64 // dBFS
	begun bool
	hang  int // frames for which it still is loud
	zeros int // frames of nothing
}

// add takes a frame, and reports whether there is more than noise.
func (m *meter) add(l audio.Level) (loud bool) {
	db := l.DBFS()
	if !m.begun || db < m.noise {
		m.noise, m.begun = db, true
	} else {
		m.noise = min(db, m.noise+noiseRise)
	}
	switch {
	case db >= m.noise+aboveNoise:
		m.hang = loudHang
	case m.hang > 0:
		m.hang--
	}
	if m.zeros++; l.Peak > 0 {
		m.zeros = 0
	}
	return m.hang > 0
}

// muted reports whether nothing has come for a time.
func (m *meter) muted() bool { return time.Duration(m.zeros)*audio.FrameTime >= mutedAfter }

// measure looks at this machine's microphone until the sound or ctx ends.
func (r *run) measure(ctx context.Context, l *audio.Listener) {
	defer l.Close()
	var m meter
	spectrum := audio.NewSpectrum(r.o.Bins, r.o.Rate)
	was, wasMuted := false, false
	for {
		f, err := l.Next(ctx)
		if err != nil {
			if ctx.Err() == nil && !errors.Is(err, io.EOF) {
				r.log.Warn().Err(err).Msg("level not measured")
			}
			return
		}
		loud := m.add(audio.Measure(f.PCM))
		if muted := m.muted(); muted != wasMuted {
			wasMuted = muted
			r.told.muted(muted)
		}
		switch {
		case loud:
			if bins, due := spectrum.Add(f); due {
				r.draw(ctx, bins, f.At)
			}
		case was: // so that the bars do not stand still at the last word
			spectrum.Reset()
			r.draw(ctx, make([]float64, r.o.Bins), f.At)
		}
		was = loud
	}
}

// draw hands a spectrum to those who draw it.
func (r *run) draw(ctx context.Context, bins []float64, at time.Time) {
	for i, v := range bins {
		bins[i] = math.Round(v*1000) / 1000 // a page has no more pixels
	}
	if s := r.fft.Load(); s != nil {
		if err := s.Send(bins, at); err != nil {
			r.log.Debug().Err(err).Msg("spectrum not sent")
		}
	}
	if !r.o.Publish {
		return
	}
	data := contract.AudioFFT{Spectrum: &contract.Spectrum{FFT: bins, TS: float64(at.UnixMicro()) / 1e6}}
	within, cancel := context.WithTimeout(ctx, publishLimit)
	defer cancel()
	if _, err := client.Publish(within, r.bus, contract.STTAudioFFT, data); err != nil && ctx.Err() == nil {
		r.log.Debug().Err(err).Msg("spectrum not published")
	}
}
