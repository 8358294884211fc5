package repo

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	helmrepo "helm.sh/helm/v3/pkg/repo"

	"chartd.dev/chartd/internal/archive"
	"chartd.dev/chartd/internal/ref"
	"chartd.dev/chartd/lock"
	"chartd.dev/chartd/storage"
)

// CheckOptions of Check.
type CheckOptions struct {
	Blobs    bool // read every byte of every blob, not only their sizes
	Progress func(done, total int)
}

// Report is what Check found. Problems is empty where all is well.
type Report struct {
	Problems     []string `json:"problems"`
	Charts       int      `json:"charts"`
	Bindings     int      `json:"bindings"`
	Environments int      `json:"environments"`
	Pins         int      `json:"pins"`
	Journal      int      `json:"journal"`
	Blobs        int      `json:"blobs"`
	Unused       int      `json:"unused_blobs"`
	Generation   uint64   `json:"generation"`
}

// Check verifies everything that can be verified: the lock file against its
// own journal and rules, each blob against its digest, each package against
// its record, and the index against one made from scratch and through Helm's
// own loader.
func (r *Repository) Check(ctx context.Context, o CheckOptions) (Report, error) {
	if o.Progress == nil {
		o.Progress = func(int, int) {}
	}
	found, err := r.Lock.Check(ctx)
	if err != nil {
		return Report{}, err
	}
	rep := Report{
		Problems: found.Problems, Charts: found.Charts, Bindings: found.Bindings,
		Environments: found.Environments, Pins: found.Pins, Journal: found.Journal,
	}
	total := len(found.Blobs)
	for i, use := range found.Blobs {
		problem, err := r.checkBlob(ctx, use, o.Blobs)
		if err != nil {
			return rep, err
		}
		if problem != "" {
			rep.Problems = append(rep.Problems, problem)
		}
		o.Progress(i+1, total)
	}
	rep.Blobs = total
	problems, gen, err := r.checkIndex(ctx)
	if err != nil {
		return rep, err
	}
	rep.Generation = gen
	rep.Problems = append(rep.Problems, problems...)
	err = r.Blobs.List(ctx, func(i storage.Info) error {
		used, err := r.Lock.BlobUsed(ctx, i.Digest)
		if err == nil && !used {
			rep.Unused++ // garbage of a crash, not damage: a sweep removes it
		}
		return err
	})
	return rep, err
}

func (r *Repository) checkBlob(ctx context.Context, use lock.BlobUse, deep bool) (string, error) {
	lost := func(err error) (string, error) {
		if errors.Is(err, storage.ErrNotExist) || errors.Is(err, storage.ErrMismatch) {
			// It may have been purged since the list was made.
			if used, e := r.Lock.BlobUsed(ctx, use.Digest); e == nil && !used {
				return "", nil
			}
			return fmt.Sprintf("%s of %s: %v: %s; publish the same package again to mend it, or restore a backup", use.Kind, use.Chart, err, use.Digest), nil
		}
		return "", err
	}
	info, err := r.Blobs.Stat(ctx, use.Digest)
	if err != nil {
		return lost(err)
	}
	if info.Size != use.Size {
		return fmt.Sprintf("%s of %s has %d bytes, not %d: %s", use.Kind, use.Chart, info.Size, use.Size, use.Digest), nil
	}
	if !deep {
		return "", nil
	}
	rc, err := r.Blobs.Get(ctx, use.Digest, 0, -1)
	if err != nil {
		return lost(err)
	}
	defer rc.Close()
	data, err := io.ReadAll(rc)
	if err != nil {
		return lost(err)
	}
	if use.Kind != "package" {
		return "", nil
	}
	return r.checkPackage(ctx, use.Chart, data)
}

// checkPackage reads a package again and compares it with its record.
func (r *Repository) checkPackage(ctx context.Context, chart ref.ChartVersion, data []byte) (string, error) {
	v, err := r.Lock.ChartVersion(ctx, chart)
	if err != nil {
		return "", err
	}
	p, err := archive.Read(data, r.archiveOptions(v.Imported))
	if err != nil {
		return fmt.Sprintf("package of %s: %v", chart, err), nil
	}
	again, err := version(data, p, v.BareRequirements, true)
	if err != nil {
		return fmt.Sprintf("package of %s: %v", chart, err), nil
	}
	if again.Content != v.Content || again.Chart != v.Chart || !bytes.Equal(again.Metadata, v.Metadata) {
		return fmt.Sprintf("package of %s is not what its record says: content %s, recorded %s", chart, again.Content, v.Content), nil
	}
	return "", nil
}

// checkIndex compares the served index with one made from scratch, and takes
// it through Helm's loader, which drops the lines that it does not like.
func (r *Repository) checkIndex(ctx context.Context) ([]string, uint64, error) {
	served, err := r.Index(ctx)
	if err != nil {
		return nil, 0, err
	}
	scratch, err := r.follow(ctx, r.newIndex(0, time.Time{}))
	if err != nil {
		return nil, 0, err
	}
	for served.Generation() < scratch.Generation() {
		return r.checkIndex(ctx) // published meanwhile: compare like with like
	}
	var problems []string
	if served.Generation() == scratch.Generation() {
		a, _, err := served.Body(Identity)
		if err != nil {
			return nil, 0, err
		}
		b, _, err := scratch.Body(Identity)
		if err != nil {
			return nil, 0, err
		}
		if !bytes.Equal(a.Bytes(), b.Bytes()) {
			problems = append(problems, fmt.Sprintf("the index of generation %d is not the one that the records give", served.Generation()))
		}
	}
	lines, err := helmLines(served)
	if err != nil {
		return append(problems, fmt.Sprintf("Helm cannot read the index: %v", err)), served.Generation(), nil
	}
	for _, name := range served.Names() {
		if got, want := lines[name], len(served.Entries(name)); got != want {
			problems = append(problems, fmt.Sprintf("Helm reads %d versions of %s from the index, and there are %d", got, name, want))
		}
	}
	return problems, served.Generation(), nil
}

// helmLines counts the versions of each chart that Helm's loader keeps.
func helmLines(x *Index) (map[string]int, error) {
	body, _, err := x.Body(Identity)
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "chartd-index-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	file := filepath.Join(dir, "index.yaml")
	if err := os.WriteFile(file, body.Bytes(), 0o600); err != nil {
		return nil, err
	}
	loaded, err := helmrepo.LoadIndexFile(file)
	if err != nil {
		return nil, err
	}
	lines := map[string]int{}
	for name, versions := range loaded.Entries {
		lines[name] = len(versions)
	}
	return lines, nil
}
