package delivery_test

import (
	"fmt"
	"testing"

	"github.com/tarsd/tarsd/internal/wire"
	wt "github.com/tarsd/tarsd/internal/wire/wiretest"
)

// TestSubscriberBetweenMatchAndRetain: who subscribes while a retained message waits for the disk
// gets the one of before as retained, and must not miss the new one.
func TestSubscriberBetweenMatchAndRetain(t *testing.T) {
	t.Parallel()
	for _, qos := range []byte{1, 2} {
		t.Run(fmt.Sprint("QoS ", qos), func(t *testing.T) {
			t.Parallel()
			x := startGated(t, nil)
			p, _ := x.dial(t, wire.V5, wt.Connect{ClientID: "p"})
			s, _ := x.dial(t, wire.V5, wt.Connect{ClientID: "s"})
			p.Publish(wt.Publish{Topic: "a", Payload: "one", QoS: 1, Retain: true})
			full := make(chan chan struct{})
			x.g.mu.Lock()
			x.g.full = full
			x.g.mu.Unlock()
			p.Send(wt.Publish{Topic: "a", Payload: "two", QoS: qos, Retain: true, ID: 77}.Bytes(wire.V5))
			room := <-full // its subscribers are looked up, and it waits
			x.g.mu.Lock()
			x.g.full = nil
			x.g.mu.Unlock()
			s.Subscribe(wt.Filter{Name: "a", Opts: 2})
			s.Receive("a", "one")
			close(room)
			s.Receive("a", "two")
		})
	}
}
