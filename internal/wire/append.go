package wire

import (
	"encoding/binary"
	"strings"
	"unicode/utf8"
)

// maxReason is how much of a reason string AppendDisconnect sends, in bytes. Small clients have
// small buffers, and a reason string must not make the packet too large for them [MQTT-3.14.2-3].
const maxReason = 256

// AppendConnack appends a CONNACK. props are encoded properties, for MQTT 5 only; older versions
// get the return code that is nearest to code. A refusal never says that a session is present
// [MQTT-3.2.2-6], nor does MQTT 3.1, which does not know it.
func AppendConnack(b []byte, version byte, present bool, code Code, props []byte) []byte {
	var flags byte
	if present && code == Success && version > V31 {
		flags = 1
	}
	if version < V5 {
		return append(b, TypeConnack<<4, 2, flags, code.V3())
	}
	n := uint32(len(props))
	b = AppendVarint(append(b, TypeConnack<<4), 2+uint32(VarintLen(n))+n)
	b = append(b, flags, byte(code))
	return append(AppendVarint(b, n), props...)
}

// AppendDisconnect appends a DISCONNECT, which a server sends to clients of MQTT 5 only. The
// reason is for people; it is cut at 256 bytes, and left out if empty or not UTF-8.
func AppendDisconnect(b []byte, code Code, reason string) []byte {
	reason = cut(reason, maxReason)
	if reason == "" || !utf8.ValidString(reason) || strings.IndexByte(reason, 0) >= 0 {
		return append(b, TypeDisconnect<<4, 1, byte(code))
	}
	n := uint32(3 + len(reason))
	b = AppendVarint(append(b, TypeDisconnect<<4), 1+uint32(VarintLen(n))+n)
	b = AppendVarint(append(b, byte(code)), n)
	return AppendPropString(b, PropReasonString, reason)
}

// AppendPropByte appends a property whose value is a byte.
func AppendPropByte(b []byte, id, v byte) []byte { return append(b, id, v) }

// AppendPropUint16 appends a property whose value is a two byte integer.
func AppendPropUint16(b []byte, id byte, v uint16) []byte {
	return binary.BigEndian.AppendUint16(append(b, id), v)
}

// AppendPropUint32 appends a property whose value is a four byte integer.
func AppendPropUint32(b []byte, id byte, v uint32) []byte {
	return binary.BigEndian.AppendUint32(append(b, id), v)
}

// AppendPropVarint appends a property whose value is a variable byte integer.
func AppendPropVarint(b []byte, id byte, v uint32) []byte { return AppendVarint(append(b, id), v) }

// AppendPropString appends a property whose value is a string or binary data, cut at 65,535
// bytes.
func AppendPropString(b []byte, id byte, v string) []byte { return appendText(append(b, id), v) }

// AppendPropPair appends a user property, cut at 65,535 bytes each.
func AppendPropPair(b []byte, name, value string) []byte {
	return appendText(appendText(append(b, PropUserProperty), name), value)
}

// appendText appends s with its length in front, cut so that the packet stays well formed.
func appendText(b []byte, s string) []byte {
	s = cut(s, MaxText)
	return append(binary.BigEndian.AppendUint16(b, uint16(len(s))), s...)
}

// cut shortens s to at most n bytes, not within a character.
func cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for i := n; i > n-utf8.UTFMax; i-- {
		if utf8.RuneStart(s[i]) {
			return s[:i]
		}
	}
	return s[:n]
}
