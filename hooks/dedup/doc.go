// Package dedup acknowledges an envelope that was already delivered, and does not deliver it again. A
// publisher that lost its connection sends again what was not acknowledged, a service that restarts sends
// its last message again, two paths lead from one source to the broker: a command that comes twice would
// move the robot twice.
//
// # What is the same
//
// The key of a message is the type and the id of its envelope, and with them data.seq when that is an
// integer, otherwise the content of data: whatever the order of its keys, spaces and escapes, but numbers
// as they are written. The id alone is none: an answer carries the id of its request. Neither topic nor
// publisher is part of the key, as in the receivers of the system that this replaces, which had one cache
// for all that came in: a command that goes the legacy way and the new one at once, by two clients or on
// two topics, is one command. What a forwarder wants on two topics it sends under two types or ids.
//
// A key is known for a time after it was last seen, and for as long as there is room; a repeat makes it
// young again. Keys live in memory: what was delivered before a restart of the broker can come again.
//
// # What is seen
//
// A message counts as seen when the engine has taken it: delivered it, queued it, or found that nobody
// wants it. One that was refused because a queue or the disk is full is delivered when it is sent again,
// and so is one of QoS 2 whose commit failed. While it is open whether a message will be taken, its repeat
// waits. What subscribers do with a message is theirs: one that a handler failed to handle is seen here,
// and when the broker sends it to its subscriber again, as the protocol has it, this package is not asked.
//
// A repeat is acknowledged behind everything that was submitted to the store before, so that its
// acknowledgement promises what that of the first one does.
//
// # What is left alone
//
// Topics whose row in the contract table does not ask for it, and those without a row, unless
// configuration names them; retained messages, heartbeats, bare JSON, bytes that are not JSON, an envelope
// that is not flawless, and messages of more than 64 KiB. The messages of other topics cost one comparison.
package dedup
