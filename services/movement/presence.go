package movement

import (
	"context"
	"slices"
	"time"

	"github.com/tarsd/tarsd/services/client"
	"github.com/tarsd/tarsd/services/contract"
)

// The device's health events that do not mean that it is away although they say "not ok": without
// frames it reports frame_timeout every five minutes, and is fine.
var harmless = []string{"frame_timeout", "mqtt_check_failed", "mqtt_wait_failed"}

// onHealth hears of the device's presence: from itself, or from the broker, which sees its connection.
func (d *device) onHealth(_ context.Context, m client.Message[contract.HealthPing]) error {
	event := contract.Value(m.Data.Event)
	switch {
	case !m.Data.OK && !slices.Contains(harmless, event):
		d.gone(event)
	case event == "ready" && !m.Retained && m.Bare:
		d.booted()
	case m.Data.OK:
		d.alive()
	}
	return nil
}

// alive notes that the device is there.
func (d *device) alive() {
	d.mu.Lock()
	was := d.present
	d.present = true
	if !was {
		d.frameAt = time.Time{}
		d.tell()
	}
	d.mu.Unlock()
	if !was {
		d.r.log.Info().Str("device", d.r.o.Device).Msg("device is there")
		d.r.poke()
	}
	d.poke()
}

// gone notes that it is not, and ends what it was to do. Nothing of it is sent again.
func (d *device) gone(why string) {
	d.mu.Lock()
	was := d.present
	d.present, d.why = false, why
	d.tell()
	d.mu.Unlock()
	if was {
		d.r.log.Warn().Str("device", d.r.o.Device).Str("event", why).Msg("device is gone")
		d.lose(errGone)
	}
	d.r.poke()
}

// booted notes that the device's program began: its queue and its latch are gone, and what it did is
// not known to have ended. What it has not answered yet was sent while it began, and is still to come.
func (d *device) booted() {
	d.mu.Lock()
	d.latched = false
	d.halted = false
	busy := d.applies || slices.ContainsFunc(d.jobs, func(j *job) bool { return j.accepted })
	d.applies = false
	d.mu.Unlock()
	if busy {
		d.lose(errRebooted)
	}
	d.alive()
}
