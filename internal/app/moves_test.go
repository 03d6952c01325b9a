package app

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"github.com/tarsd/tarsd/services/client"
	"github.com/tarsd/tarsd/services/contract"
	"github.com/tarsd/tarsd/services/movement"
	"github.com/tarsd/tarsd/services/router"
	"github.com/tarsd/tarsd/services/servicetest"
	"github.com/tarsd/tarsd/services/tools"
)

// body is a robot that can be told to move by voice and by tool. Its queue takes all moves of the
// table, behind one that holds for a long time: what is looked at is that each is taken.
type body struct {
	t       *testing.T
	peer    *client.Client
	history *servicetest.Collector[contract.MotionHistory]
	sent    *servicetest.Collector[contract.TestMovement]
}

func newBody(t *testing.T) *body {
	t.Helper()
	bus := servicetest.Start(t)
	b := &body{t: t, peer: bus.Client(t, "peer")}
	b.history = servicetest.Collect(t, b.peer, contract.MovementHistory)
	b.sent = servicetest.Collect(t, b.peer, contract.MovementTest)
	m, err := movement.New(movement.Options{Queue: 1000})
	require.NoError(t, err)
	bus.Run(t, m)
	o := router.Defaults()
	o.Announce = false
	r, err := router.New(o)
	require.NoError(t, err)
	bus.Run(t, r)
	bus.Run(t, tools.New(tools.Options{Motion: 50 * time.Millisecond, Result: 1 << 16}))
	b.say("pez dispenser", "pezz_dispenser") // holds for 10 s
	return b
}

func publish[T any](b *body, topic contract.Topic[T], v T) {
	b.t.Helper()
	_, err := client.Publish(b.t.Context(), b.peer, topic, v)
	require.NoError(b.t, err)
}

func (b *body) say(text, want string) {
	b.t.Helper()
	publish(b, contract.DialogueText, contract.TypedText{Text: text, Origin: new("page")})
	b.taken(text, want)
}

// taken waits until the move that was asked for last is one of the movement service's requests.
func (b *body) taken(what, want string) {
	b.t.Helper()
	cmd := b.sent.Next(b.t).Data
	require.Equal(b.t, want, cmd.Command, what)
	b.history.Find(b.t, func(m client.Message[contract.MotionHistory]) bool {
		for _, r := range m.Data.Requests {
			if r.ID == contract.Value(cmd.RequestID) {
				require.Equal(b.t, want, r.Command, what)
				require.Contains(b.t, []string{"queued", "started", "completed"}, r.State, "%s: %s", what, contract.Value(r.Detail))
				return true
			}
		}
		return false
	})
}

// TestEveryMoveByVoice: each phrase of the table, politely, becomes a request of the movement service.
func TestEveryMoveByVoice(t *testing.T) {
	t.Parallel()
	b := newBody(t)
	n := 0
	for _, m := range contract.Moves() {
		if m.Name == "stop" || len(m.Spoken) == 0 {
			continue
		}
		b.say("Could you please "+m.Spoken[len(m.Spoken)-1]+"?", m.Name)
		n++
	}
	assert.GreaterOrEqual(t, n, 20)
}

// TestEveryMoveByTool: each tool of the table does too, with its parameters.
func TestEveryMoveByTool(t *testing.T) {
	t.Parallel()
	b := newBody(t)
	results := servicetest.Collect(t, b.peer, contract.ToolCallResult)
	n := 0
	for _, m := range contract.Moves() {
		if m.Tool == "" || m.Name == "stop" {
			continue
		}
		args := contract.Object{}
		for _, p := range m.Params {
			switch {
			case p.Percent:
				args[p.Name] = 50
			default:
				args[p.Name] = contract.JointNames()[0]
			}
		}
		publish(b, contract.ToolCallRequest, contract.ToolCall{CallID: m.Name, Name: "mcp__tars-movement__" + m.Tool, Arguments: args})
		b.taken(m.Tool, m.Name)
		results.Find(t, func(r client.Message[contract.ToolResult]) bool { return r.Data.CallID == m.Name })
		n++
	}
	assert.GreaterOrEqual(t, n, 20)
}
