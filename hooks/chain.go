package hooks

import (
	"github.com/tarsd/tarsd/hooks/delivery"
	"github.com/tarsd/tarsd/hooks/limit"
)

// Chain lists the message hooks in the order in which they are asked. Policy comes before all of
// them, inside the engine: its answer is cached for each topic, and what a client may not publish
// should not use up what it may. Delivery is last, and not a hook.
func Chain(l *limit.Hook) []delivery.Hook {
	var chain []delivery.Hook
	if l.Limits() { // without limits nothing is asked for each message
		chain = append(chain, l)
	}
	return chain
}
