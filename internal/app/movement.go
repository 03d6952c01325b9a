package app

import (
	"time"

	"github.com/tarsd/tarsd/internal/config"
	"github.com/tarsd/tarsd/services"
	"github.com/tarsd/tarsd/services/movement"
	"github.com/tarsd/tarsd/services/movement/plan"
)

// makeMovement makes the service that moves the robot.
func makeMovement(p parts) (services.Service, error) {
	c := p.cfg.Movement
	cal := plan.DefaultCalibration()
	for name, s := range c.Calibration {
		if j, ok := plan.JointNamed(name); ok {
			cal[j] = plan.Servo(s)
		}
	}
	return movement.New(movement.Options{
		Backend: movement.Backend(c.Backend), Calibration: &cal, Rate: c.Rate, Queue: c.Queue,
		IdleOff: time.Duration(c.IdleOff), DeadMan: time.Duration(c.DeadMan), MaxAge: time.Duration(c.MaxAge),
		I2CBus: c.I2C.Bus, Address: c.I2C.Address,
		Device: c.ESP32.Device, Frames: c.ESP32.Drive == config.ESPFrames,
	})
}
