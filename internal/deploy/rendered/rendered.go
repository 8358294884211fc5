// Package rendered runs the user's own "helm template" for an environment as
// its deploy repo deploys it, and compares the images that Helm renders with
// the pinned pair. It needs no lock file: the pin is the truth.
//
// Helm gets the chart of the checkout with the pinned chart from the server, or
// the environment's package; the values files that the checkout has for the
// environment; and then the same once more with the pinned images over all of
// them. What differs between the two is not the pinned image. Nothing of the
// checkout is changed or run, no cluster is asked, and Helm finds neither the
// user's settings nor plugins.
package rendered

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"chartd.dev/chartd/internal/api"
	"chartd.dev/chartd/internal/client"
	"chartd.dev/chartd/internal/deploy"
	"chartd.dev/chartd/internal/deploy/config"
	"chartd.dev/chartd/internal/deploy/lockfile"
	"chartd.dev/chartd/internal/deploy/verify"
	"chartd.dev/chartd/internal/ref"
)

// Settings say how charts are rendered.
type Settings struct {
	Program string   // of Helm, absolute
	Values  []string // files that Helm is given after those of the checkout
}

// Render renders environments. It is to be closed.
type Render struct {
	set      Settings
	repo     *deploy.Repo
	client   *client.Client
	workshop *workshop
	helm     helm
	values   []config.ValuesFile // of the repo
	extra    []valuesFile        // that were named
	packages map[string][]byte
	said     verify.Gathering
	out      []verify.Rendering
}

// New makes a place for what is rendered. Repo is nil where packages alone are.
func New(set Settings, repo *deploy.Repo, c *client.Client) (*Render, error) {
	temp, err := os.MkdirTemp("", "chartctl-render-")
	if err != nil {
		return nil, api.Errorf(api.CodeLocalIO, "make a place to render in: %v", err)
	}
	r := &Render{set: set, repo: repo, client: c, packages: map[string][]byte{},
		helm: helm{set.Program, filepath.Join(temp, "home"), timeLimit}, workshop: &workshop{repo: repo, temp: temp}}
	if err := r.open(); err != nil {
		r.Close()
		return nil, err
	}
	return r, nil
}

func (r *Render) open() error {
	w := r.workshop
	if err := os.Mkdir(r.helm.home, 0o700); err != nil {
		return api.Errorf(api.CodeLocalIO, "make a place to render in: %v", err)
	}
	for n, file := range r.set.Values {
		v, err := w.given(file, n)
		if err != nil {
			return api.Errorf(api.CodeLocalIO, "read the values file %q: %v", file, err)
		}
		r.extra = append(r.extra, v)
	}
	if r.repo == nil {
		return nil
	}
	var err error
	if w.files, w.links, err = r.repo.Root().Files(deploy.MaxFiles); err != nil {
		return deploy.Coded(err)
	}
	r.values = r.repo.Config().ValuesFiles(filepath.Base(r.repo.Root().Dir()), w.files)
	return nil
}

// given is a values file that was named. What can be read but once, as the end
// of a pipe, is kept for as long as it is rendered.
func (w *workshop) given(file string, n int) (valuesFile, error) {
	at, err := filepath.Abs(file)
	if err != nil {
		return valuesFile{}, err
	}
	name := file
	if w.repo != nil {
		if rel, err := filepath.Rel(w.repo.Root().Dir(), at); err == nil && filepath.IsLocal(rel) {
			name = filepath.ToSlash(rel)
		}
	}
	info, err := os.Stat(at)
	switch {
	case err != nil:
		return valuesFile{}, err
	case info.IsDir():
		return valuesFile{}, errors.New("it is a directory")
	case info.Mode().IsRegular():
		return valuesFile{name, at}, nil
	}
	data, err := readFile(at)
	if err != nil {
		return valuesFile{}, err
	}
	kept := filepath.Join(w.temp, fmt.Sprint("given", n, ".yaml"))
	return valuesFile{name, kept}, write(kept, data)
}

// Close takes away what was rendered.
func (r *Render) Close() { os.RemoveAll(r.workshop.temp) }

// Verdict is what was found so far, and how each environment was rendered.
func (r *Render) Verdict() (verify.Verdict, []verify.Rendering) { return r.said.Verdict(), r.out }

// Subject is an environment and the pair that it is to have.
type Subject struct {
	Env     ref.Env
	Pair    lockfile.Entry
	Binding *api.Binding // of the pair, where the server told it

	// For a deployment of which more is known than the checkout says.
	Package            string // the file that is installed, in place of a chart of the checkout
	Release, Namespace string // "" is HUB-STAGE
	Last               []string
	Args               []string // more arguments for Helm that set values
}

func (r *Render) group(env ref.Env) int {
	if r.repo == nil {
		return 1
	}
	return len(r.repo.Group(env))
}

func (r *Render) add(s Subject, f verify.Finding) {
	f.Kind = verify.DriftRender
	r.said.Add(s.Env.String(), r.group(s.Env), f)
}

func (r *Render) note(s Subject, format string, a ...any) {
	r.said.Note(s.Env.String(), format, a...)
}

// Look renders one environment and compares it. An error is of the server, of
// Helm's program or of this machine; what the checkout is to blame for is a
// finding.
func (r *Render) Look(ctx context.Context, s Subject) error {
	c, err := r.chart(ctx, s)
	if err != nil {
		return err
	}
	for _, n := range c.notes {
		r.note(s, "%s", n)
	}
	in, ok := r.halves(s, c)
	if !ok {
		return nil
	}
	given, left := r.given(s)
	t := template{release: or(s.Release, s.Env), namespace: or(s.Namespace, s.Env), chart: c.path, args: s.Args}
	for _, file := range given {
		t.values = append(t.values, file.path)
	}
	t.values = append(t.values, s.Last...)
	told := verify.Rendering{Environment: s.Env.String(), Chart: c.name, Version: in.version, Values: []string{}, LeftOut: left}
	for _, file := range given {
		told.Values = append(told.Values, file.name)
	}
	r.out = append(r.out, told)
	for _, file := range left {
		r.note(s, "%s is left out of what is rendered: it is secret", file)
	}
	return r.compare(ctx, look{s, c, in, given, t})
}

func or(name string, env ref.Env) string {
	if name != "" {
		return name
	}
	return env.Hub() + "-" + env.Stage()
}

// halves finds the pinned chart in what is rendered, and tells where its
// version is another: that half an image cannot show. It is not ok where
// nothing can be rendered.
func (r *Render) halves(s Subject, c *chart) (inside, bool) {
	want := s.Pair.Chart
	if len(c.found) == 0 {
		r.add(s, verify.Finding{Place: verify.Place{File: filepath.ToSlash(filepath.Join(c.name, "Chart.yaml"))}, Found: "no dependency", Want: want.Name + " " + want.Version,
			Message: fmt.Sprintf("no dependency of %s is %s, which is pinned", c.name, want.Name), Mend: "correct the wrapper in " + config.Name})
		return inside{}, false
	}
	in := c.found[0]
	if r.repo != nil {
		conf, _ := r.repo.Config().Environment(s.Env)
		if i := slices.IndexFunc(c.found, func(f inside) bool { return strings.Join(f.keys, ".") == conf.Prefix }); i >= 0 {
			in = c.found[i]
		}
	}
	if in.version != want.Version {
		r.add(s, verify.Finding{Place: in.place, Found: in.version, Want: want.Version, Mend: restore(s.Pair),
			Message: fmt.Sprintf("Helm renders %s %s, pinned is %s", want.Name, in.version, describe(s.Pair))})
	}
	if c.missing != nil {
		r.note(s, "what %s %s renders is not known: %v", want.Name, in.version, c.missing)
		return in, false
	}
	return in, true
}

// describe names a pair.
func describe(e lockfile.Entry) string {
	text := e.Chart.Version
	for _, i := range e.Images {
		text += fmt.Sprintf(" with the %s image %s", i.Role, i.Repository)
		if i.Tag != "" {
			text += ":" + i.Tag
		}
	}
	return text
}
