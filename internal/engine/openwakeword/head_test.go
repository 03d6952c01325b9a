package openwakeword

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func randomHead(hidden int) *Head {
	r := rand.New(rand.NewPCG(1, 2))
	h := NewHead("hey tars", 0.5, hidden)
	for _, p := range h.parts() {
		for i := range p {
			p[i] = float32(r.NormFloat64()) / 10
		}
	}
	return h
}

func written(tb testing.TB, h *Head) []byte {
	tb.Helper()
	var b bytes.Buffer
	require.NoError(tb, h.Write(&b))
	return b.Bytes()
}

func TestHeadScore(t *testing.T) {
	t.Parallel()
	h := randomHead(5)
	x := make([]float32, Window*Dim)
	for i := range x {
		x[i] = float32(i%7) / 10
	}
	logit := float64(h.Out.B[0])
	for j := range 5 {
		sum := float64(h.Hidden.B[j])
		for i, v := range x {
			sum += float64(v) * float64(h.Hidden.W[j*len(x)+i])
		}
		logit += max(sum, 0) * float64(h.Out.W[j])
	}
	assert.InDelta(t, 1/(1+math.Exp(-logit)), h.Score(x), 1e-5)
	assert.InDelta(t, 0.5, NewHead("x", 0.5, 1).Score(x), 1e-9)
	for i := range h.Hidden.W {
		h.Hidden.W[i] = math.MaxFloat32
	}
	h.Out.W[0], h.Out.W[1] = math.MaxFloat32, -math.MaxFloat32
	assert.Zero(t, h.Score(x), "weights that add up to no number are no wake word")
}

func TestMean(t *testing.T) {
	t.Parallel()
	var m Mean
	for _, c := range [][2]float32{{0.9, 0.3}, {0.6, 0.5}, {0.3, 0.6}, {0, 0.3}, {0, 0.1}, {0, 0}} {
		assert.InDelta(t, c[1], m.Add(c[0]), 1e-6)
	}
}

func TestHeadFile(t *testing.T) {
	t.Parallel()
	for _, hidden := range []int{1, 32, MaxHidden} {
		h := randomHead(hidden)
		file := written(t, h)
		assert.LessOrEqual(t, len(file), maxHeadFile)
		got, err := ReadHead(bytes.NewReader(file))
		require.NoError(t, err)
		assert.Equal(t, h, got)
		assert.Equal(t, file, written(t, got))
	}
	for _, h := range []*Head{NewHead("", 0.5, 1), NewHead("a\nb", 0.5, 1), NewHead("x", 1, 1), NewHead("x", 0.5, MaxHidden+1)} {
		require.ErrorIs(t, h.Write(new(bytes.Buffer)), ErrHead)
	}
}

// forged changes bytes of a head file and makes the checksum right again.
func forged(file []byte, at int, b ...byte) []byte {
	file = bytes.Clone(file[:len(file)-4])
	copy(file[at:], b)
	return binary.LittleEndian.AppendUint32(file, crc32.ChecksumIEEE(file))
}

func TestReadHeadRefuses(t *testing.T) {
	t.Parallel()
	good := written(t, randomHead(2))
	label := len(headLine) // where the length of the phrase stands
	threshold := label + 1 + len("hey tars")
	flipped := bytes.Clone(good)
	flipped[len(good)/2] ^= 1
	for name, c := range map[string]struct {
		file []byte
		want string
	}{
		"empty":         {nil, "another kind"},
		"other":         {[]byte(strings.Repeat("x", 1000)), "another kind"},
		"version 2":     {bytes.Replace(good, []byte("head-1"), []byte("head-2"), 1), "another kind"},
		"only a line":   {[]byte(headLine), "another kind"},
		"short":         {good[:label+5], "ends early"},
		"cut":           {good[:len(good)-1], "bytes of weights"},
		"longer":        {append(bytes.Clone(good), 0), "bytes of weights"},
		"flipped":       {flipped, "checksum"},
		"long phrase":   {forged(good, label, 200), "phrase of 200"},
		"no phrase":     {forged(good, label, 0), "phrase of 0"},
		"not UTF-8":     {forged(good, label+1, 0xff), "phrase of"},
		"control":       {forged(good, label+1, 0x1b), "cannot be shown"},
		"threshold":     {forged(good, threshold, 0, 0, 0x80, 0x3f), "threshold 1"},
		"threshold NaN": {forged(good, threshold, 0, 0, 0xc0, 0x7f), "threshold NaN"},
		"no units":      {forged(good, threshold+4, 0, 0), "0 hidden"},
		"many units":    {forged(good, threshold+4, 0xff, 0xff), "65535 hidden"},
		"more units":    {forged(good, threshold+4, 3), "for 3 hidden"},
		"infinite":      {forged(good, threshold+6, 0, 0, 0x80, 0x7f), "finite"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := ReadHead(bytes.NewReader(c.file))
			require.ErrorIs(t, err, ErrHead)
			assert.ErrorContains(t, err, c.want)
		})
	}
}

// endless is a file that never ends.
type endless struct{ read int }

func (e *endless) Read(b []byte) (int, error) {
	n := copy(b, headLine[min(e.read, len(headLine)):])
	if n == 0 {
		n = len(b)
	}
	e.read += n
	return n, nil
}

func TestReadHeadIsBounded(t *testing.T) {
	t.Parallel()
	var e endless
	_, err := ReadHead(&e)
	require.ErrorIs(t, err, ErrHead)
	assert.LessOrEqual(t, e.read, maxHeadFile+1)
}

func FuzzReadHead(f *testing.F) {
	f.Add(written(f, randomHead(1)))
	f.Add([]byte(headLine + "\x01x"))
	x := make([]float32, Window*Dim)
	f.Fuzz(func(t *testing.T, b []byte) {
		h, err := ReadHead(bytes.NewReader(b))
		if err != nil {
			return
		}
		if s := h.Score(x); !(s >= 0 && s <= 1) {
			t.Fatal(s)
		}
		if !bytes.Equal(b, written(t, h)) {
			t.Fatal("another file")
		}
	})
}
