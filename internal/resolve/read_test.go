package resolve_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"chartd.dev/chartd/internal/ref"
	"chartd.dev/chartd/internal/registrytest"
	"chartd.dev/chartd/internal/resolve"
)

const hub = "quay.io/jupyterhub/k8s-hub"

func client(t *testing.T, c resolve.Config) *resolve.Client {
	t.Helper()
	if c.DockerConfig == "" {
		c.DockerConfig = t.TempDir() // never this machine's credentials
	}
	if c.Backoff == 0 {
		c.Backoff = time.Millisecond
	}
	out, err := resolve.New(c)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// mirrored is a client that reads quay.io at addr.
func mirrored(t *testing.T, addr string) *resolve.Client {
	return client(t, resolve.Config{Mirrors: map[string]string{"quay.io": addr}})
}

func reference(t *testing.T, s string) ref.Reference {
	t.Helper()
	r, err := ref.ParseReference(s)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func push(t *testing.T, i registrytest.Image, to string) ref.Digest {
	t.Helper()
	d, err := i.Push(t.Context(), to)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestResolveInProcess(t *testing.T) { resolveAll(t, registrytest.New(t).Addr) }

func TestResolveDistribution(t *testing.T) { resolveAll(t, registrytest.Distribution(t).Addr) }

// resolveAll holds for every registry: what was pushed is what is read.
func resolveAll(t *testing.T, addr string) {
	labels := map[string]string{"org.opencontainers.image.base.digest": "x", "Version": "1", "version": "2"}
	multi := registrytest.Image{Seed: "multi", Platforms: []string{"linux/amd64", "linux/arm64/v8", "linux/arm/v7"}}
	attested := multi
	attested.Attest = true
	list := multi
	list.Docker = true
	for name, tc := range map[string]struct {
		image     registrytest.Image
		mediaType string
		platforms []string
	}{
		"oci":      {registrytest.Image{Seed: "a", Layers: []string{"b"}, Labels: labels}, "application/vnd.oci.image.manifest.v1+json", []string{"linux/amd64"}},
		"docker":   {registrytest.Image{Seed: "a", Docker: true, Labels: labels}, "application/vnd.docker.distribution.manifest.v2+json", []string{"linux/amd64"}},
		"built":    {registrytest.From(registrytest.Make("a"), "mine"), "application/vnd.oci.image.manifest.v1+json", []string{"linux/amd64"}},
		"multi":    {multi, "application/vnd.oci.image.index.v1+json", []string{"linux/amd64", "linux/arm64", "linux/arm/v7"}},
		"attested": {attested, "application/vnd.oci.image.index.v1+json", []string{"linux/amd64", "linux/arm64", "linux/arm/v7"}},
		"list":     {list, "application/vnd.docker.distribution.manifest.list.v2+json", []string{"linux/amd64", "linux/arm64", "linux/arm/v7"}},
	} {
		t.Run(name, func(t *testing.T) {
			path := "jupyterhub/" + name
			want := push(t, tc.image, addr+"/"+path+":4.2.0")
			for _, r := range []string{"quay.io/" + path + ":4.2.0", "quay.io/" + path + "@" + want.String(), "quay.io/" + path + ":gone@" + want.String()} {
				got, err := mirrored(t, addr).Resolve(t.Context(), reference(t, r))
				if err != nil {
					t.Fatal(err)
				}
				if got.Image.String() != "quay.io/"+path+"@"+want.String() || got.MediaType != tc.mediaType || got.Tag != reference(t, r).Tag {
					t.Errorf("%s: got %s tag %q of type %s, want %s", r, got.Image, got.Tag, got.MediaType, want)
				}
				if len(tc.image.Labels) != len(got.Labels) || got.Labels["version"] != tc.image.Labels["version"] {
					t.Errorf("%s: labels %v, want %v", r, got.Labels, tc.image.Labels)
				}
				checkPlatforms(t, got.Platforms, tc.image, tc.platforms)
			}
		})
	}
}

func checkPlatforms(t *testing.T, got []resolve.Platform, image registrytest.Image, want []string) {
	t.Helper()
	var names []string
	for i, p := range got {
		names = append(names, p.Platform)
		key := ""
		if len(image.Platforms) > 0 {
			key = image.Platforms[i]
		}
		ids, err := image.DiffIDs(key)
		if err != nil || !slices.Equal(ids, p.DiffIDs) || p.Config.IsZero() {
			t.Errorf("%s: config %s with layers %v, want %v (%v)", p.Platform, p.Config, p.DiffIDs, ids, err)
		}
	}
	if !slices.Equal(names, want) {
		t.Errorf("platforms %v, want %v", names, want)
	}
}

// R-09, F-28: the digest is that of the moment of reading.
func TestMovedTag(t *testing.T) {
	r := registrytest.New(t)
	c := mirrored(t, r.Addr)
	first := push(t, registrytest.Make("one"), r.Addr+"/jupyterhub/k8s-hub:1")
	for _, seed := range []string{"one", "two", "one"} {
		want := push(t, registrytest.Make(seed), r.Addr+"/jupyterhub/k8s-hub:1")
		got, err := c.Resolve(t.Context(), reference(t, hub+":1"))
		if err != nil || got.Image.Digest != want {
			t.Errorf("tag at %s: got %s (%v)", seed, got.Image.Digest, err)
		}
		by, err := c.Resolve(t.Context(), reference(t, hub+":1@"+first.String()))
		if err != nil || by.Image.Digest != first {
			t.Errorf("by digest: got %s (%v)", by.Image.Digest, err)
		}
	}
}

func TestWithoutTag(t *testing.T) {
	_, err := client(t, resolve.Config{}).Resolve(t.Context(), reference(t, hub))
	if !errors.Is(err, ref.ErrInvalid) {
		t.Errorf("got %v, want ref.ErrInvalid", err)
	}
}

// F-26, F-27, F-29: what a broken registry gives, how often it is
// asked, and that it is read again once it is well.
func TestFaults(t *testing.T) {
	type fault = registrytest.Fault
	on := registrytest.On
	zero := "sha256:" + strings.Repeat("1", 64)
	const oci = "application/vnd.oci.image.manifest.v1+json"
	for name, tc := range map[string]struct {
		fault    fault
		want     error
		text     string
		manifest int // how often the manifest is asked for; -1: any
	}{
		"gone":              {on("manifests", registrytest.Status(404)), resolve.ErrNotFound, hub + ":1 at quay.io (mirror ", 1},
		"config gone":       {on("blobs", registrytest.Status(404)), resolve.ErrNotFound, "image configuration sha256:", 1},
		"not a registry":    {registrytest.Status(404), resolve.ErrInvalid, "registry protocol", 0},
		"denied":            {on("manifests", registrytest.Status(403)), resolve.ErrUnauthorized, "403", 1},
		"401 without end":   {registrytest.Status(401, "WWW-Authenticate", `Basic realm="x"`), resolve.ErrUnauthorized, "401", 1},
		"teapot":            {on("manifests", registrytest.Status(418)), resolve.ErrInvalid, "418", 1},
		"500":               {on("manifests", registrytest.Status(500)), resolve.ErrUnavailable, "500", 3},
		"503 once":          {on("manifests", registrytest.Times(1, registrytest.Status(503))), nil, "", 2},
		"503 handshake":     {on("/v2/", registrytest.Status(503)), resolve.ErrUnavailable, "503", 0},
		"429 for ever":      {on("manifests", registrytest.Status(429, "Retry-After", "1000000000")), resolve.ErrUnavailable, "429", 1},
		"429 in a while":    {on("manifests", registrytest.Status(429, "Retry-After", "11")), resolve.ErrUnavailable, "come back in 11s", 1},
		"429 overflow":      {on("manifests", registrytest.Status(429, "Retry-After", strings.Repeat("9", 19))), resolve.ErrUnavailable, "429", 1},
		"reset":             {on("manifests", registrytest.Reset()), resolve.ErrUnavailable, "", -1},
		"page":              {on("manifests", registrytest.HTML()), resolve.ErrInvalid, "text/html", 1},
		"page everywhere":   {registrytest.HTML(), resolve.ErrInvalid, "text/html", 1},
		"no type":           {on("manifests", registrytest.Body("", "{}")), resolve.ErrInvalid, "no container image", 1},
		"lies":              {on("manifests", registrytest.Lie(zero)), resolve.ErrMismatch, zero, 1},
		"lies about config": {on("blobs", registrytest.Lie(zero)), resolve.ErrMismatch, zero, 1},
		"truncated":         {on("manifests", registrytest.Truncate(40)), resolve.ErrMismatch, "40", 3},
		"truncated once":    {on("blobs", registrytest.Times(1, registrytest.Truncate(40))), nil, "", 2},
		"other config":      {on("blobs", registrytest.Body("application/json", "{}")), resolve.ErrMismatch, ref.DigestOf([]byte("{}")).String(), 1},
		"huge manifest":     {on("manifests", registrytest.Huge(200, oci, 1<<30)), resolve.ErrTooLarge, "4194304", 1},
		"manifest + 1":      {on("manifests", registrytest.Huge(200, oci, 4<<20+1)), resolve.ErrTooLarge, "4194304", 1},
		"manifest = limit":  {on("manifests", registrytest.Huge(200, oci, 4<<20)), resolve.ErrInvalid, "JSON", 1},
		"huge config":       {on("blobs", registrytest.Huge(200, "x/y", 1<<30)), resolve.ErrTooLarge, "4194304", 1},
		"huge error":        {on("manifests", registrytest.Huge(404, "text/plain", 1<<30)), resolve.ErrNotFound, "404", 1},
		"huge handshake": {registrytest.On("/v2/", func(w http.ResponseWriter, r *http.Request, next http.Handler) bool {
			return r.URL.Path == "/v2/" && registrytest.Huge(200, "text/plain", 1<<30)(w, r, next)
		}), nil, "", 1},
		"huge 500 handshake": {registrytest.Huge(500, "text/plain", 1<<30), resolve.ErrUnavailable, "500", 0},
		"moved nowhere":      {on("manifests", registrytest.Status(302)), resolve.ErrInvalid, "302", 1},
		"partial":            {on("manifests", registrytest.Status(206)), resolve.ErrInvalid, "206", 1},
	} {
		t.Run(name, func(t *testing.T) {
			r := registrytest.New(t)
			digest := push(t, registrytest.Make("one"), r.Addr+"/jupyterhub/k8s-hub:1")
			before := len(r.Requests())
			r.Break(tc.fault)
			c := mirrored(t, r.Addr)
			start := time.Now()
			_, err := c.Resolve(t.Context(), reference(t, hub+":1"))
			if !errors.Is(err, tc.want) || err != nil && !strings.Contains(err.Error(), tc.text) {
				t.Errorf("got %v, want %v with %q", err, tc.want, tc.text)
			}
			if took := time.Since(start); took > 10*time.Second {
				t.Errorf("it took %s", took)
			}
			asked := 0
			for _, q := range r.Requests()[before:] {
				if strings.Contains(q.Path, "/manifests/") {
					asked++
				}
			}
			if tc.manifest >= 0 && asked != tc.manifest {
				t.Errorf("the manifest was asked for %d times, want %d", asked, tc.manifest)
			}
			r.Break(nil)
			if got, err := c.Resolve(t.Context(), reference(t, hub+":1")); err != nil || got.Image.Digest != digest {
				t.Errorf("after the fault: %s (%v)", got.Image, err)
			}
		})
	}
}

// F-27: the deadline holds whatever part of the answer is slow.
func TestDeadline(t *testing.T) {
	for name, fault := range map[string]registrytest.Fault{
		"handshake":    registrytest.Hang(),
		"manifest":     registrytest.On("manifests", registrytest.Hang()),
		"trickle":      registrytest.On("manifests", registrytest.Trickle()),
		"config":       registrytest.On("blobs", registrytest.Trickle()),
		"retry beyond": registrytest.On("manifests", registrytest.Status(503, "Retry-After", "5")),
	} {
		t.Run(name, func(t *testing.T) {
			r := registrytest.New(t)
			push(t, registrytest.Make("one"), r.Addr+"/jupyterhub/k8s-hub:1")
			r.Break(fault)
			c := client(t, resolve.Config{Mirrors: map[string]string{"quay.io": r.Addr}, Timeout: 900 * time.Millisecond})
			start := time.Now()
			_, err := c.Resolve(t.Context(), reference(t, hub+":1"))
			if !errors.Is(err, resolve.ErrUnavailable) {
				t.Errorf("got %v, want ErrUnavailable", err)
			}
			if took := time.Since(start); took > 5*time.Second {
				t.Errorf("it took %s", took)
			}
		})
	}
}

// A registry that hangs takes half of the places at most.
func TestParallel(t *testing.T) {
	slow, well := registrytest.New(t), registrytest.New(t)
	push(t, registrytest.Make("one"), well.Addr+"/jupyterhub/k8s-hub:1")
	slow.Break(registrytest.Hang())
	c := client(t, resolve.Config{Parallel: 4, Mirrors: map[string]string{"quay.io": well.Addr, "ghcr.io": slow.Addr}})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	const waiting = 10
	done := make(chan error, waiting)
	for i := range waiting {
		go func() {
			_, err := c.Resolve(ctx, reference(t, fmt.Sprintf("ghcr.io/a/b:%d", i)))
			done <- err
		}()
	}
	for range 3 {
		if _, err := c.Resolve(t.Context(), reference(t, hub+":1")); err != nil {
			t.Error(err)
		}
	}
	cancel()
	for range waiting {
		if err := <-done; !errors.Is(err, context.Canceled) || !errors.Is(err, resolve.ErrUnavailable) {
			t.Errorf("got %v, want ErrUnavailable and context.Canceled", err)
		}
	}
}
