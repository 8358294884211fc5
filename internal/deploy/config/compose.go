package config

import (
	"fmt"
	"path"
	"slices"
	"strconv"
	"strings"

	"chartd.dev/chartd/internal/deploy/site"
	"chartd.dev/chartd/internal/ref"
)

// compose makes the config of what was found.
func (f *finder) compose() error {
	c := &f.out.Config
	c.Server, c.Flow = f.Server, f.Flow
	c.Sites, c.Environments = map[string][]site.Site{}, map[string]Environment{}
	c.Branches = f.layout.branches
	f.dropSecondWrappers()
	f.dropUnreadable()
	if len(f.places) == 0 {
		return fmt.Errorf("%w: no file here names chart %q or its image; mark the lines that do, such as with the comment \"# chartctl: chart.version\"", ErrNothing, f.chart)
	}
	byKey := map[string][]scope{}
	for _, at := range f.layout.scopes() {
		key := at.hub
		if !c.ByBranch() {
			key += "/" + at.stage
		}
		byKey[key] = append(byKey[key], at)
	}
	names := f.setNames()
	for key, at := range byKey {
		e := Environment{Chart: f.chart}
		for _, one := range at {
			for _, of := range []scope{{}, {hub: one.hub}, {stage: one.stage}, one} {
				if name, ok := names[of]; ok && !slices.Contains(e.Sites, name) {
					e.Sites = append(e.Sites, name)
				}
			}
		}
		for _, w := range f.wrappers { // its own one before a shared one
			own := f.layout.scopeOf(w.dir + "/Chart.yaml")
			if slices.ContainsFunc(at, own.covers) && (e.Wrapper == "" || own != scope{}) {
				e.Wrapper, e.Prefix = w.dir, w.prefix
			}
		}
		if len(e.Sites) == 0 {
			f.leave(key, "no file of it names chart %q or its image", f.chart)
			continue
		}
		slices.SortFunc(e.Sites, func(a, b string) int { return strings.Compare(f.rank(names, a)+a, f.rank(names, b)+b) })
		c.Environments[key] = e
	}
	if len(c.Environments) == 0 {
		return fmt.Errorf("%w: no environment of the repo names chart %q or its image", ErrNothing, f.chart)
	}
	f.dropHalves(names)
	if len(c.Environments) == 0 {
		return fmt.Errorf("%w: no file names the version of chart %q, so a bump would move images alone; mark the line that does with the comment \"# chartctl: chart.version\", or install from the environments' repositories and write kept: {chart: %s}", ErrNothing, f.chart, HelmRepository)
	}
	f.fill(names)
	return nil
}

// fill takes the sites of the sets that are used.
func (f *finder) fill(names map[scope]string) {
	c := &f.out.Config
	used := map[string]bool{}
	for _, e := range c.Environments {
		for _, set := range e.Sites {
			used[set] = true
		}
	}
	for _, p := range f.places {
		if name := names[p.scope]; used[name] {
			c.Sites[name] = append(c.Sites[name], p.site)
		}
	}
	f.missing()
}

// dropHalves leaves out the environments of which no file names the version.
func (f *finder) dropHalves(names map[scope]string) {
	for key, e := range f.out.Config.Environments {
		var sites []site.Site
		var at []string
		for _, p := range f.places {
			if slices.Contains(e.Sites, names[p.scope]) {
				sites, at = append(sites, p.site), append(at, f.lineOf(p.site))
			}
		}
		if SaysVersion(sites) {
			continue
		}
		f.leave(key, "%s would move alone, since no file names the version of chart %q for it; mark the line that does with the comment \"# chartctl: chart.version\", or install from the environment's repository and write kept: {chart: %s}", strings.Join(at, ", "), f.chart, HelmRepository)
		delete(f.out.Config.Environments, key)
	}
}

// lineOf is where a site is found.
func (f *finder) lineOf(s site.Site) string {
	for _, e := range f.out.Evidence {
		if e.File == s.File {
			return fmt.Sprintf("%s:%d", e.File, e.Line)
		}
	}
	return s.File
}

// rank puts the shared set first.
func (f *finder) rank(names map[scope]string, set string) string {
	if set == names[scope{}] {
		return "0"
	}
	return "1"
}

// setNames names a set for every scope.
func (f *finder) setNames() map[scope]string {
	out := map[scope]string{}
	taken := map[string]bool{}
	slices.SortStableFunc(f.places, func(a, b placed) int {
		return strings.Compare(a.scope.hub+"/"+a.scope.stage, b.scope.hub+"/"+b.scope.stage)
	})
	for _, p := range f.places {
		if _, ok := out[p.scope]; ok {
			continue
		}
		name := p.scope.hub + "-" + p.scope.stage
		switch {
		case p.scope == scope{}:
			name = f.chart
			for _, w := range f.wrappers {
				if w.dir != "." && f.layout.scopeOf(w.dir+"/Chart.yaml") == (scope{}) {
					name = path.Base(w.dir)
				}
			}
		case p.scope.stage == "":
			name = p.scope.hub + "-images"
			if slices.ContainsFunc(f.wrappers, func(w wrapper) bool { return f.layout.scopeOf(w.dir+"/Chart.yaml") == p.scope }) {
				name = p.scope.hub
			}
		case p.scope.hub == "":
			name = "stage-" + p.scope.stage
		}
		for name = setName(name); taken[name]; {
			name += "-sites"
		}
		taken[name], out[p.scope] = true, name
	}
	return out
}

func setName(s string) string {
	return strings.Map(func(r rune) rune {
		if goodName(string(r)) {
			return r
		}
		return '-'
	}, s)
}

// dropSecondWrappers keeps one wrapper for each environment.
func (f *finder) dropSecondWrappers() {
	first := map[scope]wrapper{}
	var kept []wrapper
	for _, w := range f.wrappers {
		at := f.layout.scopeOf(w.dir + "/Chart.yaml")
		if one, ok := first[at]; ok {
			f.leave(strconv.Quote(w.dependency.File), "it depends on %q too, and %q comes first; an environment deploys one of them", f.chart, one.dependency.File)
			continue
		}
		first[at] = w
		kept = append(kept, w)
		f.places = append([]placed{{w.dependency, at}}, f.places...)
		f.out.Evidence = slices.Insert(f.out.Evidence, f.site, w.evidence)
		f.site++
	}
	f.wrappers = kept
}

// dropUnreadable leaves out what a bump would refuse.
func (f *finder) dropUnreadable() {
	files := site.NewFiles(func(name string) ([]byte, error) { return f.Read(name, maxYAML) })
	f.places = slices.DeleteFunc(f.places, func(p placed) bool {
		_, err := files.Value(p.site)
		if err != nil {
			f.leave(p.site.String(), "%v", err)
		}
		return err != nil
	})
}

// missing says which images no site holds.
func (f *finder) missing() {
	roles := map[ref.Role]bool{}
	for _, p := range f.places {
		if p.site.Kind != site.From {
			roles[p.site.Role] = true
		}
		if rest, ok := strings.CutPrefix(p.site.Path, "image."); ok && p.site.Kind == site.Marker {
			roles[ref.Role(strings.TrimSuffix(rest, ".tag"))] = true
		}
	}
	for role := range f.images {
		if !roles[role] {
			f.note("no file names an image for %q: the chart's own one is taken", role)
		}
	}
}
