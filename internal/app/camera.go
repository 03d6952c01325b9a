package app

import (
	"time"

	"github.com/tarsd/tarsd/services"
	"github.com/tarsd/tarsd/services/camera"
)

// makeCamera makes the service that sees.
func makeCamera(p parts) (services.Service, error) {
	c := p.cfg.Camera
	return camera.New(camera.Options{
		Source: c.Source.Reveal(), Width: c.Width, Height: c.Height, FPS: c.FPS, Quality: c.Quality, Rotation: c.Rotation,
		JPEGRate: c.JPEGRate, FrameRate: c.FrameRate, Timeout: time.Duration(c.Timeout), FFmpeg: c.FFmpeg,
		Motion: c.Motion.Enabled, MotionThreshold: c.Motion.Threshold,
	})
}
