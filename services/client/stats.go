package client

import "time"

// Stats are counts since Connect, unless they say otherwise.
type Stats struct {
	Connected     bool      // messages can be sent now
	Since         time.Time // of the connection; zero without one
	Reconnects    int       // connections after the first
	Publishes     PublishStats
	Subscriptions []SubscriptionStats // in the order in which they were made
	Unclaimed     int                 // messages that no subscription wanted
}

// Dropped is how many messages were neither handled nor sent: left out by the queues of subscriptions, or
// not taken by the broker in time or at all.
func (s Stats) Dropped() int {
	n := s.Publishes.Dropped + s.Publishes.Expired
	for i := range s.Subscriptions {
		n += s.Subscriptions[i].Dropped
	}
	return n
}

// PublishStats counts publishes.
type PublishStats struct {
	Published int // QoS 0: written; otherwise acknowledged
	Queued    int // accepted without a connection, or lost their connection while they waited
	Resent    int // sent again in the same session
	Refused   int // by the broker or by the outbox
	Expired   int // while they waited
	Dropped   int // QoS 0 without a connection
	Waiting   int // in the outbox now
}

// SubscriptionStats counts what a subscription got.
type SubscriptionStats struct {
	Filter     string
	Received   int // taken from the broker
	Handled    int // handler calls that returned nil
	Failed     int // handler calls that returned an error or panicked
	Panics     int // of these, panics
	Invalid    int // not as the contract says; never delivered
	Duplicates int // dropped as repeats
	Dropped    int // by the queue's policy
	Lost       int // left in the queue at Close
	Queued     int // in the queue now
	Held       int // unacknowledged behind it now
}
