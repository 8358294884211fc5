package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"slices"
	"strings"

	"chartd.dev/chartd/internal/api"
	"chartd.dev/chartd/internal/client"
	"chartd.dev/chartd/internal/deploy/lockfile"
	"chartd.dev/chartd/internal/deploy/move"
	"chartd.dev/chartd/internal/deploy/verify"
	"chartd.dev/chartd/internal/ref"
)

// readInput reads a file, or standard input for "-", and never more than max
// bytes.
func (a *app) readInput(name string, max int64) ([]byte, error) {
	if name != "-" {
		return readFile(name, max)
	}
	b, err := io.ReadAll(io.LimitReader(a.in, max+1))
	if err == nil && int64(len(b)) > max {
		err = &os.PathError{Op: "read", Path: "standard input", Err: fmt.Errorf("more than %d bytes", max)}
	}
	return b, err
}

// askServer adds what the server knows, and of each thing all or nothing: half
// an answer would read as differences.
func (a *app) askServer(ctx context.Context, co *move.Checkout, f verifyFlags, o *verify.Options, out *verified) error {
	if o.AnyStage {
		return usage("this branch is none of a stage's, so it is not known which pins to compare with: name HUB/STAGE, or give --offline, or --branch %s",
			strings.Join(sortedKeys(co.Repo.Config().Branches), " or "))
	}
	if err := co.Connect(); err != nil {
		return err
	}
	c := co.Client
	list, err := c.Environments(ctx)
	if err != nil {
		return err
	}
	envs := map[ref.Env]api.Environment{}
	for _, e := range list.Environments {
		envs[e.Env] = e
	}
	entries, err := lockedEntries(co, o.Envs)
	if err != nil {
		return nil // Verify says it
	}
	charts, err := lockedCharts(ctx, c, entries)
	if err == nil {
		err = foundCharts(ctx, c, co, *o, charts)
	}
	if err != nil {
		return err
	}
	o.Environments, o.Charts = envs, charts
	out.Checked = append(out.Checked, "pin")
	if f.pending {
		if out.pending, err = co.Pending(ctx, o.Envs, envs); err != nil {
			return err
		}
		if out.pending.Judged {
			out.Checked = append(out.Checked, "history")
		}
		out.Notes = append(out.Notes, out.pending.Notes...)
		o.Unfollowed = out.pending.Unfollowed
	}
	if !f.registry {
		return nil
	}
	tags, err := tagsToday(ctx, c, entries, out)
	if err != nil {
		return err
	}
	o.Tags = tags
	out.Checked = append(out.Checked, "registry")
	return nil
}

// lockedEntries are the lock's entries of the environments, each pair once.
func lockedEntries(co *move.Checkout, envs []ref.Env) ([]lockfile.Entry, error) {
	lock, err := co.Repo.Lock()
	if err != nil {
		return nil, err
	}
	var out []lockfile.Entry
	seen := map[ref.BindingID]bool{}
	for _, env := range envs {
		if e, ok := lock.Get(co.Repo.Key(env)); ok && e.Pinned() && !seen[e.Binding] {
			seen[e.Binding] = true
			out = append(out, e)
		}
	}
	return out, nil
}

// foundCharts adds the versions that the files name in place of the locked
// ones: in which order the two were published decides the words.
func foundCharts(ctx context.Context, c *client.Client, co *move.Checkout, o verify.Options, known map[string]api.Chart) error {
	local, err := verify.Repo(co.Repo, o)
	if err != nil {
		return nil // the caller's own Verify says it
	}
	for _, f := range local.Findings {
		for _, ch := range slices.Collect(maps.Values(known)) {
			v, err := ref.ParseImported(ch.Name, f.Found)
			if _, have := known[v.String()]; f.Kind != verify.DriftPair || err != nil || have {
				continue
			}
			found, err := c.Chart(ctx, v.Name(), v.Version())
			var missing *api.Error
			switch {
			case errors.As(err, &missing) && missing.Code == api.CodeNotFound:
			case err != nil:
				return err
			default:
				known[found.Name+"@"+found.Version] = found
			}
		}
	}
	return nil
}

// tagsToday asks what the registries have behind the tags of the locked pairs.
func tagsToday(ctx context.Context, c *client.Client, entries []lockfile.Entry, out *verified) (map[string]ref.Digest, error) {
	tags := map[string]ref.Digest{}
	for _, e := range entries {
		now, err := c.TagsNow(ctx, e.Binding)
		var unknown *api.Error
		if errors.As(err, &unknown) && unknown.Code == api.CodeNotFound {
			continue // a binding that the server does not have: the pin check says it
		}
		if err != nil {
			return nil, err
		}
		for _, t := range now.Tags {
			name := t.Repository + ":" + t.Tag
			if t.Gone {
				out.Notes = append(out.Notes, fmt.Sprintf("the registry has no tag %s any more; the pair is locked by digest", name))
				tags[name] = t.Bound
				continue
			}
			tags[name] = t.Now
		}
	}
	return tags, nil
}
