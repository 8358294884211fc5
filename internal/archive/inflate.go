package archive

import (
	"encoding/binary"
	"errors"
	"io"
)

const (
	history  = 32 << 10 // how far back a match reaches
	unpacked = 96 << 10 // bytes that next makes at most, and a match more
	longest  = 258      // bytes of a match
	overrun  = 16       // that a copy in eights may write behind its end
)

// inflater unpacks one deflate stream and takes not a byte more from its
// source than the stream has. What it accepts is what compress/flate accepts;
// it is faster, because it unpacks into one buffer that its user reads in
// place.
type inflater struct {
	src    *source
	bits   uint64 // taken from src, the next one lowest
	n      uint   // how many
	state  inflateState
	final  bool // this is the last block
	fixed  bool // the tables are those of the fixed codes
	stored int  // bytes of a stored block that are to come
	w      int  // where in out to go on
	err    error

	lengths  [maxLit + maxDist]uint8
	lit      [litSize]uint32
	dist     [distSize]uint32
	out      [unpacked + longest + overrun]byte
	litMask  uint32
	distMask uint32
}

type inflateState int

const (
	betweenBlocks inflateState = iota
	inStored
	inCodes
)

var errDamaged = errors.New("the compressed data is damaged")

func (z *inflater) reset(src *source) {
	z.src, z.bits, z.n, z.state, z.final, z.stored, z.w, z.err = src, 0, 0, betweenBlocks, false, 0, 0, nil
}

// next unpacks some more. The bytes are good until the next call; they may
// come with an error, io.EOF at the end of the stream.
func (z *inflater) next() ([]byte, error) {
	if z.w >= unpacked {
		z.w = copy(z.out[:history], z.out[z.w-history:z.w])
	}
	start := z.w
	for z.err == nil && z.w < unpacked {
		switch z.state {
		case betweenBlocks:
			z.err = z.block()
		case inStored:
			z.err = z.copyStored()
		case inCodes:
			z.err = z.codes()
		}
	}
	return z.out[start:z.w], z.err
}

// need makes sure of k bits, at most 16. It takes a byte only where that has
// one of them, so that at any time the whole bytes in bits are of the piece
// that src is at.
func (z *inflater) need(k uint) error {
	for z.n < k {
		c, err := z.src.ReadByte()
		if err != nil {
			return early(err)
		}
		z.bits |= uint64(c) << z.n
		z.n += 8
	}
	return nil
}

// early is the error of a source that ends inside the stream.
func early(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

func (z *inflater) take(k uint) (uint32, error) {
	if err := z.need(k); err != nil {
		return 0, err
	}
	v := uint32(z.bits & (1<<k - 1))
	z.drop(k)
	return v, nil
}

func (z *inflater) drop(k uint) {
	z.bits >>= k
	z.n -= k
}

// align drops the rest of a byte and gives back those that were not needed.
func (z *inflater) align() {
	z.src.at -= int(z.n / 8)
	z.bits, z.n = 0, 0
}

// block begins the next block, or ends the stream.
func (z *inflater) block() error {
	if z.final {
		z.align()
		return io.EOF
	}
	head, err := z.take(3)
	if err != nil {
		return err
	}
	z.final = head&1 == 1
	switch head >> 1 {
	case 0:
		z.align()
		var size [4]byte
		if _, err := z.src.readFull(size[:]); err != nil {
			return early(err)
		}
		n := binary.LittleEndian.Uint16(size[:])
		if binary.LittleEndian.Uint16(size[2:]) != ^n {
			return errDamaged
		}
		z.stored, z.state = int(n), inStored
		return nil
	case 1:
		if !z.fixed {
			z.fixedCodes()
		}
	case 2:
		if err := z.dynamicCodes(); err != nil {
			return err
		}
	default:
		return errDamaged
	}
	z.state = inCodes
	return nil
}

func (z *inflater) copyStored() error {
	for z.stored > 0 && z.w < unpacked {
		p, err := z.src.piece()
		if err != nil {
			return early(err)
		}
		n := copy(z.out[z.w:unpacked], p[:min(len(p), z.stored)])
		z.src.at += n
		z.stored -= n
		z.w += n
	}
	if z.stored == 0 {
		z.state = betweenBlocks
	}
	return nil
}

// codes unpacks a compressed block: in a hurry while there is much of the
// source left, then code by code.
func (z *inflater) codes() error {
	for z.w < unpacked {
		if more, err := z.fast(); !more || err != nil {
			return err
		}
		if z.w >= unpacked {
			break
		}
		if more, err := z.slow(); !more || err != nil {
			return err
		}
	}
	return nil
}

// fastInput is what one round of fast takes from the source at most, eight
// bytes read at once included.
const fastInput = 16

// fast unpacks while a round needs no look at the end of the source. Without
// more the block is at its end.
func (z *inflater) fast() (more bool, err error) {
	in, at := z.src.buf, z.src.at
	bits, n, w := z.bits, z.n, z.w
	litMask, distMask := uint64(z.litMask), uint64(z.distMask)
	out := z.out[:]
	more = true
loop:
	for len(in)-at >= fastInput && w < unpacked {
		bits |= binary.LittleEndian.Uint64(in[at:]) << (n & 63)
		at += int(63-n) >> 3
		n |= 56
		e := z.lit[bits&litMask]
		if e&isLiteral != 0 {
			bits >>= e & lengthMask
			n -= uint(e & lengthMask)
			out[w] = byte(e >> valueShift)
			w++
			if e = z.lit[bits&litMask]; e&isLiteral != 0 {
				bits >>= e & lengthMask
				n -= uint(e & lengthMask)
				out[w] = byte(e >> valueShift)
				w++
				if e = z.lit[bits&litMask]; e&isLiteral != 0 {
					bits >>= e & lengthMask
					n -= uint(e & lengthMask)
					out[w] = byte(e >> valueShift)
					w++
					continue
				}
			}
		}
		// Two literals at most since the bits were filled up: 36 are left.
		if e&isTable != 0 {
			bits >>= litBits
			n -= litBits
			e = z.lit[uint64(e>>valueShift&valueMask)+bits&(1<<(e>>extraShift&extraMask)-1)]
			if e&isLiteral != 0 {
				bits >>= e & lengthMask
				n -= uint(e & lengthMask)
				out[w] = byte(e >> valueShift)
				w++
				continue
			}
		}
		bits >>= e & lengthMask
		n -= uint(e & lengthMask)
		if e&isSpecial != 0 {
			more = false
			if e>>valueShift&valueMask != endOfBlock {
				err = errDamaged
			}
			break loop
		}
		extra := e >> extraShift & extraMask
		length := int(e>>valueShift&valueMask) + int(bits&(1<<extra-1))
		bits >>= extra
		n -= uint(extra)

		bits |= binary.LittleEndian.Uint64(in[at:]) << (n & 63)
		at += int(63-n) >> 3
		n |= 56
		e = z.dist[bits&distMask]
		if e&isTable != 0 {
			bits >>= distBits
			n -= distBits
			e = z.dist[uint64(e>>valueShift&valueMask)+bits&(1<<(e>>extraShift&extraMask)-1)]
		}
		bits >>= e & lengthMask
		n -= uint(e & lengthMask)
		extra = e >> extraShift & extraMask
		back := int(e>>valueShift&valueMask) + int(bits&(1<<extra-1))
		bits >>= extra
		n -= uint(extra)
		if e&isSpecial != 0 || back > w {
			more, err = false, errDamaged
			break loop
		}
		from, end := w-back, w+length
		if back >= 8 {
			for w < end {
				binary.LittleEndian.PutUint64(out[w:], binary.LittleEndian.Uint64(out[from:]))
				w += 8
				from += 8
			}
			w = end
		} else {
			w = repeat(out, from, w, end)
		}
	}
	// The bits above n are those of the next byte, which slow takes itself.
	z.src.at, z.bits, z.n, z.w = at, bits&(1<<n-1), n, w
	if !more {
		z.state = betweenBlocks
	}
	return more, err
}

// repeat fills out[w:end] with what begins at from, again and again.
func repeat(out []byte, from, w, end int) int {
	for ; w < end; w++ {
		out[w] = out[from]
		from++
	}
	return w
}

// slow unpacks one code, taking no byte before it is needed. Without more the
// block is at its end.
func (z *inflater) slow() (more bool, err error) {
	e, err := z.code(z.lit[:], z.litMask, litBits)
	if err != nil {
		return false, err
	}
	switch {
	case e&isLiteral != 0:
		z.out[z.w] = byte(e >> valueShift)
		z.w++
		return true, nil
	case e&isSpecial != 0 && e>>valueShift&valueMask == endOfBlock:
		z.state = betweenBlocks
		return false, nil
	case e&isSpecial != 0:
		return false, errDamaged
	}
	add, err := z.take(uint(e >> extraShift & extraMask))
	if err != nil {
		return false, err
	}
	length := int(e>>valueShift&valueMask) + int(add)
	if e, err = z.code(z.dist[:], z.distMask, distBits); err != nil {
		return false, err
	}
	if e&isSpecial != 0 {
		return false, errDamaged
	}
	if add, err = z.take(uint(e >> extraShift & extraMask)); err != nil {
		return false, err
	}
	back := int(e>>valueShift&valueMask) + int(add)
	if back > z.w {
		return false, errDamaged
	}
	z.w = repeat(z.out[:], z.w-back, z.w, z.w+length)
	return true, nil
}

// code reads one code. Where the bits at hand do not hold a whole one, the
// entry that they lead to is longer than they are, whatever comes next.
func (z *inflater) code(table []uint32, mask uint32, primary uint) (uint32, error) {
	for {
		e := table[uint32(z.bits)&mask]
		long := uint(e & lengthMask)
		if e&isTable != 0 {
			e = table[e>>valueShift&valueMask+uint32(z.bits>>primary)&(1<<(e>>extraShift&extraMask)-1)]
			long = primary + uint(e&lengthMask)
		}
		if long <= z.n {
			z.drop(long)
			return e, nil
		}
		if err := z.need(z.n + 1); err != nil {
			return 0, err
		}
	}
}
