// Package esp32 is a simulated servo controller: the MQTT behaviour of the robot's firmware with all its
// faults, for tests. It is not part of the product.
//
// The firmware is one Python program on one thread: a loop that polls the socket ten times and then gives
// the command executor 50 ms. A handler that publishes at QoS 1 waits for its PUBACK inside the handler,
// inside the poll; everything else stands still meanwhile. The library below it reconnects by itself
// when the socket breaks, and subscribes to nothing then. The faults are not coded, they follow from
// this structure:
//
//   - silence: no PINGREQ, and after a reconnect a read that waits without end (mqtt.go);
//   - burst: a message handled while the device waits for a PUBACK swallows that PUBACK;
//   - late broker: an unreachable broker at boot leaves one subscription of three (firmware.go);
//   - stop on movement/stop stops nothing, a queued stop latches for good;
//   - slow moves: an idle poll takes 100 ms on this port, so a move advances 50 ms in a second;
//   - a refused CONNACK is tried again at once.
//
// Servos are channels with ticks. A move goes one tick a step, as the firmware does it (motion.go), so
// that a test can ask where the joints are and when one moved last.
package esp32
