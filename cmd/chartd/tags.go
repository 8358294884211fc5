package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"chartd.dev/chartd/internal/ref"
	"chartd.dev/chartd/lock"
	"chartd.dev/chartd/repo"
)

// tagPace is the least time between two tags. Reading one takes a few requests
// of its registry, so that this stays under one a second.
const tagPace = 5 * time.Second

// tagChecker looks from time to time where the tags of what is pinned point,
// because nobody is told when somebody moves one.
type tagChecker struct {
	lock     *lock.Lockfile
	resolver repo.Resolver
	log      *slog.Logger
	pace     time.Duration
	changed  func() // called after a tag was found to have moved
}

// run checks once in each interval until ctx ends.
func (t tagChecker) run(ctx context.Context, interval time.Duration) {
	tick := time.NewTicker(interval)
	defer tick.Stop()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		if err := t.check(ctx); err != nil && ctx.Err() == nil {
			t.log.Warn("looking at tags failed", "error", err.Error())
		}
	}
}

// check looks at each tag once. A registry that does not answer keeps the
// others from nothing.
func (t tagChecker) check(ctx context.Context) error {
	tags, err := t.tags(ctx)
	if err != nil {
		return err
	}
	tick := time.NewTicker(t.pace)
	defer tick.Stop()
	unread, moved := 0, 0
	var last error
	for i, name := range tags {
		if i > 0 {
			select {
			case <-tick.C:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		image, err := t.resolver.Resolve(ctx, name)
		if err != nil {
			unread, last = unread+1, err
			continue
		}
		is, err := t.lock.ObserveTag(ctx, lock.Op{Actor: lock.Actor{Name: "chartd"}}, image.Image, name.Tag)
		if errors.Is(err, lock.ErrNotFound) {
			continue // adopted on somebody's word, and never read
		}
		if err != nil {
			return err
		}
		if is {
			moved++
			t.log.Warn("a tag moved", "tag", name.String(), "digest", image.Image.Digest.String())
			t.changed()
		}
	}
	if unread > 0 && !errors.Is(last, context.Canceled) {
		t.log.Warn("some tags could not be read", "tags", unread, "last_error", last.Error())
	}
	t.log.Debug("looked at tags", "tags", len(tags), "moved", moved)
	return ctx.Err()
}

// tags are those of the images that are pinned now, each once.
func (t tagChecker) tags(ctx context.Context) ([]ref.Reference, error) {
	list, err := t.lock.Environments(ctx)
	if err != nil {
		return nil, err
	}
	var out []ref.Reference
	seen := map[string]bool{}
	for _, e := range list {
		if e.Binding == nil {
			continue
		}
		for _, i := range e.Binding.Images {
			for _, tagged := range []struct {
				image ref.Image
				tag   string
			}{{i.Image, i.Tag}, {i.Base, i.BaseTag}} {
				text := tagged.image.Repository.String() + ":" + tagged.tag
				if tagged.tag == "" || tagged.image.IsZero() || seen[text] {
					continue
				}
				seen[text] = true
				name, err := ref.ParseReference(text)
				if err != nil {
					return nil, fmt.Errorf("the tag %q of %s: %w", text, e.Env, err)
				}
				out = append(out, name)
			}
		}
	}
	return out, nil
}
