package events

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"sync"
	"time"

	"chartd.dev/chartd/internal/api"
	"chartd.dev/chartd/lock"
)

// Headers of a delivery. The signature is over the timestamp, a dot and the
// body, so that an old delivery can't be sent again later as a new one.
const (
	HeaderEvent     = "Chartd-Event"     // the kind
	HeaderDelivery  = "Chartd-Delivery"  // SEQ.N, the same at each try
	HeaderTimestamp = "Chartd-Timestamp" // seconds since 1970, of this try
	HeaderSignature = "Chartd-Signature" // sha256=HEX
)

const (
	page     = 100              // journal lines read at once
	most     = 10 * time.Minute // between two tries
	answer   = 15 * time.Second // longest time for one try
	maxReply = 64 << 10         // bytes read of an answer
	skipped  = 1000             // lines that concern it not, after which its place is stored
)

// Deliverer sends events to webhooks: each one in order, each event again and
// again until it is taken. A receiver that does not answer holds up nobody but
// itself.
type Deliverer struct {
	Feed      *Feed
	Lock      *lock.Lockfile
	Transport http.RoundTripper
	Log       *slog.Logger
	Now       func() time.Time
	// Backoff is the wait after the first failure, doubled after each further
	// one up to ten minutes; 0 is five seconds.
	Backoff time.Duration
	// UserAgent of every request.
	UserAgent string
}

// Run serves all webhooks until ctx ends.
func (d *Deliverer) Run(ctx context.Context) {
	running := map[string]context.CancelFunc{}
	var all sync.WaitGroup
	defer all.Wait()
	look := time.NewTicker(recheck)
	defer look.Stop()
	for {
		news := d.Feed.next()
		hooks, err := d.Lock.Webhooks(ctx)
		if err != nil && ctx.Err() == nil {
			d.Log.Warn("reading webhooks failed", "error", err.Error())
		}
		if err == nil {
			d.match(ctx, running, &all, hooks)
		}
		select {
		case <-news:
		case <-look.C:
		case <-ctx.Done():
			return
		}
	}
}

// match starts what is new and ends what is gone.
func (d *Deliverer) match(ctx context.Context, running map[string]context.CancelFunc, all *sync.WaitGroup, hooks []lock.WebhookState) {
	there := map[string]bool{}
	for _, h := range hooks {
		there[h.ID] = true
		if running[h.ID] != nil {
			continue
		}
		own, cancel := context.WithCancel(ctx)
		running[h.ID] = cancel
		all.Go(func() { d.serve(own, h) })
	}
	for id, cancel := range running {
		if !there[id] {
			cancel()
			delete(running, id)
		}
	}
}

// serve sends one webhook what it is to have, from its cursor on.
func (d *Deliverer) serve(ctx context.Context, h lock.WebhookState) {
	hc := &http.Client{Transport: d.Transport, Timeout: answer, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	at, kept := h.Cursor, h.Cursor.Seq
	for ctx.Err() == nil && !d.Feed.closed() {
		list, last, err := d.Feed.After(ctx, at.Seq, page)
		if err == nil && last == at.Seq {
			list, last, err = d.Feed.Wait(ctx, at.Seq, page, time.Hour)
		}
		if err != nil && ctx.Err() != nil {
			return
		}
		if err != nil {
			d.Log.Warn("reading events failed", "webhook", h.ID, "error", err.Error())
			sleep(ctx, d.wait(1))
			continue
		}
		for _, e := range list {
			if e.Seq == at.Seq+1 && e.N <= at.Part || !wants(h.Kinds, e) {
				continue
			}
			if !d.deliver(ctx, hc, h, &at, e) {
				return
			}
			kept = at.Seq
		}
		if at.Seq, at.Part = last, 0; last-kept >= skipped {
			kept = last
			d.keep(ctx, h, at)
		}
	}
}

func (d *Deliverer) wait(failed int) time.Duration {
	first := d.Backoff
	if first == 0 {
		first = 5 * time.Second
	}
	return min(first<<min(failed-1, 20), most)
}

// deliver sends an event until it is taken. False says that ctx ended first.
func (d *Deliverer) deliver(ctx context.Context, hc *http.Client, h lock.WebhookState, at *lock.Cursor, e api.Event) bool {
	for {
		err := d.send(ctx, hc, h, e)
		if ctx.Err() != nil {
			return false
		}
		if at.At = d.Now().UTC(); err != nil {
			at.Failed++
			at.Error = err.Error()
			d.Log.Warn("webhook failed", "webhook", h.ID, "event", fmt.Sprintf("%d.%d", e.Seq, e.N), "tries", at.Failed, "error", at.Error)
		} else {
			at.Seq, at.Part, at.Failed, at.Error = e.Seq-1, e.N, 0, ""
		}
		d.keep(ctx, h, *at)
		if err == nil {
			return true
		}
		if !sleep(ctx, d.wait(at.Failed)) {
			return false
		}
	}
}

// keep stores a webhook's place. One that is lost has events sent again.
func (d *Deliverer) keep(ctx context.Context, h lock.WebhookState, at lock.Cursor) {
	if err := d.Lock.MoveCursor(ctx, h.ID, at); err != nil && ctx.Err() == nil {
		d.Log.Warn("keeping a webhook's place failed", "webhook", h.ID, "error", err.Error())
	}
}

// send makes one try.
func (d *Deliverer) send(ctx context.Context, hc *http.Client, h lock.WebhookState, e api.Event) error {
	body, err := json.Marshal(e)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, h.URL, bytes.NewReader(body))
	if err != nil {
		return err
	}
	stamp := strconv.FormatInt(d.Now().Unix(), 10)
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("User-Agent", d.UserAgent)
	req.Header.Set(HeaderEvent, e.Kind)
	req.Header.Set(HeaderDelivery, fmt.Sprintf("%d.%d", e.Seq, e.N))
	req.Header.Set(HeaderTimestamp, stamp)
	req.Header.Set(HeaderSignature, Sign(h.Secret, stamp, body))
	resp, err := hc.Do(req)
	if err != nil {
		var where *url.Error
		if errors.As(err, &where) { // it repeats the URL, which may hold a secret
			err = where.Err
		}
		return err
	}
	defer resp.Body.Close()
	_, err = io.Copy(io.Discard, io.LimitReader(resp.Body, maxReply))
	if resp.StatusCode/100 != 2 {
		return fmt.Errorf("it answered %s, want 200 to 299", resp.Status)
	}
	return err
}

// Sign is the signature of a delivery, as the receiver computes it.
func Sign(secret, timestamp string, body []byte) string {
	m := hmac.New(sha256.New, []byte(secret))
	m.Write([]byte(timestamp + "."))
	m.Write(body)
	return "sha256=" + hex.EncodeToString(m.Sum(nil))
}

func wants(kinds []string, e api.Event) bool {
	return len(kinds) == 0 || slices.Contains(kinds, e.Kind)
}

// sleep waits, and reports whether the time passed before ctx ended.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
