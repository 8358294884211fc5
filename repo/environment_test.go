package repo_test

import (
	"archive/tar"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"slices"
	"strconv"
	"strings"
	"testing"

	"helm.sh/helm/v3/pkg/chart/loader"

	"chartd.dev/chartd/internal/model"
	"chartd.dev/chartd/internal/ref"
	"chartd.dev/chartd/lock"
	"chartd.dev/chartd/repo"
	"chartd.dev/chartd/storage"
)

// pinned is a rig with one published chart, pinned in data8/prod.
func pinned(t *testing.T) (*rig, repo.Published, lock.Image) {
	t.Helper()
	g := newRig(t)
	image := g.registry.push(t, "quay.io/jupyterhub/k8s-hub:3.3.7", "base", "hub-3.3.7")
	out := g.publish(t, hub(t, "3.3.7", "3.3.7"))
	if _, err := g.lockfile.CreateEnvironment(ctx, op("env"), lock.NewEnvironment{Env: env(t, "data8/prod"), Chart: "jupyterhub"}); err != nil {
		t.Fatal(err)
	}
	if _, err := g.lockfile.MakePin(ctx, op("pin"), lock.NewPin{Env: env(t, "data8/prod"), Binding: out.Binding.ID}); err != nil {
		t.Fatal(err)
	}
	return g, out, image
}

func line(t *testing.T, p repo.Page) map[string]any {
	t.Helper()
	var x struct {
		Entries map[string][]map[string]any
	}
	if err := json.Unmarshal(p.Body, &x); err != nil {
		t.Fatal(err)
	}
	for _, list := range x.Entries {
		if len(list) == 1 {
			return list[0]
		}
	}
	t.Fatalf("the index has not exactly one line: %s", p.Body)
	return nil
}

func TestEnvironmentServesTheSealedPair(t *testing.T) {
	g, out, image := pinned(t)
	p, err := g.EnvironmentIndex(ctx, env(t, "data8/prod"))
	if err != nil {
		t.Fatal(err)
	}
	url := line(t, p)["urls"].([]any)[0].(string)
	file, ok := strings.CutPrefix(url, "sealed/")
	if !ok || !strings.Contains(file, out.Binding.Sealed.Hex()[:16]) {
		t.Fatalf("the URL is %q", url)
	}
	blob, err := g.SealedPackage(ctx, env(t, "data8/prod"), file)
	if err != nil {
		t.Fatal(err)
	}
	rc, err := g.Open(ctx, blob, 0, -1)
	if err != nil {
		t.Fatal(err)
	}
	defer rc.Close()
	data, err := io.ReadAll(rc)
	if err != nil {
		t.Fatal(err)
	}
	c, err := loader.LoadArchive(bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	got := c.Values["hub"].(map[string]any)["image"].(map[string]any)
	if want := "3.3.7@" + image.Image.Digest.String(); got["tag"] != want || got["name"] != "quay.io/jupyterhub/k8s-hub" {
		t.Errorf("the sealed chart runs %v, want tag %s", got, want)
	}
	proof, err := g.SealProof(ctx, out.Binding.ID)
	if err != nil || len(proof.Splices) != 1 || proof.Splices[0].Path != "hub.image.tag" {
		t.Errorf("proof is %+v, %v", proof, err)
	}
}

func TestOldSealedPackageAnswersForEver(t *testing.T) {
	g, out, _ := pinned(t)
	g.registry.push(t, "quay.io/jupyterhub/k8s-hub:3.3.8", "base", "hub-3.3.8")
	next := g.publish(t, hub(t, "3.3.8", "3.3.8"))
	e := env(t, "data8/prod")
	if _, err := g.lockfile.MakePin(ctx, op("pin"), lock.NewPin{Env: e, Base: 1, Binding: next.Binding.ID}); err != nil {
		t.Fatal(err)
	}
	if _, err := g.SealedPackage(ctx, e, repo.SealedName(out.Chart.Chart, out.Binding.Sealed)); err != nil {
		t.Errorf("a client with a cached index gets %v", err)
	}
	for _, bad := range []string{"jupyterhub-3.3.7.tgz", "jupyterhub-3.3.7.sealed-0000000000000000.tgz", ".sealed-.tgz", "x"} {
		if _, err := g.SealedPackage(ctx, e, bad); !errors.Is(err, lock.ErrNotFound) {
			t.Errorf("sealed package %q: %v", bad, err)
		}
	}
	first, err := g.RevisionIndex(ctx, e, 1)
	if err != nil {
		t.Fatal(err)
	}
	if l := line(t, first); l["version"] != "3.3.7" || l["digest"] != out.Chart.Package.Hex() {
		t.Errorf("revision 1 is %v", l)
	}
}

func TestOverlay(t *testing.T) {
	g, _, image := pinned(t)
	e := env(t, "data8/prod")
	for _, prefix := range []string{"", "jupyterhub"} {
		p, err := g.Overlay(ctx, e, 1, prefix)
		if err != nil {
			t.Fatal(err)
		}
		for _, want := range []string{"hub:", "image:", "3.3.7@" + image.Image.Digest.String(), prefix} {
			if !strings.Contains(string(p.Body), want) {
				t.Errorf("the overlay with prefix %q has no %q:\n%s", prefix, want, p.Body)
			}
		}
	}
	if _, err := g.Overlay(ctx, e, 1, "jupiterhub"); !errors.Is(err, lock.ErrInvalid) {
		t.Errorf("a prefix that Helm would ignore gave %v", err)
	}
	if _, err := g.Overlay(ctx, e, 2, ""); !errors.Is(err, lock.ErrNotFound) {
		t.Errorf("a revision that is not there gave %v", err)
	}
}

func TestUnpinnedAndUnsealable(t *testing.T) {
	g := newRig(t)
	plain := map[string]string{"plain/Chart.yaml": "apiVersion: v2\nname: plain\nversion: 1.0.0\n", "plain/values.yaml": "a: 1\n"}
	out := g.publish(t, pack(t, plain))
	if out.Binding == nil || out.Binding.Evidence != model.NoImages {
		t.Fatalf("a chart without images is bound to %+v", out.Binding)
	}
	e := env(t, "plain/prod")
	if _, err := g.lockfile.CreateEnvironment(ctx, op("env"), lock.NewEnvironment{Env: e, Chart: "plain"}); err != nil {
		t.Fatal(err)
	}
	p, err := g.EnvironmentIndex(ctx, e)
	if err != nil || !strings.Contains(string(p.Body), `"entries":{}`) {
		t.Errorf("the index of an unpinned environment is %s, %v", p.Body, err)
	}
	if _, err := g.lockfile.MakePin(ctx, op("pin"), lock.NewPin{Env: e, Binding: out.Binding.ID}); err != nil {
		t.Fatal(err)
	}
	if p, err = g.EnvironmentIndex(ctx, e); err != nil {
		t.Fatal(err)
	}
	if url := line(t, p)["urls"].([]any)[0]; url != "revisions/1/plain-1.0.0.tgz" {
		t.Errorf("the URL is %v", url)
	}
	if _, err := g.RevisionPackage(ctx, e, 1, "plain-1.0.0.tgz"); err != nil {
		t.Error(err)
	}
}

func TestAdoptRecordsWhatRuns(t *testing.T) {
	g := newRig(t)
	g.registry.push(t, "quay.io/jupyterhub/k8s-hub:3.3.8", "base", "hub-3.3.8")
	g.registry.push(t, "quay.io/uni/hub:old", "base", "hub-3.3.7", "extra")
	g.publish(t, hub(t, "3.3.8", "3.3.8"))
	image, _ := ref.ParseReference("quay.io/uni/hub:old")
	e := env(t, "data8/prod")
	p, err := g.Adopt(ctx, op("adopt"), repo.AdoptRequest{
		Env: e, Chart: "jupyterhub", Version: "3.3.8", Images: map[ref.Role]ref.Reference{"hub": image}, Reason: "runs since March",
	})
	if err != nil || p.Revision != 1 || p.Kind != model.Adopt {
		t.Fatalf("adopted %+v, %v", p, err)
	}
	s, err := g.lockfile.Environment(ctx, e)
	if err != nil || s.Binding.State != model.Unverified || !strings.Contains(s.Binding.Why, "was not built on") {
		t.Fatalf("binding %+v, %v", s.Binding, err)
	}
	v, err := g.lockfile.ChartVersion(ctx, p.Chart)
	if err != nil || v.Default == p.Binding {
		t.Errorf("an unverified binding became the default: %v", err)
	}
	if _, err := g.lockfile.MakePin(ctx, op("pin"), lock.NewPin{Env: e, Base: 1, Binding: p.Binding, Kind: model.Rollback, From: "1"}); !errors.Is(err, lock.ErrGate) {
		t.Errorf("a rollback to it gave %v", err)
	}
}

func TestBackupWhileServing(t *testing.T) {
	g, out, _ := pinned(t)
	var stream bytes.Buffer
	// The database of the in-memory store has no file; its place in the stream
	// is what is tested here, boltstore tests the copy.
	err := g.Backup(ctx, &stream, t.TempDir(), func(_ context.Context, w io.Writer) error {
		// Publishing goes on while the copy is made.
		g.publish(t, hub(t, "3.3.9", "3.3.9"))
		_, err := io.WriteString(w, "database")
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	var db bytes.Buffer
	blobs := storage.NewMemory()
	if err := repo.ReadBackup(ctx, bytes.NewReader(stream.Bytes()), repo.BackupTarget{Database: &db, Blobs: blobs}); err != nil {
		t.Fatal(err)
	}
	if db.String() != "database" {
		t.Errorf("the database is %q", &db)
	}
	for _, d := range []ref.Digest{out.Chart.Package, out.Binding.Sealed} {
		if _, err := blobs.Stat(ctx, d); err != nil {
			t.Errorf("blob %s is not in the backup: %v", d, err)
		}
	}
	for _, cut := range []int{0, 100, stream.Len() / 2, stream.Len() - 1600} {
		err := repo.ReadBackup(ctx, bytes.NewReader(stream.Bytes()[:cut]), repo.BackupTarget{Database: io.Discard, Blobs: storage.NewMemory()})
		if err == nil {
			t.Errorf("a backup cut off at %d bytes was taken", cut)
		}
	}
	for name, h := range map[string]tar.Header{
		"a file that is not known": {Name: "admin.token", Typeflag: tar.TypeReg}, "a link for the database": {Name: "lock.db", Typeflag: tar.TypeSymlink, Linkname: "/etc/passwd"},
		"a link for a blob": {Name: "blobs/" + out.Chart.Package.Hex(), Typeflag: tar.TypeLink, Linkname: "lock.db"}, "a directory": {Name: "blobs", Typeflag: tar.TypeDir},
	} {
		for _, before := range []string{"lock.db", "end", ""} { // where it is put; "" is behind the end mark
			err := repo.ReadBackup(ctx, with(t, stream.Bytes(), before, h), repo.BackupTarget{Database: io.Discard, Blobs: storage.NewMemory()})
			if !errors.Is(err, repo.ErrBackup) || !strings.Contains(err.Error(), strconv.Quote(h.Name)) {
				t.Errorf("%s before %q: %v", name, before, err)
			}
		}
	}
	damaged := slices.Clone(stream.Bytes())
	i := bytes.LastIndex(damaged, []byte{0x1f, 0x8b})
	damaged[i+20] ^= 1
	if err := repo.ReadBackup(ctx, bytes.NewReader(damaged), repo.BackupTarget{Database: io.Discard, Blobs: storage.NewMemory()}); !errors.Is(err, storage.ErrMismatch) {
		t.Errorf("a damaged backup gave %v", err)
	}
}

// with is a backup with one member more.
func with(t *testing.T, stream []byte, before string, h tar.Header) io.Reader {
	t.Helper()
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	add := func(h *tar.Header, r io.Reader) {
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if _, err := io.Copy(w, r); err != nil {
			t.Fatal(err)
		}
	}
	r := tar.NewReader(bytes.NewReader(stream))
	for {
		m, err := r.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if m.Name == before {
			add(&h, strings.NewReader(""))
		}
		add(m, r)
	}
	if before == "" {
		add(&h, strings.NewReader(""))
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return &out
}
