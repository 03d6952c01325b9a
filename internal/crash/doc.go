// Package crash holds the black-box tests of the real binary: kill -9 under load, cut
// data files, full disks, hostile clients, start-up failures. Everything is in its tests;
// the tools that they share with the benches are daemon (runs a broker as a process) and
// rawmqtt (a client that pipelines). The tests import nothing of the broker, so that they
// judge what an owner would see and nothing else.
//
// Knobs, all of them environment variables:
//
//	TARSD_BIN            a binary to judge instead of a fresh build
//	TARSD_CRASH_KILLS    how often TestKill kills; 15 if not set, `make crash` takes 100
//	TARSD_CRASH_SEED     the seed that a failed run printed
//	TARSD_CRASH_BROKER   "mosquitto" runs the tests against Debian's Mosquitto, to check
//	                     the tests themselves against a second broker
//	TARSD_CRASH_SIGNAL   "TERM" makes TestKill stop the broker nicely instead
package crash
