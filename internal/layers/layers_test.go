// Package layers holds the test of the import rule: who may import whom, and
// what the binaries may link. A new edge fails until its line stands in the
// table of docs/design/layout.md, on purpose.
package layers

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "chartd.dev/chartd/"

// rooms says which of our own packages a room's code (not its tests) imports.
// It is the table of docs/design/layout.md, so that the page is the rule.
func rooms(t *testing.T) map[string][]string {
	t.Helper()
	page, err := os.ReadFile(filepath.Join(root(t), "docs", "design", "layout.md"))
	if err != nil {
		t.Fatal(err)
	}
	cells := map[string][]string{}
	for line := range strings.Lines(string(page)) {
		c := strings.Split(line, "|")
		if len(c) == 5 && strings.HasPrefix(c[1], " `") {
			cells[strings.Trim(c[1], " `")] = named.FindAllString(c[3], -1)
		}
	}
	for room, names := range cells {
		for i, name := range names {
			name = strings.Trim(name, "`")
			if _, inside := cells["internal/"+name]; inside {
				name = "internal/" + name
			}
			names[i] = name
		}
		cells[room] = names
	}
	return cells
}

var named = regexp.MustCompile("`[^`]+`")

// support lists the packages that exist for tests; only tests, and each other,
// may import them.
var support = []string{
	"storage/storagetest", "lock/locktest", "lock/gatetest", "internal/durable/durabletest", "internal/registrytest", "internal/testtools", "internal/indextest", "internal/render/rendertest",
	"internal/layers", "internal/e2e", "internal/demo", "internal/bench",
}

// owners says which rooms may import a library. A library that is in no line
// may be imported by every room.
var owners = []struct {
	library string
	rooms   []string
}{
	{"helm.sh/helm/", []string{"repo", "internal/render/renderer"}},
	{"github.com/google/go-containerregistry/", []string{"internal/resolve"}},
	{"go.etcd.io/bbolt", []string{"lock/boltstore"}},
	{"github.com/prometheus/", []string{"internal/server", "internal/transport", "cmd/chartd"}},
	{"github.com/gorilla/mux", []string{"internal/transport"}},
	{"github.com/go-json-experiment/", []string{"internal/strictjson", "lock/kept"}},
	{"github.com/spf13/cobra", []string{"cmd/chartd", "cmd/chartctl"}},
	{"net/http", []string{"internal/client", "internal/deploy/rollout", "internal/events", "internal/imports", "internal/resolve", "internal/server", "internal/transport", "cmd/chartd"}},
	// Rendering has a process of its own.
	{"helm.sh/helm/v3/pkg/engine", []string{"internal/render/renderer"}},
	// Talking to a cluster is never our business.
	{"helm.sh/helm/v3/pkg/action", nil},
	{"helm.sh/helm/v3/pkg/kube", nil},
	{"k8s.io/", nil},
}

// unlinked says what must not be in a program, by whatever way.
var unlinked = map[string][]string{
	"cmd/chartctl": {"go.etcd.io/bbolt", "helm.sh/", "k8s.io/", "github.com/prometheus/",
		module + "internal/server", module + "lock", module + "storage", module + "repo"},
	// Helm's index loader brings Helm's Kubernetes client with it, unused.
	"cmd/chartd": {"helm.sh/helm/v3/pkg/action", module + "internal/client"},
}

type pkg struct {
	ImportPath    string
	Imports, Deps []string
}

func TestImports(t *testing.T) {
	table := rooms(t)
	for _, p := range list(t) {
		room := strings.TrimPrefix(p.ImportPath, module)
		if isSupport(room) {
			continue
		}
		may, known := table[room]
		if !known {
			t.Errorf("%s is in no line of the table of rooms", room)
			continue
		}
		for _, ours := range may {
			if !slices.Contains(p.Imports, module+ours) {
				t.Errorf("the table has %s import %s, which it does not", room, ours)
			}
		}
		for _, path := range p.Imports {
			if ours, ok := strings.CutPrefix(path, module); ok {
				if !slices.Contains(may, ours) {
					t.Errorf("%s imports %s, which its line in docs/design/layout.md does not allow", room, ours)
				}
				continue
			}
			for _, o := range owners {
				if strings.HasPrefix(path, o.library) && !slices.Contains(o.rooms, room) {
					t.Errorf("%s imports %s; only %q may", room, path, o.rooms)
				}
			}
		}
	}
}

// A room in the table that is gone would leave its line to rot.
func TestRoomsExist(t *testing.T) {
	var have []string
	for _, p := range list(t) {
		have = append(have, strings.TrimPrefix(p.ImportPath, module))
	}
	for room := range rooms(t) {
		if !slices.Contains(have, room) {
			t.Errorf("the table names %s, which does not exist", room)
		}
	}
}

func TestPrograms(t *testing.T) {
	for _, p := range list(t) {
		for _, bad := range unlinked[strings.TrimPrefix(p.ImportPath, module)] {
			for _, dep := range p.Deps {
				if strings.HasPrefix(dep, bad) {
					t.Errorf("%s links %s", p.ImportPath, dep)
				}
			}
		}
	}
}

// What a build leaves is no source, and stays in the history for ever.
func TestNoLargeFiles(t *testing.T) {
	out, err := exec.Command("git", "-C", root(t), "ls-tree", "-r", "-l", "HEAD").Output()
	if err != nil {
		t.Fatalf("list the files: %v", err)
	}
	for line := range strings.Lines(string(out)) {
		meta, name, _ := strings.Cut(strings.TrimSpace(line), "\t")
		size, err := strconv.ParseInt(meta[strings.LastIndexByte(meta, ' ')+1:], 10, 64)
		if err != nil || size > 1<<20 {
			t.Errorf("%s has more than 1 MiB: %s", name, meta)
		}
	}
}

func TestTopLevel(t *testing.T) {
	want := []string{"cmd", "docs", "findings", "internal", "lock", "repo", "storage", "testdata"}
	// Tracked files only: what a build or an editor leaves is nobody's room.
	out, err := exec.Command("git", "-C", root(t), "ls-tree", "-d", "--name-only", "HEAD").Output()
	if err != nil {
		t.Fatalf("list the top level: %v", err)
	}
	for _, dir := range strings.Fields(string(out)) {
		if !strings.HasPrefix(dir, ".") && !slices.Contains(want, dir) {
			t.Errorf("directory %s at the top level; the layout is %q", dir, want)
		}
	}
	for _, dir := range want {
		if _, err := os.Stat(filepath.Join(root(t), dir)); err != nil {
			t.Errorf("the layout says %s: %v", dir, err)
		}
	}
}

func list(t *testing.T) []pkg {
	t.Helper()
	cmd := exec.Command("go", "list", "-json=ImportPath,Imports,Deps", "./...")
	cmd.Dir = root(t)
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	var pkgs []pkg
	for dec := json.NewDecoder(bytes.NewReader(out)); ; {
		var p pkg
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			return pkgs
		} else if err != nil {
			t.Fatal(err)
		}
		pkgs = append(pkgs, p)
	}
}

func root(t *testing.T) string {
	t.Helper()
	dir, err := filepath.Abs("../..")
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

func isSupport(room string) bool {
	for _, s := range support {
		if room == s || strings.HasPrefix(room, s+"/") {
			return true
		}
	}
	return false
}
