package e2e

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"golang.org/x/sync/errgroup"

	"chartd.dev/chartd/internal/api"
	"chartd.dev/chartd/internal/client"
	"chartd.dev/chartd/internal/e2e/rig"
	"chartd.dev/chartd/internal/ref"
	"chartd.dev/chartd/internal/registrytest"
	"chartd.dev/chartd/internal/testtools"
)

// Sealing changes the bytes of the bound image in one values file of each real
// package, of some or with CHARTD_RENDER_ALL of all, and both Helms render what
// they could render before.
func TestSealingRealCharts(t *testing.T) {
	dir := testtools.Shared(t, "data", "charts")
	b := rig.New(t)
	b.Ctl(0, "import", dir, "-o", "json")
	step, least := 8, 12
	if all, _ := strconv.ParseBool(os.Getenv("CHARTD_RENDER_ALL")); all {
		step, least = 1, 100
	}
	var charts []api.Chart
	seen := 0
	pushed := map[string]string{} // repository:tag -> digest
	for c, err := range b.Client.AllCharts(t.Context(), client.ChartQuery{}) {
		if err != nil {
			t.Fatal(err)
		}
		if c.Name != "jupyterhub" && c.Name != "binderhub" {
			continue
		}
		if seen++; seen%step != 0 {
			continue
		}
		charts = append(charts, c)
		for _, i := range c.Images {
			if key := i.Repository + ":" + i.Tag; i.Required && pushed[key] == "" {
				pushed[key] = pushNamed(t, b, key)
			}
		}
	}
	helms := map[int]*rig.Helm{3: b.Helm(3), 4: b.Helm(4)}
	var rendered [5]atomic.Int64
	var g errgroup.Group
	g.SetLimit(4)
	for _, c := range charts {
		g.Go(func() error {
			digest, original, sealed, err := sealReal(t.Context(), b, c)
			if err != nil {
				return fmt.Errorf("%s %s: %w", c.Name, c.Version, err)
			}
			for major, h := range helms {
				ok, err := renderBoth(h, c, original, sealed, digest)
				if err != nil {
					return fmt.Errorf("helm %d: %s %s: %w", major, c.Name, c.Version, err)
				}
				if ok {
					rendered[major].Add(1)
				}
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		t.Fatal(err)
	}
	t.Logf("%d packages sealed; rendered by Helm 3: %d, by Helm 4: %d", len(charts), rendered[3].Load(), rendered[4].Load())
	for _, major := range []int{3, 4} {
		if n := rendered[major].Load(); n < int64(least) {
			t.Errorf("helm %d rendered only %d packages: the test values no longer fit", major, n)
		}
	}
}

func pushNamed(t *testing.T, b *rig.Bench, key string) string {
	t.Helper()
	r, err := ref.ParseReference(key)
	if err != nil {
		t.Fatal(err)
	}
	return b.Image(r.Repository.Path(), r.Tag, registrytest.Make("hub "+key))
}

// sealReal binds a chart version and compares its sealed package with the
// original, file by file.
func sealReal(ctx context.Context, b *rig.Bench, c api.Chart) (digest string, original, sealed []byte, err error) {
	v, err := ref.ParseImported(c.Name, c.Version)
	if err != nil {
		return "", nil, nil, err
	}
	bound, _, err := b.Client.Bind(ctx, v, api.BindRequest{})
	if err != nil {
		return "", nil, nil, err
	}
	for _, i := range bound.Images {
		if i.Role == "hub" {
			digest = i.Image.Digest.String()
		}
	}
	if digest == "" || bound.Sealed.IsZero() || !bound.Evidence.Named() {
		return "", nil, nil, fmt.Errorf("no sealed hub image: %+v", bound)
	}
	if original, err = b.Client.Package(ctx, c); err != nil {
		return "", nil, nil, err
	}
	if sealed, err = b.Client.Sealed(ctx, bound); err != nil {
		return "", nil, nil, err
	}
	return digest, original, sealed, oneSplice(original, sealed, digest)
}

// oneSplice checks that two packages differ in one place of one values file.
func oneSplice(original, sealed []byte, digest string) error {
	was, err := untar(original)
	if err != nil {
		return err
	}
	is, err := untar(sealed)
	is = slices.DeleteFunc(is, func(f file) bool { return strings.Contains(f.name, "templates/chartd-guard-") })
	if err != nil || len(is) != len(was) {
		return fmt.Errorf("%d files, were %d: %w", len(is), len(was), err)
	}
	changed := 0
	for i, f := range was {
		if f.name != is[i].name {
			return fmt.Errorf("file %d is %s, was %s", i, is[i].name, f.name)
		}
		if bytes.Equal(f.data, is[i].data) {
			continue
		}
		changed++
		from, to := middle(f.data, is[i].data)
		if !strings.HasSuffix(f.name, "/values.yaml") || !strings.Contains(to, digest) || strings.ContainsAny(from+to, "\n") {
			return fmt.Errorf("%s changed from %q to %q", f.name, from, to)
		}
	}
	if changed != 1 {
		return fmt.Errorf("%d files changed, want 1", changed)
	}
	return nil
}

// middle is what is left of two texts without their common start and end.
func middle(a, b []byte) (string, string) {
	for len(a) > 0 && len(b) > 0 && a[0] == b[0] {
		a, b = a[1:], b[1:]
	}
	for len(a) > 0 && len(b) > 0 && a[len(a)-1] == b[len(b)-1] {
		a, b = a[:len(a)-1], b[:len(b)-1]
	}
	return string(a), string(b)
}

type file struct {
	name string
	data []byte
}

func untar(pkg []byte) ([]file, error) {
	gz, err := gzip.NewReader(bytes.NewReader(pkg))
	if err != nil {
		return nil, err
	}
	var out []file
	for tr := tar.NewReader(gz); ; {
		h, err := tr.Next()
		if errors.Is(err, io.EOF) {
			return out, nil
		}
		if err != nil {
			return nil, err
		}
		data, err := io.ReadAll(tr)
		if err != nil {
			return nil, err
		}
		out = append(out, file{h.Name, data})
	}
}

// renderBoth renders the sealed package; one that does not render has to fail
// in the original too.
func renderBoth(h *rig.Helm, c api.Chart, original, sealed []byte, digest string) (bool, error) {
	dir := filepath.Join(h.Dir, c.Name+"-"+c.Version)
	render := func(kind string, pkg []byte) (rig.Result, error) {
		path := filepath.Join(dir, kind+".tgz")
		if err := os.WriteFile(path, pkg, 0o644); err != nil {
			return rig.Result{}, err
		}
		return h.Try("template", "x", path, "--kube-version", "1.31.0", "--set", oldSecrets(c.Name)), nil
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return false, err
	}
	s, err := render("sealed", sealed)
	if err != nil {
		return false, err
	}
	if s.Code == 0 {
		if !strings.Contains(s.Out, "@"+digest) {
			return false, errors.New("the rendered chart does not name the bound digest")
		}
		return true, nil
	}
	o, err := render("original", original)
	if err == nil && o.Code == 0 {
		err = fmt.Errorf("the original renders and the sealed package does not: %s", s.Err)
	}
	return false, err
}

// oldSecrets are the values that charts before 1.0 could not render without.
func oldSecrets(chart string) string {
	secret := strings.Repeat("a", 64)
	if chart == "jupyterhub" {
		return "proxy.secretToken=" + secret + ",hub.cookieSecret=" + secret
	}
	return "jupyterhub.proxy.secretToken=" + secret + ",jupyterhub.hub.cookieSecret=" + secret +
		",jupyterhub.hub.services.binder.apiToken=" + secret + ",hub.services.binder.apiToken=" + secret +
		",registry.username=u,registry.password=p"
}
