package camera

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"image"
	"image/jpeg"
	"io"
)

// JPEG markers.
const (
	markSOI = 0xD8 // start of image
	markEOI = 0xD9 // end of image
	markSOS = 0xDA // start of scan: entropy-coded bytes follow
	markDHT = 0xC4 // Huffman tables
	markTEM = 0x01
	markRST = 0xD0 // to 0xD7, restart
)

// maxGap is how many bytes that belong to no picture may stand between two, such as the headers
// of multipart streams.
const maxGap = 64 << 10

var errJPEG = errors.New("not a JPEG stream")

// splitter cuts a byte stream into JPEG pictures. It follows the segments, so that a thumbnail
// inside a picture does not end it.
type splitter struct{ r *bufio.Reader }

func newSplitter(r io.Reader) *splitter { return &splitter{bufio.NewReaderSize(r, 64<<10)} }

// next reads one picture, which is the caller's.
func (s *splitter) next() ([]byte, error) {
	if err := s.findStart(); err != nil {
		return nil, err
	}
	pic := append(make([]byte, 0, 64<<10), 0xFF, markSOI)
	begun := false // the marker's first byte was read already
	for {
		mark, err := s.marker(&pic, begun)
		if err != nil {
			return nil, err
		}
		switch {
		case mark == markEOI:
			return pic, nil
		case mark == markSOI || mark == 0:
			return nil, fmt.Errorf("%w: marker %#x inside a picture", errJPEG, mark)
		case mark == markTEM || mark >= markRST && mark < markRST+8:
			begun = false
			continue
		}
		if err := s.segment(&pic); err != nil {
			return nil, err
		}
		if begun = mark == markSOS; !begun {
			continue
		}
		if err := s.scan(&pic); err != nil {
			return nil, err
		}
	}
}

// findStart reads up to and with the start of a picture.
func (s *splitter) findStart() error {
	var last byte
	for range maxGap {
		b, err := s.r.ReadByte()
		if err != nil {
			return err
		}
		if last == 0xFF && b == markSOI {
			return nil
		}
		last = b
	}
	return fmt.Errorf("%w: no picture within %d bytes", errJPEG, maxGap)
}

func (s *splitter) add(pic *[]byte, b ...byte) error {
	if len(*pic)+len(b) > maxJPEG {
		return fmt.Errorf("%w: a picture of more than %d bytes", errJPEG, maxJPEG)
	}
	*pic = append(*pic, b...)
	return nil
}

// marker reads the next marker, which may have fill bytes in front.
func (s *splitter) marker(pic *[]byte, begun bool) (b byte, err error) {
	if b = 0xFF; !begun {
		if b, err = s.r.ReadByte(); err != nil {
			return 0, unexpected(err)
		}
	}
	if b != 0xFF {
		return 0, fmt.Errorf("%w: %#x where a marker should be", errJPEG, b)
	}
	for b == 0xFF {
		if err := s.add(pic, b); err != nil {
			return 0, err
		}
		if b, err = s.r.ReadByte(); err != nil {
			return 0, unexpected(err)
		}
	}
	return b, s.add(pic, b)
}

// segment reads the length and the bytes of a segment.
func (s *splitter) segment(pic *[]byte) error {
	var head [2]byte
	if _, err := io.ReadFull(s.r, head[:]); err != nil {
		return unexpected(err)
	}
	n := int(head[0])<<8 | int(head[1])
	if n < 2 {
		return fmt.Errorf("%w: segment of %d bytes", errJPEG, n)
	}
	body := make([]byte, n-2)
	if _, err := io.ReadFull(s.r, body); err != nil {
		return unexpected(err)
	}
	if err := s.add(pic, head[:]...); err != nil {
		return err
	}
	return s.add(pic, body...)
}

// scan reads entropy-coded bytes, and the first byte of the marker behind them.
func (s *splitter) scan(pic *[]byte) error {
	for {
		chunk, err := s.r.ReadSlice(0xFF)
		if errors.Is(err, bufio.ErrBufferFull) {
			if err := s.add(pic, chunk...); err != nil {
				return err
			}
			continue
		}
		if err != nil {
			return unexpected(err)
		}
		if err := s.add(pic, chunk[:len(chunk)-1]...); err != nil {
			return err
		}
		next, err := s.r.Peek(1)
		if err != nil {
			return unexpected(err)
		}
		if b := next[0]; b != 0 && (b < markRST || b >= markRST+8) {
			return nil
		}
		if _, err := s.r.Discard(1); err != nil {
			return unexpected(err)
		}
		if err := s.add(pic, 0xFF, next[0]); err != nil {
			return err
		}
	}
}

func unexpected(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// withTables puts the standard Huffman tables into a picture that has none: cheap cameras leave
// them out (AVI1 habit), and decoders want them.
func withTables(pic []byte) []byte {
	at := 2
	for at+4 <= len(pic) && pic[at] == 0xFF {
		mark, n := pic[at+1], int(pic[at+2])<<8|int(pic[at+3])
		if mark == markDHT {
			return pic
		}
		if mark == markSOS {
			break
		}
		at += 2 + n
	}
	if at >= len(pic) {
		return pic
	}
	return bytes.Join([][]byte{pic[:at], standardTables(), pic[at:]}, nil)
}

// standardTables are the segments with the tables of the JPEG specification's annex K. The
// encoder of the standard library uses them, so they are taken out of a picture of its.
func standardTables() []byte {
	var b bytes.Buffer
	if err := jpeg.Encode(&b, image.NewYCbCr(image.Rect(0, 0, 8, 8), image.YCbCrSubsampleRatio420), nil); err != nil {
		return nil // a buffer takes everything
	}
	pic, at := b.Bytes(), 2
	var tables []byte
	for at+4 <= len(pic) && pic[at+1] != markSOS {
		n := 2 + int(pic[at+2])<<8 + int(pic[at+3])
		if pic[at+1] == markDHT {
			tables = append(tables, pic[at:at+n]...)
		}
		at += n
	}
	return tables
}
