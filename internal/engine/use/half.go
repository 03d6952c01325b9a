package use

import "math"

// toHalf rounds to the nearest half-precision number, ties to even. Too large becomes infinite;
// weights are not.
func toHalf(f float32) uint16 {
	bits := math.Float32bits(f)
	sign := uint16(bits >> 16 & 0x8000)
	exp := int(bits>>23&0xff) - 127 + 15
	frac := bits & 0x7fffff
	switch {
	case exp == 0xff-127+15: // infinite or no number
		if frac != 0 {
			return sign | 0x7e00
		}
		return sign | 0x7c00
	case exp >= 0x1f:
		return sign | 0x7c00
	case exp <= -11:
		return sign
	}
	shift := uint(13)
	if exp <= 0 { // subnormal: the leading one is no longer implied
		frac |= 0x800000
		shift += uint(1 - exp)
		exp = 0
	}
	h := uint32(exp) << 10
	h += frac >> shift
	rest, middle := frac&(1<<shift-1), uint32(1)<<(shift-1)
	if rest > middle || (rest == middle && h&1 == 1) {
		h++ // may carry into the exponent, which is right
	}
	return sign | uint16(h)
}

// fromHalf is exact.
func fromHalf(h uint16) float32 {
	sign := uint32(h&0x8000) << 16
	exp := uint32(h >> 10 & 0x1f)
	frac := uint32(h & 0x3ff)
	switch exp {
	case 0:
		f := float32(frac) * (1.0 / (1 << 24))
		return math.Float32frombits(sign | math.Float32bits(f))
	case 0x1f:
		return math.Float32frombits(sign | 0x7f800000 | frac<<13)
	}
	return math.Float32frombits(sign | (exp+112)<<23 | frac<<13)
}
