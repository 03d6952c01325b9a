package ears

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"time"

	"github.com/tarsd/tarsd/internal/audio"
)

// None is the microphone of a robot that has none of its own.
const None = "none"

// maxSites bounds Options.MaxSites: each site costs its listeners about as much as a microphone.
const maxSites = 64

// Options of New. Start from Defaults.
type Options struct {
	Microphone string // as audio.OpenSource has it, or None
	Room       string // site of that microphone: the origin of what is said to it

	MaxSites int           // that send sound at a time; 0: none
	Idle     time.Duration // a site that has sent nothing for that long has gone

	Publish bool    // the spectrum of this machine's microphone on stt/audio_fft, while somebody speaks
	Bins    int     // of it, 8 to 512
	Rate    float64 // a second, 1 to 50

	Socket     string   // host:port of the WebSocket by which old pages get the spectrum; empty: none
	SocketPath string   // on it
	Origins    []string // of pages that may use it, besides its own; see audio.NewFFTSocket

	FanOut     string      // path of the unix socket by which old wake processes hear; empty: none
	FanOutMode fs.FileMode // 0600 or 0660

	// OpenSource takes the place of audio.OpenSource in tests.
	OpenSource func(ctx context.Context, spec string) (audio.Source, error)
}

// Defaults hear the first microphone of this machine and up to eight sites.
func Defaults() Options {
	return Options{
		Microphone: "auto", Room: "room", MaxSites: 8, Idle: 30 * time.Second,
		Publish: true, Bins: audio.SpectrumBins, Rate: audio.SpectrumRate,
		SocketPath: "/fft", FanOutMode: 0o600, OpenSource: audio.OpenSource,
	}
}

// Validate reports every option that makes no sense.
func (o *Options) Validate() error {
	var errs []error
	if o.Microphone == "" {
		errs = append(errs, errors.New("microphone: must be set; none is a robot without one"))
	}
	if !siteName(o.Room) {
		errs = append(errs, fmt.Errorf("room: %q is no name of a site", o.Room))
	}
	if o.MaxSites < 0 || o.MaxSites > maxSites {
		errs = append(errs, fmt.Errorf("max_sites: %d is not from 0 to %d", o.MaxSites, maxSites))
	}
	if o.Idle < time.Second || o.Idle > time.Hour {
		errs = append(errs, fmt.Errorf("idle: %v is not from 1s to 1h", o.Idle))
	}
	if o.Bins < 8 || o.Bins > 512 {
		errs = append(errs, fmt.Errorf("bins: %d is not from 8 to 512", o.Bins))
	}
	if o.Rate < 1 || o.Rate > 50 {
		errs = append(errs, fmt.Errorf("rate: %v is not from 1 to 50", o.Rate))
	}
	if o.Socket != "" && !strings.HasPrefix(o.SocketPath, "/") {
		errs = append(errs, fmt.Errorf("socket path: %q does not begin with /", o.SocketPath))
	}
	if o.FanOutMode != 0o600 && o.FanOutMode != 0o660 {
		errs = append(errs, fmt.Errorf("fan-out mode: %04o is neither 0600 nor 0660", o.FanOutMode))
	}
	return errors.Join(errs...)
}
