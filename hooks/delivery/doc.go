// Package delivery is the broker's engine: sessions, subscriptions, queues, retained messages,
// wills and acknowledgements of MQTT 3.1.1 and 5.0.
//
// A connection's reader goroutine hands each message to its link, which runs the policy and the
// hooks, stores what has to be kept and appends the message to the outbound buffers of the
// subscribers. What many messages of one read buffered leaves in one write per subscriber.
//
// # Durability
//
// A message that is retained, or queued for a session that outlives its connection, is
// acknowledged after the commit that holds it. QoS 0 and 1 are delivered at once: a crash before
// the commit means that a subscriber has seen what its publisher will send again. QoS 2 is
// delivered after the commit, because exactly once includes the crash: the packet id that the
// publisher used and the queue entries of all subscribers are in one transaction. Later messages
// of that publisher wait for it where they would overtake it.
//
// The packet id of a delivery follows from its place in the session's queue, (sequence-1) mod
// 65535 + 1, so that the id survives with the queue entry and needs no second write. A QoS 2
// message released by PUBREC is recorded before PUBREL leaves, and an inbound id is forgotten on
// disk before PUBCOMP leaves: either order reversed would deliver twice or never.
//
// # Terms
//
// A hook may set Terms for a client: a device whose faults the broker absorbs. They change when
// messages and acknowledgements leave, in which form, and which come too late; everybody else pays a
// comparison.
//
// # Locks
//
// session.mu -> Engine.mu, trie.mu, retained.mu or link.aliasMu -> the buffer of a broker.Conn.
// Engine.tapMu or retained.mu -> trie.mu. The locks of the store and of a Tap are leaves. Nothing holds a lock
// across a system call, across another session's lock or across a call into the library. The
// QoS 0 path takes no session lock: session.link is atomic and a connection's facts do not change.
package delivery
