// Package e2e drives the real programs: chartd, chartctl, Helm 3 and 4, and a
// real registry.
package e2e

import (
	"bytes"
	"crypto/sha256"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/clearsign"

	"chartd.dev/chartd/internal/client"
	"chartd.dev/chartd/internal/e2e/rig"
)

func TestHelmReadsTheRepository(t *testing.T) {
	b := rig.New(t)
	for _, v := range []string{"1.0.0", "1.1.0", "1.2.0-beta.1"} {
		b.HubImage(v)
		b.Publish(rig.Hub{Version: v})
	}
	b.EachHelm(t, func(t *testing.T, h *rig.Helm) {
		h.Do("repo", "add", "campus", h.Server.URL)
		h.Do("repo", "update")

		out := h.Do("search", "repo", "campus/", "--versions")
		wants(t, "search", out, "1.1.0", "1.0.0", "!1.2.0-beta.1")
		wants(t, "search --devel", h.Do("search", "repo", "campus/", "--devel"), "1.2.0-beta.1")

		h.Do("pull", "campus/jupyterhub", "--version", "1.0.0")
		got, err := os.ReadFile(filepath.Join(h.Dir, "jupyterhub-1.0.0.tgz"))
		want := packageOf(t, h.Bench, rig.Hub{Version: "1.0.0"})
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("helm pull brought other bytes than were published: %v, %d bytes, want %d", err, len(got), len(want))
		}

		wants(t, "show chart", h.Do("show", "chart", "campus/jupyterhub"), "version: 1.1.0", "5.2.1")
		wants(t, "show values", h.Do("show", "values", "campus/jupyterhub", "--version", "1.0.0"), `tag: "1.0.0"`)
		out = h.Do("template", "hub", "campus/jupyterhub", "--version", "1.0.0", "--kube-version", "1.31.2")
		wants(t, "template", out, "quay.io/example/hub:1.0.0", `value: "v1.31.2"`)

		r := h.Try("template", "hub", "campus/jupyterhub", "--kube-version", "1.20.0")
		if r.Code == 0 || !strings.Contains(r.Err, "kubeVersion") {
			t.Errorf("template for a Kubernetes the chart refuses: exit %d, %q", r.Code, r.Err)
		}
	})
}

// The repository of one chart is as good as the whole one to who needs no other.
func TestHelmReadsTheRepositoryOfOneChart(t *testing.T) {
	b := rig.New(t)
	for _, v := range []string{"1.0.0", "1.1.0"} {
		b.HubImage(v)
		b.Publish(rig.Hub{Version: v})
	}
	b.Publish(rig.Hub{Chart: "binderhub", Version: "9.0.0"})
	b.EachHelm(t, func(t *testing.T, h *rig.Helm) {
		h.Do("repo", "add", "one", h.Server.URL+"/charts/jupyterhub")
		wants(t, "search", h.Do("search", "repo", "one/", "--versions"), "1.1.0", "1.0.0", "!9.0.0")
		h.Do("pull", "one/jupyterhub", "--version", "1.0.0")
		got, err := os.ReadFile(filepath.Join(h.Dir, "jupyterhub-1.0.0.tgz"))
		if want := packageOf(t, h.Bench, rig.Hub{Version: "1.0.0"}); err != nil || !bytes.Equal(got, want) {
			t.Errorf("helm pull brought other bytes than were published: %v, %d bytes, want %d", err, len(got), len(want))
		}
		wants(t, "show chart", h.Do("show", "chart", "jupyterhub", "--repo", h.Server.URL+"/charts/jupyterhub"), "version: 1.1.0")
	})
}

func TestHelmVerifiesProvenance(t *testing.T) {
	b := rig.New(t)
	b.HubImage("1.0.0")
	b.HubImage("1.0.1")
	signer, keyring := newSigner(t)
	pkg := packageOf(t, b, rig.Hub{Version: "1.0.0"})
	prov := sign(t, signer, "jupyterhub", "1.0.0", pkg)
	if _, err := b.Client.Publish(t.Context(), client.PublishRequest{Package: pkg, Provenance: prov}); err != nil {
		t.Fatal(err)
	}
	_, stranger := newSigner(t)

	// A signature over other bytes stores nothing.
	other := packageOf(t, b, rig.Hub{Version: "1.0.1"})
	if _, err := b.Client.Publish(t.Context(), client.PublishRequest{Package: other, Provenance: prov}); err == nil {
		t.Error("a provenance file of another package was accepted")
	}
	if _, err := b.Client.Chart(t.Context(), "jupyterhub", "1.0.1"); err == nil {
		t.Error("a refused publish left its chart version")
	}

	b.EachHelm(t, func(t *testing.T, h *rig.Helm) {
		h.Do("repo", "add", "campus", h.Server.URL)
		h.Do("pull", "--verify", "--keyring", keyring, "campus/jupyterhub", "--version", "1.0.0")
		wants(t, "template --verify", h.Do("template", "campus/jupyterhub", "--verify", "--keyring", keyring), "example/hub:1.0.0")
		if r := h.Try("pull", "--verify", "--keyring", stranger, "-d", t.TempDir(), "campus/jupyterhub"); r.Code == 0 {
			t.Error("pull --verify passed with somebody else's keyring")
		}
	})
}

func TestHelmBuildsDependencies(t *testing.T) {
	b := rig.New(t)
	b.HubImage("1.0.0")
	b.Publish(rig.Hub{Version: "1.0.0"})
	b.EachHelm(t, func(t *testing.T, h *rig.Helm) {
		dir, err := rig.Hub{Chart: "wrapper", Version: fmt.Sprintf("0.%d.0", h.Major)}.Write(h.Root, t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		meta := filepath.Join(dir, "Chart.yaml")
		text, err := os.ReadFile(meta)
		if err != nil {
			t.Fatal(err)
		}
		text = bytes.ReplaceAll(text, []byte("https://charts.example.edu"), []byte(h.Server.URL))
		if err := os.WriteFile(meta, text, 0o644); err != nil {
			t.Fatal(err)
		}
		h.Do("dependency", "update", dir)
		if err := os.RemoveAll(filepath.Join(dir, "charts")); err != nil {
			t.Fatal(err)
		}
		h.Do("repo", "add", "campus", h.Server.URL)
		h.Do("dependency", "build", dir)
		if _, err := os.Stat(filepath.Join(dir, "charts", "jupyterhub-1.0.0.tgz")); err != nil {
			t.Errorf("dependency build: %v", err)
		}
		wants(t, "template", h.Do("template", "campus-hub", dir), "quay.io/example/hub:1.0.0", "replicas: 2", "maintenance on Friday")

		// The built wrapper is a chart to publish; its hub image lies in the
		// packed subchart.
		r := h.Ctl(0, "publish", dir, "-o", "json")
		wants(t, "publish of the wrapper", r.Out, "quay.io/example/hub")
	})
}

// Helm sends credentials only where they belong: reading needs a token here.
func TestHelmWithCredentials(t *testing.T) {
	b := rig.New(t, "--allow-anonymous-read=false")
	b.HubImage("1.0.0")
	b.Publish(rig.Hub{Version: "1.0.0"})
	b.EachHelm(t, func(t *testing.T, h *rig.Helm) {
		if r := h.Try("repo", "add", "campus", h.Server.URL); r.Code == 0 || !strings.Contains(r.Err, "401") {
			t.Errorf("repo add without a token: exit %d, %q", r.Code, r.Err)
		}
		h.Do("repo", "add", "campus", h.Server.URL, "--username", "token", "--password", h.Server.Token)
		wants(t, "template", h.Do("template", "campus/jupyterhub"), "example/hub:1.0.0")
	})
}

// wants checks that text holds each of the words; "!word" has to be absent.
func wants(t *testing.T, what, text string, words ...string) {
	t.Helper()
	for _, w := range words {
		if no, ok := strings.CutPrefix(w, "!"); ok == strings.Contains(text, no) {
			t.Errorf("%s: want %q in\n%s", what, w, text)
		}
	}
}

func packageOf(t *testing.T, b *rig.Bench, h rig.Hub) []byte {
	t.Helper()
	pkg, err := h.Package(b.Root)
	if err != nil {
		t.Fatal(err)
	}
	return pkg
}

func newSigner(t *testing.T) (*openpgp.Entity, string) {
	t.Helper()
	e, err := openpgp.NewEntity("Campus charts", "tests", "charts@example.edu", nil)
	if err != nil {
		t.Fatal(err)
	}
	var public bytes.Buffer
	if err := e.Serialize(&public); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "pubring.gpg")
	if err := os.WriteFile(path, public.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
	return e, path
}

// sign makes a provenance file as "helm package --sign" does.
func sign(t *testing.T, e *openpgp.Entity, name, version string, pkg []byte) []byte {
	t.Helper()
	body := fmt.Sprintf("apiVersion: v2\nname: %s\nversion: %s\n\n...\nfiles:\n  %s-%s.tgz: sha256:%x\n",
		name, version, name, version, sha256.Sum256(pkg))
	var out bytes.Buffer
	w, err := clearsign.Encode(&out, e.PrivateKey, nil)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write([]byte(body)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}
