// Package lock is the lock file: which chart versions are published, which
// images they are bound to, which environment is pinned to which pair, and the
// journal of all of it. The rules stand here and nowhere else; a Store below
// only keeps keys.
//
// Invariants: a chart version's content never changes; a binding names its
// images by digest and is its own content address; an environment's revisions
// grow by one without gaps and each names a whole binding; no pin is written
// that the gate in force refuses, and asking it costs as much after a million
// pins as after one; every transaction that changes something, and every
// refused pin, has exactly one journal line, written in the same transaction.
// Order comes from sequences, never from clocks, and a soak from counted beats.
package lock

import (
	"context"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"chartd.dev/chartd/internal/ref"
	"chartd.dev/chartd/lock/kept"
	"chartd.dev/chartd/lock/store"
)

// FormatVersion of the records that this package writes.
const FormatVersion = 1

// Buckets of the store.
const (
	bucketMeta         = "meta"
	bucketCharts       = "charts"       // name NUL version → ChartVersion
	bucketFiles        = "files"        // file name → chart version
	bucketFolds        = "folds"        // names that differ too little → chart version
	bucketNewest       = "newest"       // chart name → newest creation time
	bucketBlobs        = "blobs"        // digest → blobUse
	bucketGenerations  = "generations"  // index generation → change
	bucketImages       = "images"       // repository@digest → Image
	bucketTags         = "tags"         // repository:tag NUL n → Observation
	bucketBases        = "bases"        // layer chain NUL chart version → base
	bucketBindings     = "bindings"     // binding ID → Binding
	bucketEnvironments = "environments" // hub/stage → Environment
	bucketPins         = "pins"         // hub/stage NUL revision → Pin
	bucketPinSets      = "pinsets"      // set → environments and revisions
	bucketReports      = "reports"      // hub/stage NUL revision NUL n → Report
	bucketSummaries    = "summaries"    // hub/stage NUL binding → Summary
	bucketHalts        = "halts"        // number → Halt
	bucketOpenHalts    = "openhalts"    // scope NUL number → "", for those that are open
	bucketApprovals    = "approvals"    // hub/stage NUL binding → approvals
	bucketJournal      = "journal"      // sequence → Line
	bucketKeys         = "keys"         // idempotency key → outcome
	bucketKeyTimes     = "keytimes"     // time NUL key → "", for those that expire
	bucketTokens       = "tokens"       // token ID → Token
	bucketRenderings   = "renderings"   // digest of a package → Rendering
)

const (
	metaFormat   = "format"
	metaSequence = "sequence" // publications and first image observations
	metaPing     = "ping"
	metaCounted  = "counted" // by all beats
)

// Lockfile applies the rules on top of a store. Its methods may be called
// concurrently.
type Lockfile struct {
	store   store.Store
	gate    []rule
	now     func() time.Time
	tokens  *kept.Memo[*Lockfile, Token]        // every request asks for one
	images  *kept.Memo[*Lockfile, []BoundImage] // every pin's answer names them
	stamped *atomic.Bool                        // the store is known to have the format of the records
}

// Open returns the lock file in s, which may be empty. A store written by a
// newer version is refused.
func Open(ctx context.Context, s store.Store, now func() time.Time) (*Lockfile, error) {
	l := &Lockfile{store: s, gate: gate, now: now, tokens: kept.NewMemo[*Lockfile, Token](256), images: kept.NewMemo[*Lockfile, []BoundImage](256), stamped: &atomic.Bool{}}
	err := s.View(ctx, func(t store.Tx) error {
		raw, err := t.Get(bucketMeta, metaFormat)
		if errors.Is(err, store.ErrNoKey) {
			return nil
		}
		if err != nil {
			return err
		}
		if string(raw) != fmt.Sprint(FormatVersion) {
			return fail(ErrRefused, "the lock database has format %q, and this version reads format %d: use the version that wrote it", raw, FormatVersion)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("open lock file: %w", err)
	}
	return l, nil
}

// Ping proves that writes can be kept, by a bookkeeping write.
func (l *Lockfile) Ping(ctx context.Context) error {
	now := l.time()
	return l.store.Update(ctx, func(t store.Txn) error {
		return t.Put(bucketMeta, metaPing, []byte(now.Format(time.RFC3339)))
	})
}

func (l *Lockfile) time() time.Time { return l.now().UTC().Truncate(time.Microsecond) }

// change is one transaction being written: its time, who does it, and the
// journal line that it will leave.
type change struct {
	store.Txn
	op   Op
	now  time.Time
	line *Line
	out  json.RawMessage // what is answered, if it is encoded already
}

// journal sets the transaction's line.
func (c *change) journal(verb, object string, detail any) error {
	raw, ok := detail.(json.RawMessage)
	if !ok {
		var err error
		if raw, err = json.Marshal(detail); err != nil {
			return fmt.Errorf("journal %s %s: %w", verb, object, err)
		}
	}
	c.line = &Line{Format: FormatVersion, At: c.now, By: c.op.Actor, Verb: verb, Object: object, Result: "ok", Detail: raw}
	return nil
}

// seq is the sequence number that the transaction's journal line will have.
func (c *change) seq() (uint64, error) {
	n, err := c.Count(bucketJournal)
	return n + 1, err
}

func (c *change) writeLine() error {
	n, err := c.seq()
	if err != nil {
		return err
	}
	c.line.Seq = n
	raw, err := kept.Wrap(c.line)
	if err != nil {
		return fmt.Errorf("encode journal line %d: %w", n, err)
	}
	return c.Put(bucketJournal, number(n), raw)
}

// nextSequence numbers publications and first image observations alike.
func (c *change) nextSequence() (uint64, error) {
	n, err := get[uint64](c, bucketMeta, metaSequence)
	if err != nil && !errors.Is(err, store.ErrNoKey) {
		return 0, err
	}
	return n + 1, put(c, bucketMeta, metaSequence, n+1)
}

// touchIndex moves the index generation on: chart's line in the index changed.
func (c *change) touchIndex(chart ref.ChartVersion) error {
	n, err := c.Count(bucketGenerations)
	if err != nil {
		return err
	}
	return put(c, bucketGenerations, number(n+1), Generation{Chart: chart, At: c.now})
}

// run executes fn in one transaction with its journal line and its
// idempotency key. A *Refusal or *StaleError from fn, which then must not have
// written, is committed as a line of its own; any other error leaves no trace.
func run[T any](ctx context.Context, l *Lockfile, op Op, fn func(*change) (T, error)) (T, error) {
	var out T
	var verdict error
	stamped, changed := l.stamped.Load(), false
	err := l.store.Update(ctx, func(t store.Txn) error {
		var zero T
		out, verdict, changed = zero, nil, false
		c := &change{Txn: t, op: op, now: l.time()}
		if err := c.stillHolds(); err != nil {
			return err
		}
		if done, err := replay(c, &out, &verdict); done || err != nil {
			return err
		}
		result, err := fn(c)
		var no *Refusal
		var stale *StaleError
		switch {
		case errors.As(err, &no), errors.As(err, &stale):
			if c.line == nil {
				return err // a refusal of something that is not journalled
			}
			verdict = err
			c.line.Result = "refused"
		case err != nil:
			return err
		case c.line == nil:
			out = result
			return remember(c, out, nil) // nothing changed: bookkeeping
		default:
			out = result
		}
		if err := c.writeLine(); err != nil {
			return err
		}
		if err := remember(c, out, verdict); err != nil {
			return err
		}
		if changed = true; stamped {
			return nil
		}
		return stamp(c)
	})
	if err == nil {
		if changed && !stamped {
			l.stamped.Store(true)
		}
		err = verdict
	}
	return out, err
}

// stamp writes the format of the records into a new store.
func stamp(t store.Txn) error {
	_, err := t.Get(bucketMeta, metaFormat)
	if errors.Is(err, store.ErrNoKey) {
		return t.Put(bucketMeta, metaFormat, []byte(fmt.Sprint(FormatVersion)))
	}
	return err
}

// number is an ordered key.
func number(n uint64) string {
	var b [8]byte
	binary.BigEndian.PutUint64(b[:], n)
	return string(hex.AppendEncode(make([]byte, 0, 2*len(b)), b[:]))
}

func get[T any](t store.Tx, bucket, key string) (T, error) {
	var v T
	raw, err := t.Get(bucket, key)
	if err != nil {
		return v, err
	}
	return v, kept.Decode(bucket, key, raw, &v)
}

func put(t store.Txn, bucket, key string, v any) error {
	raw, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("encode %s %q: %w", bucket, key, err)
	}
	return t.Put(bucket, key, raw)
}

// view reads in one snapshot.
func view[T any](ctx context.Context, l *Lockfile, fn func(store.Tx) (T, error)) (T, error) {
	var out T
	err := l.store.View(ctx, func(t store.Tx) (err error) {
		out, err = fn(t)
		return err
	})
	return out, err
}

// Watch makes an answer from a lock file that notes what is read through it:
// as long as the basis holds, the same answer would be made again.
func (l *Lockfile) Watch(answer func(*Lockfile) error) (*kept.Basis, error) {
	return kept.Watch(l.store, func(s store.Store) error {
		watched := *l
		watched.store = s
		return answer(&watched)
	})
}
