package audio

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
)

// ErrWAV is wrapped by every error about what a WAV file says.
var ErrWAV = errors.New("not a WAV file that can be read")

const (
	wavPCM        = 1
	wavFloat      = 3
	wavExtensible = 0xFFFE

	maxChannels = 8
	maxChunks   = 64 // before the sound; what has more of them is not a recording
)

// WAVReader reads a WAV file as mono, signed 16 bit: PCM of 8, 16, 24 or 32 bits, float of 32 or 64,
// one to eight channels, which are averaged. Memory does not depend on what the file says.
type WAVReader struct {
	r        io.Reader
	rate     int
	channels int
	bytes    int // of one sample of one channel
	float    bool
	left     int64 // bytes of sound to come; negative: until the end of the stream
	buf      []byte
}

// NewWAVReader reads the header, up to the first sample.
func NewWAVReader(r io.Reader) (*WAVReader, error) {
	var head [12]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return nil, fmt.Errorf("%w: header: %w", ErrWAV, noEOF(err))
	}
	if string(head[:4]) != "RIFF" || string(head[8:]) != "WAVE" {
		return nil, fmt.Errorf("%w: no RIFF header", ErrWAV)
	}
	w := &WAVReader{r: r}
	for range maxChunks {
		if _, err := io.ReadFull(r, head[:8]); err != nil {
			return nil, fmt.Errorf("%w: no data chunk: %w", ErrWAV, noEOF(err))
		}
		id, size := string(head[:4]), int64(binary.LittleEndian.Uint32(head[4:]))
		if id == "data" {
			return w, w.begin(size)
		}
		if err := w.chunk(id, size); err != nil {
			return nil, err
		}
	}
	return nil, fmt.Errorf("%w: more than %d chunks before the sound", ErrWAV, maxChunks)
}

// begin checks that the format is known, and prepares for size bytes of sound.
func (w *WAVReader) begin(size int64) error {
	if w.rate == 0 {
		return fmt.Errorf("%w: sound before its format", ErrWAV)
	}
	if w.left = size; size >= math.MaxUint32-1<<16 || size == 0 {
		w.left = -1 // written to a pipe: the writer did not know
	}
	return nil
}

// chunk reads the format, or skips what it does not know.
func (w *WAVReader) chunk(id string, size int64) error {
	used := int64(0)
	if id == "fmt " {
		if size < 16 || size > 1<<12 {
			return fmt.Errorf("%w: format of %d bytes", ErrWAV, size)
		}
		b := make([]byte, size)
		if _, err := io.ReadFull(w.r, b); err != nil {
			return fmt.Errorf("%w: format: %w", ErrWAV, noEOF(err))
		}
		if err := w.format(b); err != nil {
			return err
		}
		used = size
	}
	if _, err := io.CopyN(io.Discard, w.r, size-used+size%2); err != nil {
		return fmt.Errorf("%w: chunk %q: %w", ErrWAV, id, noEOF(err))
	}
	return nil
}

// format takes in the format chunk, of at least 16 bytes.
func (w *WAVReader) format(b []byte) error {
	le := binary.LittleEndian
	tag, channels, rate, bits := le.Uint16(b), int(le.Uint16(b[2:])), le.Uint32(b[4:]), int(le.Uint16(b[14:]))
	align := int(le.Uint16(b[12:]))
	if tag == wavExtensible {
		if len(b) < 40 {
			return fmt.Errorf("%w: extensible format of %d bytes", ErrWAV, len(b))
		}
		tag = le.Uint16(b[24:])
	}
	switch {
	case channels < 1 || channels > maxChannels:
		return fmt.Errorf("%w: %d channels, 1 to %d can be read", ErrWAV, channels, maxChannels)
	case rate < MinRate || rate > MaxRate:
		return fmt.Errorf("%w: %d Hz, %d to %d can be read", ErrWAV, rate, MinRate, MaxRate)
	case tag == wavPCM && (bits == 8 || bits == 16 || bits == 24 || bits == 32):
	case tag == wavFloat && (bits == 32 || bits == 64):
	default:
		return fmt.Errorf("%w: format %d of %d bits; PCM and float can be read", ErrWAV, tag, bits)
	}
	if align != channels*bits/8 {
		return fmt.Errorf("%w: %d bytes a sample for %d channels of %d bits", ErrWAV, align, channels, bits)
	}
	w.rate, w.channels, w.bytes, w.float = int(rate), channels, bits/8, tag == wavFloat
	return nil
}

// Rate returns the samples a second.
func (w *WAVReader) Rate() int { return w.rate }

// Read fills pcm with samples and returns how many there were. The end is io.EOF, with or without
// samples; that of a file which was cut short too, since what is there can be heard.
func (w *WAVReader) Read(pcm []int16) (int, error) {
	frame := w.bytes * w.channels
	want := int64(min(len(pcm), 1<<14) * frame)
	if w.left >= 0 {
		want = min(want, w.left/int64(frame)*int64(frame))
	}
	if want == 0 {
		if len(pcm) == 0 {
			return 0, nil
		}
		return 0, io.EOF
	}
	if int64(cap(w.buf)) < want {
		w.buf = make([]byte, want)
	}
	n, err := io.ReadFull(w.r, w.buf[:want])
	if w.left >= 0 {
		w.left -= int64(n)
	}
	count := n / frame
	for i := range count {
		pcm[i] = w.mix(w.buf[i*frame:][:frame])
	}
	if errors.Is(err, io.ErrUnexpectedEOF) {
		err = io.EOF
	}
	return count, err
}

// mix returns the mean of the channels.
func (w *WAVReader) mix(b []byte) int16 {
	if w.channels == 1 && w.bytes == 2 {
		return int16(binary.LittleEndian.Uint16(b))
	}
	sum := 0.0
	for ; len(b) > 0; b = b[w.bytes:] {
		sum += w.sample(b)
	}
	return round(float32(sum / float64(w.channels)))
}

// sample returns one sample on the scale of 16 bits.
func (w *WAVReader) sample(b []byte) float64 {
	le := binary.LittleEndian
	switch {
	case w.float && w.bytes == 8:
		return finite(math.Float64frombits(le.Uint64(b))) * 32768
	case w.float:
		return finite(float64(math.Float32frombits(le.Uint32(b)))) * 32768
	case w.bytes == 1:
		return float64(int(b[0])-128) * 256
	case w.bytes == 2:
		return float64(int16(le.Uint16(b)))
	case w.bytes == 3:
		return float64(int32(uint32(b[0])<<8|uint32(b[1])<<16|uint32(b[2])<<24)) / 65536
	default:
		return float64(int32(le.Uint32(b))) / 65536
	}
}

// finite returns x, silence for what is no number, and a limit for what is far too loud.
func finite(x float64) float64 {
	if math.IsNaN(x) {
		return 0
	}
	return max(-4, min(4, x))
}

// ReadWAV reads a whole file of at most limit samples; what is longer is an error.
func ReadWAV(r io.Reader, limit int) (pcm []int16, rate int, err error) {
	w, err := NewWAVReader(r)
	if err != nil {
		return nil, 0, err
	}
	buf := make([]int16, 4096)
	for {
		n, err := w.Read(buf)
		if len(pcm)+n > limit {
			return nil, 0, fmt.Errorf("%w: more than %d samples", ErrWAV, limit)
		}
		pcm = append(pcm, buf[:n]...)
		if errors.Is(err, io.EOF) {
			return pcm, w.rate, nil
		}
		if err != nil {
			return nil, 0, fmt.Errorf("read WAV: %w", err)
		}
	}
}

// noEOF makes an early end look like one: a caller would take io.EOF for an orderly one.
func noEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

const wavHeader = 44

// AppendWAV appends a WAV file of mono sound, signed 16 bit.
func AppendWAV(b []byte, pcm []int16, rate int) []byte {
	return AppendBytes(appendHeader(b, len(pcm), rate), pcm)
}

func appendHeader(b []byte, samples, rate int) []byte {
	le := binary.LittleEndian
	size := uint32(min(int64(samples)*2, math.MaxUint32-wavHeader))
	b = append(b, "RIFF"...)
	b = le.AppendUint32(b, size+wavHeader-8)
	b = append(b, "WAVEfmt "...)
	b = le.AppendUint32(b, 16)
	b = le.AppendUint16(b, wavPCM)
	b = le.AppendUint16(b, 1)
	b = le.AppendUint32(b, uint32(rate))
	b = le.AppendUint32(b, uint32(rate)*2)
	b = le.AppendUint16(b, 2)
	b = le.AppendUint16(b, 16)
	b = append(b, "data"...)
	return le.AppendUint32(b, size)
}

// WAVWriter writes mono sound to a file. The file says how long it is after each write, so that
// what was written can be heard also when nobody closes it.
type WAVWriter struct {
	f    *os.File
	rate int
	n    int
	buf  []byte
}

// CreateWAV creates the file, or empties it.
func CreateWAV(path string, rate int) (*WAVWriter, error) {
	if rate < MinRate || rate > MaxRate {
		return nil, fmt.Errorf("create %s: %d Hz, rates are %d to %d Hz", path, rate, MinRate, MaxRate)
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return nil, err
	}
	w := &WAVWriter{f: f, rate: rate}
	return w, w.Write(nil)
}

// Write appends samples.
func (w *WAVWriter) Write(pcm []int16) error {
	w.buf = AppendBytes(w.buf[:0], pcm)
	if _, err := w.f.WriteAt(w.buf, wavHeader+int64(w.n)*2); err != nil {
		return err
	}
	w.n += len(pcm)
	_, err := w.f.WriteAt(appendHeader(w.buf[:0], w.n, w.rate), 0)
	return err
}

// Close closes the file.
func (w *WAVWriter) Close() error { return w.f.Close() }
