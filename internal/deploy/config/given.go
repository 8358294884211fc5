package config

import (
	"cmp"
	"path"
	"slices"
	"strings"

	"chartd.dev/chartd/internal/deploy/site"
	"chartd.dev/chartd/internal/ref"
)

// HelmValues are those among the values files of a checkout that Helm is given
// for an environment, as far as their names and the sites say it, in Helm's
// order: what several environments share, what holds a site of this one, what
// is of its hub, what is of its stage. A values.yaml beside a Chart.yaml is the
// chart's own and none of them. Secret files come apart: nobody but their owner
// can read them.
func (c Config) HelmValues(env ref.Env, all []ValuesFile) (given, secret []string) {
	g := givenTo{env: env, dirs: map[string]bool{}, sites: map[string]bool{}, ranks: map[string]int{}}
	for _, s := range c.SitesOf(env) {
		g.sites[s.File] = s.Kind == site.Image || s.Kind == site.ImageRef
	}
	all = slices.DeleteFunc(slices.Clone(all), func(v ValuesFile) bool { return !v.For(env, false) || !v.isValues() })
	for _, v := range all {
		if g.own(v) {
			dir := path.Dir(v.File)
			g.dirs[dir], g.dirs[path.Dir(dir)] = true, true
		}
	}
	for _, v := range all {
		rank := g.rank(v)
		switch {
		case isSecret(v.File) && (g.own(v) || rank > 0 || v.Hub != ""):
			secret = append(secret, v.File)
		case rank > 0 && !isSecret(v.File):
			given = append(given, v.File)
			g.ranks[v.File] = rank
		}
	}
	slices.SortStableFunc(given, func(a, b string) int {
		return cmp.Or(cmp.Compare(g.ranks[a], g.ranks[b]), cmp.Compare(strings.Count(a, "/"), strings.Count(b, "/")), cmp.Compare(a, b))
	})
	return given, secret
}

// givenTo decides which files one environment's Helm is given.
type givenTo struct {
	env   ref.Env
	dirs  map[string]bool // that files of the environment lie in, and those above
	sites map[string]bool // files with an image of it
	ranks map[string]int
}

// own: the file is of this stage alone.
func (g givenTo) own(v ValuesFile) bool { return v.Stage != "" }

// rank is where the file comes in Helm's order, 0 for nowhere.
func (g givenTo) rank(v ValuesFile) int {
	name := valuesName(v.File)
	byName := slices.Contains(sharedNames, name) || name == g.env.Hub()
	switch {
	case g.own(v) && (byName || name == g.env.Stage() || stageOf(v.File) == g.env.Stage()):
		return 4
	case g.sites[v.File]:
		return 2
	case byName && v.Hub != "" && (len(g.dirs) == 0 || g.dirs[path.Dir(v.File)]):
		return 3
	case byName && g.dirs[path.Dir(v.File)]:
		return 1
	}
	return 0
}

// sharedNames are what files are called that several environments are given.
var sharedNames = []string{"values", "common", "shared", "base", "default", "defaults", "all", "global"}

// valuesName is what a values file is called, without the word for values.
func valuesName(file string) string {
	name, _ := yamlName(file)
	for _, sep := range []string{"-", ".", "_"} {
		name = strings.TrimSuffix(strings.TrimPrefix(name, "values"+sep), sep+"values")
	}
	return name
}

// isValues: the file may be values for Helm, by its name and place.
func (v ValuesFile) isValues() bool {
	base := path.Base(v.File)
	if v.Chart != "" && path.Dir(v.File) == v.Chart && (base == "values.yaml" || base == "values.yml") {
		return false
	}
	name, _ := yamlName(v.File)
	return !slices.Contains([]string{"Chart", "requirements", "hubploy", "kustomization", "helmfile", "cluster", "chartpress"}, name) &&
		!strings.HasPrefix(base, ".") && !strings.HasPrefix(v.File, ".")
}

// isSecret: the file is meant to be encrypted, by its name or its place.
func isSecret(file string) bool {
	for _, dir := range strings.Split(path.Dir(file), "/") {
		if dir == "secrets" || dir == "secret" {
			return true
		}
	}
	words := strings.FieldsFunc(path.Base(file), func(r rune) bool { return r == '.' || r == '-' || r == '_' })
	return slices.ContainsFunc(words, func(w string) bool { return w == "secret" || w == "secrets" || w == "enc" || w == "sops" })
}
