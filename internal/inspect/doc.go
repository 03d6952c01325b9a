// Package inspect turns the messages of a broker into what people look at: a tree of topics with
// counts, rates and recent values, the turns of the dialogue, clients, health, and what went wrong.
// It draws nothing and opens nothing: internal/inspect/feed brings messages, internal/inspect/screen
// draws. docs/inspect.md is for who uses it.
//
// Everything comes from strangers and goes on for ever, so everything has a limit (Limits), and what
// a limit left out is counted and shown (Model.Hit).
package inspect

import "time"

// Message is one PUBLISH as it arrived.
type Message struct {
	Topic   string
	Payload []byte
	QoS     byte
	Retain  bool // as it was published, or a replay: the topic has a retained message since
	Props   []Prop
	At      time.Time // of arrival
}

// Prop is a user property of MQTT 5.
type Prop struct{ Key, Value string }

// Limits bound what a model keeps. All must be positive.
type Limits struct {
	Nodes       int // levels of topics, all branches together
	Depth       int // levels of one topic; deeper ones are one level together
	NameBytes   int // of all topics
	History     int // messages of one topic
	Bytes       int // of kept messages, with about what it costs to keep them
	Payload     int // bytes of one payload
	Turns       int
	Problems    int // violations of the contract and drops, each
	Clients     int
	Peers       int // names with a health
	ChecksASec  int // messages that are checked against the contract
	SearchBytes int // of a payload that a search looks at
}

// DefaultLimits are about 64 MiB of messages and 20 MiB of tree.
func DefaultLimits() Limits {
	return Limits{
		Nodes: 20_000, Depth: 32, NameBytes: 4 << 20, History: 50, Bytes: 64 << 20, Payload: 64 << 10, Turns: 100, Problems: 200,
		Clients: 5000, Peers: 1024, ChecksASec: 4000, SearchBytes: 4 << 10,
	}
}
