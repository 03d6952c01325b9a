// Package legacy has the tests of the links between services that the system which tarsd replaces had
// broken: by envelopes where bare objects were read, and by health topics that nobody read. Each test has one
// end in Go and one that is a script of a Python service: MQTT 3.1.1, a clean session, 60 s of keep alive, no
// will, and the forms, orders of keys, QoS and strictness that were measured there. The broker has the
// hooks of a tarsd without a configuration.
package legacy
