package client

import (
	"errors"
	"fmt"
)

// Errors that callers branch on.
var (
	// ErrClosed: the client or the subscription is closed.
	ErrClosed = errors.New("closed")
	// ErrOffline: there is no connection, and the message (QoS 0) does not wait for one. It was not sent.
	ErrOffline = errors.New("not connected")
	// ErrQueueFull: the outbox has no room. The message was not taken.
	ErrQueueFull = errors.New("outbox is full")
	// ErrUnconfirmed: the wait ended before the broker's acknowledgement came. The message was
	// sent and stays in flight: it may arrive, and is sent again after a reconnect.
	ErrUnconfirmed = errors.New("sent, but not acknowledged yet")
	// ErrNotSent: the wait ended before the message was sent. It never will be.
	ErrNotSent = errors.New("not sent")
	// ErrExpired: the message waited for longer than its expiry.
	ErrExpired = errors.New("expired before it could be sent")
	// ErrTooLarge: the message is larger than the broker takes.
	ErrTooLarge = errors.New("larger than the broker accepts")
	// ErrNoReply: nobody answered a request in time.
	ErrNoReply = errors.New("no reply")
)

// errQueued tells a waiting Publish that the connection went; it is never returned to callers.
var errQueued = errors.New("queued")

// RefusedError is a refusal by the broker.
type RefusedError struct {
	What   string // "publish", "subscribe" or "connect"
	Topic  string // or filter; empty for connect
	Code   byte   // MQTT 5 reason code, 0x80 or above
	Reason string // the broker's words, may be empty
}

// Error implements error.
func (e *RefusedError) Error() string {
	s := fmt.Sprintf("%s refused with code %#02x", e.What, e.Code)
	if e.Topic != "" {
		s = fmt.Sprintf("%s %q refused with code %#02x", e.What, e.Topic, e.Code)
	}
	if e.Reason != "" {
		s += ": " + e.Reason
	}
	return s
}
