package deploy

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"slices"
	"strings"

	"chartd.dev/chartd/internal/api"
	"chartd.dev/chartd/internal/deploy/config"
	"chartd.dev/chartd/internal/deploy/lockfile"
	"chartd.dev/chartd/internal/deploy/site"
	"chartd.dev/chartd/internal/ref"
	"chartd.dev/chartd/internal/yamledit"
)

// Verdict is what Verify found.
type Verdict struct {
	Findings []Finding // sorted by place
	Notes    []string  // what could not be compared, and why; no difference
}

// Verify compares lock, sites, packed charts and Helm's lock files, and
// whatever else o holds, for environments of one stage. It changes nothing and
// runs no other program.
func (r *Repo) Verify(o VerifyOptions) (Verdict, error) {
	lock, err := r.Lock()
	if err != nil {
		return Verdict{}, err
	}
	if r.LockBytes() == nil {
		return Verdict{}, &api.Error{Code: api.CodeNotFound, Message: fmt.Sprintf("there is no %s beside %s, so nothing is locked yet", lockfile.Name, config.Name),
			Want: "make one with chartctl init or chartctl bump"}
	}
	v := &verification{o: o, files: r.Files(), lock: r.LockBytes(), top: r.root.Dir(),
		source: r.conf.Server, review: r.conf.Flow == config.Review, merged: r.conf.ByBranch(),
		groups: map[string]int{}, packages: map[string]string{}, trees: map[string]tree{}, unpackeds: map[string]unpackedChart{}}
	v.list = func(dir string) ([]string, error) { return listDir(v.top, dir) }
	envs := o.Envs
	if len(envs) == 0 {
		envs = r.conf.Envs()
	}
	for _, env := range envs {
		if err := v.environment(r, lock, env); err != nil {
			return Verdict{}, err
		}
	}
	if len(o.Envs) != 1 {
		v.strangers(r, lock)
	}
	return Verdict{v.findings(), v.remarks()}, nil
}

func (v *verification) environment(r *Repo, lock lockfile.File, env ref.Env) error {
	key := r.Key(env)
	conf, ok := r.conf.Environment(env)
	if !ok {
		return &api.Error{Code: api.CodeNotFound, Message: fmt.Sprintf("%s names no environment %q", config.Name, v.name(env, key)),
			Want: "it names " + someOf(r.conf, env.Stage())}
	}
	s := subject{env: v.name(env, key), full: env, chart: conf.Chart, group: len(r.Group(env))}
	if s.entry, ok = lock.Get(key); !ok {
		v.add(s, Finding{Kind: DriftLock, Place: Place{File: lockfile.Name}, Found: "no entry", Want: conf.Chart,
			Message: fmt.Sprintf("%s has no entry for %s", lockfile.Name, key), Mend: "chartctl bump {env}{group} --latest"})
		return nil
	}
	if s.entry.Pinned() && s.entry.Chart.Name != conf.Chart {
		v.add(s, Finding{Kind: DriftLock, Place: v.lockPlace(key, "chart"), Found: s.entry.Chart.Name, Want: conf.Chart,
			Message: fmt.Sprintf("the locked chart is %s, %s says %s", s.entry.Chart.Name, config.Name, conf.Chart), Mend: "correct " + config.Name})
	}
	all := r.Sites(key)
	for _, at := range all {
		if v.concerns(at, s.entry) {
			s.sites = append(s.sites, at)
		}
	}
	s.dirs = chartDirs(conf.Wrapper, all)
	v.one(s)
	if s.entry.Pinned() {
		v.wrapped(s, conf)
		return v.overrides(r, s, conf)
	}
	return nil
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

// strangers are entries of the lock that no environment stands for.
func (v *verification) strangers(r *Repo, lock lockfile.File) {
	for _, e := range lock.Entries {
		if _, ok := r.conf.Environments[e.Key]; ok {
			continue
		}
		v.add(subject{env: e.Key}, Finding{Kind: DriftLock, Place: v.lockPlace(e.Key, "chart"), Found: e.Key, Want: "no entry",
			Message: fmt.Sprintf("%s is locked, and %s names no such environment", e.Key, config.Name),
			Mend:    fmt.Sprintf("name it in %s, or remove its lines from %s", config.Name, lockfile.Name)})
	}
}

// name is what findings call an environment.
func (v *verification) name(env ref.Env, key string) string {
	if v.o.AnyStage {
		return key
	}
	return env.String()
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

// chartVersion reads the version of a chart that lies in files.
func (v *verification) chartVersion(file string) (string, int, error) {
	b, err := v.files.Bytes(file)
	if err != nil {
		var at *site.Error
		if errors.As(err, &at) {
			return "", 0, errors.New(at.Text)
		}
		return "", 0, err
	}
	s, err := yamledit.Find(b, "version")
	return s.Value, s.Line, err
}

// listDir lists a directory below top, following no link out of it. There are
// never many charts in one.
func listDir(top, dir string) ([]string, error) {
	root, err := os.OpenRoot(top)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	info, err := root.Stat(dir)
	if err == nil && !info.IsDir() {
		err = errors.New("it is no directory") // and opening it might block
	}
	if err != nil {
		return nil, err
	}
	d, err := root.Open(dir)
	if err != nil {
		return nil, err
	}
	defer d.Close()
	entries, err := d.ReadDir(1000)
	if err != nil && len(entries) == 0 && err != io.EOF {
		return nil, err
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	slices.Sort(names)
	return names, nil
}
