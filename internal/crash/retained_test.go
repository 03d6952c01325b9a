package crash

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/tarsd/tarsd/internal/crash/rawmqtt"
)

// How long an observer waits for retained messages that have to come, and for ones that
// should not after the last of those.
const (
	retainedLimit = 10 * time.Second
	retainedQuiet = 60 * time.Millisecond
)

// showRetained subscribes as a new client and returns what it is shown: topic to sequence
// number. want is how many topics have to come at least.
func (l *ledger) showRetained(ctx context.Context, addr string, version byte, filter string, want int) (map[string]int64, error) {
	c, err := rawmqtt.Dial(ctx, addr, rawmqtt.ConnectOptions{ID: "observer", Version: version, Clean: true})
	if err != nil {
		return nil, err
	}
	defer c.Finish()
	c.Send(func(b []byte) []byte { return rawmqtt.AppendSubscribe(b, version, 1, 0, filter) })
	shown := map[string]int64{}
	end := time.Now().Add(retainedLimit)
	for {
		wait := retainedQuiet
		if len(shown) < want {
			wait = time.Until(end)
		}
		if more, err := c.Wait(wait); err != nil {
			return shown, err
		} else if !more {
			return shown, nil
		}
		if err := c.SetReadDeadline(end); err != nil {
			return shown, err
		}
		f, err := c.Next()
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded):
			return shown, fmt.Errorf("half a packet within %v", retainedLimit)
		case err != nil:
			return shown, err
		case f.Type != rawmqtt.Publish:
			continue
		}
		m, err := f.Message(version)
		if err != nil {
			return shown, err
		}
		s, seq, err := l.parse(m)
		switch {
		case err != nil:
			return shown, err
		case !m.Retain:
			return shown, fmt.Errorf("%w: no retain flag on %q", errFlag, m.Topic)
		case !s.retain:
			return shown, fmt.Errorf("%w: %q was never retained", errRetained, m.Topic)
		}
		if _, twice := shown[s.topic]; twice {
			return shown, fmt.Errorf("%w: %q came twice", errRetained, m.Topic)
		}
		shown[s.topic] = int64(seq)
	}
}
