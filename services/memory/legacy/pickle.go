package legacy

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"math/big"
	"slices"
	"strings"
)

// ErrRefused is a file that is no memory file, or one that asks for more than plain values.
var ErrRefused = errors.New("memory file refused")

// Bounds of a file.
const (
	maxBytes  = 1 << 30   // unpacked
	maxText   = 128 << 20 // one text; old protocols write the vectors as one
	maxValues = 8 << 20   // values made
)

// allowed are the constructors that an array of numpy needs. What they would make is not needed: the
// vectors are made anew. Nothing is called.
var allowed = []string{
	"numpy.core.multiarray._reconstruct", "numpy._core.multiarray._reconstruct",
	"numpy.core.numeric._frombuffer", "numpy._core.numeric._frombuffer",
	"numpy.core.multiarray.scalar", "numpy._core.multiarray.scalar",
	"numpy.ndarray", "numpy.dtype", "_codecs.encode", "builtins.bytearray",
}

// The values besides nil, bool, int64, float64 and string.
type (
	list struct{ items []any }
	dict struct {
		keys   []string
		values map[string]any
	}
	tuple  []any
	opaque struct{}
	mark   struct{}
)

// machine is the pickle machine without the opcodes that run anything.
type machine struct {
	r     *bufio.Reader
	stack []any
	memo  map[uint64]any
	next  uint64 // memo number of MEMOIZE
	made  int
}

// unpickle reads one value.
func unpickle(r io.Reader) (any, error) {
	m := &machine{r: bufio.NewReaderSize(io.LimitReader(r, maxBytes), 1<<16), memo: map[uint64]any{}}
	for {
		op, err := m.r.ReadByte()
		if err != nil {
			return nil, fmt.Errorf("%w: it ends early", ErrRefused)
		}
		if op == '.' {
			return m.pop()
		}
		if m.made++; m.made > maxValues {
			return nil, fmt.Errorf("%w: more than %d values", ErrRefused, maxValues)
		}
		if err := m.step(op); err != nil {
			return nil, err
		}
	}
}

// step carries out one opcode.
func (m *machine) step(op byte) error {
	if v, ok := constants[op]; ok {
		m.push(v())
		return nil
	}
	switch op {
	case 0x80: // PROTO
		return m.skip(1)
	case 0x95: // FRAME
		return m.skip(8)
	case '0': // POP
		_, err := m.pop()
		return err
	case '1': // POP_MARK
		_, err := m.popMark()
		return err
	case 'p', 'q', 'r', 0x94, 'g', 'h', 'j':
		return m.remember(op)
	case 'K', 'M', 'J', 'I', 'L', 0x8a, 'G', 'F':
		return m.number(op)
	case 'V', 'X', 0x8c, 0x8d, 'S', 'T', 'U', 'C', 'B', 0x8e, 0x96:
		return m.text(op)
	case 'a', 'e', 's', 'u', 'l', 'd', 't', 0x85, 0x86, 0x87:
		return m.collect(op)
	case 'c', 0x93, 'R', 'b':
		return m.construct(op)
	}
	return fmt.Errorf("%w: opcode %#02x is not allowed", ErrRefused, op)
}

// constants are the opcodes that make a value of nothing.
var constants = map[byte]func() any{
	'N':  func() any { return nil },
	0x88: func() any { return true },
	0x89: func() any { return false },
	'(':  func() any { return mark{} },
	']':  func() any { return &list{} },
	'}':  func() any { return &dict{values: map[string]any{}} },
	')':  func() any { return tuple(nil) },
}

func (m *machine) push(v any) { m.stack = append(m.stack, v) }

func (m *machine) pop() (any, error) {
	n := len(m.stack)
	if n == 0 {
		return nil, fmt.Errorf("%w: a value is missing", ErrRefused)
	}
	v := m.stack[n-1]
	m.stack = m.stack[:n-1]
	if _, ok := v.(mark); ok {
		return nil, fmt.Errorf("%w: a value is missing", ErrRefused)
	}
	return v, nil
}

// popMark takes all values above the last mark, and the mark.
func (m *machine) popMark() ([]any, error) {
	for i := len(m.stack) - 1; i >= 0; i-- {
		if _, ok := m.stack[i].(mark); ok {
			items := slices.Clone(m.stack[i+1:])
			m.stack = m.stack[:i]
			return items, nil
		}
	}
	return nil, fmt.Errorf("%w: a mark is missing", ErrRefused)
}

func (m *machine) skip(n int64) error {
	if _, err := io.CopyN(io.Discard, m.r, n); err != nil {
		return fmt.Errorf("%w: it ends early", ErrRefused)
	}
	return nil
}

// uint reads a little-endian number of n bytes.
func (m *machine) uint(n int) (uint64, error) {
	var b [8]byte
	if _, err := io.ReadFull(m.r, b[:n]); err != nil {
		return 0, fmt.Errorf("%w: it ends early", ErrRefused)
	}
	return binary.LittleEndian.Uint64(b[:]), nil
}

// line reads up to a newline, as protocol 0 writes numbers and names.
func (m *machine) line() (string, error) {
	var b []byte
	for {
		part, err := m.r.ReadSlice('\n')
		b = append(b, part...)
		if err == nil {
			return string(b[:len(b)-1]), nil
		}
		if !errors.Is(err, bufio.ErrBufferFull) || len(b) > maxText {
			return "", fmt.Errorf("%w: it ends early", ErrRefused)
		}
	}
}

// remember puts into the memo, or gets.
func (m *machine) remember(op byte) error {
	key, err := m.next, error(nil)
	switch op {
	case 'q', 'h':
		key, err = m.uint(1)
	case 'r', 'j':
		key, err = m.uint(4)
	case 'p', 'g':
		var s string
		if s, err = m.line(); err == nil {
			_, err = fmt.Sscanf(s, "%d", &key)
		}
	}
	if err != nil {
		return fmt.Errorf("%w: bad memo number", ErrRefused)
	}
	if op == 'g' || op == 'h' || op == 'j' {
		v, ok := m.memo[key]
		if !ok {
			return fmt.Errorf("%w: nothing was kept as %d", ErrRefused, key)
		}
		m.push(v)
		return nil
	}
	if len(m.stack) == 0 {
		return fmt.Errorf("%w: a value is missing", ErrRefused)
	}
	m.memo[key] = m.stack[len(m.stack)-1]
	m.next++
	return nil
}

func (m *machine) number(op byte) error {
	sizes := map[byte]int{'K': 1, 'M': 2, 'J': 4, 0x8a: 1, 'G': 8}
	if op == 'I' || op == 'L' || op == 'F' {
		return m.written(op)
	}
	u, err := m.uint(sizes[op])
	if err != nil {
		return err
	}
	switch op {
	case 'J':
		m.push(int64(int32(u)))
	case 'G': // big-endian, alone among all
		var b [8]byte
		binary.LittleEndian.PutUint64(b[:], u)
		m.push(math.Float64frombits(binary.BigEndian.Uint64(b[:])))
	case 0x8a: // LONG1: two's complement
		b := make([]byte, u)
		if _, err := io.ReadFull(m.r, b); err != nil {
			return fmt.Errorf("%w: it ends early", ErrRefused)
		}
		slices.Reverse(b)
		n := new(big.Int).SetBytes(b)
		if u > 0 && b[0]&0x80 != 0 {
			n.Sub(n, new(big.Int).Lsh(big.NewInt(1), uint(8*u)))
		}
		m.pushBig(n)
	default:
		m.push(int64(u))
	}
	return nil
}

// pushBig pushes a number that may be too large for int64, as a float then.
func (m *machine) pushBig(n *big.Int) {
	if n.IsInt64() {
		m.push(n.Int64())
		return
	}
	f, _ := new(big.Float).SetInt(n).Float64()
	m.push(f)
}

// written reads a number in decimal digits.
func (m *machine) written(op byte) error {
	s, err := m.line()
	if err != nil {
		return err
	}
	s = strings.TrimSuffix(s, "L")
	if op == 'I' && (s == "00" || s == "01") { // a boolean of old
		m.push(s == "01")
		return nil
	}
	if len(s) > 400 {
		return fmt.Errorf("%w: a number of %d digits", ErrRefused, len(s))
	}
	if n, ok := new(big.Int).SetString(s, 10); ok && op != 'F' {
		m.pushBig(n)
		return nil
	}
	f, _, err := big.ParseFloat(s, 10, 53, big.ToNearestEven)
	if err != nil {
		return fmt.Errorf("%w: %q is no number", ErrRefused, s)
	}
	v, _ := f.Float64()
	m.push(v)
	return nil
}

// text reads a text, or bytes, which are skipped: only vectors are made of them.
func (m *machine) text(op byte) error {
	if op == 'V' {
		s, err := m.line()
		m.push(s) // its escapes are left as they are
		return err
	}
	sizes := map[byte]int{0x8c: 1, 'U': 1, 'C': 1, 'X': 4, 'T': 4, 'B': 4, 0x8d: 8, 0x8e: 8, 0x96: 8}
	if sizes[op] == 0 {
		return fmt.Errorf("%w: opcode %#02x is not allowed", ErrRefused, op)
	}
	n, err := m.uint(sizes[op])
	if err != nil {
		return err
	}
	if op != 'X' && op != 0x8c && op != 0x8d {
		m.push(opaque{})
		return m.skip(int64(min(n, maxBytes)))
	}
	if n > maxText {
		return fmt.Errorf("%w: a text of %d bytes", ErrRefused, n)
	}
	var b strings.Builder
	if _, err := io.CopyN(&b, m.r, int64(n)); err != nil {
		return fmt.Errorf("%w: it ends early", ErrRefused)
	}
	m.push(strings.ToValidUTF8(b.String(), "\ufffd"))
	return nil
}

// construct takes names and what would be called with them: a value that nobody looks at.
func (m *machine) construct(op byte) error {
	switch op {
	case 'c', 0x93:
		name, err := m.name(op)
		if err != nil {
			return err
		}
		if !slices.Contains(allowed, name) {
			return fmt.Errorf("%w: it asks for %.100s, which only a program would need", ErrRefused, name)
		}
		m.push(opaque{})
		return nil
	}
	if _, err := m.pop(); err != nil { // the arguments, or the state
		return err
	}
	v, err := m.pop()
	if err != nil {
		return err
	}
	if _, ok := v.(opaque); !ok {
		return fmt.Errorf("%w: opcode %q on a plain value", ErrRefused, op)
	}
	m.push(opaque{})
	return nil
}

func (m *machine) name(op byte) (string, error) {
	if op == 'c' {
		module, err := m.line()
		if err != nil {
			return "", err
		}
		name, err := m.line()
		return module + "." + name, err
	}
	name, err := m.pop()
	if err != nil {
		return "", err
	}
	module, err := m.pop()
	return fmt.Sprintf("%v.%v", module, name), err
}
