package rig

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"chartd.dev/chartd/internal/api"
	"chartd.dev/chartd/internal/client"
	"chartd.dev/chartd/internal/registrytest"
	"chartd.dev/chartd/internal/testtools"
)

// Bench is everything that one end-to-end test needs; all of it ends with the
// test, and the data directory is checked then.
type Bench struct {
	testing.TB
	Root     string
	Registry *Registry
	Server   *Server
	Client   *client.Client
}

// New starts a registry and a chartd that reads quay.io there.
func New(t testing.TB, flags ...string) *Bench {
	t.Helper()
	b := &Bench{TB: t}
	var err error
	if b.Root, err = testtools.Root(); err != nil {
		t.Fatal(err)
	}
	if b.Registry, err = StartRegistry(t.Context(), t.TempDir()); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Registry.Stop)
	b.Server, err = Start(t.Context(), ServerConfig{
		Binary: testtools.Chartd(t), Data: filepath.Join(t.TempDir(), "data"),
		Args: append(b.Registry.Flags(), flags...),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.finish)
	if b.Client, err = b.Server.Client(); err != nil {
		t.Fatal(err)
	}
	return b
}

// finish stops the server and checks what it left.
func (b *Bench) finish() {
	select {
	case <-b.Server.Done():
	default:
		if err := b.Server.Stop(); err != nil {
			b.Errorf("%v", err)
		}
	}
	r, err := Run(context.WithoutCancel(b.Context()), "", nil, testtools.Chartd(b), "fsck", "--data", b.Server.Data)
	if err != nil || r.Code != 0 {
		b.Errorf("fsck after the test: %v, exit %d\n%s", err, r.Code, r.Text())
	}
	if b.Failed() {
		b.Logf("the end of chartd's log:\n%s", tail(b.Server.Log(), 4000))
	}
}

// Image pushes an image named quay.io/REPOSITORY:TAG (seen from chartd) and
// returns its digest.
func (b *Bench) Image(repository, tag string, img registrytest.Image) (digest string) {
	b.Helper()
	d, err := img.Push(b.Context(), b.Registry.Addr+"/"+repository+":"+tag)
	if err != nil {
		b.Fatal(err)
	}
	return d.String()
}

// HubImage pushes the hub image of a version of the small hub chart.
func (b *Bench) HubImage(tag string) (img registrytest.Image, digest string) {
	b.Helper()
	img = registrytest.Make("system", "hub "+tag)
	return img, b.Image("example/hub", tag, img)
}

// Publish publishes a chart through the client and returns what was bound.
func (b *Bench) Publish(h Hub) api.PublishResult {
	b.Helper()
	pkg, err := h.Package(b.Root)
	if err != nil {
		b.Fatal(err)
	}
	out, err := b.Client.Publish(b.Context(), client.PublishRequest{Package: pkg})
	if err != nil {
		b.Fatal(err)
	}
	return out
}

// Ctl runs chartctl as the first token and fails the test on another exit code
// than want.
func (b *Bench) Ctl(want int, args ...string) Result {
	b.Helper()
	env := []string{"CHARTCTL_SERVER=" + b.Server.URL, "CHARTCTL_TOKEN=" + b.Server.Token, "HOME=" + b.home(), "XDG_CONFIG_HOME="}
	r, err := Run(b.Context(), b.home(), env, testtools.Chartctl(b), args...)
	if err != nil || r.Code != want {
		b.Fatalf("chartctl %s: %v, exit %d, want %d\n%s", strings.Join(args, " "), err, r.Code, want, r.Text())
	}
	return r
}

func (b *Bench) home() string {
	dir := b.Server.Data + ".home"
	if err := os.MkdirAll(dir, 0o755); err != nil {
		b.Fatal(err)
	}
	return dir
}

// Helm is one user's Helm: a binary and its own configuration and caches.
type Helm struct {
	*Bench
	Major  int
	Binary string
	Dir    string // holds cache, config and data; also the working directory
}

// Helm returns a Helm without repositories.
func (b *Bench) Helm(major int) *Helm { return newHelm(b, major) }

func newHelm(b *Bench, major int) *Helm {
	return &Helm{Bench: b, Major: major, Binary: testtools.Helm(b, major), Dir: b.TempDir()}
}

// Env keeps Helm's files apart from the user's.
func (h *Helm) Env() []string {
	return []string{
		"HELM_CACHE_HOME=" + h.Dir + "/cache", "HELM_CONFIG_HOME=" + h.Dir + "/config", "HELM_DATA_HOME=" + h.Dir + "/data",
		"HOME=" + h.Dir,
	}
}

// Try runs helm and returns what it answered. It may be called concurrently.
func (h *Helm) Try(args ...string) Result {
	r, err := Run(h.Context(), h.Dir, h.Env(), h.Binary, args...)
	if err != nil {
		return Result{Err: err.Error(), Code: -1}
	}
	return r
}

// Do runs helm, which has to work, and returns its standard output.
func (h *Helm) Do(args ...string) string {
	h.Helper()
	r := h.Try(args...)
	if r.Code != 0 {
		h.Fatalf("helm %d: helm %s: exit %d\n%s", h.Major, strings.Join(args, " "), r.Code, r.Text())
	}
	return r.Out
}

// EachHelm runs a test with Helm 3 and with Helm 4.
func (b *Bench) EachHelm(t *testing.T, f func(t *testing.T, h *Helm)) {
	for _, major := range []int{3, 4} {
		t.Run(fmt.Sprintf("helm%d", major), func(t *testing.T) {
			sub := *b
			sub.TB = t
			f(t, newHelm(&sub, major))
		})
	}
}

func tail(s string, n int) string { return s[max(0, len(s)-n):] }
