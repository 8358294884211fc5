package boltstore

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"sync"
	"sync/atomic"

	"chartd.dev/chartd/lock/store"
)

// contents is what a check found in a file.
type contents struct {
	own    map[string][]byte // values of the own bucket
	counts map[string]uint64 // keys found in each bucket
}

// check reads a transaction through: its pages, and each value.
func check(ctx context.Context, r io.ReaderAt, m meta) (contents, error) {
	c := checker{ctx: ctx, own: make(map[string][]byte), buckets: make([]*checked, 1)}
	err := walk(r, m, &c)
	out := contents{c.own, make(map[string]uint64)}
	for _, b := range c.buckets[1:] {
		if b.name != "" {
			out.counts[b.name] = b.keys.Load()
		}
	}
	return out, err
}

// checker compares each value with its checksum.
type checker struct {
	ctx     context.Context
	buckets []*checked // by number
	mu      sync.Mutex
	own     map[string][]byte
}

// checked is a bucket of which some leaves were checked. The name is "" for
// the own one.
type checked struct {
	name string
	head checksum
	keys atomic.Uint64
}

func (c *checker) bucket(number int, name string) {
	name, user := strings.CutPrefix(name, userPrefix)
	if !user {
		name = ""
	}
	c.buckets = append(c.buckets, &checked{name: name, head: checksumOf(name)})
}

func (c *checker) key(number int, key, stored []byte) error {
	b := c.buckets[number]
	value, ok := b.head.open(key, stored)
	if !ok {
		return fmt.Errorf("the value of %s/%q does not match its checksum", b.name, key)
	}
	if b.name == "" {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.own[string(key)] = slices.Clone(value)
	}
	return nil
}

func (c *checker) leaf(number, keys int) {
	c.buckets[number].keys.Add(uint64(keys))
}

// agree compares the counts found with those kept.
func (c contents) agree() error {
	for key, value := range c.own {
		name, ok := strings.CutPrefix(key, countPrefix)
		if !ok && key != revisionKey {
			continue
		}
		if len(value) != 8 {
			return fmt.Errorf("%q is no number", key)
		}
		if want := binary.BigEndian.Uint64(value); ok && want != c.counts[name] {
			return fmt.Errorf("the bucket %q has %d keys and should have %d", name, c.counts[name], want)
		}
	}
	for name, n := range c.counts {
		if c.own[countPrefix+name] == nil && n > 0 {
			return fmt.Errorf("the bucket %q has %d keys and no count", name, n)
		}
	}
	return nil
}

// Verify reads the log and then the whole file: the structure of its pages, the
// free list, the checksum of each value and the count of each bucket. Reads and
// writes go on meanwhile.
func (s *Store) Verify(ctx context.Context) error {
	if err := s.verifyLog(ctx); err != nil {
		return err
	}
	for {
		err := s.read(ctx, "verify", func(v *view) error { return s.verify(ctx, v.bolt) })
		if !errors.Is(err, errOvertaken) {
			return err
		}
	}
}

// errOvertaken says that two commits came while a transaction was looked up.
var errOvertaken = errors.New("meta page was overwritten")

func (s *Store) verify(ctx context.Context, t *tx) error {
	m, err := metaOf(s.file, uint64(t.bolt.ID()), s.db.Info().PageSize)
	if errors.Is(err, errOvertaken) {
		return err
	}
	if err == nil {
		var c contents
		if c, err = check(ctx, s.file, m); err == nil {
			err = c.agree()
		}
	}
	switch {
	case ctx.Err() != nil:
		return fmt.Errorf("verify: %w", ctx.Err())
	case err != nil:
		return fmt.Errorf("%w: %s: %w", store.ErrBroken, s.path, err)
	}
	return nil
}
