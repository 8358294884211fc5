package repo

import (
	"encoding/binary"
	"hash/crc32"
)

// gzipHeader names no file, no time and no system: the same index gives the
// same bytes everywhere (RFC 1952).
var gzipHeader = []byte{0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 0xff}

// stored is data as deflate blocks without compression, not the last ones.
func stored(data []byte) []byte {
	var out []byte
	for len(data) > 0 {
		n := min(len(data), 0xffff)
		out = append(out, 0)
		out = binary.LittleEndian.AppendUint16(out, uint16(n))
		out = binary.LittleEndian.AppendUint16(out, ^uint16(n))
		out, data = append(out, data[:n]...), data[n:]
	}
	return out
}

// sumOf is the CRC-32 of a piece, with what joins it to the piece before:
// x^(8·size) modulo the checksum's polynomial. Joining costs the same whatever
// the size, so the checksum of the whole costs no second look at the bytes.
type sumOf struct {
	crc, shift uint32
	size       int64
}

func newSum(data []byte) sumOf {
	return sumOf{crc32.ChecksumIEEE(data), power(uint64(len(data))), int64(len(data))}
}

func (a sumOf) join(b sumOf) sumOf {
	return sumOf{multiply(b.shift, a.crc) ^ b.crc, multiply(a.shift, b.shift), a.size + b.size}
}

// trailer ends a gzip stream: an empty last block, checksum and size.
func (a sumOf) trailer() []byte {
	out := []byte{1, 0, 0, 0xff, 0xff}
	out = binary.LittleEndian.AppendUint32(out, a.crc)
	return binary.LittleEndian.AppendUint32(out, uint32(a.size))
}

// multiply multiplies polynomials over GF(2), bits reversed as in CRC-32,
// modulo its polynomial.
func multiply(a, b uint32) uint32 {
	var p uint32
	for m := uint32(1) << 31; m != 0; m >>= 1 {
		if a&m != 0 {
			p ^= b
		}
		if b&1 != 0 {
			b = b>>1 ^ crc32.IEEE
		} else {
			b >>= 1
		}
	}
	return p
}

// power is x^(8·n) modulo the polynomial.
func power(n uint64) uint32 {
	p := uint32(1) << 31      // x^0
	square := uint32(1) << 23 // x^8
	for ; n > 0; n >>= 1 {
		if n&1 != 0 {
			p = multiply(square, p)
		}
		square = multiply(square, square)
	}
	return p
}
