package hooks

import (
	"github.com/tarsd/tarsd/hooks/delivery"
	"github.com/tarsd/tarsd/hooks/limit"
)

// Chain lists the message hooks in the order in which they are asked. Policy comes before all of
// them, inside the engine: its answer is cached for each topic, and what a client may not publish
// should not use up what it may. Delivery is last, and not a hook.
//
// Of more there are, in this order: dedup, behind the rates, so that a flood of repeats is a flood; and
// device, whose answers to probes are nobody else's, and which is asked last because what it takes out
// was a message of the device like any other.
func Chain(l *limit.Hook, more ...delivery.Hook) []delivery.Hook {
	var chain []delivery.Hook
	if l.Limits() { // without limits nothing is asked for each message
		chain = append(chain, l)
	}
	return append(chain, more...)
}
