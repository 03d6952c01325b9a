package camera

import (
	"bytes"
	"errors"
	"image"
	"image/jpeg"
	"io"
	"strings"
	"testing"
	"testing/iotest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
)

func testJPEG(t testing.TB, n int) []byte {
	t.Helper()
	e, err := encodeJPEG(testPicture(64, 48, n, time.Unix(int64(n), 0)), 75)
	require.NoError(t, err)
	return e.data
}

// withThumbnail puts a whole picture into an APP1 segment, as cameras do.
func withThumbnail(pic, thumb []byte) []byte {
	n := len(thumb) + 2
	return bytes.Join([][]byte{pic[:2], {0xFF, 0xE1, byte(n >> 8), byte(n)}, thumb, pic[2:]}, nil)
}

func TestStreamIsCutIntoPictures(t *testing.T) {
	t.Parallel()
	a, b := testJPEG(t, 1), testJPEG(t, 2)
	thumb := withThumbnail(b, a)
	fill := append(bytes.Clone(a[:len(a)-2]), 0xFF, 0xFF, 0xFF, markEOI) // fill bytes before a marker
	part := func(p []byte) string {
		return "--frame\r\nContent-Type: image/jpeg\r\n\r\n" + string(p) + "\r\n"
	}
	for name, c := range map[string]struct {
		stream string
		want   [][]byte
	}{
		"one after the other": {string(a) + string(b), [][]byte{a, b}},
		"multipart":           {part(a) + part(b) + part(a), [][]byte{a, b, a}},
		"thumbnail inside":    {part(thumb) + part(a), [][]byte{thumb, a}},
		"fill bytes":          {string(fill) + string(b), [][]byte{fill, b}},
		"noise between":       {"\xff\xff\x00" + string(a) + strings.Repeat("x", 1000) + string(b), [][]byte{a, b}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, r := range []io.Reader{strings.NewReader(c.stream), iotest.OneByteReader(strings.NewReader(c.stream))} {
				s := newSplitter(r)
				for _, want := range c.want {
					got, err := s.next()
					require.NoError(t, err)
					assert.Equal(t, want, got)
				}
				_, err := s.next()
				assert.ErrorIs(t, err, io.EOF)
			}
		})
	}
}

func TestBrokenStreams(t *testing.T) {
	t.Parallel()
	a := testJPEG(t, 1)
	for name, c := range map[string]struct {
		stream string
		want   error
	}{
		"no picture":         {strings.Repeat("x", maxGap+1), errJPEG},
		"cut":                {string(a[:len(a)/2]), io.ErrUnexpectedEOF},
		"cut in a segment":   {string(a[:10]), io.ErrUnexpectedEOF},
		"start in a picture": {string(a[:2]) + string(a), errJPEG},
		"short segment":      {"\xff\xd8\xff\xe0\x00\x01", errJPEG},
		"no marker":          {"\xff\xd8hello", errJPEG},
		"endless scan":       {"\xff\xd8\xff\xda\x00\x02" + strings.Repeat("\x01", maxJPEG+10), errJPEG},
		"endless segments":   {"\xff\xd8" + strings.Repeat("\xff\xe0\xff\xff"+strings.Repeat("x", 65533), 100), errJPEG},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := newSplitter(strings.NewReader(c.stream)).next()
			assert.ErrorIs(t, err, c.want)
		})
	}
}

func TestMissingHuffmanTables(t *testing.T) {
	t.Parallel()
	a := testJPEG(t, 1)
	var bare []byte // without the DHT segments
	at := 2
	bare = append(bare, a[:2]...)
	for a[at+1] != markSOS {
		n := 2 + int(a[at+2])<<8 + int(a[at+3])
		if a[at+1] != markDHT {
			bare = append(bare, a[at:at+n]...)
		}
		at += n
	}
	bare = append(bare, a[at:]...)
	_, err := jpeg.Decode(bytes.NewReader(bare))
	require.Error(t, err, "the test would prove nothing")
	img, err := jpeg.Decode(bytes.NewReader(withTables(bare)))
	require.NoError(t, err)
	assert.Equal(t, image.Pt(64, 48), img.Bounds().Size())
	assert.Equal(t, a, withTables(a), "a picture that has them stays as it is")
	for n := range bare[:40] {
		withTables(bare[:n]) // whatever comes
	}
}

func FuzzSplitter(f *testing.F) {
	a := testJPEG(f, 1)
	f.Add(append(bytes.Clone(a), a...))
	f.Add(withThumbnail(a, a))
	f.Add([]byte("\xff\xd8\xff\xda\x00\x02\xff\x00\xff\xd9"))
	f.Fuzz(func(t *testing.T, stream []byte) {
		s := newSplitter(bytes.NewReader(stream))
		for {
			pic, err := s.next()
			if err != nil {
				return
			}
			if !bytes.HasPrefix(pic, []byte{0xFF, markSOI}) || !bytes.HasSuffix(pic, []byte{0xFF, markEOI}) || !bytes.Contains(stream, pic) {
				t.Fatalf("%x is no part of %x", pic, stream)
			}
			fr := frame{jpeg: withTables(pic)}
			if _, err := fr.render(&Options{Rotation: 90}); err != nil && errors.Is(err, io.EOF) && len(pic) == 0 {
				t.Fatal(err)
			}
		}
	})
}
