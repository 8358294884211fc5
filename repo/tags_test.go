package repo_test

import (
	"context"
	"errors"
	"fmt"
	"testing"

	"chartd.dev/chartd/internal/ref"
	"chartd.dev/chartd/lock"
	"chartd.dev/chartd/repo"
)

// A binding stays what it is, whatever becomes of the tags it was made by.
func TestTagsNow(t *testing.T) {
	g := newRig(t)
	base := g.registry.push(t, "quay.io/jupyterhub/k8s-hub:3.3.7", "a", "b")
	mine := g.registry.push(t, "quay.io/campus/hub:1", "a", "b", "c")
	out := g.publish(t, hub(t, "3.3.7", "3.3.7"))
	custom, err := ref.ParseReference("quay.io/campus/hub:1")
	if err != nil {
		t.Fatal(err)
	}
	b, _, err := g.Bind(ctx, op("bind"), repo.BindRequest{Chart: out.Chart.Chart, Images: map[ref.Role]ref.Reference{"hub": custom}})
	if err != nil {
		t.Fatal(err)
	}
	now := func() (image, own repo.TagNow) {
		t.Helper()
		list, err := g.TagsNow(ctx, b.ID)
		if err != nil || len(list) != 2 || list[0].Base || !list[1].Base || list[0].Tag != "1" || list[1].Tag != "3.3.7" {
			t.Fatalf("%+v, %v", list, err)
		}
		if list[0].Image != mine.Image || list[1].Image != base.Image {
			t.Errorf("bound %+v", list)
		}
		return list[0], list[1]
	}
	if image, own := now(); image.Now != mine.Image.Digest || own.Now != base.Image.Digest {
		t.Errorf("unmoved: %+v, %+v", image, own)
	}
	moved := g.registry.push(t, "quay.io/campus/hub:1", "x")
	if image, own := now(); image.Now != moved.Image.Digest || own.Now != base.Image.Digest {
		t.Errorf("moved: %+v, %+v", image, own)
	}
	g.registry.fault = func(_ context.Context, r ref.Reference) error {
		if r.Tag == "1" {
			return fmt.Errorf("%w: no answer", repo.ErrUnavailable)
		}
		return nil
	}
	if image, own := now(); !errors.Is(image.Err, repo.ErrUnavailable) || !image.Now.IsZero() || own.Err != nil {
		t.Errorf("no answer: %+v, %+v", image, own)
	}
	if _, err := g.TagsNow(ctx, ref.BindingIDOf(ref.DigestOf(nil), nil)); !errors.Is(err, lock.ErrNotFound) {
		t.Errorf("no such binding: %v", err)
	}
}
