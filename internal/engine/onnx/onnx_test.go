package onnx

import (
	"encoding/binary"
	"math"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"google.golang.org/protobuf/encoding/protowire"
)

// field makes a field of bytes.
func field(num protowire.Number, b ...byte) []byte {
	return protowire.AppendBytes(protowire.AppendTag(nil, num, protowire.BytesType), b)
}

func number(num protowire.Number, v uint64) []byte {
	return protowire.AppendVarint(protowire.AppendTag(nil, num, protowire.VarintType), v)
}

func join(parts ...[]byte) (all []byte) {
	for _, p := range parts {
		all = append(all, p...)
	}
	return all
}

func floats(fs ...float32) (b []byte) {
	for _, f := range fs {
		b = binary.LittleEndian.AppendUint32(b, math.Float32bits(f))
	}
	return b
}

// file is a model with the tensors, each given by its fields.
func file(tensors ...[]byte) []byte {
	var graph []byte
	for _, t := range tensors {
		graph = append(graph, field(graphTensor, t...)...)
	}
	return join(number(1, 8), field(modelGraph, graph...))
}

func named(name string) []byte { return field(tensorName, []byte(name)...) }

func TestRead(t *testing.T) {
	t.Parallel()
	kind := number(tensorType, typeFloat)
	got, err := Read(file(
		join(named("raw"), kind, number(tensorDims, 2), number(tensorDims, 1), field(tensorRaw, floats(1, -2)...)),
		join(named("packed"), kind, field(tensorDims, 1, 3), field(tensorFloats, floats(4, 5, 6)...)),
		join(named("scalar"), kind, field(tensorRaw, floats(float32(math.Inf(1)))...)),
		join(named("int"), number(tensorType, 7), number(tensorDims, 1), field(tensorRaw, make([]byte, 8)...)),
	))
	require.NoError(t, err)
	assert.Equal(t, map[string]Tensor{
		"raw":    {[]int{2, 1}, []float32{1, -2}},
		"packed": {[]int{1, 3}, []float32{4, 5, 6}},
		"scalar": {nil, []float32{float32(math.Inf(1))}},
	}, got)
}

func TestTake(t *testing.T) {
	t.Parallel()
	f := file(join(named("a"), number(tensorType, typeFloat), field(tensorDims, 1, 2), field(tensorRaw, floats(7, 8)...)))
	x := Open(f)
	assert.Equal(t, []float32{7, 8}, x.Take("a", 1, 2))
	require.NoError(t, x.Err())
	assert.Equal(t, []float32{0, 0}, x.Take("a", 2, 1), "another shape")
	require.ErrorContains(t, x.Err(), `"a" is [1 2], want [2 1]`)
	x.Take("b", 1)
	require.ErrorContains(t, x.Err(), `"a"`, "the first error stays")
	require.ErrorIs(t, Open([]byte("x")).Err(), ErrFormat)
}

func TestReadRefuses(t *testing.T) {
	t.Parallel()
	kind, one := number(tensorType, typeFloat), field(tensorRaw, floats(1)...)
	good := join(named("a"), kind, one)
	for name, c := range map[string]struct {
		file []byte
		want string
	}{
		"empty":           {nil, "no numbers"},
		"text":            {[]byte("<html>"), "proto"},
		"cut":             {file(good)[:len(file(good))-1], "EOF"},
		"twice":           {file(good, good), "twice"},
		"not filled":      {file(join(named("a"), kind, number(tensorDims, 3), field(tensorRaw, floats(1, 2)...))), "do not fill"},
		"too many":        {file(join(named("a"), kind, number(tensorDims, 1), field(tensorRaw, floats(1, 2)...))), "do not fit"},
		"product wraps":   {file(join(named("a"), kind, number(tensorDims, 1<<26), number(tensorDims, 1<<26), number(tensorDims, 1<<26), one)), "do not fill"},
		"zero":            {file(join(named("a"), kind, number(tensorDims, 0), one)), "do not fill"},
		"negative":        {file(join(named("a"), kind, number(tensorDims, math.MaxUint64), one)), "dimension"},
		"many dimensions": {file(join(named("a"), kind, field(tensorDims, 1, 1, 1, 1, 1, 1, 1, 1, 1), one)), "9th"},
		"odd bytes":       {file(join(named("a"), kind, field(tensorRaw, 1, 2, 3))), "no numbers"},
		"elsewhere":       {file(join(named("a"), kind, number(tensorWhere, 1), one)), "another file"},
		"both":            {file(join(named("a"), kind, one, field(tensorFloats, floats(1)...))), "twice"},
		"not a number":    {file(join(named("a"), kind, number(tensorDims, 2), field(tensorRaw, floats(1, float32(math.NaN()))...))), "finite"},
		"long name":       {file(join(named(string(make([]byte, maxName+1))), kind, one)), "name of 513"},
		"huge":            {make([]byte, maxFile+1), "more than"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			_, err := Read(c.file)
			require.ErrorIs(t, err, ErrFormat)
			assert.ErrorContains(t, err, c.want)
		})
	}
}

func FuzzRead(f *testing.F) {
	kind := number(tensorType, typeFloat)
	f.Add(file(join(named("a"), kind, number(tensorDims, 2), field(tensorRaw, floats(1, 2)...))))
	f.Add(file(join(named("a"), kind, field(tensorDims, 2, 1), field(tensorFloats, floats(1, 2)...))))
	f.Fuzz(func(t *testing.T, b []byte) {
		all, err := Read(b)
		total := 0
		for name, x := range all {
			n := 1
			for _, d := range x.Dims {
				n *= d
			}
			if n != len(x.Data) {
				t.Fatal(name, x.Dims, len(x.Data))
			}
			total += len(x.Data)
		}
		if (err == nil) != (len(all) > 0) || 4*total > len(b) {
			t.Fatal(err, len(all), total)
		}
	})
}
