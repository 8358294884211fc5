package boltstore

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"chartd.dev/chartd/lock/store"
)

// counting counts what is read.
type counting struct {
	io.ReaderAt
	calls, bytes atomic.Int64
}

func (c *counting) ReadAt(b []byte, off int64) (int, error) {
	c.calls.Add(1)
	c.bytes.Add(int64(len(b)))
	return c.ReaderAt.ReadAt(b, off)
}

// TestCheckReadsOnce counts what checking a database reads: each page about
// once, and many with one call.
func TestCheckReadsOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock.db")
	s, err := Open(path, Options{})
	if err != nil {
		t.Fatal(err)
	}
	for first := 0; first < 6000; first += 50 {
		if err := s.Update(t.Context(), func(tx store.Txn) error {
			for n := first; n < first+50; n++ {
				size := 700
				if n%100 == 0 {
					size = 9000 // pages of its own
				}
				key, value := fmt.Sprintf("%04d", n*7%6000), bytes.Repeat([]byte{byte(n)}, size)
				if err := errors.Join(tx.Put("pins", key, value), tx.Put("journal", key, value[:500])); err != nil {
					return err
				}
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	fi, _ := f.Stat()
	m, _, err := readMeta(f, fi.Size())
	if err != nil {
		t.Fatal(err)
	}
	r := &counting{ReaderAt: f}
	c, err := check(t.Context(), r, m)
	if err == nil {
		err = c.agree()
	}
	if err != nil {
		t.Fatal(err)
	}
	size := int64(m.high * m.pageSize)
	if got := r.bytes.Load(); got > size*3/2 {
		t.Errorf("%d bytes were read of %d", got, size)
	}
	if got := r.calls.Load(); got > int64(m.high)/4 {
		t.Errorf("%d calls read %d pages", got, m.high)
	}
}

// TestTreesOfUnevenDepth checks a bucket in which a leaf and a branch stand
// beside each other: nothing that bbolt writes, and readable all the same.
func TestTreesOfUnevenDepth(t *testing.T) {
	type child struct {
		key  string
		page uint64
	}
	const size = 1024
	file := make([]byte, 9*size)
	order := binary.NativeEndian
	head := func(id uint64, flags uint16, count int) []byte {
		b := file[id*size : (id+1)*size]
		order.PutUint64(b, id)
		order.PutUint16(b[8:], flags)
		order.PutUint16(b[10:], uint16(count))
		return b
	}
	writeBranch := func(id uint64, children ...child) {
		b := head(id, flagBranch, len(children))
		end := pageHeader + len(children)*elementSize
		for i, c := range children {
			e := b[pageHeader+i*elementSize:]
			order.PutUint32(e, uint32(end-pageHeader-i*elementSize))
			order.PutUint32(e[4:], uint32(len(c.key)))
			order.PutUint64(e[8:], c.page)
			end += copy(b[end:], c.key)
		}
	}
	writeLeaf := func(id uint64, flags uint32, pairs ...string) {
		b := head(id, flagLeaf, len(pairs)/2)
		end := pageHeader + len(pairs)/2*elementSize
		for i := 0; i < len(pairs)/2; i++ {
			e := b[pageHeader+i*elementSize:]
			order.PutUint32(e, flags)
			order.PutUint32(e[4:], uint32(end-pageHeader-i*elementSize))
			order.PutUint32(e[8:], uint32(len(pairs[2*i])))
			order.PutUint32(e[12:], uint32(len(pairs[2*i+1])))
			end += copy(b[end:], pairs[2*i]+pairs[2*i+1])
		}
	}
	value := func(key string) string { return string(seal("pins", []byte(key), []byte("value of "+key))) }
	root := make([]byte, bucketSize)
	order.PutUint64(root, 4)
	head(2, flagFree, 0)
	writeLeaf(3, 1, userPrefix+"pins", string(root))
	writeBranch(4, child{"a", 5}, child{"c", 6})
	writeLeaf(5, 0, "a", value("a"), "b", value("b"))
	writeBranch(6, child{"c", 7}, child{"d", 8})
	writeLeaf(7, 0, "c", value("c"))
	writeLeaf(8, 0, "d", value("d"), "e", value("e"))
	m := meta{pageSize: size, root: 3, freelist: 2, high: 9}
	c, err := check(context.Background(), bytes.NewReader(file), m)
	if err != nil || c.counts["pins"] != 5 {
		t.Fatalf("%d keys, %v", c.counts["pins"], err)
	}
	writeLeaf(7, 0, "dd", value("dd")) // belongs to the page after
	if _, err := check(context.Background(), bytes.NewReader(file), m); err == nil || !strings.Contains(err.Error(), "page 7") {
		t.Errorf("a key in the wrong leaf below: %v", err)
	}
	writeLeaf(7, 0, "c", value("c"))
	writeBranch(6, child{"c", 7}, child{"d", 5})
	if _, err := check(context.Background(), bytes.NewReader(file), m); err == nil || !strings.Contains(err.Error(), "used twice") {
		t.Errorf("a leaf named by two branches: %v", err)
	}
}

// TestRootOfManyPages opens a database whose buckets do not fit into one page
// of the root: small ones are kept there whole, next to those that are not.
func TestRootOfManyPages(t *testing.T) {
	path := filepath.Join(t.TempDir(), "lock.db")
	s, err := Open(path, Options{})
	if err != nil {
		t.Fatal(err)
	}
	for n := range 50 {
		if err := s.Update(t.Context(), func(tx store.Txn) error {
			for k := range 1 + n%5*10 {
				if err := tx.Put(fmt.Sprintf("bucket%02d", n), fmt.Sprint(k), make([]byte, 200)); err != nil {
					return err
				}
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.Verify(t.Context()); err != nil {
		t.Error(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	if s, err = Open(path, Options{}); err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
}
