// Package health keeps the broker's own verdict on every service and device: connected or not,
// ready by its own word, silent although it promised heartbeats, gone without a word. It reads a
// bounded copy of what passes (a delivery.Tap), publishes the retained health message that a peer
// cannot publish itself, and carries each health message to the other names of its peer, so that
// peers of either generation find what they wait for.
//
// What a peer says of itself is left alone: the broker speaks only when the retained message does
// not say the verdict already, and only after a moment, so that wills and peers come first.
package health
