// Package observe makes the broker visible: figures under $SYS with Mosquitto's names, Prometheus
// metrics, and the audit stream as log events and as a topic. It reads counters that the delivery
// engine keeps anyway and never stands in the way of a message: whatever it cannot keep up with it
// drops and counts.
package observe

import "github.com/tarsd/tarsd/hooks/delivery"

// Engine is what observe reads and publishes through; *delivery.Engine is one.
//
// Publish must not keep messages of $SYS on disk: they are figures of this run.
type Engine interface {
	Stats() delivery.Stats
	Clients() []delivery.ClientInfo
	Publish(topic string, payload []byte, qos byte, retain bool)
}

var _ Engine = (*delivery.Engine)(nil)

// byteCounter is found by assertion on the Engine: payload bytes of PUBLISH packets since the start.
type byteCounter interface {
	PublishBytes() (received, sent uint64)
}
