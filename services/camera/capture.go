package camera

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/tarsd/tarsd/services/client"
	"github.com/tarsd/tarsd/services/contract"
)

// captureWorkers is how many pictures are rendered on request at the same time.
const captureWorkers = 2

// capture answers a request for a picture: one that was taken after the request came.
func (r *run) capture(ctx context.Context, m client.Message[contract.Capture]) error {
	c := m.Data
	if c.RequestID == "" {
		c.RequestID = m.ID
	}
	if c.RequestID == "" {
		return errors.New("a request without an id cannot be answered")
	}
	r.tell(ctx, contract.CameraUpdate{Event: "capture_started", RequestID: &c.RequestID})
	out := contract.New[contract.Image]()
	out.RequestID, out.Format, out.Purpose = c.RequestID, c.Format, c.Purpose
	status := contract.CameraUpdate{Event: "capture_completed", RequestID: &c.RequestID}
	pic, err := r.after(ctx, m.Received)
	var e encoded
	if err == nil {
		e, err = pic.still(r.o, c.Format, c.Quality, contract.Value(c.Width), contract.Value(c.Height))
	}
	if err != nil {
		text := err.Error()
		out.Success, out.Error, out.ImageData = false, &text, []byte{}
		status.Event, status.Detail = "capture_failed", &text
	} else {
		out.ImageData, out.Width, out.Height, out.SizeBytes, out.Captured = e.data, e.w, e.h, len(e.data), unix(pic.at)
	}
	_, err = client.Reply(ctx, r.bus, m, contract.CameraImage, out)
	r.tell(ctx, status)
	return err
}

// after waits for a picture that was taken at a time or later.
func (r *run) after(ctx context.Context, at time.Time) (*picture, error) {
	ctx, cancel := context.WithTimeout(ctx, r.o.Timeout)
	defer cancel()
	for {
		pic, changed, lost := r.new.get()
		if lost == nil && pic != nil && !pic.at.Before(at) {
			return pic, nil
		}
		select {
		case <-changed:
		case <-ctx.Done():
			if lost != nil {
				return nil, fmt.Errorf("no picture within %v: %w", r.o.Timeout, lost)
			}
			return nil, fmt.Errorf("no picture within %v", r.o.Timeout)
		}
	}
}
