package mqttcli

import (
	"encoding/binary"
	"encoding/json"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/eclipse/paho.golang/paho"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func TestMatches(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		filter, topic string
		want          bool
	}{
		{"a", "a", true}, {"a", "b", false}, {"a/b", "a", false}, {"a", "a/b", false}, {"#", "a/b/c", true}, {"a/#", "a", true},
		{"a/#", "a/b/c", true}, {"a/#", "ab", false}, {"+", "a", true}, {"+", "a/b", false}, {"+/+", "a/b", true}, {"+/b", "a/b", true},
		{"a/+", "a/", true}, {"a/+", "a", false}, {"+", "", true}, {"/+", "/a", true}, {"+/+/#", "a/b", true},
		{"#", "$SYS/a", false}, {"+/a", "$SYS/a", false}, {"$SYS/#", "$SYS/a", true}, {"a/b/#", "a", false},
	} {
		assert.Equal(t, c.want, matches(c.filter, c.topic), "%s and %s", c.filter, c.topic)
	}
}

func TestValidFilter(t *testing.T) {
	t.Parallel()
	for _, f := range []string{"a", "#", "+", "a/+/b", "a/#", "/", "$share/g/a/#"} {
		assert.True(t, validFilter(f), f)
	}
	for _, f := range []string{"", "a#", "#/a", "a+", "a/b+/c", "\x00", strings.Repeat("a", 65536)} {
		assert.False(t, validFilter(f), "%.10q", f)
	}
}

func none(string) string { return "" }

func TestURL(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		url, server, scheme, user, password, topic string
	}{
		{"mqtt://host/a/b", "host:1883", "mqtt", "", "", "a/b"},
		{"mqtt://host:1999/#", "host:1999", "mqtt", "", "", "#"},
		{"mqtt://u:p%40@ss@host/t?x", "host:1883", "mqtt", "u", "p@@ss", "t?x"},
		{"mqtt://u@[::1]:2000/t", "[::1]:2000", "mqtt", "u", "", "t"},
		{"mqtt://[::1]/t", "[::1]:1883", "mqtt", "", "", "t"},
		{"mqtts://host/t", "host:8883", "mqtts", "", "", "t"},
		{"ws://host/mqtt", "host:80", "ws", "", "", "x"},
		{"wss://host:444/mqtt", "host:444", "wss", "", "", "x"},
		{"unix:///run/s", "/run/s", "unix", "", "", "x"},
	} {
		args := []string{"-L", c.url}
		if c.topic == "x" {
			args = append(args, "-t", "x")
		}
		o, err := parse("sub", args, none)
		require.NoError(t, err, c.url)
		assert.Equal(t, []string{c.server, c.scheme, c.user, c.password, c.topic},
			[]string{o.server.String(), o.server.scheme, o.user, o.password, o.topics[0]}, c.url)
	}
	for _, bad := range []string{"host/t", "http://host/t", "mqtt:///t", "mqtt://host:0/t", "mqtt://host:x/t"} {
		_, err := parse("sub", []string{"-L", bad, "-t", "x"}, none)
		assert.Error(t, err, bad)
	}
}

func TestPasswordFromEnvironment(t *testing.T) {
	t.Parallel()
	env := func(name string) string { return map[string]string{"TARSD_PASSWORD": "secret"}[name] }
	o, err := parse("pub", []string{"-t", "x", "-n", "-u", "me"}, env)
	require.NoError(t, err)
	assert.Equal(t, "secret", o.password)
	o, err = parse("pub", []string{"-t", "x", "-n", "-u", "me", "-P", "other"}, env)
	require.NoError(t, err)
	assert.Equal(t, "other", o.password)
	o, err = parse("pub", []string{"-t", "x", "-n"}, env)
	require.NoError(t, err)
	assert.False(t, o.hasPass, "no user, no password")
}

func TestOptionsAreMosquittosHabits(t *testing.T) {
	t.Parallel()
	o, err := parse("sub", []string{"-h", "robot", "-p", "1999", "-t", "a", "-t", "b", "-T", "c", "-c", "-i", "me", "-k", "30",
		"-D", "connect", "receive-maximum", "5", "-D", "subscribe", "user-property", "k", "v", "-x", "∞", "-q", "2"}, none)
	require.NoError(t, err)
	assert.Equal(t, "robot:1999", o.server.String())
	assert.Equal(t, []string{"a", "b"}, o.topics)
	assert.Equal(t, uint32(0xFFFFFFFF), o.expiry)
	assert.EqualValues(t, v5, o.version, "-D makes it MQTT 5")
	assert.EqualValues(t, 5, *o.props.connect.ReceiveMaximum)
	assert.Equal(t, paho.UserProperties{{Key: "k", Value: "v"}}, o.props.subscribe.User)

	o, err = parse("pub", []string{"-t", "a", "-m", "x", "-p", "8883"}, none)
	require.NoError(t, err)
	assert.NotNil(t, o.tlsConf, "port 8883 means TLS")

	for _, bad := range [][]string{
		{"--proxy", "socks5h://x"}, {"--psk", "00"}, {"-i", "a", "-I", "b"}, {"--unix", "/s", "-h", "x"}, {"--cert", "only"},
		{"-D", "connect", "authentication-method", "x"}, {"-D", "puback", "user-property", "a", "b"}, {"-D", "publish", "user-property", "a"},
		{"-V", "311", "-D", "publish", "content-type", "x"}, {"--cafile", "/nonexistent"}, {"-x", "-2"}, {"--will-topic", "a/#"},
	} {
		_, err := parse("pub", append([]string{"-t", "a", "-m", "x"}, bad...), none)
		assert.Error(t, err, "%v", bad)
	}
}

func TestHelp(t *testing.T) {
	t.Parallel()
	for name, r := range map[string]result{"pub": ours(t, Pub, "", "--help"), "sub": ours(t, Sub, "", "-t", "x", "--help")} {
		assert.Zero(t, r.code)
		assert.True(t, strings.HasPrefix(r.out, "Usage: tarsd "+name), r.out)
		for line := range strings.Lines(r.out) {
			assert.LessOrEqual(t, len([]rune(line)), 110, line)
		}
	}
	// Every option is in the text.
	for _, e := range optionTable() {
		for _, name := range []string{e.short, e.long} {
			if name == "" || name == "--nodelay" || name == "--help" || e.long != "" && name == e.long && e.short != "" {
				continue
			}
			assert.Contains(t, pubUsage+subUsage, name)
		}
	}
}

var at = time.Date(2026, 3, 5, 7, 8, 9, 12345678, time.FixedZone("CET", 3600))

// What is no text becomes an array of bytes, as in Mosquitto 2.1, instead of broken JSON.
func TestJSONOfBinary(t *testing.T) {
	t.Parallel()
	b, err := appendJSON(nil, &message{topic: "t", payload: []byte{'a', 0, 255}}, at, true, false)
	require.NoError(t, err)
	assert.Equal(t, `{"tst":"2026-03-05T07:08:09.012345Z+0100","topic":"t","qos":0,"retain":0,"payloadlen":3,"payload":[97,0,255]}`, string(b))
	b, err = appendJSON(nil, &message{topic: "t", payload: []byte("a\x00b"), qos: 1, id: 7, retain: true}, at, true, false)
	require.NoError(t, err)
	assert.Contains(t, string(b), `"qos":1,"retain":1,"payloadlen":3,"mid":7,"payload":"a\u0000b"}`)
}

// %J keeps numbers that do not fit into a double; mosquitto_sub rounds them.
func TestJSONNumbers(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"1.50": "1.5", "1e5": "100000", "20000000000000001": "20000000000000001", "9007199254740992": "9007199254740992", "-0.0": "-0",
		"1e400": "1e400", "18446744073709551615": "18446744073709551615", "0.1": "0.1", "1.23456789012345678": "1.2345678901234567",
	} {
		b, err := appendJSON(nil, &message{payload: []byte(in)}, at, false, false)
		require.NoError(t, err)
		assert.True(t, strings.HasSuffix(string(b), `"payload":`+want+"}"), "%s gave %s", in, b)
	}
	for _, bad := range []string{"", "{", "[1,]", "1 2", `{"a":1}x`, "\xff", strings.Repeat("[", 2000) + strings.Repeat("]", 2000)} {
		_, err := appendJSON(nil, &message{payload: []byte(bad)}, at, false, false)
		assert.Equal(t, bad == "", err == nil, "%.20q", bad)
	}
}

func TestFormatTimes(t *testing.T) {
	t.Parallel()
	f, err := compile(`%I %U @s.@N @Z @c @j @V @G @u`)
	require.NoError(t, err)
	assert.Equal(t, "2026-03-05T07:08:09+0100 1772690889.012345678 1772690889.012345678 CET Thu Mar  5 07:08:09 2026 064 10 2026 4",
		string(f.append(nil, &message{}, at, false, nil)))
}

// Any stream is cut into the same packets, however it is cut into reads.
func FuzzSplitter(f *testing.F) {
	f.Add([]byte("\x20\x02\x00\x00\x30\x05\x00\x01tab\xd0\x00"), uint8(1))
	f.Add([]byte("\x30\xff\xff\xff\xff\x7f"), uint8(3))
	f.Add(append([]byte("\x30\x80\x08"), make([]byte, 1024)...), uint8(100))
	f.Fuzz(func(t *testing.T, stream []byte, step uint8) {
		collect := func(n int) (out []packet) {
			var s splitter
			for b := stream; len(b) > 0; b = b[min(n, len(b)):] {
				s.feed(b[:min(n, len(b))], func(p *packet) {
					assert.LessOrEqual(t, len(p.head), headBytes)
					out = append(out, packet{p.kind, p.flags, p.length, append([]byte{}, p.head...)})
					debug(io.Discard, "", true, p)
				})
			}
			return out
		}
		assert.Equal(t, collect(len(stream)+1), collect(int(step)+1))
	})
}

// No format makes it panic, and what it writes is bounded by the widths.
func FuzzFormat(f *testing.F) {
	f.Add("%t %-5.3p|%020X @H@N \\n%j%J", "topic", []byte(`{"a":[1,{}]}`))
	f.Add("%", "", []byte{})
	f.Add("%99999999999999999999p%-0.9t%E%P%S", "t", []byte{0xff})
	f.Fuzz(func(t *testing.T, text, topic string, payload []byte) {
		if len(text) > 200 {
			return
		}
		c, err := compile(text)
		if err != nil {
			return
		}
		m := &message{topic: topic, payload: payload, props: &paho.PublishProperties{ContentType: topic, CorrelationData: payload}}
		c.append(nil, m, at, len(text)%2 == 0, func(error) {})
	})
}

// %j is JSON whatever the payload is; %J is it if the payload was.
func FuzzJSON(f *testing.F) {
	f.Add("t", []byte(`{"a": [1, 2.50, "x\n", null, true, {}]}`), true)
	f.Add("t", []byte{0xff, 0}, false)
	f.Fuzz(func(t *testing.T, topic string, payload []byte, pretty bool) {
		topic = strings.ToValidUTF8(topic, "")
		m := &message{topic: topic, payload: payload, qos: 1}
		b, err := appendJSON(nil, m, at, true, pretty)
		require.NoError(t, err)
		assert.True(t, json.Valid(b), "%q", b)
		b, err = appendJSON(nil, m, at, false, pretty)
		if err == nil {
			assert.True(t, json.Valid(b), "%q", b)
		} else {
			assert.False(t, json.Valid(payload) && len(payload) < 1000 && utf8Valid(payload), "%q", payload)
		}
	})
}

func utf8Valid(b []byte) bool { return strings.ToValidUTF8(string(b), "") == string(b) }

func TestDebugLines(t *testing.T) {
	t.Parallel()
	var out strings.Builder
	topic := []byte("\x00\x03a/b\x00\x07payload")
	for _, p := range []packet{
		{kind: 1}, {kind: 2, head: []byte{0, 5}}, {kind: 3, flags: 0x0B, head: topic, length: len(topic)}, {kind: 4, head: []byte{0, 9}},
		{kind: 8, head: binary.BigEndian.AppendUint16(nil, 300)}, {kind: 14}, {kind: 3, head: []byte{0}}, {kind: 2}, {kind: 0},
	} {
		debug(&out, "me", true, &p)
	}
	assert.Equal(t, `Client me sending CONNECT
Client me sending CONNACK (5)
Client me sending PUBLISH (d1, q1, r1, m7, 'a/b', ... (14 bytes in all))
Client me sending PUBACK (Mid: 9, RC:0)
Client me sending SUBSCRIBE (Mid: 300)
Client me sending DISCONNECT
Client me sending PUBLISH
Client me sending CONNACK
Client me sending 
`, out.String())
}
