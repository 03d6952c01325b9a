// Package pca9685 drives the 16-channel PWM chip PCA9685, which the robot's servos hang on, over I2C.
// It owns the registers and nothing else: it knows no joints and no limits, and its user gives it
// pulses that are already within them. A Chip is for one goroutine at a time.
package pca9685

import (
	"errors"
	"fmt"
	"math"
	"time"
)

// Bus is what the chip hangs on: it writes w to the device at an address, then reads r from it.
// The buses of periph.io are such.
type Bus interface {
	Tx(addr uint16, w, r []byte) error
}

// Address is where the chip answers unless its pins say otherwise.
const Address = 0x40

// Channels is how many outputs the chip has.
const Channels = 16

// Period is the number of ticks in one period.
const Period = 4096

// Registers and their bits. The datasheet's numbers.
const (
	regMode1    = 0x00
	regMode2    = 0x01
	regLED0     = 0x06 // 4 registers per channel: ON low, ON high, OFF low, OFF high
	regAllOffH  = 0xFD
	regPrescale = 0xFE

	mode1Restart = 0x80
	mode1AutoInc = 0x20
	mode1Sleep   = 0x10
	mode2Totem   = 0x04 // outputs drive both ways, as servos need
	fullOff      = 0x10 // in OFF high: no pulse at all
)

// oscillator is the chip's own clock.
const oscillator = 25_000_000

// wakeTime is what the oscillator needs after sleep.
const wakeTime = 500 * time.Microsecond

// ErrNoChip is wrapped when what answers does not behave like the chip.
var ErrNoChip = errors.New("no PCA9685 answers")

// ErrNotOff is wrapped when the chip's registers say that an output is still on.
var ErrNotOff = errors.New("outputs are still on")

// Chip is one PCA9685.
type Chip struct {
	bus   Bus
	addr  uint16
	now   [Channels]uint16 // what the registers hold, while known
	known bool
}

// Open sets the chip to a frequency in Hz, 24 to 1526, with all outputs off. Nothing moves: what
// pulses there were end.
func Open(bus Bus, addr uint16, hz float64) (*Chip, error) {
	if !(hz >= 24 && hz <= 1526) {
		return nil, fmt.Errorf("a PCA9685 at %v Hz: not from 24 to 1526", hz)
	}
	c := &Chip{bus: bus, addr: addr}
	prescale := byte(math.Round(oscillator/Period/hz) - 1)
	for _, w := range [][2]byte{
		{regAllOffH, fullOff},                 // first of all, and in one register: there may be no auto-increment yet
		{regMode1, mode1AutoInc | mode1Sleep}, // the frequency can be set in sleep only
		{regPrescale, prescale},
		{regMode2, mode2Totem},
		{regMode1, mode1AutoInc},
	} {
		if err := c.write(w[:]); err != nil {
			return nil, err
		}
	}
	time.Sleep(wakeTime)
	mode, err := c.read(regMode1)
	if err != nil {
		return nil, err
	}
	if mode&mode1Restart != 0 { // pulses ran before sleep; writing the bit forgets them
		if err := c.write([]byte{regMode1, mode1AutoInc | mode1Restart}); err != nil {
			return nil, err
		}
	}
	got, err := c.read(regPrescale)
	if err != nil {
		return nil, err
	}
	if got != prescale || mode&(mode1AutoInc|mode1Sleep) != mode1AutoInc {
		return nil, fmt.Errorf("%w at 0x%02x: prescale %d, mode 0x%02x", ErrNoChip, addr, got, mode)
	}
	return c, c.Off()
}

// Write sets the pulses of all channels, in ticks of 0 to 4095; 0 is no pulse. What changes goes
// out in one transaction, and nothing when nothing changes.
func (c *Chip) Write(ticks [Channels]uint16) error {
	first, last := 0, Channels-1
	if c.known {
		for first < Channels && ticks[first] == c.now[first] {
			first++
		}
		for last > first && ticks[last] == c.now[last] {
			last--
		}
		if first == Channels {
			return nil
		}
	}
	var buf [1 + 4*Channels]byte
	w := append(buf[:0], byte(regLED0+4*first))
	for _, t := range ticks[first : last+1] {
		if t == 0 {
			w = append(w, 0, 0, 0, fullOff)
			continue
		}
		t = min(t, Period-1)
		w = append(w, 0, 0, byte(t), byte(t>>8))
	}
	c.known = false // until the whole transaction went through
	if err := c.write(w); err != nil {
		return err
	}
	c.now, c.known = ticks, true
	return nil
}

// Off ends all pulses with one register and then reads the registers back: nil means that no
// output is on.
func (c *Chip) Off() error {
	c.known = false
	if err := c.write([]byte{regAllOffH, fullOff}); err != nil {
		return err
	}
	var regs [4 * Channels]byte
	if err := c.bus.Tx(c.addr, []byte{regLED0}, regs[:]); err != nil {
		return fmt.Errorf("read PCA9685 at 0x%02x: %w", c.addr, err)
	}
	for ch := range Channels {
		if regs[4*ch+3]&fullOff == 0 {
			return fmt.Errorf("%w: channel %d", ErrNotOff, ch)
		}
	}
	c.now, c.known = [Channels]uint16{}, true
	return nil
}

func (c *Chip) write(w []byte) error {
	if err := c.bus.Tx(c.addr, w, nil); err != nil {
		return fmt.Errorf("write PCA9685 at 0x%02x: %w", c.addr, err)
	}
	return nil
}

func (c *Chip) read(reg byte) (byte, error) {
	var r [1]byte
	if err := c.bus.Tx(c.addr, []byte{reg}, r[:]); err != nil {
		return 0, fmt.Errorf("read PCA9685 at 0x%02x: %w", c.addr, err)
	}
	return r[0], nil
}
