// Package client is the one MQTT client of the robot's services, in the broker's process or on
// another machine: it connects and stays connected, and gives typed publish, subscribe and
// request on the topics of services/contract. It works against any MQTT 5 broker.
//
// docs/bus.md says what it promises. In short:
//
//   - A connection that is lost is made again, after 0.5 s doubling to 5 s, less up to half at
//     random; subscriptions are restored with their QoS before messages go out again, and health
//     says "reconnected" after that.
//   - A QoS 1 or 2 publish is acknowledged, or told to be queued, or failed. What is queued stays
//     in order and survives lost connections and lost sessions, not the end of the process.
//   - A message is acknowledged when every subscription that wants it has taken it into its queue.
//     Queues are bounded, and each has a policy for when it is full.
//   - Handlers of a subscription run one after the other, in order of arrival; those of different
//     subscriptions do not wait for each other. A panic is an error with a log line.
//
// # What is paho's and what is not
//
// autopaho makes the connections; paho does CONNECT, SUBSCRIBE, UNSUBSCRIBE, DISCONNECT and reads
// their answers. As in the broker, messages do not pass through the library: link takes PUBLISH
// and its acknowledgements out of the byte stream. The reasons, all of paho.golang v0.23:
//
//   - It keeps one subscription identifier of a PUBLISH, so that one copy for two subscriptions
//     cannot be told from a copy for each.
//   - Its manual acknowledgements wait for a 50 ms ticker, search a list for each message and
//     block the reader while they are written.
//   - Its session forgets what is in flight when the broker lost the session, or the session ends
//     with the connection, and the publisher waits for its timeout. Its queue tells nobody what became
//     of a message.
//   - Its memory for a packet is taken by the length that the peer claims, up to 256 MiB, and each
//     field is a read of the connection.
//   - autopaho prints the broker's URL, password included, and counts attempts from zero after
//     every connection, however short.
//
// # Choices
//
// The watchdog sends PINGREQ after each heartbeat rather than subscribe to its own heartbeats: the
// PINGRESP proves that the broker has read the heartbeat, needs no permission, and cannot be
// dropped as QoS 0 is when a client is slow. Acknowledgements that are owed for too long end the
// connection as well.
//
// Messages that were held unacknowledged when a connection ends are forgotten here, because the
// broker sends them again; where the session ends too, as in memory, they are kept. Those that one subscription had taken and another had not are sent
// again too; they are recognised by packet id and content, which is exact, since the id was never
// free. Redeliveries whose acknowledgement was lost on its way are recognised by content only,
// where the contract has dedup for the topic.
//
// The response topic of a Request is the contract's own topic for the answer, not a private one:
// the page and the inspector see the answer too, and access rules need nothing new.
package client
