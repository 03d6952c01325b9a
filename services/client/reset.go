package client

import (
	"context"
	"errors"
)

// Reset ends all subscriptions as Subscription.Close does, and cancels the contexts of handlers
// that are running. The connection, the outbox and the health topic stay. After it the client is
// as after Connect: Subscribe and Ready may be called again, and that Ready says "ready" even if
// Health has told of an error before, because the error was that of an earlier user of the client.
// It waits for handlers until ctx ends; an error means that one still runs.
func (c *Client) Reset(ctx context.Context) error {
	if c.closing() {
		return ErrClosed
	}
	c.mu.Lock()
	subs := c.subs
	c.health.old = true
	clear(c.replies) // their subscriptions go with the others
	end := c.cancelRuns
	c.runs, c.cancelRuns = context.WithCancel(c.life)
	c.mu.Unlock()
	end()
	errs := make([]error, 0, len(subs))
	for _, s := range subs {
		errs = append(errs, s.Close(ctx))
	}
	return errors.Join(errs...)
}
