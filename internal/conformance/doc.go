// Package conformance holds a conformance suite for MQTT servers, written from the two OASIS
// specifications, 3.1.1 and 5.0. It has tests only.
//
// Each check is named by the normative statements that it observes and runs for the protocol
// versions which have them, over TCP, WebSocket and the in-memory listener:
//
//	go test ./internal/conformance -run 'TestConformance/5.0/tcp/.*MQTT-4.6.0-5'
//
// The broker under test is ours, started in the process. Another one can be judged:
//
//	TARSD_CONFORMANCE_URL=tcp://127.0.0.1:1883   any running broker, over TCP
//	TARSD_CONFORMANCE_MOSQUITTO=mosquitto        a Mosquitto binary, which the suite starts with what each check needs
//
// The second is how the suite itself is checked: every failure there must be a deviation that
// mosquitto_test.go explains. STATEMENTS.md is made from the table of checks and lists all
// statements of both specifications; `go test ./internal/conformance -run Statements -update`
// writes it anew.
//
// That something does not arrive is proved with a message which does arrive on the same path
// behind it, never with a time-out. Real time passes only where the protocol itself counts it:
// keep alive, Will delay, message and session expiry.
package conformance
