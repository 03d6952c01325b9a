package wire

import (
	"bytes"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// fuzzPackets runs check on bodies that get the first byte, a length to match and a version from
// the fuzzer. Every refusal must be an *Error with a reason.
func fuzzPackets(f *testing.F, typ byte, check func(t *testing.T, p []byte, version byte, got any)) {
	for version, list := range samples() {
		for _, p := range list {
			header, _, _ := Header(p)
			f.Add(p[0], version, p[header:])
		}
	}
	f.Add(byte(0x62), V5, []byte{0, 1, 0x92, 5, PropReasonString, 0, 2, 'h', 'i'})
	f.Add(byte(0xA2), V5, join(uint16(1), props(PropUserProperty, "k", "v"), "a"))
	f.Add(byte(0xE0), V5, join(0x04, props(PropSessionExpiry, uint32(1))))
	f.Add(byte(0xF0), V5, join(0x18, props(PropAuthMethod, "m", PropAuthData, "d")))
	f.Fuzz(func(t *testing.T, first, version byte, body []byte) {
		if typ != 0 {
			first = typ<<4 | first&15
		}
		version = V31 + version%3
		p := packet(first, raw(body))
		got, err := parse(p[:len(p):len(p)], version)
		if err != nil {
			if code, ok := CodeOf(err); first>>4 != 0 && ok && code < UnspecifiedError {
				t.Errorf("refused with %v", code)
			}
			return
		}
		check(t, p, version, got)
	})
}

func FuzzHeader(f *testing.F) {
	f.Add([]byte{0x30, 0x80, 0x80, 0x01})
	f.Add([]byte{0xC0, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		header, total, err := Header(b)
		if err != nil || header == 0 {
			assert.Zero(t, header)
			assert.Zero(t, total)
			return
		}
		assert.LessOrEqual(t, header, len(b))
		assert.GreaterOrEqual(t, total, header)
		assert.LessOrEqual(t, header, 5)
		if v, n, err := Varint(b[1:]); err == nil { // else longer than needed
			assert.Equal(t, header-1, n)
			assert.Equal(t, total-header, int(v))
			assert.Equal(t, b[1:header], AppendVarint(nil, v))
		}
	})
}

// FuzzPacket feeds packets of any type to their parsers.
func FuzzPacket(f *testing.F) {
	fuzzPackets(f, 0, func(*testing.T, []byte, byte, any) {})
}

func FuzzPublish(f *testing.F) {
	var used PublishPacket // must give the same as a fresh one
	fuzzPackets(f, TypePublish, func(t *testing.T, p []byte, version byte, got any) {
		pub := got.(*PublishPacket)
		assert.True(t, ValidTopic(pub.Topic) || len(pub.Topic) == 0 && pub.Alias > 0)
		assert.Equal(t, pub.QoS > 0, pub.ID > 0)
		header, _, _ := Header(p)
		require.NoError(t, used.Parse(p, header, version))
		if a, b := publishFacts(pub), publishFacts(&used); !assert.ObjectsAreEqual(a, b) {
			assert.Equal(t, a, b)
		}
		compare(t, p, version)
		roundTrip(t, &OutPublish{Version: version, QoS: pub.QoS, Dup: pub.Dup, Retain: pub.Retain, OmitTopic: len(pub.Topic) == 0,
			HasExpiry: pub.HasExpiry, ID: pub.ID, Alias: pub.Alias, Expiry: pub.Expiry, Topic: string(pub.Topic), Props: pub.Props, Payload: pub.Payload})
	})
}

// roundTrip encodes o, which has no subscription ids, and checks that it parses to the same.
func roundTrip(t *testing.T, o *OutPublish) {
	t.Helper()
	total, rem, n := o.Size()
	b := o.Append(nil, rem, n, true)
	require.Len(t, b, total)
	require.Equal(t, b[:total-len(o.Payload)], o.Append(nil, rem, n, false))
	header := headerOf(t, b)
	require.Equal(t, total-rem, header)
	var p PublishPacket
	require.NoError(t, p.Parse(b, header, o.Version))
	want := PublishPacket{QoS: o.QoS, Dup: o.Dup, Retain: o.Retain}
	if o.QoS > 0 {
		want.ID = o.ID
	}
	topic := o.Topic
	if o.OmitTopic {
		topic = ""
	}
	var props []byte
	if o.Version >= V5 {
		want.Alias, props = o.Alias, o.Props
		if want.HasExpiry = o.HasExpiry; o.HasExpiry {
			want.Expiry = o.Expiry
		}
	}
	require.True(t, string(p.Topic) == topic && bytes.Equal(p.Payload, o.Payload) && bytes.Equal(p.Props, props), "%+v of %+v", p, o)
	p.Topic, p.Payload, p.Props, p.scratch = nil, nil, nil, nil
	require.Equal(t, want, p)
}

func FuzzOutPublish(f *testing.F) {
	f.Add(V5, byte(0xFF), uint16(1), uint16(2), uint32(3), uint32(4), "a/b", "key", "value", []byte("payload"))
	f.Add(V311, byte(0), uint16(0), uint16(0), uint32(0), uint32(0), "t", "", "", []byte{})
	f.Fuzz(func(t *testing.T, version, bits byte, id, alias uint16, expiry, sub uint32, topic, key, value string, payload []byte) {
		if !ValidTopic([]byte(topic)) || !utf8.ValidString(key+"\n"+value) || strings.Contains(key+value, "\x00") || max(len(key), len(value)) > MaxText {
			return
		}
		o := OutPublish{Version: V31 + version%3, QoS: bits & 3 % 3, Retain: bits&4 != 0, HasExpiry: bits&8 != 0, ID: max(id, 1), Alias: alias,
			Expiry: expiry, Topic: topic, Payload: payload}
		o.Dup = bits&16 != 0 && o.QoS > 0
		o.OmitTopic = bits&32 != 0 && o.Alias > 0 && o.Version >= V5
		if bits&64 != 0 {
			o.Props = AppendPropString(AppendPropPair(nil, key, value), PropCorrelationData, value)
		}
		roundTrip(t, &o)

		// Subscription ids are not for the way in: here only their place is checked.
		o.SubIDs = []uint32{1 + sub%maxVarint, 1}
		total, rem, n := o.Size()
		b := o.Append(nil, rem, n, true)
		require.Len(t, b, total)
		header := headerOf(t, b)
		if o.Version < V5 {
			return
		}
		skip := 2 + len(topic)
		if o.OmitTopic {
			skip = 2
		}
		if o.QoS > 0 {
			skip += 2
		}
		r, rest, err := propReaderOf(b[header+skip:], "test", publishProps)
		require.NoError(t, err)
		var ids []uint32
		for r.next() {
			if r.id == PropSubscriptionID {
				ids = append(ids, r.num)
				r.seen &^= 1 << PropSubscriptionID // may repeat on the way out
			}
		}
		require.NoError(t, r.err)
		require.Equal(t, o.SubIDs, ids)
		require.True(t, bytes.Equal(payload, rest))
	})
}

func FuzzConnect(f *testing.F) {
	fuzzPackets(f, TypeConnect, func(t *testing.T, p []byte, version byte, got any) {
		c := got.(*ConnectPacket)
		assert.True(t, validText([]byte(c.ClientID)) && validText([]byte(c.User)))
		assert.NotZero(t, c.ReceiveMaximum)
		assert.True(t, c.Will == nil || ValidTopic([]byte(c.Will.Topic)) && c.Will.QoS < 3)
		compare(t, p, version)
	})
}

func FuzzSubscribe(f *testing.F) {
	fuzzPackets(f, TypeSubscribe, func(t *testing.T, p []byte, version byte, got any) {
		s := got.(*SubscribePacket)
		assert.True(t, s.ID > 0 && len(s.Filters) > 0)
		for _, filter := range s.Filters {
			assert.True(t, filter.QoS < 3 && filter.RetainHandling < 3 && validText([]byte(filter.Name)))
			_, name, _, ok := SplitShare(filter.Name)
			if ok && ValidFilter(name) {
				Match(name, "a/b/c")
			}
		}
		compare(t, p, version)
	})
}

func FuzzUnsubscribe(f *testing.F) {
	fuzzPackets(f, TypeUnsubscribe, func(t *testing.T, _ []byte, _ byte, got any) {
		u := got.(*UnsubscribePacket)
		assert.True(t, u.ID > 0 && len(u.Filters) > 0)
	})
}

func FuzzAck(f *testing.F) {
	f.Add(byte(0x40), V5, []byte{0, 1, 0x10})
	f.Fuzz(func(t *testing.T, first, version byte, body []byte) {
		p := packet(first, raw(body))
		header, _, err := Header(p)
		if err != nil {
			return
		}
		version = V31 + version%3
		a, err := ParseAck(p, header, version)
		if err != nil {
			return
		}
		assert.NotZero(t, a.ID)
		b := AppendAck(nil, p[0]>>4, a.ID, version, a.Code)
		again, err := ParseAck(b, 2, version)
		require.NoError(t, err)
		assert.Equal(t, a, again)
	})
}

func FuzzDisconnect(f *testing.F) {
	fuzzPackets(f, TypeDisconnect, func(t *testing.T, _ []byte, version byte, got any) {
		assert.True(t, version >= V5 || got.(DisconnectPacket) == DisconnectPacket{})
	})
}

func FuzzAuth(f *testing.F) {
	fuzzPackets(f, TypeAuth, func(*testing.T, []byte, byte, any) {})
}

// FuzzTopic holds the fast path for topics against the plain rules, and Match against a matcher
// that is written the slow way.
func FuzzTopic(f *testing.F) {
	f.Add("a/b/c", "a/+/#")
	f.Add("$SYS/x", "#")
	f.Add("küche", "+")
	f.Add("a\x00b", "a/b#")
	f.Fuzz(func(t *testing.T, topic, filter string) {
		ok := topic != "" && len(topic) <= MaxText && utf8.ValidString(topic) && !strings.ContainsAny(topic, "+#\x00")
		require.Equal(t, ok, ValidTopic([]byte(topic)))
		if !ok || !ValidFilter(filter) {
			return
		}
		require.Equal(t, slowMatch(strings.Split(filter, "/"), strings.Split(topic, "/")) && (topic[0] != '$' || filter[0] == '$'),
			Match(filter, topic), "%q on %q", filter, topic)
	})
}

func slowMatch(filter, topic []string) bool {
	switch {
	case len(filter) == 0:
		return len(topic) == 0
	case filter[0] == "#":
		return true
	case len(topic) == 0:
		return false
	}
	return (filter[0] == "+" || filter[0] == topic[0]) && slowMatch(filter[1:], topic[1:])
}
