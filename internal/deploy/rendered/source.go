package rendered

import (
	"context"
	"path"
	"path/filepath"
	"slices"

	"chartd.dev/chartd/internal/api"
	"chartd.dev/chartd/internal/archive"
	"chartd.dev/chartd/internal/deploy"
	"chartd.dev/chartd/internal/deploy/config"
	"chartd.dev/chartd/internal/deploy/lockfile"
	"chartd.dev/chartd/internal/deploy/site"
	"chartd.dev/chartd/internal/deploy/verify"
)

// chart is what the deploy repo installs for an environment: the wrapper chart
// that its sites are in, else the environment's package.
func (r *Render) chart(ctx context.Context, s Subject) (*chart, error) {
	r.workshop.fetch = func(ctx context.Context, name, version string, sealed bool) ([]byte, error) {
		return r.fetch(ctx, s, name, version, sealed)
	}
	if s.Package != "" {
		return r.packaged(s)
	}
	if dir := r.wrapperOf(s); dir != "" {
		return r.workshop.wrapper(ctx, dir, s.Pair)
	}
	version, place := s.Pair.Chart.Version, verify.Place{File: config.Name}
	files := r.repo.Files()
	for _, at := range r.repo.Sites(r.repo.Key(s.Env)) {
		if at.Kind != site.Marker || at.Path != "chart.version" {
			continue
		}
		if v, err := files.Value(at); err == nil {
			version, place = v.Text, verify.Place{File: at.File, Line: v.Line}
		}
	}
	return r.fetched(ctx, s, version, place)
}

// wrapperOf is the chart of the checkout that is deployed, "" for none.
func (r *Render) wrapperOf(s Subject) string {
	conf, _ := r.repo.Config().Environment(s.Env)
	if conf.Wrapper != "" {
		return path.Clean(conf.Wrapper)
	}
	for _, at := range r.repo.Sites(r.repo.Key(s.Env)) {
		if at.Kind == site.Dependency && at.Name == s.Pair.Chart.Name {
			return path.Dir(at.File)
		}
	}
	return ""
}

// packaged is a package that lies here already.
func (r *Render) packaged(s Subject) (*chart, error) {
	data, err := readFile(s.Package)
	if err == nil {
		data, err = unguarded(data)
	}
	file := filepath.Join(r.workshop.temp, "packages", filepath.Base(s.Package))
	if err == nil {
		err = write(file, data)
	}
	if err != nil {
		return nil, err
	}
	return packageChart(s.Pair, s.Pair.Chart.Version, verify.Place{File: filepath.Base(s.Package)}, file, data)
}

// fetched is the chart's package from the server: the sealed one, where there
// is one, for the pinned version.
func (r *Render) fetched(ctx context.Context, s Subject, version string, place verify.Place) (*chart, error) {
	name := s.Pair.Chart.Name
	data, err := r.fetch(ctx, s, name, version, true)
	if api.CodeOf(err) == api.CodeNotFound {
		return &chart{name: name + "-" + version, found: []inside{{version: version, place: place}}, missing: err}, nil
	}
	if err != nil {
		return nil, err
	}
	file := filepath.Join(r.workshop.temp, "packages", string(s.Pair.Binding.String()[3:])+"-"+version+".tgz")
	if err := write(file, data); err != nil {
		return nil, err
	}
	return packageChart(s.Pair, version, place, file, data)
}

func packageChart(pair lockfile.Entry, version string, place verify.Place, file string, data []byte) (*chart, error) {
	p, err := archive.Read(data, archive.Options{Lenient: true})
	if err != nil {
		return nil, api.Errorf(api.CodeInvalid, "%s %s of the server: %v", pair.Chart.Name, version, err)
	}
	return &chart{path: file, name: pair.Chart.Name + "-" + version, found: []inside{{version: version, place: place, pkg: p}}}, nil
}

// fetch downloads a package once. The sealed one is only for the pinned version.
func (r *Render) fetch(ctx context.Context, s Subject, name, version string, sealed bool) ([]byte, error) {
	b := s.Binding
	sealed = sealed && b != nil && !b.Sealed.IsZero() && b.Version == version && b.Name == name
	key := name + "@" + version
	if sealed {
		key += " " + b.Sealed.String()
	}
	if data, ok := r.packages[key]; ok {
		return data, nil
	}
	var data []byte
	var err error
	if sealed {
		if data, err = r.client.Sealed(ctx, *b); err == nil {
			data, err = unguarded(data)
		}
	} else {
		var known api.Chart
		if known, err = r.client.Chart(ctx, name, version); err == nil {
			data, err = r.client.Package(ctx, known)
		}
	}
	if err == nil {
		r.packages[key] = data
	}
	return data, err
}

// valuesFile is a values file that Helm is given.
type valuesFile struct {
	name string // from the top of the repo, or as it was given
	path string // on disk
}

// given are the values files of an environment, in Helm's order, and what was
// left out because it is secret.
func (r *Render) given(s Subject) (out []valuesFile, left []string) {
	if r.repo != nil && s.Package == "" {
		names, secret := r.repo.Config().HelmValues(s.Env, r.values)
		left = secret
		for _, name := range names {
			data, err := r.repo.Root().Read(name, config.MaxValues)
			switch {
			case err != nil:
				r.note(s, "%v", deploy.Coded(err))
			case encrypted(data):
				left = append(left, name)
			case !object(data):
				out = append(out, valuesFile{name, filepath.Join(r.repo.Root().Dir(), filepath.FromSlash(name))})
			}
		}
	}
	for _, v := range r.extra {
		out = slices.DeleteFunc(out, func(have valuesFile) bool { return have.name == v.name })
		out = append(out, v)
	}
	slices.Sort(left)
	return out, left
}
