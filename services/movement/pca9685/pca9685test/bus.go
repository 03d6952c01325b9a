// Package pca9685test is a PCA9685 on a bus for tests: it takes register writes as the chip does,
// with its auto-increment, its sleep and its registers for all channels.
package pca9685test

import (
	"errors"
	"sync"
	"time"
)

// ErrBus is what a broken bus answers.
var ErrBus = errors.New("remote I/O error")

// Change is one change of the pulses of the 16 channels, in ticks; 0 is off.
type Change struct {
	At    time.Time
	Ticks [16]int
}

// Bus is an I2C bus with one chip.
type Bus struct {
	mu     sync.Mutex
	regs   [256]byte
	broken bool
	stuck  bool // OFF of all channels is ignored
	writes int
	log    []Change
}

// New is a chip after power-up: asleep, no auto-increment, 200 Hz, all outputs full off.
func New() *Bus {
	b := &Bus{}
	b.regs[0x00], b.regs[0x01], b.regs[0xFE] = 0x11, 0x04, 30
	for ch := range 16 {
		b.regs[0x06+4*ch+3] = 0x10
	}
	return b
}

// Tx implements pca9685.Bus.
func (b *Bus) Tx(addr uint16, w, r []byte) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.broken || addr != 0x40 || len(w) == 0 {
		return ErrBus
	}
	b.writes++
	before := b.ticks()
	reg := w[0]
	for _, v := range w[1:] {
		b.set(reg, v)
		reg = b.next(reg)
	}
	for i := range r {
		r[i] = b.get(reg)
		reg = b.next(reg)
	}
	if now := b.ticks(); now != before {
		b.log = append(b.log, Change{At: time.Now(), Ticks: now})
	}
	return nil
}

func (b *Bus) next(reg byte) byte {
	if b.regs[0]&0x20 == 0 {
		return reg
	}
	return reg + 1
}

func (b *Bus) set(reg, v byte) {
	switch {
	case reg == 0x00:
		if v&0x10 != 0 && b.regs[0]&0x10 == 0 && b.ticks() != [16]int{} {
			v |= 0x80 // sleep with pulses: they could be restarted
		} else {
			v &^= 0x80
		}
		b.regs[0] = v
	case reg == 0xFE:
		if b.regs[0]&0x10 != 0 { // in sleep only
			b.regs[reg] = v
		}
	case reg >= 0xFA && reg <= 0xFD:
		if b.stuck {
			return
		}
		for ch := range 16 {
			b.regs[0x06+4*ch+int(reg-0xFA)] = v
		}
	default:
		b.regs[reg] = v
	}
}

func (b *Bus) get(reg byte) byte {
	if reg >= 0xFA && reg <= 0xFD {
		return 0 // write only
	}
	return b.regs[reg]
}

func (b *Bus) ticks() [16]int {
	var t [16]int
	for ch := range t {
		r := b.regs[0x06+4*ch:]
		if r[3]&0x10 == 0 {
			t[ch] = int(r[2]) | int(r[3]&0x0F)<<8
		}
	}
	return t
}

// Ticks are the pulses as they are.
func (b *Bus) Ticks() [16]int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.ticks()
}

// Reg is the content of a register.
func (b *Bus) Reg(n byte) byte {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.regs[n]
}

// Set writes a register as if somebody else had done it.
func (b *Bus) Set(n, v byte) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.regs[n] = v
}

// Break makes every transaction fail, or mends it.
func (b *Bus) Break(broken bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.broken = broken
}

// Stick makes the chip ignore the registers for all channels.
func (b *Bus) Stick(stuck bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.stuck = stuck
}

// Writes is the number of transactions so far.
func (b *Bus) Writes() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.writes
}

// Changes are all changes of the pulses so far.
func (b *Bus) Changes() []Change {
	b.mu.Lock()
	defer b.mu.Unlock()
	return append([]Change(nil), b.log...)
}
