package main

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"chartd.dev/chartd/internal/events"
	"chartd.dev/chartd/internal/resolve"
	"chartd.dev/chartd/lock"
)

// background is what goes on beside answering: counting time for the gate,
// sending events, looking at tags, and keeping the house.
type background struct {
	process
	feed    *events.Feed
	outward *resolve.Outward
}

func (p process) background() (background, error) {
	out, err := resolve.NewOutward("allow-webhook", p.Webhooks)
	return background{p, events.NewFeed(p.data.lock), out}, err
}

// run ends when ctx has ended and all of it has.
func (b background) run(ctx context.Context) {
	var all sync.WaitGroup
	all.Go(func() { b.housekeep(ctx) })
	all.Go(func() { beats{b.data.lock, b.log}.run(ctx, lock.BeatInterval) })
	all.Go(func() {
		d := events.Deliverer{Feed: b.feed, Lock: b.data.lock, Transport: b.outward, Log: b.log, Now: time.Now, UserAgent: "chartd/" + buildVersion()}
		d.Run(ctx)
	})
	if b.TagCheck > 0 {
		all.Go(func() { b.checkTags(ctx) })
	}
	all.Wait()
}

func (b background) checkTags(ctx context.Context) {
	r, err := newResolver(b.Config)
	if err != nil { // the same configuration was good for the repository
		b.log.Error("looking at tags is off", "error", err.Error())
		return
	}
	tagChecker{b.data.lock, r, b.log, tagPace, b.feed.Changed}.run(ctx, b.TagCheck)
}

// beats tells the lock file how much time has passed. What it counts is the
// monotonic clock of this process, so that neither a clock that is set nor a
// server that stood still adds to a soak.
type beats struct {
	lock *lock.Lockfile
	log  *slog.Logger
}

func (b beats) run(ctx context.Context, interval time.Duration) {
	tick := time.NewTicker(interval)
	defer tick.Stop()
	last := time.Now()
	for {
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
		// Whole seconds; the rest waits for the next beat.
		elapsed := time.Since(last).Truncate(time.Second)
		last = last.Add(elapsed)
		err := b.lock.Beat(ctx, elapsed)
		if err != nil && ctx.Err() == nil {
			// What was not counted only makes a soak longer.
			b.log.Warn("counting time failed", "error", err.Error())
		}
	}
}
