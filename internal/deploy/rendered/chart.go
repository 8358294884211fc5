package rendered

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"

	"chartd.dev/chartd/internal/api"
	"chartd.dev/chartd/internal/archive"
	"chartd.dev/chartd/internal/deploy"
	"chartd.dev/chartd/internal/deploy/lockfile"
	"chartd.dev/chartd/internal/deploy/verify"
	"chartd.dev/chartd/internal/yamledit"
)

// most bytes of a chart in the checkout, and of one file of it.
const (
	maxChart     = 256 << 20
	maxChartFile = 64 << 20
)

// chart is what Helm renders for an environment.
type chart struct {
	path string // on disk
	name string // for people: the wrapper's directory, or NAME-VERSION
	said []layer
	// The pinned chart in it: where it stands, at which version, and its package.
	found   []inside
	notes   []string
	missing error // the package of it could not be had
}

// layer is a values file of a chart in the checkout. Its keys are those of the
// whole without the first skip.
type layer struct {
	file string
	skip int
}

// inside is the pinned chart as a dependency.
type inside struct {
	keys    []string // of its values
	version string
	place   verify.Place
	pkg     *archive.Package
}

// workshop makes charts ready to be rendered.
type workshop struct {
	repo  *deploy.Repo // nil: packages alone
	files []string     // of the repo
	links []string     // what is none of them, with the reason
	temp  string
	fetch func(ctx context.Context, name, version string, sealed bool) ([]byte, error)
	n     int
}

// build is one chart being made ready.
type build struct {
	*workshop
	pin    lockfile.Entry
	server string
	out    *chart
	bytes  int64
}

// wrapper copies a chart of the checkout and completes its dependencies, as
// "helm dependency build" would: the pinned chart at the version that stands
// there comes from the server.
func (w *workshop) wrapper(ctx context.Context, dir string, pin lockfile.Entry) (*chart, error) {
	w.n++
	b := build{w, pin, w.repo.Config().Server, &chart{path: filepath.Join(w.temp, fmt.Sprint("chart", w.n)), name: dir}, 0}
	return b.out, b.copy(ctx, dir, b.out.path, nil)
}

// copy takes one chart directory, whose values have keys above them.
func (b *build) copy(ctx context.Context, dir, to string, keys []string) error {
	dir = path.Clean(dir)
	prefix := dir + "/"
	if dir == "." {
		prefix = ""
	}
	if len(keys) > 8 {
		return api.Errorf(api.CodeInvalid, "%s: charts that depend on each other in the checkout are nested more than 8 deep", dir)
	}
	for _, file := range b.files {
		rel, ok := strings.CutPrefix(file, prefix)
		if !ok {
			continue
		}
		data, err := b.repo.Root().Read(file, maxChartFile)
		if err != nil {
			return deploy.Coded(err)
		}
		if b.bytes += int64(len(data)); b.bytes > maxChart {
			return api.Errorf(api.CodeInvalid, "%s: a chart of more than %d MiB is not rendered", dir, maxChart>>20)
		}
		if err := write(filepath.Join(to, filepath.FromSlash(rel)), data); err != nil {
			return err
		}
		if rel == "values.yaml" {
			b.out.said = append([]layer{{file, len(keys)}}, b.out.said...)
		}
	}
	for _, text := range b.links {
		if strings.HasPrefix(text, `"`+prefix) {
			b.out.notes = append(b.out.notes, "what Helm renders may lack "+text)
		}
	}
	return b.dependencies(ctx, dir, to, keys)
}

// dependency is an item of a chart's list of them.
type dependency struct {
	name, version, repository, alias string
	line                             int
}

func (d dependency) key() string { return cmp.Or(d.alias, d.name) }

// dependencies completes charts/ of a copied chart.
func (b *build) dependencies(ctx context.Context, dir, to string, keys []string) error {
	for _, name := range []string{"Chart.yaml", "requirements.yaml"} {
		file := path.Join(dir, name)
		doc, err := b.repo.Root().Read(file, maxChartFile)
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return deploy.Coded(err)
		}
		var left []string
		for _, d := range dependenciesOf(doc) {
			there, err := b.dependency(ctx, dependencyAt{d, dir, file, to, append(slices.Clone(keys), d.key())})
			if err != nil {
				return err
			}
			if !there && d.name != b.pin.Chart.Name { // of that it is told otherwise
				left = append(left, d.name)
				b.out.notes = append(b.out.notes, fmt.Sprintf("%s:%d: %s %s is not in %s, and only the pinned chart is fetched: rendered without it", file, d.line, d.name, d.version, path.Join(dir, "charts")))
			}
		}
		if len(left) > 0 {
			if err := dropDependencies(filepath.Join(to, name), left); err != nil {
				return err
			}
		}
	}
	return nil
}

// dependencyAt is one with its surroundings.
type dependencyAt struct {
	dependency
	dir, file string // of the chart in the repo, and the file that names it
	to        string // the copy
	keys      []string
}

// dependency puts one into charts/ of the copy, unless it is there. It reports
// whether there is one now.
func (b *build) dependency(ctx context.Context, d dependencyAt) (bool, error) {
	have, place := b.packed(d)
	if local, ok := strings.CutPrefix(d.repository, "file://"); ok && have == nil {
		at := path.Join(d.dir, local)
		if strings.HasPrefix(at, "../") || !slices.Contains(b.files, path.Join(at, "Chart.yaml")) {
			return false, nil
		}
		return true, b.copy(ctx, at, filepath.Join(d.to, "charts", d.name), d.keys)
	}
	if d.name != b.pin.Chart.Name {
		return have != nil, nil
	}
	in := inside{keys: d.keys, version: d.version, place: verify.Place{File: d.file, Line: d.line}, pkg: have}
	if have != nil && have.Chart.Version() != d.version {
		in.version, in.place = have.Chart.Version(), place
	}
	if have == nil {
		sealed := strings.HasPrefix(d.repository, b.server+"/environments/")
		data, err := b.fetch(ctx, d.name, d.version, sealed)
		if api.CodeOf(err) == api.CodeNotFound {
			b.out.found, b.out.missing = append(b.out.found, in), err
			return false, nil
		}
		if err != nil {
			return false, err
		}
		if in.pkg, err = archive.Read(data, archive.Options{Lenient: true}); err != nil {
			return false, api.Errorf(api.CodeInvalid, "%s %s of the server: %v", d.name, d.version, err)
		}
		if err := write(filepath.Join(d.to, "charts", fmt.Sprintf("%s-%s.tgz", d.name, d.version)), data); err != nil {
			return false, err
		}
	}
	b.out.found = append(b.out.found, in)
	return true, nil
}

// packed looks for a dependency in charts/ of the checkout: Helm goes by the
// name in it. Of several the one at the wanted version counts.
func (b *build) packed(d dependencyAt) (pkg *archive.Package, place verify.Place) {
	charts := path.Join(d.dir, "charts") + "/"
	for _, file := range b.files {
		rel, ok := strings.CutPrefix(file, charts)
		if !ok || pkg != nil && pkg.Chart.Version() == d.version {
			continue
		}
		var p *archive.Package
		switch dir, base := path.Split(rel); {
		case dir == "" && strings.HasSuffix(base, ".tgz"):
			doc, err := b.repo.Root().Read(file, maxChartFile)
			if err == nil {
				p, _ = archive.Read(doc, archive.Options{Lenient: true})
			}
		case strings.Count(dir, "/") == 1 && base == "Chart.yaml":
			p = b.unpacked(path.Dir(file))
		}
		if p != nil && p.Chart.Name() == d.name {
			pkg, place = p, verify.Place{File: file}
		}
	}
	return pkg, place
}

// unpacked reads a chart directory of the checkout; nil for what is none.
func (b *build) unpacked(dir string) *archive.Package {
	root, err := os.OpenRoot(filepath.Join(b.repo.Root().Dir(), filepath.FromSlash(dir)))
	if err != nil {
		return nil
	}
	defer root.Close()
	p, err := archive.ReadDir(root, archive.Options{Lenient: true})
	if err != nil {
		return nil
	}
	return p
}

// dependenciesOf are those of a Chart.yaml or requirements.yaml. What cannot be
// read is Helm's to refuse.
func dependenciesOf(doc []byte) []dependency {
	y, err := yamledit.Parse(doc, yamledit.Limits{Depth: 100, Nodes: 50_000})
	if err != nil || len(y.Documents()) == 0 {
		return nil
	}
	list := yamledit.Below(y.Documents()[0], "dependencies")
	if list == nil || list.Kind != yaml.SequenceNode {
		return nil
	}
	var out []dependency
	for _, item := range list.Content {
		d := dependency{line: item.Line}
		for key, to := range map[string]*string{"name": &d.name, "version": &d.version, "repository": &d.repository, "alias": &d.alias} {
			if n := yamledit.Below(item, key); n != nil && n.Kind == yaml.ScalarNode {
				*to = n.Value
				if key == "version" {
					d.line = n.Line
				}
			}
		}
		if d.name != "" {
			out = append(out, d)
		}
	}
	return out
}

// dropDependencies takes items out of a copied list of dependencies.
func dropDependencies(file string, names []string) error {
	data, err := os.ReadFile(file)
	if err != nil {
		return api.Errorf(api.CodeLocalIO, "%v", err)
	}
	var doc map[string]any
	if err := yaml.Unmarshal(data, &doc); err != nil {
		return api.Errorf(api.CodeInvalid, "read the dependencies: %v", err)
	}
	list, _ := doc["dependencies"].([]any)
	doc["dependencies"] = slices.DeleteFunc(list, func(item any) bool {
		m, _ := item.(map[string]any)
		name, _ := m["name"].(string)
		return slices.Contains(names, name)
	})
	if data, err = yaml.Marshal(doc); err != nil {
		return api.Errorf(api.CodeInvalid, "write the dependencies: %v", err)
	}
	return write(file, data)
}

func write(file string, data []byte) error {
	err := os.MkdirAll(filepath.Dir(file), 0o700)
	if err == nil {
		err = os.WriteFile(file, data, 0o600)
	}
	if err != nil {
		return api.Errorf(api.CodeLocalIO, "make a chart ready to be rendered: %v", err)
	}
	return nil
}
