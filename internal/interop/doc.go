// Package interop uses the broker with clients of other makers: mosquitto_pub and mosquitto_sub,
// Eclipse Paho for Go (3.1.1) and autopaho (5.0), Paho for Python, MQTT.js, and what Home
// Assistant and its devices do. It has tests only; the clients' programs are in clients/.
//
//	sh internal/interop/setup.sh      installs what comes from PyPI and npm, once
//	go test ./internal/interop
//
// The broker is tarsd, built once, or the program that TARSD_BIN names. With
// TARSD_INTEROP_MOSQUITTO=mosquitto it is a Mosquitto, which is how the tests themselves are
// checked. The tests of a client that is not installed skip and say so.
package interop
