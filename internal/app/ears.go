package app

import (
	"time"

	"github.com/tarsd/tarsd/internal/config"
	"github.com/tarsd/tarsd/services"
	"github.com/tarsd/tarsd/services/ears"
)

// newEars makes the service that owns the microphones; all who listen share it, by parts.
func newEars(c config.Ears) (*ears.Ears, error) {
	o := ears.Defaults()
	o.Microphone, o.MaxSites, o.Idle = c.Microphone, c.MaxSites, time.Duration(c.Idle)
	o.Publish, o.Bins, o.Rate = c.Spectrum.Publish, c.Spectrum.Bins, c.Spectrum.Rate
	o.Socket, o.SocketPath, o.Origins = c.Spectrum.Socket.Address(), c.Spectrum.Socket.Path, c.Spectrum.Socket.Origins
	o.FanOut, o.FanOutMode = c.FanOut.Path, c.FanOut.Mode()
	return ears.New(o)
}

// makeEars makes it as one of the catalog.
func makeEars(p parts) (services.Service, error) { return p.ears() }
