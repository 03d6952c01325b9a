package movement

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"periph.io/x/host/v3/sysfs"

	"github.com/tarsd/tarsd/services/movement/drive"
	"github.com/tarsd/tarsd/services/movement/pca9685"
	"github.com/tarsd/tarsd/services/movement/plan"
)

var _ drive.Driver = (*servos)(nil)

// servos are those of a PCA9685 on this machine.
type servos struct {
	bus  Bus
	chip *pca9685.Chip
	cal  plan.Calibration // for the channels, which no calibration on topics changes
}

// openServos opens the bus and the chip; everything is off then.
func openServos(o Options) (*servos, error) {
	bus, err := o.Open(o.I2CBus)
	if err != nil {
		return nil, fmt.Errorf("open I2C bus: %w", err)
	}
	chip, err := pca9685.Open(bus, o.Address, servoHz)
	if err != nil {
		return nil, errors.Join(err, bus.Close())
	}
	return &servos{bus, chip, *o.Calibration}, nil
}

// Write implements drive.Driver.
func (s *servos) Write(p plan.Pose) error {
	var ticks [pca9685.Channels]uint16
	for j, t := range p {
		ticks[s.cal[j].Channel] = uint16(t)
	}
	return s.chip.Write(ticks)
}

// Off implements drive.Driver.
func (s *servos) Off() error { return s.chip.Off() }

// openI2C opens a bus of this machine: a number, a device file, or the first that there is.
func openI2C(name string) (Bus, error) {
	if name == "" {
		found, err := filepath.Glob("/dev/i2c-*")
		if err != nil || len(found) == 0 {
			return nil, errors.New("there is no /dev/i2c-*; is I2C switched on?")
		}
		slices.SortFunc(found, func(a, b string) int { return len(a) - len(b) }) // i2c-1 before i2c-10
		name = found[0]
	}
	n, err := strconv.Atoi(strings.TrimPrefix(filepath.Base(name), "i2c-"))
	if err != nil || n < 0 {
		return nil, fmt.Errorf("%q is no I2C bus such as /dev/i2c-1", name)
	}
	return sysfs.NewI2C(n)
}
