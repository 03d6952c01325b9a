package app

import (
	"time"

	"github.com/tarsd/tarsd/hooks/device"
	"github.com/tarsd/tarsd/internal/config"
	"github.com/tarsd/tarsd/services"
	"github.com/tarsd/tarsd/services/contract"
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

// withholdMoves keeps commands from the board that movement drives by frames: nothing could end a move
// that it began by itself. It refuses the empty object that it gets in place of a command, and the
// service, which has heard the command as well, takes that as its own.
func withholdMoves(profiles []device.Profile, m config.Movement) {
	if m.Backend != config.MoveESP32 || m.ESP32.Drive != config.ESPFrames {
		return
	}
	for i, p := range profiles {
		if p.Presence == contract.Health.At(m.ESP32.Device).Name {
			profiles[i].Withhold = append(p.Withhold, contract.MovementTest.Name)
		}
	}
}
