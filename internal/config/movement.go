package config

import (
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Movement is the service that moves the robot.
type Movement struct {
	Backend     MoveBackend      `yaml:"backend" doc:"What moves: sim (a model, drawn on the page), pca9685 (servos on this machine's I2C), esp32 (the servo controller on the network), none (every command is refused)."`
	Rate        int              `yaml:"rate" doc:"Ticks a second that no joint exceeds; a tick is 4.88 µs of pulse, about 0.44 degrees."`
	Queue       int              `yaml:"queue" doc:"Moves that may wait; further ones are refused with queue_full."`
	IdleOff     Duration         `yaml:"idle_off" doc:"Servos are switched off after so long without a move (sim and pca9685)."`
	DeadMan     Duration         `yaml:"dead_man" doc:"Silence that ends manual control."`
	MaxAge      Duration         `yaml:"max_age" doc:"Commands whose time stamp is older are refused."`
	I2C         MovementI2C      `yaml:"i2c"`
	ESP32       MovementESP32    `yaml:"esp32"`
	Calibration map[string]Servo `yaml:"calibration" shown:"the reference firmware's, see movement.md" doc:"Servos of your robot, by joint: an entry replaces the whole built-in one of that joint. Joints: height, left_leg, right_leg, port_main, port_forearm, port_hand, star_main, star_forearm, star_hand (port is the robot's right)."`
}

// MovementI2C is where the servo chip is.
type MovementI2C struct {
	Bus     string `yaml:"bus" shown:"the first that there is" doc:"I2C bus of the PCA9685, such as /dev/i2c-1."`
	Address uint16 `yaml:"address" doc:"Address of the PCA9685, 64 to 127."`
}

// MovementESP32 is the servo controller on the network.
type MovementESP32 struct {
	Device string   `yaml:"device" doc:"Its name in system/health."`
	Drive  ESPDrive `yaml:"drive" doc:"frames: every move goes out as frames, coarser, and stops within 250 ms. commands: the device runs the moves that it knows by itself, and nothing can interrupt one."`
}

// Servo is the calibration of one joint. Pulses are in ticks of 4.88 µs, 100 to 520.
type Servo struct {
	Channel int `yaml:"channel"` // output of the PCA9685, 0 to 15
	Min     int `yaml:"min"`     // least pulse
	Max     int `yaml:"max"`     // largest pulse
	Neutral int `yaml:"neutral"` // pulse at rest
	Low     int `yaml:"low"`     // pulse at 1 percent: down, back
	High    int `yaml:"high"`    // pulse at 100 percent: up, forward
}

// MoveBackend is what moves the robot.
type MoveBackend string

// The backends.
const (
	MoveSim     MoveBackend = "sim"
	MovePCA9685 MoveBackend = "pca9685"
	MoveESP32   MoveBackend = "esp32"
	MoveNone    MoveBackend = "none"
)

// UnmarshalText implements encoding.TextUnmarshaler.
func (b *MoveBackend) UnmarshalText(t []byte) error {
	return choice(b, t, MoveSim, MovePCA9685, MoveESP32, MoveNone)
}

// ESPDrive is how the ESP32 is driven.
type ESPDrive string

// The ways.
const (
	ESPCommands ESPDrive = "commands"
	ESPFrames   ESPDrive = "frames"
)

// UnmarshalText implements encoding.TextUnmarshaler.
func (d *ESPDrive) UnmarshalText(t []byte) error { return choice(d, t, ESPCommands, ESPFrames) }

func defaultMovement() Movement {
	return Movement{
		Backend: MoveSim, Rate: 550, Queue: 16,
		IdleOff: Duration(10e9), DeadMan: Duration(5e8), MaxAge: Duration(5e9),
		I2C:   MovementI2C{Address: 64},
		ESP32: MovementESP32{Device: "movement-esp32", Drive: ESPFrames},
	}
}

// jointNames are the joints that a calibration may name.
var jointNames = []string{
	"height", "left_leg", "right_leg", "port_main", "port_forearm", "port_hand", "star_main", "star_forearm", "star_hand",
}

func (m Movement) check(key string, ps *Problems) {
	for _, r := range []struct {
		key           string
		v, least, top int
	}{
		{"rate", m.Rate, 1, 5000}, {"queue", m.Queue, 1, 1000}, {"i2c.address", int(m.I2C.Address), 64, 127},
	} {
		if r.v < r.least || r.v > r.top {
			ps.add(key+"."+r.key, "", "%d is not from %d to %d", r.v, r.least, r.top)
		}
	}
	for _, r := range []struct {
		key           string
		v, least, top Duration
	}{
		{"idle_off", m.IdleOff, Duration(1e9), Duration(36e11)},
		{"dead_man", m.DeadMan, Duration(1e8), Duration(1e9)},
		{"max_age", m.MaxAge, Duration(1e9), Duration(6e10)},
	} {
		if r.v < r.least || r.v > r.top {
			ps.add(key+"."+r.key, "", "%s is not from %s to %s", r.v, r.least, r.top)
		}
	}
	if d := m.ESP32.Device; d == "" || len(d) > 64 || strings.ContainsAny(d, "/+#\x00") {
		ps.add(key+".esp32.device", "", "%q is not a name", d)
	}
	for _, joint := range slices.Sorted(maps.Keys(m.Calibration)) {
		at := key + ".calibration." + joint
		if !slices.Contains(jointNames, joint) {
			ps.add(at, "", "there is no such joint; there are %s", strings.Join(jointNames, ", "))
			continue
		}
		m.Calibration[joint].check(at, ps)
	}
}

// check checks a servo alone; the service checks them against each other.
func (s Servo) check(key string, ps *Problems) {
	if s.Channel < 0 || s.Channel > 15 {
		ps.add(key+".channel", "", "%d is not from 0 to 15", s.Channel)
	}
	if s.Min < 100 || s.Max > 520 || s.Min >= s.Max {
		ps.add(key, "", "min %d and max %d are not a range within 100 to 520", s.Min, s.Max)
		return
	}
	for _, v := range []struct {
		name  string
		ticks int
	}{{"neutral", s.Neutral}, {"low", s.Low}, {"high", s.High}} {
		if v.ticks < s.Min || v.ticks > s.Max {
			ps.add(fmt.Sprintf("%s.%s", key, v.name), "", "%d is not from min %d to max %d", v.ticks, s.Min, s.Max)
		}
	}
	if s.Low == s.High {
		ps.add(key, "", "low and high are both %d", s.Low)
	}
}
