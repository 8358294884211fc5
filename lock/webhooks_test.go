package lock_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"chartd.dev/chartd/internal/model"
	"chartd.dev/chartd/internal/ref"
	"chartd.dev/chartd/lock"
)

func TestWebhooksHaveACursorEach(t *testing.T) {
	eachStore(t, func(t *testing.T, r *rig) {
		r.create("data8/staging")
		for _, id := range []string{"a", "b"} {
			w := must(r.CreateWebhook(r.ctx, alice, lock.Webhook{ID: id, URL: "https://example.edu/" + id, Secret: "whsec_" + id}))
			if w.By != "alice" || w.Created.IsZero() {
				t.Errorf("made %+v", w)
			}
		}
		if _, err := r.CreateWebhook(r.ctx, alice, lock.Webhook{ID: "a"}); !errors.Is(err, lock.ErrExists) {
			t.Errorf("the same again: %v", err)
		}
		end := must(r.JournalEnd(r.ctx))
		list := must(r.Webhooks(r.ctx))
		if len(list) != 2 || list[0].Cursor.Seq != end-1 || list[1].Cursor.Seq != end {
			t.Fatalf("the journal ends at %d, and the webhooks are %+v", end, list)
		}
		moved := lock.Cursor{Seq: end + 7, Part: 2, Failed: 1, Error: "it answered 503"}
		if err := r.MoveCursor(r.ctx, "a", moved); err != nil {
			t.Fatal(err)
		}
		if got := must(r.Webhooks(r.ctx))[0].Cursor; got != moved {
			t.Errorf("the cursor is %+v, want %+v", got, moved)
		}
		if must(r.JournalEnd(r.ctx)) != end {
			t.Error("moving a cursor has a journal line")
		}
		if err := r.DeleteWebhook(r.ctx, alice, "a"); err != nil {
			t.Fatal(err)
		}
		if err := r.MoveCursor(r.ctx, "a", moved); err != nil {
			t.Fatal(err)
		}
		if err := r.DeleteWebhook(r.ctx, alice, "a"); !errors.Is(err, lock.ErrNotFound) {
			t.Errorf("deleted twice: %v", err)
		}
		if list := must(r.Webhooks(r.ctx)); len(list) != 1 || list[0].ID != "b" {
			t.Errorf("left are %+v", list)
		}
		for _, line := range r.lines() {
			if s := string(line.Detail); strings.Contains(s, "whsec_") {
				t.Errorf("the journal has a secret: %s", s)
			}
		}
	})
}

func TestThereAreNotTooManyWebhooks(t *testing.T) {
	r := checked(t)
	for i := range lock.MaxWebhooks {
		must(r.CreateWebhook(r.ctx, alice, lock.Webhook{ID: fmt.Sprint(i)}))
	}
	if _, err := r.CreateWebhook(r.ctx, alice, lock.Webhook{ID: "more"}); !errors.Is(err, lock.ErrRefused) {
		t.Errorf("one more: %v", err)
	}
}

func TestATagIsLookedAtAgain(t *testing.T) {
	eachStore(t, func(t *testing.T, r *rig) {
		b := r.publish("1.0.0")
		i := b.Images[0]
		before := len(r.lines())
		if moved := must(r.ObserveTag(r.ctx, alice, i.Image, i.Tag)); moved || len(r.lines()) != before {
			t.Error("a tag that stays is said to move, or has a line")
		}
		other := ref.Image{Repository: i.Image.Repository, Digest: digest("other")}
		if !must(r.ObserveTag(r.ctx, alice, other, i.Tag)) || must(r.ObserveTag(r.ctx, alice, other, i.Tag)) {
			t.Error("a move is said once")
		}
		if got := must(r.Binding(r.ctx, b.ID)); len(got.Moved) != 1 || got.State != model.Verified {
			t.Errorf("the binding is %+v", got)
		}
		if !must(r.ObserveTag(r.ctx, alice, i.Image, i.Tag)) {
			t.Error("the way back is a move, too")
		}
		if got := must(r.Binding(r.ctx, b.ID)); len(got.Moved) != 0 {
			t.Errorf("back again: %q", got.Moved)
		}
		if n := len(r.lines()); n != before+2 {
			t.Errorf("%d lines more, want 2", n-before)
		}
		if _, err := r.ObserveTag(r.ctx, alice, i.Image, "never-read"); !errors.Is(err, lock.ErrNotFound) {
			t.Errorf("a tag that was never read: %v", err)
		}
	})
}

func TestApprovalsThatAPinHasUsed(t *testing.T) {
	r := checked(t)
	b := r.publish("1.0.0")
	r.create("data8/prod")
	bob := lock.Op{Actor: lock.Actor{Name: "bob"}}
	for _, op := range []lock.Op{alice, bob} {
		must(r.Approve(r.ctx, op, lock.NewApproval{Env: env("data8/prod"), Binding: b.ID, Reason: "seen"}))
	}
	p := r.pin("data8/prod", 0, b)
	if left := must(r.Approvals(r.ctx, env("data8/prod"), b.ID)); len(left) != 0 {
		t.Errorf("left: %+v", left)
	}
	used := must(r.ApprovedBefore(r.ctx, p))
	if len(used) != 1 || used[0].By.Name != "bob" && p.By == "alice" {
		t.Errorf("the pin of %s used %+v", p.By, used)
	}
}
