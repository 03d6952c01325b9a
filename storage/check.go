package storage

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/fnv"
	"io"
	"math"
)

// bbolt's format, in the byte order of the machine.
const (
	headBytes   = 16 // page header: id 8, flags 2, count 2, overflow 4
	elemBytes   = 16 // leaf: flags 4, pos 4, key 4, value 4; branch: pos 4, key 4, page 8
	metaBytes   = 64 // magic 4, version 4, page size 4, flags 4, root 8, sequence 8, freelist 8, high 8, tx 8, sum 8
	bucketBytes = 16 // root 8, sequence 8

	branchPage, leafPage, freelistPage = 0x01, 0x02, 0x10

	boltMagic   = 0xED0CDAED
	boltVersion = 2
	noFreelist  = math.MaxUint64
	maxDepth    = 64
	maxKey      = 32768
)

var order = binary.NativeEndian

// meta is a meta page with a good checksum.
type meta struct {
	page     int64 // where it is, bytes
	size     int   // bytes of a page
	root     uint64
	freelist uint64
	high     uint64 // pages in use are below
	tx       uint64
}

// findMetas returns the file's meta pages whose checksum is good, the newest first. The error
// wraps ErrDamaged if there is none, or if one is good and makes no sense, since bbolt would use
// it; ErrSchema if bbolt's format is another version; or is that of r.
func findMetas(r io.ReaderAt, size int64) ([]meta, error) {
	first, err := readMeta(r, 0, size)
	if err != nil && !errors.Is(err, errNoMeta) {
		return nil, err
	}
	if err == nil {
		second, err2 := readMeta(r, int64(first.size), size)
		switch {
		case errors.Is(err2, errNoMeta), errors.Is(err2, ErrSchema):
			return []meta{first}, nil
		case err2 != nil:
			return nil, err2
		case second.size != first.size:
			return nil, fmt.Errorf("%w: meta pages differ", ErrDamaged)
		case second.tx > first.tx:
			return []meta{second, first}, nil
		}
		return []meta{first, second}, nil
	}
	// Without the first one the size of pages is unknown. bbolt looks in these places.
	for at := int64(1 << 10); at <= 1<<24; at <<= 1 {
		m, err := readMeta(r, at, size)
		switch {
		case errors.Is(err, errNoMeta):
		case err != nil:
			return nil, err
		case int64(m.size) != at:
			return nil, fmt.Errorf("%w: meta page out of place", ErrDamaged)
		default:
			return []meta{m}, nil
		}
	}
	return nil, fmt.Errorf("%w: no valid meta page", ErrDamaged)
}

var errNoMeta = errors.New("no meta page")

// readMeta reads the meta page at a place. The error is errNoMeta if there is none, wraps
// ErrSchema if it is of another version, ErrDamaged if it makes no sense, or is that of r.
func readMeta(r io.ReaderAt, at, size int64) (meta, error) {
	var page [headBytes + metaBytes]byte
	if at > size-int64(len(page)) {
		return meta{}, errNoMeta
	}
	if _, err := r.ReadAt(page[:], at); err != nil {
		return meta{}, readError(err)
	}
	b := page[headBytes:]
	h := fnv.New64a()
	_, _ = h.Write(b[:metaBytes-8])
	if order.Uint32(b) != boltMagic || order.Uint64(b[metaBytes-8:]) != h.Sum64() {
		return meta{}, errNoMeta
	}
	if order.Uint32(b[4:]) != boltVersion {
		return meta{}, fmt.Errorf("%w: another version of the file format", ErrSchema)
	}
	m := meta{
		page: at, size: int(order.Uint32(b[8:])), root: order.Uint64(b[16:]), freelist: order.Uint64(b[32:]),
		high: order.Uint64(b[40:]), tx: order.Uint64(b[48:]),
	}
	if m.size < 1<<10 || m.size > 1<<16 || m.size&(m.size-1) != 0 {
		return m, fmt.Errorf("%w: pages of %d bytes", ErrDamaged, m.size)
	}
	return m, nil
}

// readError makes a short file damage, and leaves other errors what they are.
func readError(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("%w: cut short", ErrDamaged)
	}
	return fmt.Errorf("read data file: %w", err)
}

// checker walks the tree of one meta page. It reads with ordinary reads: a map of a file that is
// cut short would fault.
type checker struct {
	r       io.ReaderAt
	m       meta
	seen    []uint64 // bit for each page in use
	pages   [][]byte // the page at each depth
	schema  int      // from the record in the bucket meta; 0 without one
	ledger  ledger   // from the record in the bucket meta
	counted ledger   // of what is really there
	salt    uint64   // of the bucket that is being walked
}

// old reports that all pages are good, but some are older than the state that they are part of.
func (c *checker) old() bool { return c.schema > 0 && c.ledger != c.counted }

// checkTree checks all pages of the tree and all records. The error wraps ErrDamaged, or is that
// of r.
func checkTree(r io.ReaderAt, size int64, m meta) (*checker, error) {
	c := &checker{r: r, m: m, counted: ledger{tx: m.tx}}
	if m.high < 2 || m.high > uint64(size)/uint64(m.size) {
		return nil, c.damaged(0, "file of %d bytes is cut short: %d pages are in use", size, m.high)
	}
	c.seen = make([]uint64, m.high/64+1)
	if err := c.tree(m.root, 0, "", nil, nil); err != nil {
		return nil, err
	}
	if m.freelist != noFreelist {
		if err := c.free(); err != nil {
			return nil, err
		}
	}
	if c.schema == 0 && m.tx > 1 { // bbolt's own first transactions
		return nil, c.damaged(m.root, "no schema record")
	}
	return c, nil
}

func (c *checker) damaged(page uint64, format string, a ...any) error {
	return fmt.Errorf("%w: page %d: %s", ErrDamaged, page, fmt.Sprintf(format, a...))
}

// use marks pages as used; each is used once.
func (c *checker) use(id, n uint64) error {
	if id < 2 || id >= c.m.high || n > c.m.high-id {
		return c.damaged(id, "outside the file")
	}
	for p := id; p < id+n; p++ {
		if c.seen[p/64]&(1<<(p%64)) != 0 {
			return c.damaged(p, "used twice")
		}
		c.seen[p/64] |= 1 << (p % 64)
	}
	return nil
}

// load reads a page with what overflows it into the buffer of its depth.
func (c *checker) load(id uint64, depth int) ([]byte, error) {
	if id < 2 || id >= c.m.high {
		return nil, c.damaged(id, "outside the file")
	}
	if depth >= maxDepth {
		return nil, c.damaged(id, "tree is too deep")
	}
	if depth == len(c.pages) {
		c.pages = append(c.pages, make([]byte, c.m.size))
	}
	b := c.pages[depth][:c.m.size]
	at := int64(id) * int64(c.m.size)
	if _, err := c.r.ReadAt(b, at); err != nil {
		return nil, readError(err)
	}
	if got := order.Uint64(b); got != id {
		return nil, c.damaged(id, "it says that it is %d", got)
	}
	n := uint64(order.Uint32(b[12:])) + 1
	if err := c.use(id, n); err != nil {
		return nil, err
	}
	if n > 1 {
		whole := int(n) * c.m.size
		if cap(b) < whole {
			b = make([]byte, whole)
			c.pages[depth] = b
		}
		b = b[:whole]
		if _, err := c.r.ReadAt(b, at); err != nil {
			return nil, readError(err)
		}
	}
	return b, nil
}

// tree checks the page and what is below it. bucket is "" for the tree of buckets. Keys are at
// least low and below high, if these are not nil.
func (c *checker) tree(id uint64, depth int, bucket Bucket, low, high []byte) error {
	b, err := c.load(id, depth)
	if err != nil {
		return err
	}
	switch flags := order.Uint16(b[8:]); flags {
	case leafPage:
		if order.Uint16(b[10:]) == 0 && low != nil {
			return c.damaged(id, "empty")
		}
		return c.leaf(b, id, depth, bucket, low, high)
	case branchPage:
		return c.branch(b, id, depth, bucket, low, high)
	default:
		return c.damaged(id, "type %#x", flags)
	}
}

func (c *checker) branch(b []byte, id uint64, depth int, bucket Bucket, low, high []byte) error {
	count := int(order.Uint16(b[10:]))
	if count == 0 || headBytes+count*elemBytes > len(b) {
		return c.damaged(id, "%d elements", count)
	}
	key, _, err := c.element(b, id, 0, count, branchPage)
	if err != nil {
		return err
	}
	if low != nil && bytes.Compare(key, low) < 0 {
		return c.damaged(id, "keys out of order")
	}
	for i := range count {
		next := high
		if i+1 < count {
			if next, _, err = c.element(b, id, i+1, count, branchPage); err != nil {
				return err
			}
		}
		if next != nil && bytes.Compare(key, next) >= 0 {
			return c.damaged(id, "keys out of order")
		}
		child := order.Uint64(b[headBytes+i*elemBytes+8:])
		if err := c.tree(child, depth+1, bucket, key, next); err != nil {
			return err
		}
		key = next
	}
	return nil
}

// element returns key and value of an element; a branch has no values.
func (c *checker) element(b []byte, id uint64, i, count int, kind uint16) (key, value []byte, err error) {
	at := headBytes + i*elemBytes
	pos, klen, vlen := order.Uint32(b[at:]), order.Uint32(b[at+4:]), uint32(0)
	if kind == leafPage {
		pos, klen, vlen = order.Uint32(b[at+4:]), order.Uint32(b[at+8:]), order.Uint32(b[at+12:])
	}
	from := uint64(at) + uint64(pos)
	if klen == 0 || klen > maxKey || from < uint64(headBytes+count*elemBytes) || from+uint64(klen)+uint64(vlen) > uint64(len(b)) {
		return nil, nil, c.damaged(id, "element %d is outside", i)
	}
	k := from + uint64(klen)
	return b[from:k:k], b[k : k+uint64(vlen)], nil
}

func (c *checker) leaf(b []byte, id uint64, depth int, bucket Bucket, low, high []byte) error {
	count := int(order.Uint16(b[10:]))
	if headBytes+count*elemBytes > len(b) {
		return c.damaged(id, "%d elements", count)
	}
	last := low
	for i := range count {
		key, value, err := c.element(b, id, i, count, leafPage)
		if err != nil {
			return err
		}
		if cmp := bytes.Compare(last, key); last != nil && (cmp > 0 || (cmp == 0 && i > 0)) || high != nil && bytes.Compare(key, high) >= 0 {
			return c.damaged(id, "keys out of order")
		}
		last = key
		inner := order.Uint32(b[headBytes+i*elemBytes:])
		switch {
		case bucket == "" && inner == 1:
			err = c.bucket(key, value, id, depth)
		case bucket != "" && inner == 0:
			err = c.record(bucket, key, value, id)
		default:
			err = c.damaged(id, "element %d has flags %#x", i, inner)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// bucket checks a bucket, which has a root page of its own or lies in the value if it is small.
func (c *checker) bucket(name, value []byte, id uint64, depth int) error {
	if len(value) < bucketBytes {
		return c.damaged(id, "bucket %q is cut short", name)
	}
	c.salt = salt(Bucket(name))
	if root := order.Uint64(value); root != 0 {
		return c.tree(root, depth+1, Bucket(name), nil, nil)
	}
	b := value[bucketBytes:]
	if len(b) < headBytes || order.Uint16(b[8:]) != leafPage {
		return c.damaged(id, "bucket %q is no page", name)
	}
	return c.leaf(b, id, depth, Bucket(name), nil, nil)
}

func (c *checker) record(bucket Bucket, key, raw []byte, id uint64) error {
	if _, ok := unseal(key, raw); !ok {
		return c.damaged(id, "checksum of %s %q", bucket, key)
	}
	if bucket != Meta {
		c.counted.add(c.salt, raw)
		return nil
	}
	var err error
	switch string(key) {
	case string(schemaKey):
		c.schema, err = decodeSchema(raw)
	case string(ledgerKey):
		c.ledger, err = decodeLedger(raw)
	}
	return err
}

// free checks the list of free pages, which only a file has that was never written, or that
// other programs have written.
func (c *checker) free() error {
	id := c.m.freelist
	b, err := c.load(id, 0)
	if err != nil {
		return err
	}
	if order.Uint16(b[8:]) != freelistPage {
		return c.damaged(id, "no list of free pages")
	}
	n, ids := uint64(order.Uint16(b[10:])), b[headBytes:]
	if n == 0xFFFF {
		n, ids = order.Uint64(ids), ids[8:]
	}
	if n > uint64(len(ids)/8) {
		return c.damaged(id, "%d free pages", n)
	}
	for last := uint64(0); n > 0; n, ids = n-1, ids[8:] {
		free := order.Uint64(ids)
		if free <= last {
			return c.damaged(id, "free pages out of order")
		}
		last = free
		if err := c.use(free, 1); err != nil {
			return err
		}
	}
	return nil
}
