package wire

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
)

var (
	benchV311  = packet(0x32, "home/kitchen/light/1/state", uint16(7), raw(strings.Repeat("x", 64)))
	benchV5    = packet(0x32, "home/kitchen/light/1/state", uint16(7), 0, raw(strings.Repeat("x", 64)))
	benchProps = packet(0x32, "home/kitchen/light/1/state", uint16(7), props(PropPayloadFormat, 1, PropUserProperty, "key", "value",
		PropMessageExpiry, uint32(60), PropContentType, "application/json"), raw(strings.Repeat("x", 64)))
	benchAlias = packet(0x32, "", uint16(7), props(PropTopicAlias, uint16(3)), raw(strings.Repeat("x", 64)))
)

// The hot path makes no garbage, neither for good packets nor for most bad ones.
func TestAllocations(t *testing.T) {
	var p PublishPacket
	var o = OutPublish{Version: V5, QoS: 1, Topic: "home/kitchen", ID: 7, Props: join(PropPayloadFormat, 1), Expiry: 60, HasExpiry: true,
		SubIDs: []uint32{1, 2}, Payload: make([]byte, 64)}
	buf := make([]byte, 0, 1024)
	puback, pubrec := packet(0x40, uint16(1)), packet(0x50, uint16(1), 0x10, props(PropReasonString, "why"))
	bad := [][]byte{packet(0x30, "a/#", 0), packet(0x30, "\xFF", 0), packet(0x32, "a", uint16(0)), packet(0x30), packet(0x40, uint16(0)),
		packet(0x10), packet(0xE0, 1), packet(0x36)}
	for name, f := range map[string]func(){
		"Header":          func() { _, _, _ = Header(benchV5) },
		"Parse 3.1.1":     func() { _ = p.Parse(benchV311, 2, V311) },
		"Parse 5.0":       func() { _ = p.Parse(benchV5, 2, V5) },
		"Parse with cuts": func() { _ = p.Parse(benchProps, 3, V5) },
		"Parse alias":     func() { _ = p.Parse(benchAlias, 2, V5) },
		"ParseAck":        func() { _, _ = ParseAck(puback, 2, V311) },
		"ParseAck, props": func() { _, _ = ParseAck(pubrec, 2, V5) },
		"AppendAck":       func() { buf = AppendAck(buf[:0], TypePuback, 1, V5, NoMatchingSubscribers) },
		"Match":           func() { Match("home/+/light/#", "home/kitchen/light/1/state") },
		"Append": func() {
			_, rem, n := o.Size()
			buf = o.Append(buf[:0], rem, n, true)
		},
		"hostile": func() {
			for _, b := range bad {
				header, _, err := Header(b)
				switch {
				case err != nil:
				case b[0]>>4 == TypePublish:
					err = p.Parse(b, header, V5)
				case b[0]>>4 == TypePuback:
					_, err = ParseAck(b, header, V5)
				case b[0]>>4 == TypeConnect:
					_, err = ParseConnect(b, header)
				default:
					_, err = ParseDisconnect(b, header, V5)
				}
				if err == nil {
					panic(b)
				}
			}
		},
	} {
		want := 0.0
		if name == "hostile" {
			want = 1 // the ConnectPacket
		}
		assert.LessOrEqual(t, testing.AllocsPerRun(100, f), want, name)
	}
}

func benchParse(b *testing.B, frame []byte, version byte) {
	b.ReportAllocs()
	b.SetBytes(int64(len(frame)))
	var p PublishPacket
	for b.Loop() {
		header, _, err := Header(frame)
		if err == nil {
			err = p.Parse(frame, header, version)
		}
		if err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkPublishParse(b *testing.B) {
	b.Run("v311", func(b *testing.B) { benchParse(b, benchV311, V311) })
	b.Run("v5", func(b *testing.B) { benchParse(b, benchV5, V5) })
	b.Run("v5-properties", func(b *testing.B) { benchParse(b, benchProps, V5) })
	b.Run("v5-alias", func(b *testing.B) { benchParse(b, benchAlias, V5) })
}

func BenchmarkOutPublish(b *testing.B) {
	for name, o := range map[string]OutPublish{
		"v311": {Version: V311, QoS: 1, Topic: "home/kitchen/light/1/state", ID: 7, Payload: make([]byte, 64)},
		"v5": {Version: V5, QoS: 1, Topic: "home/kitchen/light/1/state", ID: 7, Payload: make([]byte, 64), Expiry: 60, HasExpiry: true,
			SubIDs: []uint32{5}, Props: join(PropUserProperty, "key", "value")},
	} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			buf := make([]byte, 0, 256)
			for b.Loop() {
				_, rem, n := o.Size()
				buf = o.Append(buf[:0], rem, n, true)
			}
		})
	}
}

func BenchmarkAck(b *testing.B) {
	puback := packet(0x40, uint16(7))
	b.Run("parse", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := ParseAck(puback, 2, V5); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("append", func(b *testing.B) {
		b.ReportAllocs()
		buf := make([]byte, 0, 16)
		for b.Loop() {
			buf = AppendAck(buf[:0], TypePuback, 7, V5, Success)
		}
	})
}

func BenchmarkParseConnect(b *testing.B) {
	b.ReportAllocs()
	p := connect5(0xC6, props(PropSessionExpiry, uint32(60)), "client-1", 0, "status/client-1", "gone", "user", "password")
	for b.Loop() {
		if _, err := ParseConnect(p, 2); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkParseSubscribe(b *testing.B) {
	b.ReportAllocs()
	p := packet(0x82, uint16(1), 0, "home/+/light/#", 1, "home/+/state", 0)
	for b.Loop() {
		if _, err := ParseSubscribe(p, 2, V5); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkValidTopic(b *testing.B) {
	for name, topic := range map[string]string{"ascii": "home/kitchen/light/1/state", "utf8": "haus/küche/licht/1/zustand"} {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			t := []byte(topic)
			for b.Loop() {
				ValidTopic(t)
			}
		})
	}
}

func BenchmarkMatch(b *testing.B) {
	b.ReportAllocs()
	for b.Loop() {
		Match("home/+/light/#", "home/kitchen/light/1/state")
	}
}
