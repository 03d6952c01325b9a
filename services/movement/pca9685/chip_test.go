package pca9685_test

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tarsd/tarsd/services/movement/pca9685"
	"github.com/tarsd/tarsd/services/movement/pca9685/pca9685test"
)

func open(t *testing.T) (*pca9685.Chip, *pca9685test.Bus) {
	t.Helper()
	bus := pca9685test.New()
	c, err := pca9685.Open(bus, pca9685.Address, 50)
	require.NoError(t, err)
	return c, bus
}

// TestOpen holds what the firmware misses: 50 Hz and auto-increment are really set.
func TestOpen(t *testing.T) {
	t.Parallel()
	_, bus := open(t)
	assert.EqualValues(t, 121, bus.Reg(0xFE), "prescale of 50 Hz")
	assert.EqualValues(t, 0x20, bus.Reg(0x00), "awake, auto-increment, no all-call")
	assert.EqualValues(t, 0x04, bus.Reg(0x01))
	assert.Zero(t, bus.Ticks())
}

// TestOpenEndsPulses: a restart of the process does not go on with what ran before.
func TestOpenEndsPulses(t *testing.T) {
	t.Parallel()
	c, bus := open(t)
	require.NoError(t, c.Write([16]uint16{0: 300, 8: 330}))
	require.Equal(t, [16]int{0: 300, 8: 330}, bus.Ticks())
	_, err := pca9685.Open(bus, pca9685.Address, 50)
	require.NoError(t, err)
	assert.Zero(t, bus.Ticks())
	assert.Zero(t, bus.Reg(0)&0x80, "nothing to restart")
}

func TestWrite(t *testing.T) {
	t.Parallel()
	c, bus := open(t)
	require.NoError(t, c.Write([16]uint16{0: 300, 1: 301, 15: 5000}))
	assert.Equal(t, [16]int{0: 300, 1: 301, 15: 4095}, bus.Ticks())
	n := bus.Writes()
	require.NoError(t, c.Write([16]uint16{0: 300, 1: 301, 15: 5000}))
	assert.Equal(t, n, bus.Writes(), "nothing changed, nothing written")
	require.NoError(t, c.Write([16]uint16{0: 300, 1: 300, 3: 287}))
	assert.Equal(t, n+1, bus.Writes(), "one transaction")
	assert.Equal(t, [16]int{0: 300, 1: 300, 3: 287}, bus.Ticks(), "0 is off")
}

func TestOff(t *testing.T) {
	t.Parallel()
	c, bus := open(t)
	full := [16]uint16{0: 300, 1: 300, 2: 300, 3: 287, 8: 330}
	require.NoError(t, c.Write(full))
	require.NoError(t, c.Off())
	assert.Zero(t, bus.Ticks())
	require.NoError(t, c.Write(full))
	assert.Equal(t, 287, bus.Ticks()[3], "off is forgotten by the next pulse")
	bus.Stick(true)
	require.ErrorIs(t, c.Off(), pca9685.ErrNotOff, "off is read back")
}

// TestBrokenBus: after a failed write everything is written again, since nobody knows what got through.
func TestBrokenBus(t *testing.T) {
	t.Parallel()
	c, bus := open(t)
	require.NoError(t, c.Write([16]uint16{0: 300}))
	bus.Break(true)
	require.ErrorIs(t, c.Write([16]uint16{0: 301}), pca9685test.ErrBus)
	require.ErrorIs(t, c.Off(), pca9685test.ErrBus)
	bus.Break(false)
	bus.Set(0x06+4*5+3, 0x01) // a wild pulse on channel 5
	require.NoError(t, c.Write([16]uint16{0: 301}))
	assert.Equal(t, [16]int{0: 301}, bus.Ticks())
	bus.Break(true)
	require.ErrorIs(t, c.Write([16]uint16{0: 302}), pca9685test.ErrBus)
	bus.Break(false)
	require.NoError(t, c.Write([16]uint16{0: 301}))
	bus.Break(true)
	require.Error(t, c.Write([16]uint16{0: 302}))
	bus.Break(false)
	bus.Set(0x06+4*5+3, 0x01)
	require.NoError(t, c.Write([16]uint16{0: 301}))
	assert.Equal(t, [16]int{0: 301}, bus.Ticks(), "also if off was not tried meanwhile")
}

func TestOpenRefuses(t *testing.T) {
	t.Parallel()
	for _, hz := range []float64{0, 23, 1527, -50} {
		_, err := pca9685.Open(pca9685test.New(), pca9685.Address, hz)
		assert.ErrorContains(t, err, "not from 24 to 1526")
	}
	_, err := pca9685.Open(pca9685test.New(), 0x41, 50)
	require.ErrorIs(t, err, pca9685test.ErrBus)
	_, err = pca9685.Open(dumb{}, pca9685.Address, 50)
	require.ErrorIs(t, err, pca9685.ErrNoChip)
}

// dumb is another chip: it takes everything and answers zeros.
type dumb struct{}

func (dumb) Tx(uint16, []byte, []byte) error { return nil }
