package wire

var (
	errDisconnectLength = malformed("DISCONNECT: wrong length")
	errDisconnectCode   = protocolError("DISCONNECT: reason code that a client does not send") // [MQTT-3.14.2-1]
	errAuthLength       = malformed("AUTH: wrong length")
	errAuthCode         = protocolError("AUTH: reason code that a client does not send") // [MQTT-3.15.2-1]
	errAuthMethod       = protocolError("AUTH: no authentication method")                // section 3.15.2.2.2
	errPingLength       = malformed("PINGREQ: wrong length")                             // section 3.12.1
)

// DisconnectPacket is a DISCONNECT of a client.
type DisconnectPacket struct {
	Code             Code   // Success before MQTT 5
	SessionExpiry    uint32 // seconds, with HasSessionExpiry
	HasSessionExpiry bool
}

// ParseDisconnect reads a DISCONNECT. Whether the session expiry may be what it is depends on
// CONNECT and is the caller's to check. The error is an *Error.
func ParseDisconnect(frame []byte, header int, version byte) (DisconnectPacket, error) {
	b, err := open(frame, header, TypeDisconnect, version)
	if err != nil || len(b) == 0 {
		return DisconnectPacket{}, err
	}
	if version < V5 {
		return DisconnectPacket{}, errDisconnectLength
	}
	d := DisconnectPacket{Code: Code(b[0])}
	if !disconnectCode(d.Code) {
		return DisconnectPacket{}, errDisconnectCode
	}
	if len(b) == 1 { // no properties, section 3.14.2.2.1
		return d, nil
	}
	r, rest, err := propReaderOf(b[1:], "DISCONNECT", disconnectProps)
	if err != nil {
		return DisconnectPacket{}, err
	}
	for r.next() {
		if r.id == PropSessionExpiry {
			d.SessionExpiry, d.HasSessionExpiry = r.num, true
		}
	}
	switch {
	case r.err != nil:
		return DisconnectPacket{}, r.err
	case len(rest) > 0:
		return DisconnectPacket{}, errDisconnectLength
	}
	return d, nil
}

// disconnectCode reports whether a client may give this reason, table 3-10.
func disconnectCode(c Code) bool {
	switch c {
	case Success, DisconnectWithWill, UnspecifiedError, MalformedPacket, ProtocolError, ImplementationSpecific,
		TopicNameInvalid, ReceiveMaximumExceeded, TopicAliasInvalid, PacketTooLarge, MessageRateTooHigh,
		QuotaExceeded, AdministrativeAction, PayloadFormatInvalid:
		return true
	}
	return false
}

// ParseAuth checks the form of an AUTH of a client, which only MQTT 5 has. The error is an
// *Error.
func ParseAuth(frame []byte, header int) error {
	b, err := open(frame, header, TypeAuth, V5)
	if err != nil {
		return err
	}
	if len(b) == 0 { // Success, which only a server sends: section 3.15.2.1
		return errAuthCode
	}
	if c := Code(b[0]); c != ContinueAuthentication && c != ReAuthenticate {
		return errAuthCode
	}
	r, rest, err := propReaderOf(b[1:], "AUTH", authProps)
	if err != nil {
		return err
	}
	for r.next() {
	}
	switch {
	case r.err != nil:
		return r.err
	case len(rest) > 0:
		return errAuthLength
	case r.seen&(1<<PropAuthMethod) == 0:
		return errAuthMethod
	}
	return nil
}

// ParsePing checks the form of a PINGREQ, which is the same in all versions. The error is an
// *Error.
func ParsePing(frame []byte, header int) error {
	if _, err := open(frame, header, TypePingreq, V5); err != nil {
		return err
	}
	if len(frame) != header {
		return errPingLength
	}
	return nil
}
