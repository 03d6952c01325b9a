package wire

import (
	"encoding/binary"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// raw are bytes that go into a packet as they are.
type raw []byte

// join encodes parts: byte, int and rune as one byte, uint16 and uint32 as integers, string with its
// length in front, raw as it is.
func join(parts ...any) []byte {
	var b []byte
	for _, p := range parts {
		switch v := p.(type) {
		case byte:
			b = append(b, v)
		case rune: // a letter as in 'a'
			b = append(b, byte(v))
		case int:
			b = append(b, byte(v))
		case uint16:
			b = binary.BigEndian.AppendUint16(b, v)
		case uint32:
			b = binary.BigEndian.AppendUint32(b, v)
		case string:
			b = append(binary.BigEndian.AppendUint16(b, uint16(len(v))), v...)
		case raw:
			b = append(b, v...)
		default:
			panic(fmt.Sprintf("join: %T", p))
		}
	}
	return b
}

// packet is a whole packet: first byte, remaining length, parts.
func packet(first byte, parts ...any) []byte {
	b := join(parts...)
	return append(AppendVarint([]byte{first}, uint32(len(b))), b...)
}

// props are properties with their length in front.
func props(parts ...any) raw {
	b := join(parts...)
	return append(AppendVarint(nil, uint32(len(b))), b...)
}

// header is the length of the fixed header of p, which must be one whole packet.
func headerOf(t testing.TB, p []byte) int {
	t.Helper()
	header, total, err := Header(p)
	require.NoError(t, err)
	require.Equal(t, len(p), total)
	return header
}

// parse parses one whole packet of a client.
func parse(p []byte, version byte) (v any, err error) {
	header, _, err := Header(p)
	if err != nil {
		return nil, err
	}
	switch p[0] >> 4 {
	case TypeConnect:
		return ParseConnect(p, header)
	case TypePublish:
		pub := new(PublishPacket)
		return pub, pub.Parse(p, header, version)
	case TypePuback, TypePubrec, TypePubrel, TypePubcomp:
		return ParseAck(p, header, version)
	case TypeSubscribe:
		return ParseSubscribe(p, header, version)
	case TypeUnsubscribe:
		return ParseUnsubscribe(p, header, version)
	case TypeDisconnect:
		return ParseDisconnect(p, header, version)
	case TypePingreq:
		return nil, ParsePing(p, header)
	case TypeAuth:
		return nil, ParseAuth(p, header)
	}
	return nil, fmt.Errorf("no parser for type %d", p[0]>>4)
}

// versions in which a case holds.
type versions []byte

var (
	all = versions{V31, V311, V5}
	v3  = versions{V31, V311}
	v5  = versions{V5}
)

// refusal is a packet that must be refused, named by the statement that it violates.
type refusal struct {
	name     string
	versions versions
	packet   []byte
	code     Code
	reason   string
}

func testRefusals(t *testing.T, cases []refusal) {
	t.Helper()
	for _, c := range cases {
		for _, v := range c.versions {
			t.Run(fmt.Sprintf("%s/v%d", c.name, v), func(t *testing.T) {
				t.Parallel()
				_, err := parse(c.packet, v)
				require.Error(t, err)
				code, ok := CodeOf(err)
				assert.True(t, ok, "not an *Error: %v", err)
				assert.Equal(t, c.code, code)
				assert.Equal(t, c.reason, err.Error())
			})
		}
	}
}

// testCuts cuts a good packet at every length: with a remaining length to match, each is refused
// (unless the cut packet is complete in itself), and the parser must not read past the end.
func testCuts(t *testing.T, good []byte, version byte, whole ...int) {
	t.Helper()
	_, err := parse(good, version)
	require.NoError(t, err)
	body := good[headerOf(t, good):]
	ok := map[int]bool{}
	for _, n := range whole {
		ok[n] = true
	}
	for n := range body {
		p := packet(good[0], raw(body[:n]))
		_, err := parse(p[:len(p):len(p)], version)
		if ok[n] {
			assert.NoError(t, err, "%d of %d bytes", n, len(body))
			continue
		}
		code, _ := CodeOf(err)
		assert.Contains(t, []Code{MalformedPacket, ProtocolError, ClientIDNotValid}, code, "%d of %d bytes: %v", n, len(body), err)
		if err != nil {
			assert.True(t, strings.HasPrefix(err.Error(), typeNames[good[0]>>4]), err)
		}
	}
}

func TestCode(t *testing.T) {
	t.Parallel()
	assert.Equal(t, "not authorized", NotAuthorized.String())
	assert.Equal(t, "wildcard subscriptions not supported", WildcardSubscriptionsNotSupported.String())
	assert.Equal(t, "reason code 0x7f", Code(0x7F).String())
	assert.Equal(t, "reason code 0xff", Code(0xFF).String())
	for code, want := range map[Code]byte{
		Success: 0, UnsupportedProtocolVersion: 1, ClientIDNotValid: 2, ServerUnavailable: 3, ServerShuttingDown: 3,
		ConnectionRateExceeded: 3, QuotaExceeded: 3, BadUserNameOrPassword: 4, NotAuthorized: 5, Banned: 5, MalformedPacket: 5,
	} {
		assert.Equal(t, want, code.V3(), code.String())
	}
}

func TestCodeOf(t *testing.T) {
	t.Parallel()
	code, ok := CodeOf(fmt.Errorf("read: %w", errQoS3))
	assert.True(t, ok)
	assert.Equal(t, MalformedPacket, code)
	_, ok = CodeOf(assert.AnError)
	assert.False(t, ok)
	_, ok = CodeOf(nil)
	assert.False(t, ok)
}
