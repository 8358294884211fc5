package config

import (
	"path"
	"slices"
	"strings"
)

// examplesOf is the directory at the top of the repo that a file lies in, if
// its name says that nothing below it is deployed; else "".
func examplesOf(file string) string {
	dir, _, below := strings.Cut(file, "/")
	if below && slices.Contains([]string{"doc", "docs", "example", "examples"}, dir) {
		return dir
	}
	return ""
}

// dropExamples passes documentation and examples over.
func (f *finder) dropExamples() {
	told := map[string]bool{}
	f.Files = slices.DeleteFunc(f.Files, func(name string) bool {
		dir := examplesOf(name)
		if _, ok := yamlName(name); ok && dir != "" && !told[dir] {
			told[dir] = true
			f.pass(dir+"/", "documentation and examples are not deployed; a file there that is one goes into %s by hand", Name)
		}
		return dir != ""
	})
}

// deploys reports whether the config itself names something in a directory at
// the top of the repo.
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
