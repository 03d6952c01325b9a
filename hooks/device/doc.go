// Package device makes up for the faults of devices whose firmware cannot be changed. A profile, found
// by client id, says how the broker treats a device: hooks/delivery does what concerns its messages (the
// terms), and this package probes it, publishes its presence and bounds its rate.
//
// # The ESP32
//
// The built-in profile is for the robot's servo controller as it is, see internal/esp32 for its faults:
//
//   - Burst: it handles what comes while it waits for a PUBACK of its own, and loses that PUBACK in doing
//     so. With one message under way at a time this cannot happen, as long as the PUBACK that it waits
//     for follows the message which it handles meanwhile: window and nested. At boot it waits for SUBACKs
//     in the same way: nothing is sent until it is done, settle.
//   - Silence: it never pings, and is deaf when it has been cut off for that. The keep alive does not end
//     its connection; the system watches the link instead: a device that is gone is noticed within 25 s.
//   - Late broker, restart: whenever its session lacks them it gets its three subscriptions.
//   - After a reconnect it waits in a read without end, and nothing that it does goes on: a message wakes
//     it up. A frame without channels moves nothing.
//   - It has no will: its presence is published for it.
//   - A refused CONNECT is tried again at once: the refusal takes two seconds.
//   - It gets nothing that was published before its connection began, queued, under way or retained: a robot
//     that is back makes no move by itself, and none twice. A message on movement/stop is the exception.
//   - What waits for longer than ten seconds is dropped, and a message on movement/stop drops what waits
//     before it.
//
// Why the link and not probes: a probe costs the device a PUBLISH that stops everything it does until
// its PUBACK is there (and 300 ms more with an LED), in the midst of a move too, and a message on
// movement/state that nobody asked for. The system's probes are answered below the program. What they
// cannot see is a program that hangs while its Wi-Fi lives; keep_alive: probe does, and is the way where
// the link is not the device's: behind a proxy or in a WebSocket probes are sent in any case.
//
// The answer to a probe is taken out: the first message that looks like one for each probe that was sent
// goes to nobody and counts as nothing. Neither do others see the probe, which is sent to the one session
// alone.
//
// # Forms
//
// A client may read the messages of some topics only without their envelope, or only within one: the Python
// services whose profiles Legacy has do. It gets them so, whoever sent them. The ESP32 reads bare commands
// only, and refuses the others: those are for the movement service, which passes them on when they are good.
//
// What a broker cannot do: movement/stop reaches the device at once and stops nothing there; and a
// device that loses its connection while it waits for a PUBACK waits for ever.
package device
