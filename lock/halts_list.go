package lock

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"chartd.dev/chartd/lock/kept"
	"chartd.dev/chartd/lock/store"
)

// HaltByID returns one halt.
func (l *Lockfile) HaltByID(ctx context.Context, id string) (Halt, error) {
	seq, err := haltSeq(id)
	if err != nil {
		return Halt{}, err
	}
	return view(ctx, l, func(t store.Tx) (Halt, error) { return getHalt(t, seq) })
}

// OpenHalts returns all halts that are open, oldest first.
func (l *Lockfile) OpenHalts(ctx context.Context) ([]OpenHalt, error) {
	return view(ctx, l, openHalts)
}

func openHalts(t store.Tx) ([]OpenHalt, error) {
	var out []OpenHalt
	err := t.Scan(bucketOpenHalts, store.ScanOptions{}, func(k string, _ []byte) error {
		n, err := strconv.ParseUint(k[strings.LastIndex(k, "\x00")+1:], 16, 64)
		if err != nil {
			return fmt.Errorf("%w: open halt %q", store.ErrDamaged, k)
		}
		h, err := getHalt(t, n)
		if err != nil {
			return err
		}
		o, err := h.open(t)
		out = append(out, o)
		return err
	})
	slices.SortFunc(out, func(a, b OpenHalt) int { return int(a.Seq) - int(b.Seq) })
	return out, err
}

// Halts returns up to limit halts with numbers below before (0: all), newest
// first, ended ones too; next is the value of before for the following page, 0
// at the end.
func (l *Lockfile) Halts(ctx context.Context, before uint64, limit int) (halts []Halt, next uint64, err error) {
	if err := checkLimit(limit); err != nil {
		return nil, 0, err
	}
	o := store.ScanOptions{Reverse: true}
	if before > 0 {
		o.From = number(before)
	}
	err = l.store.View(ctx, func(t store.Tx) error {
		halts, next = nil, 0
		return t.Scan(bucketHalts, o, func(k string, raw []byte) error {
			if len(halts) == limit {
				next = halts[limit-1].Seq
				return store.ErrStop
			}
			var h Halt
			if err := kept.Decode(bucketHalts, k, raw, &h); err != nil {
				return err
			}
			halts = append(halts, h)
			return nil
		})
	})
	return halts, next, err
}
