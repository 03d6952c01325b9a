package wyoming

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

var small = Limits{Header: 256, Data: 40, Payload: 10}

func TestReader(t *testing.T) {
	t.Parallel()
	for name, v := range map[string]struct {
		in   string
		want []Event
		err  string // "": io.EOF
	}{
		"nothing":   {"", nil, ""},
		"bare":      {"{\"type\":\"describe\"}\n", []Event{{Type: "describe"}}, ""},
		"in line":   {"{\"type\":\"ping\",\"data\":{\"text\":\"x\"},\"version\":\"1.10.2\"}\n", []Event{{"ping", json.RawMessage(`{"text":"x"}`), nil}}, ""},
		"null":      {"{\"type\":\"ping\",\"data\":null,\"data_length\":null,\"payload_length\":null}\n", []Event{{Type: "ping"}}, ""},
		"beside":    {"{\"type\":\"ping\",\"data_length\":12}\n{\"text\":\"x\"}{\"type\":\"b\"}\n", []Event{{"ping", json.RawMessage(`{"text":"x"}`), nil}, {Type: "b"}}, ""},
		"merged":    {"{\"type\":\"ping\",\"data\":{\"a\":1,\"b\":1},\"data_length\":13}\n{\"b\":2,\"c\":2}", []Event{{"ping", json.RawMessage(`{"a":1,"b":2,"c":2}`), nil}}, ""},
		"payload":   {"{\"type\":\"x\",\"payload_length\":3}\n\n\x00\xff{\"type\":\"b\"}\r\n", []Event{{"x", nil, []byte("\n\x00\xff")}, {Type: "b"}}, ""},
		"all":       {"{\"type\":\"x\",\"data\":{\"a\":1},\"data_length\":7,\"payload_length\":1}\n{\"b\":2}!", []Event{{"x", json.RawMessage(`{"a":1,"b":2}`), []byte("!")}}, ""},
		"biggest":   {"{\"type\":\"x\",\"payload_length\":10}\n0123456789", []Event{{"x", nil, []byte("0123456789")}}, ""},
		"empty":     {"\n", nil, "read event: unexpected end of JSON input"},
		"no object": {"[]\n", nil, "read event: json"},
		"no type":   {"{\"data\":{}}\n", nil, "read event: a type of 0 bytes"},
		"long type": {"{\"type\":\"" + strings.Repeat("x", 65) + "\"}\n", nil, "read event: a type of 65 bytes"},
		"number":    {"{\"type\":7}\n", nil, "read event: json"},
		"two":       {"{\"type\":\"x\"}{}\n", nil, "read event: invalid character"},
		"float":     {"{\"type\":\"x\",\"data_length\":1.5}\n", nil, "read event: json"},
		"negative":  {"{\"type\":\"x\",\"data_length\":-1}\n", nil, `"x" with -1 bytes of data and 0 behind it is too large`},
		"huge":      {"{\"type\":\"x\",\"payload_length\":99999999999999999999}\n", nil, "read event: json"},
		"much data": {"{\"type\":\"x\",\"data_length\":41}\n", nil, "is too large"},
		"payload+1": {"{\"type\":\"x\",\"payload_length\":11}\n", nil, "is too large"},
		"long line": {"{\"type\":\"" + strings.Repeat("x", 300), nil, "a header of more than"},
		"bad data":  {"{\"type\":\"x\",\"data_length\":3}\nxyz", nil, `data of "x": invalid character`},
		"a list":    {"{\"type\":\"x\",\"data_length\":3}\n[1]", nil, `data of "x": json`},
		"no merge":  {"{\"type\":\"x\",\"data\":[1],\"data_length\":2}\n{}", nil, `data of "x": json`},
		"cut line":  {"{\"type\":\"x\"", nil, "read event: unexpected EOF"},
		"cut data":  {"{\"type\":\"x\",\"data_length\":3}\n{", nil, "read event: unexpected EOF"},
		"cut sound": {"{\"type\":\"x\",\"payload_length\":3}\nab", nil, "read event: unexpected EOF"},
		"no sound":  {"{\"type\":\"x\",\"payload_length\":3}\n", nil, "read event: unexpected EOF"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for how, in := range map[string]io.Reader{"at once": strings.NewReader(v.in), "in bytes": iotest.OneByteReader(strings.NewReader(v.in))} {
				r := NewReader(in, small)
				for _, want := range v.want {
					got, err := r.Read()
					require.NoError(t, err, how)
					assert.Equal(t, want, got, how)
				}
				_, err := r.Read()
				if v.err == "" {
					require.Equal(t, io.EOF, err, how)
					continue
				}
				require.ErrorContains(t, err, v.err, how)
				require.NotErrorIs(t, err, io.EOF, "it is no end")
				assert.Less(t, len(err.Error()), 300)
			}
		})
	}
}

// TestReaderAllocates: an announcement costs nothing.
func TestReaderAllocates(t *testing.T) {
	t.Parallel()
	line := "{\"type\":\"x\",\"data_length\":1000000,\"payload_length\":1000000}\n"
	got := testing.Benchmark(func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if _, err := NewReader(strings.NewReader(line), DefaultLimits()).Read(); !errors.Is(err, io.ErrUnexpectedEOF) {
				b.Fatal(err)
			}
		}
	})
	assert.Less(t, got.AllocedBytesPerOp(), int64(100<<10), "the line's buffer has 64 KiB")
}

func TestWriter(t *testing.T) {
	t.Parallel()
	long := json.RawMessage(`{"text":"` + strings.Repeat("x", inline) + `"}`)
	for name, v := range map[string]struct {
		in   Event
		want string
		err  string
	}{
		"bare":     {Event{Type: "describe"}, "{\"type\":\"describe\"}\n", ""},
		"data":     {New("ping", Ping{Text: "a\nb"}), "{\"type\":\"ping\",\"data\":{\"text\":\"a\\nb\"}}\n", ""},
		"lines":    {Event{Type: "x", Data: json.RawMessage("{\n\"a\":\n1}")}, "{\"type\":\"x\",\"data\":{\"a\":1}}\n", ""},
		"sound":    {Chunk(16000, []int16{1, -2}), "{\"type\":\"audio-chunk\",\"data\":{\"rate\":16000,\"width\":2,\"channels\":1},\"payload_length\":4}\n\x01\x00\xfe\xff", ""},
		"beside":   {Event{Type: "x", Data: long, Payload: []byte("!")}, "{\"type\":\"x\",\"data_length\":8203,\"payload_length\":1}\n" + string(long) + "!", ""},
		"no type":  {Event{}, "", "a type of 0 bytes"},
		"no JSON":  {Event{Type: "x", Data: json.RawMessage("{")}, "", "write event: json"},
		"no JSON2": {Event{Type: "x", Data: bytes.Repeat([]byte("{"), inline+1)}, "", `data of "x" is no JSON`},
		"payload":  {Event{Type: "x", Payload: make([]byte, 10_001)}, "", "too large"},
		"too long": {Event{Type: "x", Data: json.RawMessage(`"` + strings.Repeat("x", 10_000) + `"`)}, "", "too large"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var b bytes.Buffer
			err := NewWriter(&b, Limits{Header: 64 << 10, Data: 10_000, Payload: 10_000}).Write(v.in)
			if v.err != "" {
				require.ErrorContains(t, err, v.err)
				assert.Zero(t, b.Len())
				return
			}
			require.NoError(t, err)
			assert.Equal(t, v.want, b.String())
		})
	}
	require.ErrorIs(t, NewWriter(iotestWriter{}, DefaultLimits()).Write(Event{Type: "x"}), io.ErrClosedPipe)
	assert.Panics(t, func() { New("x", func() {}) })
}

type iotestWriter struct{}

func (iotestWriter) Write([]byte) (int, error) { return 0, io.ErrClosedPipe }

func TestFormat(t *testing.T) {
	t.Parallel()
	ev := Chunk(22050, []int16{1, 2, 3})
	f, err := ev.Format()
	require.NoError(t, err)
	assert.Equal(t, Mono16(22050), f)
	assert.Equal(t, []int16{1, 2, 3}, f.Mono(ev.Payload))
	f.Channels = 2
	assert.Equal(t, []int16{1}, f.Mono(ev.Payload), "half a frame is none")
	assert.Equal(t, []int16{}, f.Mono([]byte{1}))
	for name, bad := range map[string]Format{
		"rate": {Rate: 7999, Width: 2, Channels: 1}, "rate2": {Rate: 48001, Width: 2, Channels: 1}, "width": {Rate: 16000, Width: 4, Channels: 1},
		"none": {Rate: 16000, Width: 2}, "many": {Rate: 16000, Width: 2, Channels: 9},
	} {
		require.Error(t, bad.Check(), name)
	}
	_, err = Event{Type: TypeAudioStart}.Format()
	require.EqualError(t, err, "audio-start: no format")
	_, err = Event{Type: TypeAudioStart, Data: json.RawMessage(`{"rate":"x"}`)}.Format()
	require.ErrorContains(t, err, "audio-start: json")
	assert.Equal(t, `{"asr":[],"tts":[],"wake":[]}`, string(Info{}.Event().Data))
	assert.Equal(t, `the peer says: ""`, Event{Type: TypeError, Data: json.RawMessage("[7]")}.PeerError().Error())
}

// FuzzReader: what can be read can be written, and is the same when it is read again.
func FuzzReader(f *testing.F) {
	f.Add([]byte("{\"type\":\"ping\",\"data\":{\"text\":\"x\"},\"data_length\":12,\"payload_length\":3}\n{\"text\":\"y\"}abc{\"type\":\"b\"}\n"))
	f.Add([]byte("{\"type\":\"audio-chunk\",\"data\":{\"rate\":16000,\"width\":2,\"channels\":1},\"payload_length\":4}\n\x01\x00\xfe\xff"))
	f.Add([]byte("{\"type\":\"x\",\"data_length\":2}\n{}"))
	f.Add([]byte("HTTP/1.1 400 Bad Request\r\n\r\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		l := DefaultLimits()
		for r := NewReader(bytes.NewReader(b), l); ; {
			ev, err := r.Read()
			if err != nil {
				return
			}
			var again bytes.Buffer
			if err := NewWriter(&again, l).Write(ev); err != nil {
				t.Fatal(err)
			}
			back, err := NewReader(&again, l).Read()
			if err != nil {
				t.Fatal(err)
			}
			var one, two any
			if len(ev.Data) > 0 && (json.Unmarshal(ev.Data, &one) != nil || json.Unmarshal(back.Data, &two) != nil) {
				t.Fatalf("%q", ev.Data)
			}
			assert.Equal(t, one, two)
			assert.Equal(t, ev.Payload, back.Payload)
			assert.Equal(t, ev.Type, back.Type)
			f, err := ev.Format()
			if err == nil && f.Check() == nil && len(f.Mono(ev.Payload)) > len(ev.Payload)/2 {
				t.Fatal("sound from nothing")
			}
		}
	})
}
