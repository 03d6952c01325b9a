package contract_test

import (
	"encoding/json"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tarsd/tarsd/services/contract"
)

// TestMoves holds the table of moves to the types: each name, speed and parameter of it passes, and
// nothing that people may say means two moves.
func TestMoves(t *testing.T) {
	t.Parallel()
	said := map[string]string{}
	tools := map[string]string{}
	actions := 0
	for _, m := range contract.Moves() {
		cmd := contract.TestMovement{Command: m.Name, Speed: max(m.Speed, 0.1)}
		_, err := contract.MovementTest.Encode(contract.Envelope{}, cmd)
		require.NoError(t, err, m.Name)
		assert.NotEmpty(t, m.Doc)
		_, err = contract.MovementCommand.Encode(contract.Envelope{}, contract.PlanMovement{Command: m.Name})
		assert.Equal(t, m.Action, err == nil, "%s is an action", m.Name)
		if m.Action {
			actions++
		}
		for _, s := range m.Spoken {
			assert.Empty(t, said[s], "%q is said for two moves", s)
			said[s] = m.Name
		}
		if m.Tool != "" {
			assert.Empty(t, tools[m.Tool])
			tools[m.Tool] = m.Name
		}
	}
	assert.Len(t, contract.Moves(), 26)
	assert.Equal(t, 11, actions)
	assert.Len(t, tools, 21, "every tool of the reference has its move")

	legs := contract.Object{"height_percent": 50.0, "left_percent": 50.0, "right_percent": 50.0}
	_, err := contract.Params[contract.LegParams](legs)
	require.NoError(t, err)
	m, ok := contract.MoveNamed("move_legs")
	require.True(t, ok)
	for _, p := range m.Params {
		assert.Contains(t, legs, p.Name)
	}
	_, ok = contract.MoveNamed("moonwalk")
	assert.False(t, ok)
	for _, j := range contract.JointNames() {
		b, err := json.Marshal(map[string]any{"action": "move", "joint": j, "ticks": 300})
		require.NoError(t, err)
		_, err = contract.MovementCalibrate.Decode(b)
		assert.NoError(t, err)
	}
}
