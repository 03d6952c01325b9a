package movement

import (
	"errors"
	"fmt"
	"time"

	"github.com/tarsd/tarsd/services/movement/pca9685"
	"github.com/tarsd/tarsd/services/movement/plan"
	"github.com/tarsd/tarsd/services/movement/sim"
)

// Backend is what moves the joints.
type Backend string

// The backends.
const (
	Sim     Backend = "sim"     // a model, drawn on the page
	PCA9685 Backend = "pca9685" // servos on this machine's I2C
	ESP32   Backend = "esp32"   // the servo controller on the network
	None    Backend = "none"    // nothing: every command is refused
)

// Options of New. Zero values take the defaults.
type Options struct {
	Backend     Backend           // empty: Sim
	Calibration *plan.Calibration // nil: the reference firmware's
	Rate        int               // ticks per second that no joint exceeds; 0: 550
	Queue       int               // requests that may wait; 0: 16
	IdleOff     time.Duration     // outputs go off after so long without a move; 0: 10 s. Not for the ESP32
	DeadMan     time.Duration     // silence that ends manual control; 0: 500 ms
	MaxAge      time.Duration     // a command whose time stamp is older is refused; 0: 5 s

	Model *sim.Model // what Sim moves; nil: one of its own

	I2CBus  string // of PCA9685, such as /dev/i2c-1; empty: the first that there is
	Address uint16 // of PCA9685; 0: 0x40
	// Open opens the bus of PCA9685. nil: that of the machine.
	Open func(name string) (Bus, error)

	Device string // of ESP32: its name in system/health; empty: movement-esp32
	Frames bool   // of ESP32: every move goes out as frames, so that it can be stopped
}

// Bus is an I2C bus.
type Bus interface {
	pca9685.Bus
	Close() error
}

// Frames a second.
const (
	servoHz  = 50 // of sim and pca9685: one for each period of the servos
	deviceHz = 10 // of the ESP32, whose program looks at its socket that often
)

func (o *Options) complete() error {
	if o.Backend == "" {
		o.Backend = Sim
	}
	if o.Calibration == nil {
		c := plan.DefaultCalibration()
		o.Calibration = &c
	}
	if o.Rate == 0 {
		o.Rate = plan.DefaultRate
	}
	if o.Queue == 0 {
		o.Queue = 16
	}
	if o.IdleOff == 0 {
		o.IdleOff = 10 * time.Second
	}
	if o.DeadMan == 0 {
		o.DeadMan = 500 * time.Millisecond
	}
	if o.MaxAge == 0 {
		o.MaxAge = 5 * time.Second
	}
	if o.Address == 0 {
		o.Address = pca9685.Address
	}
	if o.Device == "" {
		o.Device = "movement-esp32"
	}
	if o.Model == nil {
		o.Model = &sim.Model{}
	}
	if o.Open == nil {
		o.Open = openI2C
	}
	return o.check()
}

func (o *Options) check() error {
	errs := []error{}
	switch o.Backend {
	case Sim, PCA9685, ESP32, None:
	default:
		errs = append(errs, fmt.Errorf("backend: %q is none of sim, pca9685, esp32, none", o.Backend))
	}
	if o.Rate < 1 || o.Rate > 5000 {
		errs = append(errs, fmt.Errorf("rate: %d is not from 1 to 5000", o.Rate))
	}
	if o.Queue < 1 || o.Queue > 1000 {
		errs = append(errs, fmt.Errorf("queue: %d is not from 1 to 1000", o.Queue))
	}
	if o.IdleOff < 0 || o.DeadMan < 0 || o.MaxAge < 0 {
		errs = append(errs, errors.New("a time is below 0"))
	}
	if o.DeadMan > time.Second {
		errs = append(errs, fmt.Errorf("dead man: %s is above 1s", o.DeadMan))
	}
	if err := o.Calibration.Validate(); err != nil {
		errs = append(errs, fmt.Errorf("calibration: %w", err))
	}
	return errors.Join(errs...)
}
