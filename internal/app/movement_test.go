package app

import (
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tarsd/tarsd/hooks/device"
	"github.com/tarsd/tarsd/internal/config"
	"github.com/tarsd/tarsd/services/contract"
	"github.com/tarsd/tarsd/services/movement/plan"
)

// TestMovementOptions: the calibration of the configuration reaches the service, and its words are
// those of the service and of the contract.
func TestMovementOptions(t *testing.T) {
	t.Parallel()
	for _, backend := range []config.MoveBackend{config.MoveSim, config.MovePCA9685, config.MoveESP32, config.MoveNone} {
		c := config.Default()
		c.Movement.Backend = backend
		_, err := makeMovement(parts{cfg: c})
		require.NoError(t, err, backend)
	}
	c := config.Default()
	c.Movement.Calibration = map[string]config.Servo{"height": {Channel: 1, Min: 200, Max: 400, Neutral: 300, Low: 350, High: 220}}
	_, err := makeMovement(parts{cfg: c})
	require.ErrorContains(t, err, "left_leg.channel: 1 is that of height")

	for i, name := range contract.JointNames() {
		assert.Equal(t, name, plan.Joint(i).String())
		one := config.Default()
		one.DataDir = "x"
		s := plan.DefaultCalibration()[i]
		one.Movement.Calibration = map[string]config.Servo{name: config.Servo(s)}
		assert.NoError(t, one.Validate(), name)
	}
}

// TestMovesHavePlans: every command and action of the contract is in the tables of the planner.
func TestMovesHavePlans(t *testing.T) {
	t.Parallel()
	params := map[string]map[string]any{
		"move_legs":  {"height_percent": 1.0, "left_percent": 1.0, "right_percent": 1.0},
		"move_arm":   {"port_main": 1.0},
		"test_joint": {"joint": "height"},
	}
	for _, m := range contract.Moves() {
		if m.Name == plan.StopCommand {
			continue
		}
		_, err := plan.Command(m.Name, params[m.Name])
		assert.NoError(t, err)
		_, err = plan.Action(m.Name, nil)
		assert.Equal(t, m.Action, err == nil, m.Name)
	}
}

// TestWithholdMoves: commands are kept from the board that movement drives by frames, and from no other.
func TestWithholdMoves(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change func(*config.Movement)
		want   []string
	}{
		"simulated":    {func(*config.Movement) {}, nil},
		"by frames":    {func(m *config.Movement) { m.Backend = config.MoveESP32 }, []string{"movement/test"}},
		"by itself":    {func(m *config.Movement) { m.Backend, m.ESP32.Drive = config.MoveESP32, config.ESPCommands }, nil},
		"another name": {func(m *config.Movement) { m.Backend, m.ESP32.Device = config.MoveESP32, "arm" }, nil},
	} {
		m := config.Default().Movement
		c.change(&m)
		all := append([]device.Profile{device.ESP32()}, device.Legacy()...)
		withholdMoves(all, m)
		assert.Equal(t, c.want, all[0].Withhold, name)
		for _, p := range all[1:] {
			assert.Empty(t, p.Withhold, name)
		}
	}
}
