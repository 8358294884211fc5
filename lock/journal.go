package lock

import (
	"context"
	"math"

	"chartd.dev/chartd/lock/kept"
	"chartd.dev/chartd/lock/store"
)

// Verbs of the journal.
const (
	verbPublish     = "publish"
	verbImport      = "import"
	verbImportSet   = "importset"
	verbProvenance  = "provenance"
	verbYank        = "yank"
	verbPurge       = "purge"
	verbBind        = "bind"
	verbRevoke      = "revoke"
	verbEnvironment = "environment"
	verbPin         = "pin"
	verbPinSet      = "pinset"
	verbAdopt       = "adopt"
	verbReport      = "report"
	verbPolicy      = "policy"
	verbHalt        = "halt"
	verbResolve     = "resolve"
	verbApprove     = "approve"
	verbFence       = "fence"
	verbToken       = "token"
	verbTokenRevoke = "token.revoke"
)

func checkLimit(limit int) error {
	if limit < 1 {
		return fail(ErrInvalid, "a page of %d is no page: ask for at least 1", limit)
	}
	return nil
}

// Journal returns up to limit lines after the given sequence number, oldest
// first; next is the value of after for the following page, 0 at the end.
func (l *Lockfile) Journal(ctx context.Context, after uint64, limit int) (lines []Line, next uint64, err error) {
	if err := checkLimit(limit); err != nil || after == math.MaxUint64 {
		return nil, 0, err
	}
	err = l.store.View(ctx, func(t store.Tx) error {
		lines, next = nil, 0
		return t.Scan(bucketJournal, store.ScanOptions{From: number(after + 1)}, func(k string, raw []byte) error {
			if len(lines) == limit {
				next = lines[limit-1].Seq
				return store.ErrStop
			}
			var line Line
			if err := kept.Decode(bucketJournal, k, raw, &line); err != nil {
				return err
			}
			lines = append(lines, line)
			return nil
		})
	})
	return lines, next, err
}
