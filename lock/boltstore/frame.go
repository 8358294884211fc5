package boltstore

import (
	"bytes"
	"encoding/binary"
	"hash/crc32"

	"chartd.dev/chartd/lock/overlay"
	"chartd.dev/chartd/lock/store"
)

// A log file is a header of one page, with marks in it, and frames, each of which begins at a
// page: what a write that is cut off by a power cut can spoil is its own frame.
// After the last frame comes a page of zeros, so that anything else there is
// the beginning of a write that did not end.
const (
	logPage    = 4096
	frameHead  = 32
	frameMagic = 0x4d524644
)

// frame is a group of updates as the log holds it.
type frame struct {
	epoch uint64
	first uint64 // revision of its first update
	count uint32 // of updates
	body  []byte
	size  int64 // in the file, without the page of zeros
}

func (f frame) last() uint64 { return f.first + uint64(f.count) - 1 }

// frameWriter builds the bytes of a frame.
type frameWriter struct {
	b     []byte
	count uint32
}

// add adds the writes of one update.
func (f *frameWriter) add(writes []overlay.Write) {
	if len(f.b) == 0 {
		f.b = append(f.b[:0], make([]byte, frameHead)...)
	}
	b := binary.AppendUvarint(f.b, uint64(len(writes)))
	for _, w := range writes {
		b = binary.AppendUvarint(b, uint64(len(w.Bucket)))
		b = append(b, w.Bucket...)
		b = binary.AppendUvarint(b, uint64(len(w.Key)))
		b = append(b, w.Key...)
		if w.Delete {
			b = append(b, 0)
			continue
		}
		b = binary.AppendUvarint(b, uint64(len(w.Value))+1)
		b = append(b, w.Value...)
	}
	f.b = b
	f.count++
}

// finish returns the bytes to write: the frame, and a page of zeros.
func (f *frameWriter) finish(epoch, first uint64) []byte {
	order, b := binary.LittleEndian, f.b
	order.PutUint32(b, frameMagic)
	order.PutUint32(b[4:], uint32(len(b)-frameHead))
	order.PutUint32(b[12:], f.count)
	order.PutUint64(b[16:], epoch)
	order.PutUint64(b[24:], first)
	order.PutUint32(b[8:], frameSum(b))
	f.b = append(b, make([]byte, pages(int64(len(b)))-int64(len(b))+logPage)...)
	return f.b
}

// frameSum covers everything but itself.
func frameSum(b []byte) uint32 {
	return crc32.Update(crc32.Checksum(b[:8], castagnoli), castagnoli, b[12:])
}

// pages rounds up to whole pages.
func pages(n int64) int64 { return (n + logPage - 1) / logPage * logPage }

// parseFrame returns the frame that b begins with, whose checksum is right.
func parseFrame(b []byte) (frame, bool) {
	order := binary.LittleEndian
	if len(b) < frameHead || order.Uint32(b) != frameMagic {
		return frame{}, false
	}
	n := uint64(order.Uint32(b[4:]))
	if n > uint64(len(b)-frameHead) {
		return frame{}, false
	}
	whole := b[:frameHead+n]
	if order.Uint32(b[8:]) != frameSum(whole) {
		return frame{}, false
	}
	f := frame{epoch: order.Uint64(b[16:]), first: order.Uint64(b[24:]), count: order.Uint32(b[12:]), body: whole[frameHead:], size: pages(int64(len(whole)))}
	return f, f.count > 0
}

// begun returns what the header of a frame of an epoch says, true or not, if b
// begins like one.
func begun(b []byte, epoch uint64) (frame, bool) {
	order := binary.LittleEndian
	if len(b) < frameHead || order.Uint32(b) != frameMagic || order.Uint64(b[16:]) != epoch {
		return frame{}, false
	}
	return frame{epoch: epoch, first: order.Uint64(b[24:]), count: order.Uint32(b[12:]), size: pages(int64(order.Uint32(b[4:])) + frameHead)}, true
}

// beyond reports whether there is no room left for the end of a log, or a frame
// begins that ends past it: room is made before a frame is written.
func beyond(b []byte, epoch uint64) bool {
	if len(b) < logPage {
		return true
	}
	f, ok := begun(b, epoch)
	return ok && f.size+logPage > int64(len(b))
}

// updates calls fn with the writes of each update, in order. The values lie in
// the frame's bytes.
func (f frame) updates(fn func([]overlay.Write) error) (ok bool, err error) {
	d := decoder{b: f.body}
	for range f.count {
		n := d.number()
		if n > store.MaxWrites {
			return false, nil
		}
		writes := make([]overlay.Write, 0, n)
		for range n {
			w := overlay.Write{Bucket: string(d.bytes(d.number())), Key: string(d.bytes(d.number()))}
			if size := d.number(); size == 0 {
				w.Delete = true
			} else {
				w.Value = bytes.Clone(d.bytes(size - 1))
			}
			writes = append(writes, w)
		}
		if d.bad {
			return false, nil
		}
		if err := fn(writes); err != nil {
			return true, err
		}
	}
	return !d.bad && len(d.b) == 0, nil
}

// decoder reads from b until something is bad.
type decoder struct {
	b   []byte
	bad bool
}

func (d *decoder) number() uint64 {
	n, size := binary.Uvarint(d.b)
	if size <= 0 {
		d.bad, d.b = true, nil
		return 0
	}
	d.b = d.b[size:]
	return n
}

func (d *decoder) bytes(n uint64) []byte {
	if n > uint64(len(d.b)) {
		d.bad, d.b = true, nil
		return nil
	}
	out := d.b[:n:n]
	d.b = d.b[n:]
	return out
}

// blank reports whether there are only zeros.
func blank(b []byte) bool { return len(bytes.Trim(b, "\x00")) == 0 }
