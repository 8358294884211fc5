package lock

import (
	"context"
	"errors"
	"time"

	"chartd.dev/chartd/internal/ref"
	"chartd.dev/chartd/lock/store"
)

const (
	bucketWebhooks = "webhooks"    // webhook ID → Webhook
	bucketCursors  = "hookcursors" // webhook ID → Cursor

	verbWebhook       = "webhook"
	verbWebhookDelete = "webhook.delete"
	verbTag           = "tag"
)

// MaxWebhooks is the most webhooks that there can be.
const MaxWebhooks = 50

// Webhook is a receiver of events.
type Webhook struct {
	Format  int       `json:"format"`
	ID      string    `json:"id"`
	URL     string    `json:"url"`
	Kinds   []string  `json:"kinds,omitempty"` // of events; none: all
	Secret  string    `json:"secret"`          // that signs what is sent; the receiver has it too
	Created time.Time `json:"created"`
	By      string    `json:"by"`
}

// Cursor is how far a webhook has been served. It is bookkeeping and leaves no
// journal line; one that was lost with the power has its events sent twice.
type Cursor struct {
	Seq    uint64    `json:"seq"`            // the last journal line that is done
	Part   int       `json:"part,omitempty"` // events of the next line that are done
	At     time.Time `json:"at,omitzero"`    // of the last answer
	Failed int       `json:"failed,omitempty"`
	Error  string    `json:"error,omitempty"` // of the last try, where it failed
}

// WebhookState is a webhook with its cursor.
type WebhookState struct {
	Webhook
	Cursor Cursor
}

// CreateWebhook stores a webhook, which is served what is journalled after it.
func (l *Lockfile) CreateWebhook(ctx context.Context, op Op, w Webhook) (Webhook, error) {
	return run(ctx, l, op, func(c *change) (Webhook, error) {
		n, err := c.Count(bucketWebhooks)
		if err != nil {
			return w, err
		}
		if n >= MaxWebhooks {
			return w, fail(ErrRefused, "there are %d webhooks, and that is the most: delete one first", n)
		}
		if _, err := c.Get(bucketWebhooks, w.ID); err == nil {
			return w, fail(ErrExists, "there is a webhook %q already", w.ID)
		} else if !errors.Is(err, store.ErrNoKey) {
			return w, err
		}
		seq, err := c.seq()
		if err != nil {
			return w, err
		}
		w.Format, w.Created, w.By = FormatVersion, c.now, c.op.Actor.Name
		public := w
		public.Secret = ""
		return w, errors.Join(
			put(c, bucketWebhooks, w.ID, w),
			put(c, bucketCursors, w.ID, Cursor{Seq: seq}),
			c.journal(verbWebhook, w.ID, public),
		)
	})
}

// DeleteWebhook ends a webhook; what it was not sent yet, it will not get.
func (l *Lockfile) DeleteWebhook(ctx context.Context, op Op, id string) error {
	_, err := run(ctx, l, op, func(c *change) (struct{}, error) {
		var none struct{}
		w, err := get[Webhook](c, bucketWebhooks, id)
		if errors.Is(err, store.ErrNoKey) {
			return none, fail(ErrNotFound, "there is no webhook %q", id)
		}
		if err != nil {
			return none, err
		}
		return none, errors.Join(
			c.Delete(bucketWebhooks, id), c.Delete(bucketCursors, id),
			c.journal(verbWebhookDelete, id, map[string]string{"url": w.URL}),
		)
	})
	return err
}

// Webhooks returns all webhooks in order of ID.
func (l *Lockfile) Webhooks(ctx context.Context) ([]WebhookState, error) {
	return view(ctx, l, func(t store.Tx) ([]WebhookState, error) {
		all, err := list[Webhook](t, bucketWebhooks, store.ScanOptions{})
		if err != nil {
			return nil, err
		}
		var out []WebhookState
		for _, w := range all {
			cursor, err := get[Cursor](t, bucketCursors, w.ID)
			if err != nil && !errors.Is(err, store.ErrNoKey) {
				return nil, err
			}
			out = append(out, WebhookState{w, cursor})
		}
		return out, nil
	})
}

// MoveCursor notes how far a webhook was served. One that is gone stays gone.
func (l *Lockfile) MoveCursor(ctx context.Context, id string, cursor Cursor) error {
	return l.store.Update(ctx, func(t store.Txn) error {
		if _, err := t.Get(bucketWebhooks, id); errors.Is(err, store.ErrNoKey) {
			return nil
		} else if err != nil {
			return err
		}
		return put(t, bucketCursors, id, cursor)
	})
}

// JournalEnd is the sequence number of the newest line, 0 where there is none.
func (l *Lockfile) JournalEnd(ctx context.Context) (uint64, error) {
	return view(ctx, l, func(t store.Tx) (uint64, error) { return t.Count(bucketJournal) })
}

// TagMoved is the detail of the journal line of a tag that was found to point
// elsewhere.
type TagMoved struct {
	Before ref.Digest `json:"before"`
	Digest ref.Digest `json:"digest"`
}

// ObserveTag notes the digest that a registry says a tag has now, and reports
// whether it moved. The tag must have been seen before: nothing else depends
// on where it points.
func (l *Lockfile) ObserveTag(ctx context.Context, op Op, image ref.Image, tag string) (bool, error) {
	return run(ctx, l, op, func(c *change) (bool, error) {
		seen, err := observations(c, image.Repository, tag)
		if err != nil {
			return false, err
		}
		if len(seen) == 0 {
			return false, fail(ErrNotFound, "the tag %s:%s was never read", image.Repository, tag)
		}
		last := seen[len(seen)-1].Digest
		if last == image.Digest {
			return false, nil
		}
		return true, errors.Join(
			observe(c, image, tag),
			c.journal(verbTag, image.Repository.String()+":"+tag, TagMoved{last, image.Digest}),
		)
	})
}
