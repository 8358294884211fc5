package transport

import (
	"net/url"
	"strings"
	"testing"
)

// odd are paths that no route has, or not as they look.
var odd = []string{
	"", "/", "//", "/index.yaml/", "/index.yaml//", "//index.yaml", "/INDEX.YAML", "/index.yaml ", "/charts", "/charts/", "/charts//x.tgz",
	"/charts/a/b", "/charts/x.tgz/", "/charts/{file}", "/charts/%2e%2e", "/charts/..", "/charts/a\nb", "/charts/\xff", "/charts/日本", "/api", "/api/", "/api/v1",
	"/api/v1/environments/a/b/pins/01", "/api/v1/environments/a/b/pins/1x", "/api/v1/environments/a/b/pins/١", "/api/v1/environments/a/b/pins/1\n",
	"/api/v1/environments/a/b/pins/", "/api/v1/environments/a/b/pins/by-key", "/api/v1/environments/a/b/pins/by-key/", "/api/v1/environments/a//pins",
	"/environments/a/b/revisions/1/index.yaml", "/environments/a/b/revisions/x/index.yaml", "/environments/a/b/revisions/1/values.yaml", "/environments/a/b/revisions/1/",
	"index.yaml", "*", "/charts/" + strings.Repeat("a", 5000),
}

// What the guard lets through at once is what it would let through anyway.
func TestPlainPathsAreUnambiguous(t *testing.T) {
	yes := 0
	check := func(path string) {
		if !plain(path) {
			return
		}
		yes++
		u := url.URL{Path: path}
		if !unambiguous(u.EscapedPath(), path) {
			t.Errorf("%q is plain and not unambiguous", path)
		}
	}
	const marks = "/.a-%;\\ ~_\x00\xff:"
	var all func(string, int)
	all = func(p string, n int) {
		check(p)
		if n > 0 {
			for i := range len(marks) {
				all(p+marks[i:i+1], n-1)
			}
		}
	}
	all("", 5)
	for _, p := range odd {
		check(p)
	}
	if yes < 100 || !plain("/") || !plain("/charts/jupyterhub-1.0.0.tgz") || !plain("/environments/hub00/prod/revisions/1/index.yaml") {
		t.Errorf("%d paths are plain", yes)
	}
}
