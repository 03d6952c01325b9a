// Package nn is the arithmetic that the small networks of the engines share: matrices with an
// activation, power spectra, and the packed file that holds weights. It knows nothing of what the
// numbers mean.
package nn

import (
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"math"
)

// ErrWeights is wrapped by the errors of Read.
var ErrWeights = errors.New("weights are damaged")

// Write writes a packed file: the first line, which names the network and the form, the numbers of
// the parts in their order, and a checksum.
func Write(w io.Writer, line string, parts ...[]float32) error {
	b := append([]byte(line), '\n')
	for _, p := range parts {
		for _, f := range p {
			b = binary.LittleEndian.AppendUint32(b, math.Float32bits(f))
		}
	}
	b = binary.LittleEndian.AppendUint32(b, crc32.ChecksumIEEE(b))
	if _, err := w.Write(b); err != nil {
		return fmt.Errorf("write packed weights: %w", err)
	}
	return nil
}

// Read fills the parts from a packed file, which must be exactly of their length, whole, begin with
// the line and hold finite numbers only.
func Read(file []byte, line string, parts ...[]float32) error {
	want := len(line) + 1 + 4
	for _, p := range parts {
		want += 4 * len(p)
	}
	if len(file) != want || string(file[:len(line)+1]) != line+"\n" {
		return fmt.Errorf("%w: not %d bytes of %s", ErrWeights, want, line)
	}
	sum := binary.LittleEndian.Uint32(file[want-4:])
	if crc32.ChecksumIEEE(file[:want-4]) != sum {
		return fmt.Errorf("%w: wrong checksum", ErrWeights)
	}
	at := len(line) + 1
	for _, p := range parts {
		for i := range p {
			p[i] = math.Float32frombits(binary.LittleEndian.Uint32(file[at:]))
			at += 4
			if !finite(p[i]) {
				return fmt.Errorf("%w: a number is not finite", ErrWeights)
			}
		}
	}
	return nil
}

func finite(f float32) bool { return f-f == 0 }
