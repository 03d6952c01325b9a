package openai

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"io"
)

// end is the data of the event that closes a stream.
const end = "[DONE]"

var (
	errLine = errors.New("a line of the stream is too long")
	errSize = errors.New("the stream is too long")
)

// events reads the data of server-sent events. Names, ids and retry times mean nothing here, and
// comments are no sign of life.
type events struct {
	r     *bufio.Reader
	limit int    // bytes of a line
	left  int64  // bytes that may still come
	long  []byte // a line that is larger than the reader's buffer
	data  []byte // of the event under way
	held  []byte // of the one after it, see next
	begun bool
}

// newEvents reads from r: lines of up to line bytes, and total bytes in all.
func newEvents(r io.Reader, line int, total int64) *events {
	return &events{r: bufio.NewReader(r), limit: line, left: total}
}

// next returns the data of the next event; it is valid until the next call. The end is io.EOF; an
// event that the end cut off is given out only if it is whole.
func (e *events) next() ([]byte, error) {
	e.data = append(e.data[:0], e.held...)
	e.held = e.held[:0]
	for {
		line, err := e.line()
		if err != nil && !errors.Is(err, io.EOF) {
			return nil, err
		}
		data, ok := bytes.CutPrefix(line, []byte("data:"))
		data = bytes.TrimPrefix(data, []byte(" "))
		switch {
		// The specification joins lines until an empty one; there are servers that leave the empty
		// ones out.
		case ok && len(e.data) > 0 && whole(e.data):
			e.held = append(e.held, data...)
			return e.data, nil
		case ok && len(e.data)+len(data) > e.limit:
			return nil, errLine
		case ok && len(e.data) > 0:
			e.data = append(append(e.data, '\n'), data...)
		case ok:
			e.data = append(e.data, data...)
		case len(line) == 0 && err == nil && len(e.data) > 0:
			return e.data, nil
		}
		if err != nil {
			if whole(e.data) {
				return e.data, nil
			}
			return nil, io.EOF
		}
	}
}

// line returns the next line without its end. It is io.EOF together with what is left.
func (e *events) line() ([]byte, error) {
	e.long = e.long[:0]
	for {
		line, err := e.r.ReadSlice('\n')
		if e.left -= int64(len(line)); e.left < 0 {
			return nil, errSize
		}
		if len(e.long)+len(line) > e.limit {
			return nil, errLine
		}
		if errors.Is(err, bufio.ErrBufferFull) {
			e.long = append(e.long, line...)
			continue
		}
		if len(e.long) > 0 {
			e.long = append(e.long, line...)
			line = e.long
		}
		if !e.begun {
			line, e.begun = bytes.TrimPrefix(line, []byte("\ufeff")), true
		}
		return bytes.TrimRight(line, "\r\n"), err
	}
}

// whole reports whether data is an event of its own.
func whole(data []byte) bool { return string(data) == end || json.Valid(data) }
