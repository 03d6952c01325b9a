package flite

import (
	"bytes"
	"encoding/binary"
	"io"
	"io/fs"
	"slices"

	"github.com/tetratelabs/wazero"
	esys "github.com/tetratelabs/wazero/experimental/sys"
	"github.com/tetratelabs/wazero/experimental/sysfs"
	"github.com/tetratelabs/wazero/sys"
)

// waveName is the one file of the program's file system.
const waveName = "speech.wav"

// maxWave bounds it, in bytes: two minutes of sound.
const maxWave = 4 << 20

// wave is the WAV file that the program writes: a header and the first sentence, then again and
// again the next sentence and a changed header. Samples are handed to emit as soon as they are there.
type wave struct {
	b    []byte
	rate int // of the voice
	sent int // bytes of b that are emitted; 0 until the header is there
	emit func(rate int, samples []byte)
}

// flush emits what is new.
func (w *wave) flush() {
	if w.sent == 0 && !w.header() {
		return
	}
	if end := len(w.b) - (len(w.b)-w.sent)%2; end > w.sent {
		w.emit(w.rate, w.b[w.sent:end])
		w.sent = end
	}
}

// header finds where the samples begin.
func (w *wave) header() bool {
	const plainHeader = 44
	if len(w.b) < plainHeader || !bytes.HasPrefix(w.b, []byte("RIFF")) || string(w.b[36:40]) != "data" {
		return false
	}
	rate, channels, bits := binary.LittleEndian.Uint32(w.b[24:]), binary.LittleEndian.Uint16(w.b[22:]), binary.LittleEndian.Uint16(w.b[34:])
	if channels != 1 || bits != 16 || rate < 4000 || rate > 48000 {
		return false
	}
	w.sent = plainHeader
	return true
}

// whole reports whether the file, and with it all sentences, could be read.
func (w *wave) whole() bool { return w.sent > 0 && w.sent == len(w.b) }

// mount makes the file system of the program.
func mount(w *wave) wazero.FSConfig {
	return wazero.NewFSConfig().(sysfs.FSConfig).WithSysFSMount(&root{w: w}, "/")
}

// root is a directory with one file.
type root struct {
	esys.UnimplementedFS
	w *wave
}

// OpenFile implements the runtime's file system.
func (r *root) OpenFile(path string, flag esys.Oflag, _ fs.FileMode) (esys.File, esys.Errno) {
	switch path {
	case "", ".", "/":
		return &directory{}, 0
	case waveName:
		if flag&esys.O_TRUNC != 0 {
			r.w.b, r.w.sent = r.w.b[:0], 0
		}
		return &handle{w: r.w}, 0
	}
	return nil, esys.ENOENT
}

// Stat implements the runtime's file system.
func (r *root) Stat(path string) (sys.Stat_t, esys.Errno) {
	switch path {
	case "", ".", "/":
		return sys.Stat_t{Mode: fs.ModeDir | 0o755, Nlink: 1}, 0
	case waveName:
		return sys.Stat_t{Mode: 0o644, Nlink: 1, Size: int64(len(r.w.b))}, 0
	}
	return sys.Stat_t{}, esys.ENOENT
}

// Lstat implements the runtime's file system.
func (r *root) Lstat(path string) (sys.Stat_t, esys.Errno) { return r.Stat(path) }

type directory struct{ esys.UnimplementedFile }

// IsDir implements the runtime's file.
func (*directory) IsDir() (bool, esys.Errno) { return true, 0 }

// Stat implements the runtime's file.
func (*directory) Stat() (sys.Stat_t, esys.Errno) {
	return sys.Stat_t{Mode: fs.ModeDir | 0o755, Nlink: 1}, 0
}

// Close implements the runtime's file.
func (*directory) Close() esys.Errno { return 0 }

// handle is the opened file.
type handle struct {
	esys.UnimplementedFile
	w  *wave
	at int64
}

// Stat implements the runtime's file.
func (h *handle) Stat() (sys.Stat_t, esys.Errno) {
	return sys.Stat_t{Mode: 0o644, Nlink: 1, Size: int64(len(h.w.b))}, 0
}

// IsDir implements the runtime's file.
func (*handle) IsDir() (bool, esys.Errno) { return false, 0 }

// Read implements the runtime's file.
func (h *handle) Read(p []byte) (int, esys.Errno) {
	if h.at >= int64(len(h.w.b)) {
		return 0, 0
	}
	n := copy(p, h.w.b[h.at:])
	h.at += int64(n)
	return n, 0
}

// offset has a name because vet takes each Seek with an int64 for an io.Seeker's.
type offset = int64

// Seek implements the runtime's file.
func (h *handle) Seek(to offset, whence int) (int64, esys.Errno) {
	switch whence {
	case io.SeekCurrent:
		to += h.at
	case io.SeekEnd:
		to += int64(len(h.w.b))
	}
	if to < 0 || to > maxWave {
		return 0, esys.EINVAL
	}
	h.at = to
	return to, 0
}

// Write implements the runtime's file.
func (h *handle) Write(p []byte) (int, esys.Errno) {
	end := h.at + int64(len(p))
	if end > maxWave {
		return 0, esys.EIO
	}
	if grow := int(end) - len(h.w.b); grow > 0 {
		h.w.b = slices.Grow(h.w.b, grow)[:end]
	}
	copy(h.w.b[h.at:], p)
	h.at = end
	h.w.flush()
	return len(p), 0
}

// Close implements the runtime's file.
func (*handle) Close() esys.Errno { return 0 }
