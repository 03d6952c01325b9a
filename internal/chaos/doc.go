// Package chaos holds the test of services on a bad network: a steady flow of QoS 1 messages
// between supervised services goes on while their broker, a process of its own, is killed and
// stopped, and while the links between them are delayed, lose everything and are reset. It judges
// services/client, services and the broker from outside, by what handlers saw and what the health
// topics say. TARSD_CHAOS_RESTARTS and TARSD_CHAOS_CUTS say how often; make chaos runs it in full.
package chaos
