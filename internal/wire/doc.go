// Package wire is the MQTT codec of the broker: it reads the packets that clients send and
// writes those that a server sends, for MQTT 3.1, 3.1.1 and 5.0.
//
// It owns the bytes: lengths, flags, UTF-8, which property may stand where, which values exist.
// It leaves to its callers whatever needs to know more than one packet: aliases, limits,
// sessions, rights, and whether a packet may come now. A packet that passes is well formed;
// one that does not gives an *Error with the reason code of MQTT 5 and a sentence for the log.
//
// Comments name the normative statements: a number alone is from MQTT 5.0, "3.1.1" stands
// before those of the older specification. Where the two differ only in the number, the one of
// 5.0 is given.
//
// # Malformed or protocol error
//
// Section 1.2 of MQTT 5 draws the line that is followed here: what cannot be parsed (cut off,
// reserved bits, ill-formed UTF-8, a property that its packet does not have) is MalformedPacket;
// what parses and says something forbidden is ProtocolError, unless a code names it better.
//
// # Buffers
//
// Parsers get one whole packet and the length of its fixed header, both from Header.
// PublishPacket points into the packet; all other packets are copies and may be kept.
package wire
