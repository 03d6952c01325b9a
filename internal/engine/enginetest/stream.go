// Package enginetest gives the tests of the engines the sound that was also given to the native
// runtime, and what came out there. internal/engine/testdata/README says how it was recorded.
package enginetest

import (
	"bytes"
	"encoding/binary"
	"math"
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

// Speech is "hey tars what time is it", mono at 16 kHz.
func Speech(tb testing.TB) []int16 {
	tb.Helper()
	raw := read(tb, "speech.wav")
	at := bytes.Index(raw, []byte("data"))
	require.Positive(tb, at)
	raw = raw[at+8:]
	out := make([]int16, len(raw)/2)
	for i := range out {
		out[i] = int16(binary.LittleEndian.Uint16(raw[2*i:]))
	}
	return out
}

// Stream is the sound that the native runtime was given.
func Stream(tb testing.TB) []int16 {
	tb.Helper()
	speech := Speech(tb)
	var out []int16
	out = append(append(out, make([]int16, 8000)...), speech...)
	for _, v := range Noise(16000, 1) {
		out = append(out, int16(v>>5))
	}
	for i, v := range Noise(len(speech), 2) {
		out = append(out, int16(max(-32768, min(int(speech[i])+v>>6, 32767))))
	}
	phase := 0
	for i := range 16000 {
		phase = (phase + 400 + i/2) & 0xffff
		out = append(out, int16(max(phase-32768, 32768-phase)/2-8192))
	}
	for i := range 8000 {
		out = append(out, int16(32767-65535*(i/20%2)))
	}
	return append(out, make([]int16, 16000)...)
}

// Noise is n numbers from -32768 to 32767.
func Noise(n int, seed uint32) []int {
	out := make([]int, n)
	for i := range out {
		seed = seed*1664525 + 1013904223
		out[i] = int(seed>>16) - 32768
	}
	return out
}

// Native reads what the native runtime gave.
func Native(tb testing.TB, name string) []float32 {
	tb.Helper()
	raw := read(tb, name)
	out := make([]float32, len(raw)/4)
	for i := range out {
		out[i] = math.Float32frombits(binary.LittleEndian.Uint32(raw[4*i:]))
	}
	return out
}

func read(tb testing.TB, name string) []byte {
	tb.Helper()
	raw, err := os.ReadFile(filepath.Join("..", "testdata", name))
	require.NoError(tb, err)
	return raw
}
