package config

import (
	"maps"
	"path"
	"slices"
	"strings"

	"chartd.dev/chartd/internal/ref"
)

// scope is the environments that a file is for; an empty half is any.
type scope struct{ hub, stage string }

// covers reports whether the scope holds an environment.
func (s scope) covers(e scope) bool {
	return (s.hub == "" || s.hub == e.hub) && (s.stage == "" || e.stage == "" || s.stage == e.stage)
}

// layout is how a repo names its environments.
type layout struct {
	dirs     map[string]scope // of directories
	files    map[string]scope // of files that are for one stage
	envs     []scope          // hub and stage
	known    map[scope]bool   // of envs; with the hub alone, of its hubs
	branches map[string]string
}

// stages are the words that name one.
var stages = []string{"staging", "stage", "prod", "production", "dev", "develop", "development", "test", "testing",
	"qa", "uat", "preprod", "preview", "canary", "demo", "beta"}

// shelves are directories that hold environments and name none.
var shelves = []string{".", "env", "envs", "environments", "deployments", "deploy", "clusters", "stages", "config", "configs",
	"hubs", "values", "helm", "charts", "k8s", "kubernetes", "overlays"}

func isStage(s string) bool { return slices.Contains(stages, s) }

// layoutOf reads the environments off the paths: HUB/config/STAGE.yaml (and
// HUB/hubploy.yaml), HUB/STAGE/… and STAGE/HUB/…, values-STAGE.yaml, in this
// order; else there is one, named after the checkout.
func layoutOf(f *finder) layout {
	l := layout{dirs: map[string]scope{}, files: map[string]scope{}, known: map[scope]bool{}}
	for _, find := range []func(*finder){l.byConfig, l.byDirectory, l.byFile} {
		if find(f); len(l.envs) > 0 {
			return l
		}
	}
	hub := label(f.Name)
	if hub == "" {
		hub = "hub"
	}
	l.envs = []scope{{hub, "prod"}}
	f.note("no file names an environment: this one is called %s/prod after the directory", hub)
	return l
}

// label makes a DNS label of a name; "" if there is none in it.
func label(s string) string {
	out := strings.Trim(strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z' || r >= '0' && r <= '9' || r == '-':
			return r
		case r >= 'A' && r <= 'Z':
			return r + 'a' - 'A'
		}
		return '-'
	}, s), "-")
	if _, err := ref.ParseEnv(out + "/x"); err != nil {
		return ""
	}
	return out
}

// add notes an environment.
func (l *layout) add(f *finder, file, hub, stage, why string) (scope, bool) {
	if _, err := ref.ParseEnv(hub + "/" + stage); err != nil {
		f.pass(file, "%v", err)
		return scope{}, false
	}
	at := scope{hub, stage}
	if len(l.envs) == maxEnvs {
		l.envs = append(l.envs, at)
		f.note("stopped looking for environments at %q: %d are found so far", file, maxEnvs)
	}
	if len(l.envs) > maxEnvs {
		return scope{}, false
	}
	if !l.known[at] {
		l.known[at], l.known[scope{hub: hub}] = true, true
		l.envs = append(l.envs, at)
		f.evidence(file, 0, hub+"/"+stage, why)
	}
	return at, true
}

func yamlName(file string) (base string, ok bool) {
	base = path.Base(file)
	for _, ext := range []string{".yaml", ".yml"} {
		if name, ok := strings.CutSuffix(base, ext); ok {
			return name, true
		}
	}
	return "", false
}

// byConfig is hubploy's layout.
func (l *layout) byConfig(f *finder) {
	var bare []string
	for _, file := range f.Files {
		dir := path.Dir(file)
		name, ok := yamlName(file)
		hub := path.Base(path.Dir(dir))
		switch {
		case path.Base(file) == "hubploy.yaml" && dir != ".":
			l.dirs[dir] = scope{hub: path.Base(dir)}
			bare = append(bare, file)
		case ok && isStage(name) && path.Base(dir) == "config" && !slices.Contains(shelves, hub):
			if at, ok := l.add(f, file, hub, name, "the stage's values of that hub"); ok {
				l.dirs[path.Dir(dir)] = scope{hub: hub}
				l.files[file] = at
			}
		}
	}
	var known []string // stages of the others
	for _, e := range l.envs {
		if !slices.Contains(known, e.stage) {
			known = append(known, e.stage)
		}
	}
	if len(known) == 0 && len(bare) > 0 {
		known = []string{"prod"}
	}
	for _, file := range bare {
		hub := path.Base(path.Dir(file))
		if !l.known[scope{hub: hub}] {
			for _, stage := range known {
				l.add(f, file, hub, stage, "a hub that hubploy deploys")
			}
		}
	}
}

// byDirectory is a directory for each environment.
func (l *layout) byDirectory(f *finder) {
	for _, file := range f.Files {
		name, ok := yamlName(file)
		if !ok || name != "values" && name != "Chart" && name != "requirements" {
			continue
		}
		dir := path.Dir(file)
		base, above := path.Base(dir), path.Base(path.Dir(dir))
		switch {
		case isStage(base):
			if slices.Contains(shelves, above) {
				above = label(f.Name)
			}
			if at, ok := l.add(f, file, above, base, "the directory of that environment"); ok {
				l.dirs[dir] = at
			}
		case isStage(above) && !slices.Contains(shelves, base):
			if at, ok := l.add(f, file, base, above, "the directory of that environment"); ok {
				l.dirs[dir] = at
			}
		}
	}
}

// byFile is a values file for each stage.
func (l *layout) byFile(f *finder) {
	for _, file := range f.Files {
		stage := stageOf(file)
		if stage == "" || strings.HasPrefix(file, ".") {
			continue
		}
		hub := path.Base(path.Dir(file))
		if slices.Contains(shelves, hub) {
			hub = label(f.Name)
		}
		if at, ok := l.add(f, file, hub, stage, "the stage's values"); ok {
			l.files[file] = at
		}
	}
	l.byChart(f)
}

// byChart gives each chart its own hub, where several have files of stages
// beside them: what lies in one is of no other.
func (l *layout) byChart(f *finder) {
	charts := map[string]scope{}
	for file, at := range l.files {
		dir := path.Dir(file)
		if dir != "." && path.Base(dir) == at.hub && f.has(path.Join(dir, "Chart.yaml")) {
			charts[dir] = scope{hub: at.hub}
		}
	}
	if len(charts) > 1 {
		maps.Copy(l.dirs, charts)
	}
}

// scopeOf is what a file is for.
func (l layout) scopeOf(file string) scope {
	if at, ok := l.files[file]; ok {
		if len(l.branches) > 0 {
			at.stage = "" // the branch says it
		}
		return at
	}
	for dir := path.Dir(file); dir != "."; dir = path.Dir(dir) {
		if at, ok := l.dirs[dir]; ok {
			if len(l.branches) > 0 {
				at.stage = ""
			}
			return at
		}
	}
	return scope{}
}

// scopes are the environments; in a branch-per-environment repo one for a hub.
func (l layout) scopes() []scope {
	if len(l.branches) == 0 {
		return l.envs
	}
	var out []scope
	for _, e := range l.envs {
		if at := (scope{hub: e.hub}); !slices.Contains(out, at) {
			out = append(out, at)
		}
	}
	return out
}

// stageNames are the stages of all environments.
func (l layout) stageNames() []string {
	var out []string
	for _, e := range l.envs {
		if !slices.Contains(out, e.stage) {
			out = append(out, e.stage)
		}
	}
	slices.Sort(out)
	return out
}
