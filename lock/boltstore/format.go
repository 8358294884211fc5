package boltstore

import (
	"encoding/binary"
	"hash/crc32"
)

// The file, format 1: the bbolt bucket "store" holds what the store knows of
// itself; the bucket "b/" + name holds the keys of a bucket. A stored value
// ends in a CRC-32C of its bucket, key and bytes; the own bucket's name is ""
// there.
const (
	format      = 1
	application = "chartd lock database"

	ownBucket   = "store"
	userPrefix  = "b/"
	countPrefix = "count/"

	applicationKey = "application"
	formatKey      = "format"
	revisionKey    = "revision"
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
	n := len(stored) - sumSize
	if n < 0 {
		return nil, false
	}
	value := stored[:n:n]
	return value, binary.LittleEndian.Uint32(stored[n:]) == sum(bucket, key, value)
}

// sum covers the lengths too, so that no two triples run together alike.
func sum(bucket string, key, value []byte) uint32 {
	var buf [2*binary.MaxVarintLen64 + 64]byte
	head := binary.AppendUvarint(buf[:0], uint64(len(bucket)))
	head = append(head, bucket...)
	head = binary.AppendUvarint(head, uint64(len(key)))
	c := crc32.Update(0, castagnoli, head)
	c = crc32.Update(c, castagnoli, key)
	return crc32.Update(c, castagnoli, value)
}

func sealNumber(key string, n uint64) []byte {
	return seal("", []byte(key), binary.BigEndian.AppendUint64(nil, n))
}
