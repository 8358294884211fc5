package config

import (
	"path"
	"slices"
	"strings"
)

// fixtures are directories of tests, wherever they are: what lies in them looks
// like a deployment and is none.
var fixtures = []string{"tests", "fixtures", "testdata", "test-data", "__tests__"}

// examplesOf is the directory that a file lies in, if its name says that nothing
// below it is deployed; else "". Examples are those at the top of the repo.
func examplesOf(file string) string {
	parts := strings.Split(path.Dir(file), "/")
	if slices.Contains([]string{"doc", "docs", "example", "examples"}, parts[0]) {
		return parts[0]
	}
	last := -1
	for i, dir := range parts {
		if strings.Contains(dir, "{{") {
			return strings.Join(parts[:i+1], "/")
		}
		if slices.Contains(fixtures, dir) && (last < 0 || last == i-1) {
			last = i
		}
	}
	return strings.Join(parts[:last+1], "/")
}

// dropExamples passes over what is not deployed: documentation and examples,
// the fixtures of tests, and what a project is made from.
func (f *finder) dropExamples() {
	templates := map[string]bool{}
	for _, name := range f.Files {
		if path.Base(name) == "cookiecutter.json" && path.Dir(name) != "." {
			templates[path.Dir(name)] = true
		}
	}
	told := map[string]bool{}
	f.Files = slices.DeleteFunc(f.Files, func(name string) bool {
		dir, why := examplesOf(name), "documentation and examples are not deployed; a file there that is one goes into %s by hand"
		if slices.Contains(fixtures, path.Base(dir)) {
			why = "the fixtures of tests are not deployed; a file there that is goes into %s by hand"
		}
		for at := path.Dir(name); at != "."; at = path.Dir(at) {
			if templates[at] || strings.Contains(path.Base(at), "{{") {
				dir, why = at, "it is a template of a project, and no hub; a file there that is one goes into %s by hand"
			}
		}
		if _, ok := yamlName(name); ok && dir != "" && !told[dir] {
			told[dir] = true
			f.pass(dir+"/", why, Name)
		}
		return dir != ""
	})
}

// deploys reports whether the config itself names something in a directory of
// the repo.
func (c Config) deploys(dir string) bool {
	in := func(name string) bool { return name == dir || strings.HasPrefix(name, dir+"/") }
	for _, sites := range c.Sites {
		for _, s := range sites {
			if in(s.File) {
				return true
			}
		}
	}
	for _, e := range c.Environments {
		if in(path.Clean(e.Wrapper)) || in(e.Key) {
			return true
		}
	}
	return false
}
