package archive

import "math/bits"

const (
	litBits, distBits = 10, 8 // of a code that are looked up at once
	maxBits           = 15
	maxLit, maxDist   = 286, 30

	// A table behind a table has at least two codes, and at most as many
	// entries as the bits that are left of the longest one distinguish.
	litSize  = 1<<litBits + 288/2<<(maxBits-litBits)
	distSize = 1<<distBits + 32/2<<(maxBits-distBits)
)

// An entry of a table: its code's length in bits (behind the first table what
// is left of it), a value, and how many more bits there are to add to that. Of
// a further table the value is where it begins, and the bits are its own.
const (
	lengthMask = 0x1f
	valueShift = 8
	valueMask  = 0x7fff
	extraShift = 24
	extraMask  = 0xf
	isSpecial  = 1 << 29
	isTable    = 1 << 30
	isLiteral  = 1 << 31

	endOfBlock = 0
	noCode     = isSpecial | 1<<valueShift | 1
)

// What the codes mean, without their lengths.
var (
	litValues  [288]uint32
	distValues [32]uint32
	plain      [19]uint32 // the codes that code the lengths of codes
)

func init() {
	for i := range 256 {
		litValues[i] = isLiteral | uint32(i)<<valueShift
	}
	litValues[256] = isSpecial | endOfBlock<<valueShift
	base := uint32(3)
	for i := range 28 {
		extra := uint32(max(i/4-1, 0))
		litValues[257+i] = base<<valueShift | extra<<extraShift
		base += 1 << extra
	}
	litValues[285] = longest << valueShift
	litValues[286], litValues[287] = noCode&^lengthMask, noCode&^lengthMask
	base = 1
	for i := range 30 {
		extra := uint32(max(i/2-1, 0))
		distValues[i] = base<<valueShift | extra<<extraShift
		base += 1 << extra
	}
	distValues[30], distValues[31] = noCode&^lengthMask, noCode&^lengthMask
	for i := range plain {
		plain[i] = uint32(i) << valueShift
	}
}

// makeTable lays out the codes of the given lengths. It returns the mask of
// the first table, which is no larger than the longest code needs: many small
// blocks must not cost more than they look. Codes that are too many or too few
// are refused as compress/flate does, with the same exceptions: no code at
// all, and a single one of one bit.
func makeTable(table []uint32, primary int, lengths []uint8, values []uint32) (mask uint32, ok bool) {
	var count, next [maxBits + 2]int
	longestCode := 0
	for _, l := range lengths {
		count[l]++
		longestCode = max(longestCode, int(l))
	}
	count[0] = 0
	code := 0
	for l := 1; l <= longestCode; l++ {
		code = code<<1 + count[l]
		next[l+1] = next[l] + count[l]
	}
	switch {
	case longestCode == 0, longestCode == 1 && code == 1:
		table[0], table[1] = noCode, noCode
	case code != 1<<longestCode:
		return 0, false
	}
	first := min(max(longestCode, 1), primary)
	mask = 1<<first - 1
	var sorted [288]uint16 // by length
	used := 0
	for s, l := range lengths {
		if l > 0 {
			sorted[next[l]] = uint16(s)
			next[l]++
			used++
		}
	}
	// In this order the codes, read from their first bit, only grow.
	free, table2, last := 1<<first, 0, -1
	subBits := longestCode - first
	code, length := 0, 0
	for _, s := range sorted[:used] {
		l := int(lengths[s])
		code <<= l - length
		length = l
		at := int(bits.Reverse16(uint16(code)) >> (16 - l))
		code++
		if l <= first {
			e := values[s] | uint32(l)
			for ; at <= int(mask); at += 1 << l {
				table[at] = e
			}
			continue
		}
		if head := at & int(mask); head != last {
			table2, last = free, head
			if free += 1 << subBits; free > len(table) {
				return 0, false
			}
			table[head] = isTable | uint32(table2)<<valueShift | uint32(subBits)<<extraShift | uint32(first)
		}
		e := values[s] | uint32(l-first)
		for at >>= first; at < 1<<subBits; at += 1 << (l - first) {
			table[table2+at] = e
		}
	}
	return mask, true
}

func (z *inflater) fixedCodes() {
	var l [288]uint8
	for i := range l {
		switch {
		case i < 144:
			l[i] = 8
		case i < 256:
			l[i] = 9
		case i < 280:
			l[i] = 7
		default:
			l[i] = 8
		}
	}
	z.litMask, _ = makeTable(z.lit[:], litBits, l[:], litValues[:])
	for i := range 32 {
		l[i] = 5
	}
	z.distMask, _ = makeTable(z.dist[:], distBits, l[:32], distValues[:])
	z.fixed = true
}

// lengthOrder is the order in which the lengths of the codes for lengths come.
var lengthOrder = [19]uint8{16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15}

func (z *inflater) dynamicCodes() error {
	head, err := z.take(14)
	if err != nil {
		return err
	}
	lits, dists, many := int(head&31)+257, int(head>>5&31)+1, int(head>>10)+4
	if lits > maxLit || dists > maxDist {
		return errDamaged
	}
	var own [19]uint8
	for i := range many {
		v, err := z.take(3)
		if err != nil {
			return err
		}
		own[lengthOrder[i]] = uint8(v)
	}
	// The first table serves until its own codes are known.
	z.fixed = false
	mask, ok := makeTable(z.lit[:], litBits, own[:], plain[:])
	if !ok {
		return errDamaged
	}
	lengths := z.lengths[:lits+dists]
	for i := 0; i < len(lengths); {
		e, err := z.code(z.lit[:], mask, litBits)
		if err != nil {
			return err
		}
		if e&isSpecial != 0 {
			return errDamaged
		}
		value := uint8(e >> valueShift & valueMask)
		if value < 16 {
			lengths[i] = value
			i++
			continue
		}
		var again uint8
		var times uint32
		switch value {
		case 16:
			if i == 0 {
				return errDamaged
			}
			again = lengths[i-1]
			times, err = z.take(2)
			times += 3
		case 17:
			times, err = z.take(3)
			times += 3
		default:
			times, err = z.take(7)
			times += 11
		}
		if err != nil {
			return err
		}
		if i+int(times) > len(lengths) {
			return errDamaged
		}
		for range times {
			lengths[i] = again
			i++
		}
	}
	if z.litMask, ok = makeTable(z.lit[:], litBits, lengths[:lits], litValues[:]); !ok {
		return errDamaged
	}
	if z.distMask, ok = makeTable(z.dist[:], distBits, lengths[lits:], distValues[:]); !ok {
		return errDamaged
	}
	return nil
}
