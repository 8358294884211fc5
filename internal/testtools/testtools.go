// Package testtools gives tests real binaries: Helm 3 and 4 at the versions
// pinned in internal/tools, and chartd and chartctl of this tree. Each is built
// once, however many test packages ask at the same time. Test support only.
package testtools

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// Helm returns the path of a real helm binary of major version 3 or 4.
func Helm(t testing.TB, major int) string {
	t.Helper()
	path, err := BuildHelm(t.Context(), major)
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// Chartd returns the path of this tree's chartd.
func Chartd(t testing.TB) string { t.Helper(); return project(t, "chartd", "") }

// Chartctl returns the path of this tree's chartctl.
func Chartctl(t testing.TB) string { t.Helper(); return project(t, "chartctl", "") }

// ChartdTagged returns a chartd built with extra build tags, such as one that
// plants a known fault for a test to find.
func ChartdTagged(t testing.TB, tags string) string { t.Helper(); return project(t, "chartd", tags) }

// Shared returns a path below the directory of real data that CHARTD_SHARED
// names, and skips the test where it names none.
func Shared(t testing.TB, elem ...string) string {
	t.Helper()
	dir := os.Getenv("CHARTD_SHARED")
	if dir == "" {
		t.Skip("CHARTD_SHARED names no directory of real data")
	}
	path := filepath.Join(append([]string{dir}, elem...)...)
	if _, err := os.Stat(path); err != nil {
		t.Fatalf("read real data (CHARTD_SHARED=%q, which has to be absolute): %v", dir, err)
	}
	return path
}

// Root is the directory of the project's go.mod.
func Root() (string, error) {
	dir, err := os.Getwd()
	if err != nil {
		return "", err
	}
	for {
		data, err := os.ReadFile(filepath.Join(dir, "go.mod"))
		if err == nil && strings.HasPrefix(string(data), "module chartd.dev/chartd\n") {
			return dir, nil
		}
		up := filepath.Dir(dir)
		if up == dir {
			return "", fmt.Errorf("find module chartd.dev/chartd: no go.mod of it above the working directory")
		}
		dir = up
	}
}

// helmFlags set what Helm 3's own build sets: which Kubernetes "helm template"
// takes for granted. Helm 4 reads that from its modules.
const helmFlags = "-s -w -X helm.sh/helm/v3/pkg/chartutil.k8sVersionMajor=1 -X helm.sh/helm/v3/pkg/chartutil.k8sVersionMinor=37"

// BuildHelm builds helm from its pinned module, or finds it built already.
func BuildHelm(ctx context.Context, major int) (string, error) {
	name := fmt.Sprintf("helm%d", major)
	return tool{name: name, pkg: fmt.Sprintf("helm.sh/helm/v%d/cmd/helm", major), ldflags: helmFlags}.build(ctx)
}

// tool is a program that a module of internal/tools pins. It is kept in the
// user's cache directory under a name made of the pinned versions, the flags
// and the Go version.
type tool struct{ name, pkg, ldflags string }

func (b tool) build(ctx context.Context) (string, error) {
	module, out, err := b.place()
	if err != nil {
		return "", err
	}
	unlock, err := lockFile(out + ".lock")
	if err != nil {
		return "", err
	}
	defer unlock()
	if _, err := os.Stat(out); err == nil {
		return out, nil
	}
	return out, build{dir: module, out: out, pkg: b.pkg, ldflags: b.ldflags, env: []string{"CGO_ENABLED=0"}}.run(ctx)
}

// place is the tool's module, and where its binary is or will be.
func (b tool) place() (module, out string, err error) {
	root, err := Root()
	if err != nil {
		return "", "", err
	}
	module = filepath.Join(root, "internal", "tools", b.name)
	key := sha256.New()
	fmt.Fprintln(key, runtime.Version(), runtime.GOOS, runtime.GOARCH, b.ldflags)
	for _, name := range []string{"go.mod", "go.sum"} {
		data, err := os.ReadFile(filepath.Join(module, name))
		if err != nil {
			return "", "", fmt.Errorf("find the pinned %s: %w", b.name, err)
		}
		fmt.Fprintf(key, "%s %d\n%s", name, len(data), data)
	}
	dir, err := cacheDir(hex.EncodeToString(key.Sum(nil))[:16])
	return module, filepath.Join(dir, b.name), err
}

var built sync.Map // name and tags -> func() (string, error)

func project(t testing.TB, name, tags string) string {
	t.Helper()
	once, _ := built.LoadOrStore(name+" "+tags, sync.OnceValues(func() (string, error) {
		return BuildProject(context.WithoutCancel(t.Context()), name, tags)
	}))
	path, err := once.(func() (string, error))()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// BuildProject builds chartd or chartctl of this tree, with extra build tags if
// they are not empty. It names the binary by its content, so that a build never
// overwrites one that another test process is running.
func BuildProject(ctx context.Context, name, tags string) (string, error) {
	root, err := Root()
	if err != nil {
		return "", err
	}
	dir, err := cacheDir("project")
	if err != nil {
		return "", err
	}
	unlock, err := lockFile(filepath.Join(dir, "lock"))
	if err != nil {
		return "", err
	}
	defer unlock()
	tmp := filepath.Join(dir, name+".new")
	if err := (build{dir: root, out: tmp, pkg: "./cmd/" + name, tags: tags, ldflags: "-s -w"}).run(ctx); err != nil {
		return "", err
	}
	sum, err := FileSum(tmp)
	if err != nil {
		return "", err
	}
	// One directory for each build: a binary's name must stay its own.
	home := filepath.Join(dir, sum[:16])
	if err := os.MkdirAll(home, 0o755); err != nil {
		return "", err
	}
	dropOld(dir, 24*time.Hour)
	out := filepath.Join(home, name)
	return out, os.Rename(tmp, out)
}

func dropOld(dir string, age time.Duration) {
	old, _ := filepath.Glob(filepath.Join(dir, "*", "chart*"))
	for _, path := range old {
		if info, err := os.Stat(path); err == nil && time.Since(info.ModTime()) > age {
			os.RemoveAll(filepath.Dir(path))
		}
	}
}

// build is one "go build" in the directory dir.
type build struct {
	dir, out, pkg, tags, ldflags string
	env                          []string // added to the environment
}

func (b build) run(ctx context.Context) error {
	tmp := b.out + ".tmp"
	cmd := exec.CommandContext(ctx, "go", "build", "-trimpath", "-ldflags="+b.ldflags, "-tags="+b.tags, "-o", tmp, b.pkg)
	cmd.Dir, cmd.Env = b.dir, append(os.Environ(), b.env...)
	if msg, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("build %s: %w\n%s", b.pkg, err, msg)
	}
	return os.Rename(tmp, b.out)
}

func shortSum(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:8])
}

func cacheDir(name string) (string, error) {
	base, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("find a place for built tools: %w", err)
	}
	dir := filepath.Join(base, "chartd-tools", name)
	return dir, os.MkdirAll(dir, 0o755)
}

func lockFile(path string) (unlock func(), err error) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, err
	}
	for {
		if err = unix.Flock(int(f.Fd()), unix.LOCK_EX); err != unix.EINTR {
			break
		}
	}
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("lock %s: %w", path, err)
	}
	return func() { f.Close() }, nil
}

// FileSum is the SHA-256 of a file, in hexadecimal.
func FileSum(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}
