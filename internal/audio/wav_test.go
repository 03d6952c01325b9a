package audio

import (
	"bytes"
	"encoding/binary"
	"io"
	"math"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

// wavFile makes a file with the given format, as others write it.
func wavFile(tag uint16, channels, rate, bits int, data []byte) []byte {
	le := binary.LittleEndian
	format := func(b []byte, tag uint16) []byte {
		b = le.AppendUint16(le.AppendUint16(b, tag), uint16(channels))
		b = le.AppendUint32(le.AppendUint32(b, uint32(rate)), uint32(rate*channels*bits/8))
		return le.AppendUint16(le.AppendUint16(b, uint16(channels*bits/8)), uint16(bits))
	}
	var fmtChunk []byte
	if tag == wavExtensible {
		fmtChunk = format(nil, tag)
		fmtChunk = le.AppendUint32(le.AppendUint16(le.AppendUint16(fmtChunk, 22), uint16(bits)), 4)
		fmtChunk = append(le.AppendUint16(fmtChunk, wavPCM), make([]byte, 14)...)
	} else {
		fmtChunk = format(nil, tag)
	}
	b := append([]byte("RIFF\x00\x00\x00\x00WAVE"), "LIST\x03\x00\x00\x00abc\x00"...) // of odd length, padded
	b = le.AppendUint32(append(b, "fmt "...), uint32(len(fmtChunk)))
	b = append(b, fmtChunk...)
	b = le.AppendUint32(append(b, "data"...), uint32(len(data)))
	return append(b, data...)
}

func f32(x ...float32) (b []byte) {
	for _, v := range x {
		b = binary.LittleEndian.AppendUint32(b, math.Float32bits(v))
	}
	return b
}

func TestReadWAV(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		file []byte
		want []int16
	}{
		"8 bit":             {wavFile(1, 1, 8000, 8, []byte{128, 255, 0}), []int16{0, 127 * 256, -32768}},
		"16 bit":            {wavFile(1, 1, 8000, 16, AppendBytes(nil, []int16{1, -2, 32767})), []int16{1, -2, 32767}},
		"stereo":            {wavFile(1, 2, 8000, 16, AppendBytes(nil, []int16{100, 200, -32768, -32768})), []int16{150, -32768}},
		"24 bit":            {wavFile(1, 1, 8000, 24, []byte{0, 1, 0, 0, 0, 0x80}), []int16{1, -32768}},
		"32 bit":            {wavFile(1, 1, 8000, 32, []byte{0, 0, 1, 0, 0, 0, 0xff, 0xff}), []int16{1, -1}},
		"float":             {wavFile(3, 1, 8000, 32, f32(0.5, -2, float32(math.NaN()), float32(math.Inf(1)))), []int16{16384, -32768, 0, 32767}},
		"extensible":        {wavFile(wavExtensible, 1, 8000, 16, AppendBytes(nil, []int16{7})), []int16{7}},
		"cut in the sound":  {wavFile(1, 1, 8000, 16, AppendBytes(nil, []int16{1, 2, 3}))[:12+12+24+8+3], []int16{1}},
		"half a sample":     {wavFile(1, 1, 8000, 16, []byte{1, 0, 5}), []int16{1}},
		"without any sound": {wavFile(1, 1, 8000, 16, nil), nil},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, rate, err := ReadWAV(bytes.NewReader(c.file), 100)
			require.NoError(t, err)
			assert.Equal(t, 8000, rate)
			assert.Equal(t, c.want, got)
		})
	}
}

func TestBadWAV(t *testing.T) {
	t.Parallel()
	good := wavFile(1, 1, 8000, 16, make([]byte, 8))
	change := func(at int, b ...byte) []byte {
		c := bytes.Clone(good)
		copy(c[at:], b)
		return c
	}
	many := []byte("RIFF\x00\x00\x00\x00WAVE")
	for range 1000 {
		many = append(many, "junk\x00\x00\x00\x00"...)
	}
	const format = 12 + 12 + 8
	for name, c := range map[string]struct {
		file []byte
		says string
	}{
		"empty":           {nil, "unexpected EOF"},
		"not RIFF":        {change(0, 'x'), "no RIFF header"},
		"no data":         {good[:format+16], "no data chunk"},
		"cut format":      {good[:format+3], "format: unexpected EOF"},
		"no format":       {[]byte("RIFF\x00\x00\x00\x00WAVEdata\x00\x00\x00\x00"), "sound before its format"},
		"huge format":     {change(format-4, 255, 255, 255, 255), "format of 4294967295 bytes"},
		"endless chunk":   {change(12+4, 255, 255, 255, 255), `chunk "LIST"`},
		"many chunks":     {many, "more than 64 chunks"},
		"no channel":      {change(format+2, 0, 0), "0 channels"},
		"channels":        {change(format+2, 255, 255), "65535 channels"},
		"rate 0":          {change(format+4, 0, 0, 0, 0), "0 Hz"},
		"rate":            {change(format+4, 255, 255, 255, 255), "4294967295 Hz"},
		"mu-law":          {change(format, 7), "format 7 of 16 bits"},
		"12 bits":         {change(format+14, 12), "of 12 bits"},
		"alignment":       {change(format+12, 9), "9 bytes a sample"},
		"short extension": {change(format, 0xFE, 0xFF), "extensible format of 16 bytes"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, _, err := ReadWAV(bytes.NewReader(c.file), 100)
			require.ErrorIs(t, err, ErrWAV)
			assert.ErrorContains(t, err, c.says)
			assert.NotErrorIs(t, err, io.EOF, "an end of the file is no end of the sound")
		})
	}
	_, _, err := ReadWAV(bytes.NewReader(wavFile(1, 1, 8000, 16, make([]byte, 202))), 100)
	assert.ErrorContains(t, err, "more than 100 samples")
}

func TestWAVWriter(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "x.wav")
	s, err := OpenSink(t.Context(), "wav:"+path, 22050)
	require.NoError(t, err)
	require.NoError(t, s.Write(t.Context(), []int16{1, 2}))
	require.NoError(t, s.Write(t.Context(), []int16{-3}))
	file, err := os.ReadFile(path) // before Close: a kill leaves a file that can be heard
	require.NoError(t, err)
	assert.Equal(t, AppendWAV(nil, []int16{1, 2, -3}, 22050), file)
	require.NoError(t, s.Drain(t.Context()))
	require.NoError(t, s.Close())
	require.NoError(t, s.Close())
	assert.ErrorIs(t, s.Write(t.Context(), nil), ErrClosed)
	pcm, rate, err := ReadWAV(bytes.NewReader(file), 3)
	require.NoError(t, err)
	assert.Equal(t, []int16{1, 2, -3}, pcm)
	assert.Equal(t, 22050, rate)
}

// FuzzReadWAV: memory follows what is there, not what the header says.
func FuzzReadWAV(f *testing.F) {
	f.Add(wavFile(1, 2, 44100, 24, make([]byte, 60)))
	f.Add(wavFile(3, 1, 16000, 32, f32(1, 2, 3)))
	f.Add(wavFile(wavExtensible, 1, 16000, 16, make([]byte, 6)))
	f.Fuzz(func(t *testing.T, b []byte) {
		pcm, rate, err := ReadWAV(bytes.NewReader(b), 1<<16)
		if err != nil {
			assert.Nil(t, pcm)
			return
		}
		assert.LessOrEqual(t, len(pcm), len(b))
		assert.True(t, rate >= MinRate && rate <= MaxRate)
	})
}
