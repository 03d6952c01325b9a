// Package onnx reads the numbers out of an ONNX file: the weights of a network, by their names. It
// does not run networks. The engines use it when they pack their weights at build time, so it is
// not part of the binary.
package onnx

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"

	"google.golang.org/protobuf/encoding/protowire"
)

// Tensor is one array of numbers. A scalar has no dimensions and one number.
type Tensor struct {
	Dims []int
	Data []float32
}

// ErrFormat is wrapped by every error of Read.
var ErrFormat = errors.New("no ONNX file that can be read")

const (
	maxFile    = 64 << 20
	maxTensors = 4096
	maxDims    = 8
	maxName    = 512
)

// The field numbers of the format that matter here.
const (
	modelGraph   = 7
	graphTensor  = 5
	tensorDims   = 1
	tensorType   = 2
	tensorFloats = 4
	tensorName   = 8
	tensorRaw    = 9
	tensorWhere  = 14

	typeFloat = 1
)

// Read returns the float32 tensors of the main graph by name; those of other types are left out.
// The file may be 64 MiB long, and what is returned is never larger than it. Numbers kept in
// another file, a name that comes twice, and numbers that are not finite (but in scalars, where
// they mean no limit) are errors.
func Read(file []byte) (map[string]Tensor, error) {
	if len(file) > maxFile {
		return nil, fmt.Errorf("%w: more than %d bytes", ErrFormat, maxFile)
	}
	all := map[string]Tensor{}
	err := fields(file, func(num protowire.Number, model value) error {
		if num != modelGraph {
			return nil
		}
		return fields(model.bytes, func(num protowire.Number, graph value) error {
			if num != graphTensor {
				return nil
			}
			return add(all, graph.bytes)
		})
	})
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrFormat, err)
	}
	if len(all) == 0 {
		return nil, fmt.Errorf("%w: it holds no numbers", ErrFormat)
	}
	return all, nil
}

// value is what a field holds: bytes, or a number.
type value struct {
	bytes  []byte
	number uint64
}

// fields calls f with each field of a message.
func fields(b []byte, f func(protowire.Number, value) error) error {
	for len(b) > 0 {
		num, kind, n := protowire.ConsumeTag(b)
		if n < 0 {
			return protowire.ParseError(n)
		}
		b = b[n:]
		var v value
		switch kind {
		case protowire.BytesType:
			v.bytes, n = protowire.ConsumeBytes(b)
		case protowire.VarintType:
			v.number, n = protowire.ConsumeVarint(b)
		case protowire.Fixed32Type:
			var x uint32
			x, n = protowire.ConsumeFixed32(b)
			v.number = uint64(x)
		default:
			n = protowire.ConsumeFieldValue(num, kind, b)
		}
		if n < 0 {
			return protowire.ParseError(n)
		}
		b = b[n:]
		if err := f(num, v); err != nil {
			return err
		}
	}
	return nil
}

func add(all map[string]Tensor, b []byte) error {
	name, t, err := tensor(b)
	if err != nil {
		return fmt.Errorf("tensor %q: %w", name, err)
	}
	if t.Data == nil {
		return nil
	}
	if _, twice := all[name]; twice {
		return fmt.Errorf("tensor %q comes twice", name)
	}
	if len(all) == maxTensors {
		return fmt.Errorf("more than %d tensors", maxTensors)
	}
	all[name] = t
	return nil
}

// raw is a tensor as it stands in the file. Numbers come as one run of bytes, or as floats.
type raw struct {
	name   string
	dims   []int
	kind   uint64
	where  uint64
	bytes  []byte
	floats []byte
}

// tensor reads one tensor. One of another type has no Data.
func tensor(b []byte) (name string, t Tensor, err error) {
	var r raw
	err = fields(b, r.field)
	name = r.name
	switch {
	case err != nil, r.kind != typeFloat:
		return name, t, err
	case r.where != 0:
		return name, t, errors.New("its numbers are in another file")
	case len(r.bytes) > 0 && len(r.floats) > 0:
		return name, t, errors.New("it has its numbers twice")
	}
	data := r.bytes
	if len(r.floats) > 0 {
		data = r.floats
	}
	if len(data)%4 != 0 || len(data) == 0 {
		return name, t, fmt.Errorf("%d bytes are no numbers", len(data))
	}
	// What is left to fill shrinks with each dimension, so the product cannot overflow.
	left := len(data) / 4
	for _, d := range r.dims {
		if d < 1 || left%d != 0 {
			return name, t, fmt.Errorf("%d numbers do not fill %v", len(data)/4, r.dims)
		}
		left /= d
	}
	if left != 1 {
		return name, t, fmt.Errorf("%d numbers do not fit into %v", len(data)/4, r.dims)
	}
	t = Tensor{Dims: r.dims, Data: make([]float32, len(data)/4)}
	for i := range t.Data {
		f := math.Float32frombits(binary.LittleEndian.Uint32(data[4*i:]))
		if bad := math.IsNaN(float64(f)) || math.IsInf(float64(f), 0); bad && len(t.Data) > 1 {
			return name, Tensor{}, errors.New("a number is not finite")
		}
		t.Data[i] = f
	}
	return name, t, nil
}

func (r *raw) field(num protowire.Number, v value) error {
	switch num {
	case tensorDims:
		return r.dim(v)
	case tensorType:
		r.kind = v.number
	case tensorWhere:
		r.where = v.number
	case tensorRaw:
		r.bytes = v.bytes
	case tensorFloats:
		if v.bytes != nil {
			r.floats = append(r.floats, v.bytes...)
		} else {
			r.floats = binary.LittleEndian.AppendUint32(r.floats, uint32(v.number))
		}
	case tensorName:
		if len(v.bytes) > maxName {
			return fmt.Errorf("a name of %d bytes", len(v.bytes))
		}
		r.name = string(v.bytes)
	}
	return nil
}

// dim adds a dimension, or several that come packed.
func (r *raw) dim(v value) error {
	b := v.bytes
	if b == nil {
		b = protowire.AppendVarint(nil, v.number)
	}
	for len(b) > 0 {
		d, n := protowire.ConsumeVarint(b)
		if n < 0 {
			return protowire.ParseError(n)
		}
		if d > maxFile || len(r.dims) == maxDims {
			return fmt.Errorf("dimension %d, the %dth", d, len(r.dims)+1)
		}
		r.dims = append(r.dims, int(d))
		b = b[n:]
	}
	return nil
}

// Tensors are the tensors of a file, for an engine that knows what it expects there.
type Tensors struct {
	by  map[string]Tensor
	err error
}

// Open is Read for Take. The error of Read comes out of Err.
func Open(file []byte) *Tensors {
	by, err := Read(file)
	return &Tensors{by: by, err: err}
}

// Take returns the numbers of a tensor, or zeros if it is not there or not of these dimensions,
// which Err then tells.
func (t *Tensors) Take(name string, dims ...int) []float32 {
	n := 1
	for _, d := range dims {
		n *= d
	}
	x := t.by[name]
	same := len(x.Data) == n && len(x.Dims) == len(dims)
	for i := 0; same && i < len(dims); i++ {
		same = x.Dims[i] == dims[i]
	}
	if same {
		return x.Data
	}
	if t.err == nil {
		t.err = fmt.Errorf("%w: tensor %q is %v, want %v", ErrFormat, name, x.Dims, dims)
	}
	return make([]float32, n)
}

// Err is the first error, if there was one.
func (t *Tensors) Err() error { return t.err }
