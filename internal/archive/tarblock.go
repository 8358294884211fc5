package archive

import (
	"bytes"
	"encoding/binary"
)

// checkBlock checks a header's checksum and numbers and returns its size.
func checkBlock(rec []byte) (int64, error) {
	want, ok := number(rec[148:156])
	if !ok || want != checksum(rec) {
		return 0, malformed("tar-header", "wrong checksum: not a tar archive, or a damaged one")
	}
	fields := [...][2]int{{100, 108}, {108, 116}, {116, 124}, {136, 148}, {329, 337}, {337, 345}}
	known := 4
	if string(rec[257:262]) == "ustar" {
		known = len(fields)
	}
	for _, f := range fields[:known] {
		if _, ok := number(rec[f[0]:f[1]]); !ok {
			return 0, malformed("tar-header", "a number of the header is not readable: %q", rec[f[0]:f[1]])
		}
	}
	size, ok := number(rec[124:136])
	if !ok || size < 0 {
		return 0, malformed("tar-header", "the size is not readable: %q", rec[124:136])
	}
	return size, nil
}

// checksum adds up the bytes of a block, those of the checksum as spaces.
func checksum(rec []byte) int64 {
	const each = 0x00ff00ff00ff00ff
	var even, odd uint64 // four sums of 16 bits each: 64 bytes add up to less
	for p := rec[:block]; len(p) >= 8; p = p[8:] {
		v := binary.LittleEndian.Uint64(p)
		even += v & each
		odd += v >> 8 & each
	}
	sum := int64(8 * ' ')
	for _, v := range [2]uint64{even, odd} {
		sum += int64(v&0xffff + v>>16&0xffff + v>>32&0xffff + v>>48)
	}
	for _, c := range rec[148:156] {
		sum -= int64(c)
	}
	return sum
}

// number reads an octal or, with the first bit set, a base-256 number.
func number(f []byte) (int64, bool) {
	if f[0]&0x80 == 0 {
		f = trimNumber(f)
		n := int64(0)
		for _, c := range f {
			if c < '0' || c > '7' || n>>60 > 0 {
				return 0, false
			}
			n = n<<3 | int64(c-'0')
		}
		return n, true
	}
	negative := f[0]&0x40 != 0
	var n uint64
	for i, c := range f {
		if negative {
			c = ^c
		}
		if i == 0 {
			c &= 0x7f
		}
		if n>>55 > 0 {
			return 0, false
		}
		n = n<<8 | uint64(c)
	}
	if negative {
		return int64(^n), true
	}
	return int64(n), true
}

// trimNumber cuts off what stands around an octal number: spaces and NULs, and
// all behind a NUL.
func trimNumber(f []byte) []byte {
	for len(f) > 0 && (f[0] == ' ' || f[0] == 0) {
		f = f[1:]
	}
	for len(f) > 0 && (f[len(f)-1] == ' ' || f[len(f)-1] == 0) {
		f = f[:len(f)-1]
	}
	if i := bytes.IndexByte(f, 0); i >= 0 {
		f = f[:i]
	}
	return f
}
