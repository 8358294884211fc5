package boltstore

import (
	"encoding/binary"
	"hash/crc32"
)

// The database file, format 2: the bbolt bucket "store" holds what the store
// knows of itself; the bucket "b/" + name holds the keys of a bucket. A stored
// value ends in a CRC-32C of its bucket, key and bytes; the own bucket's name
// is "" there. Format 1 is the same without a log beside it.
const (
	format      = 2
	application = "chartd lock database"

	ownBucket   = "store"
	userPrefix  = "b/"
	countPrefix = "count/"

	applicationKey = "application"
	formatKey      = "format"
	revisionKey    = "revision"
	epochKey       = "log/epoch" // of the log that goes on from this file
	cleanKey       = "log/clean" // 1: all of that log is in this file
)

const sumSize = 4

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// seal returns the stored form of a value.
func seal(bucket string, key, value []byte) []byte {
	stored := make([]byte, len(value), len(value)+sumSize)
	copy(stored, value)
	return binary.LittleEndian.AppendUint32(stored, sum(bucket, key, value))
}

// open returns the value in a stored form, and whether its checksum is right.
func open(bucket string, key, stored []byte) ([]byte, bool) {
	return checksumOf(bucket).open(key, stored)
}

func sum(bucket string, key, value []byte) uint32 { return checksumOf(bucket).of(key, value) }

// checksum is that of the values of one bucket, as far as they have it in
// common.
type checksum uint32

// checksumOf covers the length too, so that no two triples run together alike.
func checksumOf(bucket string) checksum {
	c := checksum(0).length(len(bucket))
	for i := range len(bucket) {
		c = c.byte(bucket[i])
	}
	return c
}

func (c checksum) of(key, value []byte) uint32 {
	return crc32.Update(crc32.Update(uint32(c.length(len(key))), castagnoli, key), castagnoli, value)
}

func (c checksum) open(key, stored []byte) ([]byte, bool) {
	n := len(stored) - sumSize
	if n < 0 {
		return nil, false
	}
	value := stored[:n:n]
	return value, binary.LittleEndian.Uint32(stored[n:]) == c.of(key, value)
}

// length adds a number as encoding/binary's uvarint.
func (c checksum) length(n int) checksum {
	for ; n >= 0x80; n >>= 7 {
		c = c.byte(byte(n) | 0x80)
	}
	return c.byte(byte(n))
}

// byte adds one byte. For so few, crc32.Update is dear: what it is given has
// to be on the heap.
func (c checksum) byte(b byte) checksum {
	c = ^c
	return ^(checksum(castagnoli[byte(c)^b]) ^ c>>8)
}

func sealNumber(key string, n uint64) []byte {
	return seal("", []byte(key), binary.BigEndian.AppendUint64(nil, n))
}
