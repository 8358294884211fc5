package verify

import (
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	"chartd.dev/chartd/internal/advice"

	"chartd.dev/chartd/internal/api"
	"chartd.dev/chartd/internal/deploy"
	"chartd.dev/chartd/internal/deploy/config"
	"chartd.dev/chartd/internal/deploy/lockfile"
	"chartd.dev/chartd/internal/deploy/release"
	"chartd.dev/chartd/internal/deploy/site"
	"chartd.dev/chartd/internal/ref"
)

// Options says what to compare the checkout with, besides itself. What is nil is
// not looked at.
type Options struct {
	Envs []ref.Env // none: all of the repo
	// AnyStage: branches are stages, and the checkout is of none that is
	// known; Envs name any, and findings name the hubs alone.
	AnyStage bool
	// Environments is what the server has pinned.
	Environments map[ref.Env]api.Environment
	// Charts is what the server knows of chart versions, by NAME@VERSION:
	// their order and the digest of their content.
	Charts map[string]api.Chart
	// Tags is what the registries have behind REPOSITORY:TAG today.
	Tags map[string]ref.Digest
	// Deployed is what runs.
	Deployed map[ref.Env]release.Release
	// Pending lets the lock be ahead of the pin, but for what Unfollowed says
	// why it cannot be pinned as it is.
	Pending    bool
	Unfollowed map[ref.Env]*api.Error
}

// Repo compares lock, sites, packed charts and Helm's lock files, and whatever
// else o holds, for environments of one stage.
func Repo(r *deploy.Repo, o Options) (Verdict, error) {
	lock, err := r.Lock()
	if err != nil {
		return Verdict{}, err
	}
	if r.LockBytes() == nil {
		return Verdict{}, &api.Error{Code: api.CodeNotFound, Message: fmt.Sprintf("there is no %s beside %s, so nothing is locked yet", lockfile.Name, config.Name),
			Want: fmt.Sprintf("make one with %s or %s", advice.Init, advice.AnyBump)}
	}
	v := &verification{o: o, repo: r, conf: r.Config(), files: r.Files(),
		found: Gathering{AnyStage: o.AnyStage}, packages: map[string]string{}, trees: map[string]tree{}, unpackeds: map[string]unpackedChart{}}
	envs := o.Envs
	if len(envs) == 0 {
		envs = v.conf.Envs()
	}
	for _, env := range envs {
		if err := v.environment(lock, env); err != nil {
			return Verdict{}, err
		}
	}
	if len(o.Envs) != 1 {
		v.strangers(lock)
	}
	return v.found.Verdict(), nil
}

func (v *verification) environment(lock lockfile.File, env ref.Env) error {
	key := v.repo.Key(env)
	conf, ok := v.conf.Environment(env)
	if !ok {
		return unknown(v.conf, env, v.name(env, key))
	}
	s := subject{env: v.name(env, key), full: env, conf: conf, group: len(v.repo.Group(env))}
	if s.entry, ok = lock.Get(key); !ok {
		v.add(s, Finding{Kind: DriftLock, Place: Place{File: lockfile.Name}, Found: "no entry", Want: conf.Chart,
			Message: fmt.Sprintf("%s has no entry for %s", lockfile.Name, key), Mend: string(advice.TakeLatest)})
		return nil
	}
	if s.entry.Pinned() && s.entry.Chart.Name != conf.Chart {
		v.add(s, Finding{Kind: DriftLock, Place: v.lockPlace(key, "chart"), Found: s.entry.Chart.Name, Want: conf.Chart,
			Message: fmt.Sprintf("the locked chart is %s, %s says %s", s.entry.Chart.Name, config.Name, conf.Chart), Mend: "correct " + config.Name})
	}
	if err := v.repo.Whole(s.entry); err != nil && s.entry.Pinned() {
		v.half(s, err)
	}
	all := v.repo.Sites(key)
	for _, at := range all {
		if v.concerns(at, s.entry) {
			s.sites = append(s.sites, at)
		}
	}
	s.dirs = chartDirs(conf.Wrapper, all)
	return v.compare(s)
}

// half tells of an environment that has a place for one half of its pair alone.
func (v *verification) half(s subject, err error) {
	var e *api.Error
	if errors.As(err, &e) {
		v.add(s, Finding{Kind: DriftLock, Place: Place{File: config.Name}, Found: "half a pair", Want: "both halves", Message: strings.Replace(e.Message, s.entry.Key, "{env}", 1), Mend: strings.Replace(e.Want, s.entry.Key, "{env}", 1)})
	}
}

// compare looks at everything about one environment.
func (v *verification) compare(s subject) error {
	pinned := s.entry.Pinned()
	if pinned {
		v.sites(s)
		v.packed(s)
	}
	v.prepared(s)
	v.sourceOf(s)
	if !pinned {
		return nil
	}
	v.pin(s)
	v.tags(s)
	v.deployed(s)
	v.wrapped(s)
	return v.overrides(s)
}

// concerns reports whether a lock entry says anything about a site.
func (v *verification) concerns(at site.Site, e lockfile.Entry) bool {
	if at.Kind != site.Image && at.Kind != site.ImageRef && at.Kind != site.From {
		return true
	}
	return slices.ContainsFunc(e.Images, func(i lockfile.Image) bool { return i.Role == at.Role })
}

// chartDirs are the directories of the charts that depend on the locked one.
func chartDirs(wrapper string, sites []site.Site) []string {
	var out []string
	if wrapper != "" {
		out = append(out, path.Clean(wrapper))
	}
	for _, s := range sites {
		if s.Kind == site.Dependency {
			out = append(out, path.Dir(s.File))
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// name is what findings call an environment.
func (v *verification) name(env ref.Env, key string) string {
	if v.o.AnyStage {
		return key
	}
	return env.String()
}

// unknown refuses an environment that the repo does not name.
func unknown(c config.Config, env ref.Env, name string) error {
	return &api.Error{Code: api.CodeNotFound, Message: fmt.Sprintf("%s names no environment %q", config.Name, name), Want: "it names " + someOf(c, env.Stage())}
}

// someOf names environments to choose from; where branches are stages, those
// of the stage.
func someOf(c config.Config, stage string) string {
	var names []string
	for _, e := range c.Envs() {
		if !c.ByBranch() || e.Stage() == stage {
			names = append(names, e.String())
		}
	}
	if n := len(names); n > 12 {
		names = append(names[:12], fmt.Sprintf("and %d more", n-12))
	}
	return strings.Join(names, ", ")
}
