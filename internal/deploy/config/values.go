package config

import (
	"path"
	"slices"
	"strings"

	"chartd.dev/chartd/internal/ref"
)

// MaxValues is the largest values file that is looked into, in bytes, and
// MaxAllValues the most of all of them.
const (
	MaxValues    = maxYAML
	MaxAllValues = maxBytes
)

// ValuesFile is a YAML file of the repo that a deployment may be given.
type ValuesFile struct {
	File  string
	Chart string // directory of the chart that it lies in; "" for none
	// The environments that it is for, where that is clear; else empty.
	Hub, Stage string
}

// For reports whether the file may be given to a deployment of env; anyStage
// leaves its stage out.
func (v ValuesFile) For(env ref.Env, anyStage bool) bool {
	return (v.Hub == "" || v.Hub == env.Hub()) && (v.Stage == "" || anyStage || v.Stage == env.Stage())
}

// ValuesFiles are those among the files of a checkout that Discover would look
// for images in. Whom they are for is read off their paths, as Discover reads
// it, as far as the config calls its environments the same.
func (c Config) ValuesFiles(name string, files []string) []ValuesFile {
	f := &finder{Search: Search{Name: name, Files: slices.Clone(files)}}
	f.Files = slices.DeleteFunc(f.Files, func(name string) bool {
		dir := examplesOf(name)
		return badPath(name) != "" || dir != "" && !c.deploys(dir)
	})
	slices.Sort(f.Files)
	clear := c.clearNames(layoutOf(f))
	var out []ValuesFile
	for _, file := range f.Files {
		if _, ok := yamlName(file); ok && !strings.HasPrefix(file, ".github/") && !f.passedOver(file) {
			at := clear(file)
			out = append(out, ValuesFile{File: file, Chart: f.chartAround(file), Hub: at.hub, Stage: at.stage})
		}
	}
	return out
}

// chartAround is the directory of the nearest chart that a file lies in.
func (f *finder) chartAround(file string) string {
	for dir := path.Dir(file); ; dir = path.Dir(dir) {
		if f.has(path.Join(dir, "Chart.yaml")) {
			return dir
		}
		if dir == "." {
			return ""
		}
	}
}

// clearNames returns what says whom a file is for. A name that the config does
// not have is clear only if the layout has all names of the config: else the
// environments may be called otherwise than their files.
func (c Config) clearNames(l layout) func(file string) scope {
	hubs, stages := map[string]bool{}, map[string]bool{} // whether the layout has them
	for _, e := range c.Envs() {
		hubs[e.Hub()] = slices.ContainsFunc(l.envs, func(at scope) bool { return at.hub == e.Hub() })
		stages[e.Stage()] = slices.ContainsFunc(l.envs, func(at scope) bool { return at.stage == e.Stage() })
	}
	clear := func(names map[string]bool, name string) string {
		if _, ok := names[name]; ok {
			return name
		}
		for _, found := range names {
			if !found {
				return ""
			}
		}
		return name
	}
	return func(file string) scope {
		at := l.scopeOf(file)
		if at.stage == "" {
			if _, ok := stages[stageOf(file)]; ok {
				at.stage = stageOf(file)
			}
		}
		return scope{clear(hubs, at.hub), clear(stages, at.stage)}
	}
}

// stageOf is the stage that a file is named after, "" for none.
func stageOf(file string) string {
	name, ok := yamlName(file)
	if !ok {
		return ""
	}
	for _, cut := range []string{"values-", "values.", "values_"} {
		name = strings.TrimPrefix(name, cut)
	}
	for _, cut := range []string{"-values", ".values", "_values"} {
		name = strings.TrimSuffix(name, cut)
	}
	if !isStage(name) {
		return ""
	}
	return name
}
