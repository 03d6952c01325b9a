package movement

import (
	"context"
	"time"

	"github.com/tarsd/tarsd/services/client"
	"github.com/tarsd/tarsd/services/contract"
	"github.com/tarsd/tarsd/services/movement/plan"
)

// pump sends frames to the device: the newest, and one at a time.
func (d *device) pump(ctx context.Context) {
	for {
		select {
		case <-d.wake:
		case <-ctx.Done():
			return
		}
		for {
			frame, stop, ok := d.next(d.r.engine.Stopped())
			if !ok {
				break
			}
			d.send(ctx, frame, stop)
		}
	}
}

// next is the frame to send now, if there is one, and whether movement/stop goes with it, which is
// repeated in an emergency stop and not when a move ends with everything off.
func (d *device) next(stopped bool) (frame contract.Frame, stop, ok bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	waits := !d.frameAt.IsZero() && time.Since(d.frameAt) < frameWithin
	switch {
	case !d.present:
		return frame, false, false
	case d.halt && (!waits || !d.frameOff): // "off" does not wait for the frame of a move
		d.halt = false
		d.frameAt, d.frameOff = time.Now(), true
		stop = stopped && time.Since(d.stopAt) > time.Second
		if stop {
			d.stopAt = time.Now()
		}
		off := map[int]int{}
		for ch := range plan.Channels {
			off[ch] = 0
		}
		return contract.TicksOf(off), stop, true
	case d.dirty && !waits:
		d.dirty = false
		d.frameAt, d.frameOff = time.Now(), false
		pulses := map[int]int{}
		for j, t := range d.want {
			if t != 0 { // a joint that is off stays so; 0 is said by Off alone
				pulses[d.r.o.Calibration[j].Channel] = t
			}
		}
		return contract.TicksOf(pulses), false, true
	}
	return frame, false, false
}

// send publishes a frame, which is worth nothing a moment later. The firmware's own stop does not
// stop, but a better one might, so it is told as well: before the frame, since the broker drops what
// waits for the device before a stop.
func (d *device) send(ctx context.Context, frame contract.Frame, stop bool) {
	ctx, cancel := context.WithTimeout(ctx, frameWithin)
	defer cancel()
	if stop {
		id := client.NewID()
		d.r.own.add(id)
		m := contract.StopMovement{MessageID: id, Reason: new("repeated")}
		if _, err := client.Publish(ctx, d.r.bus, contract.MovementStop, m, client.WithExpiry(frameWithin)); err != nil && ctx.Err() == nil {
			d.r.log.Debug().Ctx(ctx).Err(err).Msg("stop not published")
		}
	}
	if _, err := client.Publish(ctx, d.r.bus, contract.MovementFrame, frame, client.WithExpiry(frameWithin)); err != nil && ctx.Err() == nil {
		d.r.log.Debug().Ctx(ctx).Err(err).Msg("frame not published")
	}
}

// applied is the device's word for a frame with so many channels.
func (d *device) applied(channels int) {
	if channels == 0 {
		return // a sign of life that the broker asked for
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	off := channels == plan.Channels
	d.applies = !off
	if off && d.frameOff && len(d.jobs) == 0 && len(d.arrivals) == 0 && d.frameAt.After(d.busy.Add(quietFor)) {
		d.halted = true
	}
	if off == d.frameOff {
		d.frameAt = time.Time{}
	}
	d.poke()
}

// settled waits until the device has applied the last frame of a move: that it was sent does not make
// the move complete.
func (d *device) settled(ctx context.Context) error {
	for deadline := time.Now().Add(2 * frameWithin); ; {
		d.mu.Lock()
		done := !d.dirty && d.frameAt.IsZero()
		d.mu.Unlock()
		switch {
		case done:
			return nil
		case time.Now().After(deadline):
			return errUnconfirmed
		case !pause(ctx, time.Second/deviceHz/10):
			return context.Cause(ctx)
		}
	}
}
