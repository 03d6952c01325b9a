package delivery_test

import (
	"testing"
	"time"

	"github.com/stretchr/testify/assert"

	"github.com/tarsd/tarsd/internal/wire"
	wt "github.com/tarsd/tarsd/internal/wire/wiretest"
)

// The first promise, while the disk does not answer: what has to be kept is not acknowledged, and
// what nobody has to keep does not wait.
func TestAcknowledgedMeansOnDisk(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		send []byte
		want byte // the acknowledgement
		kept bool
	}{
		{"retained, QoS 1", wt.Publish{Topic: "r", Payload: "x", QoS: 1, Retain: true, ID: 1}.Bytes(wire.V5), wt.PUBACK, true},
		{"retained, QoS 2", wt.Publish{Topic: "r", Payload: "x", QoS: 2, Retain: true, ID: 1}.Bytes(wire.V5), wt.PUBREC, true},
		{"queued, QoS 1", wt.Publish{Topic: "q", Payload: "x", QoS: 1, ID: 1}.Bytes(wire.V5), wt.PUBACK, true},
		{"queued, QoS 2", wt.Publish{Topic: "q", Payload: "x", QoS: 2, ID: 1}.Bytes(wire.V5), wt.PUBREC, true},
		{"for nobody's queue, QoS 1", wt.Publish{Topic: "live", Payload: "x", QoS: 1, ID: 1}.Bytes(wire.V5), wt.PUBACK, false},
		{"for nobody's queue, QoS 2", wt.Publish{Topic: "live", Payload: "x", QoS: 2, ID: 1}.Bytes(wire.V5), wt.PUBREC, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			x := startGated(t, nil)
			s, _ := x.dial(t, wire.V5, kept("s"))
			s.Subscribe(wt.Filter{Name: "q", Opts: 2})
			live, _ := x.dial(t, wire.V5, wt.Connect{ClientID: "live"})
			live.Subscribe(wt.Filter{Name: "live", Opts: 2})
			p, _ := x.dial(t, wire.V5, wt.Connect{ClientID: "p"})
			x.idle(t)
			x.g.close()
			p.Send(c.send)
			if c.kept {
				pass(p, 50*time.Millisecond)
				x.g.open()
			}
			assert.Zero(t, p.Expect(c.want).Code)
		})
	}
}
