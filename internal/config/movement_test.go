package config

import (
	"testing"

	"github.com/stretchr/testify/assert"
)

func TestMovementCheck(t *testing.T) {
	t.Parallel()
	good := Servo{Channel: 1, Min: 200, Max: 400, Neutral: 300, Low: 380, High: 220}
	servo := func(change func(*Servo)) func(*Movement) {
		return func(m *Movement) {
			s := good
			change(&s)
			m.Calibration = map[string]Servo{"left_leg": s}
		}
	}
	for name, c := range map[string]struct {
		change func(*Movement)
		want   []string
	}{
		"default":      {func(*Movement) {}, nil},
		"good servo":   {servo(func(*Servo) {}), nil},
		"rate":         {func(m *Movement) { m.Rate = 0 }, []string{"movement.rate: 0 is not from 1 to 5000"}},
		"queue":        {func(m *Movement) { m.Queue = 1001 }, []string{"movement.queue: 1001 is not from 1 to 1000"}},
		"dead man":     {func(m *Movement) { m.DeadMan = Duration(2e9) }, []string{"movement.dead_man: 2s is not from 100ms to 1s"}},
		"address":      {func(m *Movement) { m.I2C.Address = 4 }, []string{"movement.i2c.address: 4 is not from 64 to 127"}},
		"device":       {func(m *Movement) { m.ESP32.Device = "a/b" }, []string{`movement.esp32.device: "a/b" is not a name`}},
		"channel":      {servo(func(s *Servo) { s.Channel = 16 }), []string{"movement.calibration.left_leg.channel: 16 is not from 0 to 15"}},
		"servo range":  {servo(func(s *Servo) { s.Min = 90 }), []string{"movement.calibration.left_leg: min 90 and max 400 are not a range within 100 to 520"}},
		"neutral":      {servo(func(s *Servo) { s.Neutral = 401 }), []string{"movement.calibration.left_leg.neutral: 401 is not from min 200 to max 400"}},
		"low and high": {servo(func(s *Servo) { s.Low = 220 }), []string{"movement.calibration.left_leg: low and high are both 220"}},
		"joint": {func(m *Movement) { m.Calibration = map[string]Servo{"tail": good} }, []string{
			"movement.calibration.tail: there is no such joint; there are height, left_leg, right_leg, port_main, port_forearm, port_hand, star_main, star_forearm, star_hand",
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m := defaultMovement()
			c.change(&m)
			var ps Problems
			m.check("movement", &ps)
			var got []string
			for _, p := range ps {
				got = append(got, p.Error())
			}
			assert.Equal(t, c.want, got)
		})
	}
}
