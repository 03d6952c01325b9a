// Package limit bounds how fast a client may publish: messages and bytes per second, in all and by
// topic filter. It owns the buckets and the verdict; counting and reporting a verdict is left to
// hooks/delivery.
//
// Each client has its own buckets, for a topic filter as well: one that floods a topic takes
// nothing from the others. They are kept under the client id, so that a new connection is no new
// allowance. Connections of the process itself are not limited.
//
// What happens to a message above a rate depends on what its sender can be told:
//
//   - QoS 0 is dropped.
//   - QoS 1 and 2 of MQTT 5 are refused with "quota exceeded".
//   - QoS 1 and 2 of MQTT 3 end the connection. These versions know no refusal, the choice is
//     between acknowledging and closing [MQTT-3.3.5-2], and acknowledging what is thrown away would
//     lose a message that its sender believes safe. The client sends it again when it is back.
//
// A client that does not stop is disconnected with "message rate too high". The bound: what is
// dropped or refused fills an account that drains at the permitted rate, and ten seconds' worth is
// too much. Who sends up to twice the permitted rate is never disconnected for it, who sends three
// times as much is after 10 s, who sends eleven times as much after about 1 s.
package limit
