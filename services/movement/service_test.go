package movement_test

import (
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tarsd/tarsd/services/client"
	"github.com/tarsd/tarsd/services/contract"
	"github.com/tarsd/tarsd/services/movement"
	"github.com/tarsd/tarsd/services/servicetest"
)

// rig is a bus with the movement service and a peer that talks to it.
type rig struct {
	*servicetest.Bus
	peer   *client.Client
	status *servicetest.Collector[contract.MovementUpdate]
	state  *servicetest.Collector[contract.MovementReport]
}

func start(t *testing.T, o movement.Options) *rig {
	t.Helper()
	bus := servicetest.Start(t)
	r := &rig{Bus: bus, peer: bus.Client(t, "peer")}
	r.status = servicetest.Collect(t, r.peer, contract.MovementStatus)
	r.state = servicetest.Collect(t, r.peer, contract.MovementState)
	m, err := movement.New(o)
	require.NoError(t, err)
	bus.Run(t, m)
	return r
}

// send publishes bytes as they are.
func (r *rig) send(t *testing.T, topic, payload string) {
	t.Helper()
	_, err := r.peer.PublishRaw(t.Context(), topic, []byte(payload), 1, false)
	require.NoError(t, err)
}

// expect is the next status, without what differs from run to run.
func (r *rig) expect(t *testing.T, event, command, request, detail string) {
	t.Helper()
	m := r.status.Next(t)
	assert.Equal(t, event, m.Data.Event)
	assert.Equal(t, command, contract.Value(m.Data.Command))
	assert.Equal(t, request, contract.Value(m.Data.RequestID))
	if detail == "" {
		assert.Nil(t, m.Data.Detail)
	} else {
		assert.Contains(t, contract.Value(m.Data.Detail), detail)
	}
}

func TestBothFormsMove(t *testing.T) {
	t.Parallel()
	r := start(t, movement.Options{})
	r.send(t, "movement/test", `{"command":"move_arm","params":{"port_main":60},"request_id":"bare"}`)
	r.expect(t, "command_started", "move_arm", "bare", "")
	r.expect(t, "command_completed", "move_arm", "bare", "")
	r.send(t, "movement/test", `{"id":"e1","type":"movement.command","ts":`+nowText()+`,"source":"llm","data":{"command":"move_arm","params":{"port_main":50},"request_id":"enveloped"}}`)
	r.expect(t, "command_started", "move_arm", "enveloped", "")
	r.expect(t, "command_completed", "move_arm", "enveloped", "")
	_, err := client.Publish(t.Context(), r.peer, contract.MovementCommand, contract.PlanMovement{ID: "plan", Command: "reset"})
	require.NoError(t, err)
	r.expect(t, "command_started", "reset", "plan", "")
	r.expect(t, "command_completed", "reset", "plan", "")
	var events []string
	for range 4 + 4 {
		m := r.state.Next(t)
		events = append(events, contract.Value(m.Data.ID)+" "+m.Data.Event)
	}
	assert.Equal(t, []string{
		"bare started", "bare frame_sent", "bare completed", "enveloped started", "enveloped frame_sent", "enveloped completed", "plan started", "plan frame_sent",
	}, events)
}

// nowText is the time as envelopes have it.
func nowText() string { return strconv.FormatInt(time.Now().Unix(), 10) }
