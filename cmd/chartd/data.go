package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"chartd.dev/chartd/internal/archive"
	"chartd.dev/chartd/internal/auth"
	"chartd.dev/chartd/internal/durable"
	"chartd.dev/chartd/lock"
	"chartd.dev/chartd/lock/boltstore"
	"chartd.dev/chartd/repo"
	"chartd.dev/chartd/storage/dirstore"
)

// The files of a data directory.
const (
	databaseFile = "lock.db"
	blobsDir     = "blobs"
	adminFile    = "admin.token"
	snapshotFile = "index.snapshot" // a cache; may be removed
)

// data is an open data directory, held against other processes.
type data struct {
	dir   string
	held  *durable.DirLock
	db    *boltstore.Store
	blobs *dirstore.Store
	lock  *lock.Lockfile

	snapshot *repo.Snapshot
}

// openData takes a data directory. With create a missing one is made;
// otherwise it must hold a database.
func openData(ctx context.Context, dir string, create bool) (*data, error) {
	return openDataWith(ctx, dir, create, boltstore.Options{})
}

func openDataWith(ctx context.Context, dir string, create bool, o boltstore.Options) (_ *data, err error) {
	dir, err = filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	if create {
		if err := durable.MkdirAll(dir); err != nil {
			return nil, err
		}
	} else if _, err := os.Stat(filepath.Join(dir, databaseFile)); err != nil {
		return nil, fmt.Errorf("open data directory %q: there is no %s in it, is it the one that chartd serve --data names? (%w)", dir, databaseFile, err)
	}
	d := &data{dir: dir}
	defer func() {
		if err != nil {
			err = errors.Join(err, d.Close())
		}
	}()
	host, _ := os.Hostname() // for people to read; may be unknown
	if d.held, err = durable.LockDir(dir, durable.Holder{PID: os.Getpid(), Host: host, Started: time.Now().UTC()}); err != nil {
		return nil, err
	}
	if err = refuseOrphans(dir); err != nil {
		return nil, err
	}
	// Read while the database is checked.
	d.snapshot = repo.ReadSnapshot(filepath.Join(dir, snapshotFile))
	if d.db, err = boltstore.Open(filepath.Join(dir, databaseFile), o); err != nil {
		return nil, err
	}
	if d.blobs, err = dirstore.Open(filepath.Join(dir, blobsDir)); err != nil {
		return nil, err
	}
	d.lock, err = lock.Open(ctx, seeded(d.db), time.Now)
	return d, err
}

// refuseOrphans refuses to begin a new database beside stored files: to a new
// database they are all garbage, and the sweep would remove them.
func refuseOrphans(dir string) error {
	file := filepath.Join(dir, databaseFile)
	if _, err := os.Stat(file); err == nil {
		return nil // an empty or damaged one is refused by the store
	} else if !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("open data directory: %w", err)
	}
	found := ""
	err := filepath.WalkDir(filepath.Join(dir, blobsDir, "sha256"), func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		found = path
		return fs.SkipAll
	})
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("open data directory: %w", err)
	}
	if found == "" {
		return nil
	}
	return fmt.Errorf("open data directory: %q is missing but %q holds packages, which a new database would sweep away: restore a backup with chartd restore FILE --data NEWDIR, or name an empty directory if a new repository is meant",
		file, filepath.Join(dir, blobsDir))
}

// Close lets go of everything that was opened.
func (d *data) Close() error {
	var errs []error
	if d.db != nil {
		errs = append(errs, d.db.Close())
	}
	if d.held != nil {
		errs = append(errs, d.held.Close())
	}
	return errors.Join(errs...)
}

// temp is a directory for temporary files, emptied at each start.
func (d *data) temp() string { return filepath.Join(d.dir, blobsDir, "tmp") }

// repository opens the repository as offline commands need it: no registry.
func (d *data) repository(ctx context.Context) (*repo.Repository, error) {
	return repo.Open(ctx, repo.Config{Blobs: d.blobs, Lock: d.lock, Archive: archive.DefaultLimits(), Now: time.Now})
}

// firstToken makes the token with all scopes, unless there ever was one. Its
// text is in the file before the token is good: a crash in between leaves a
// file that the next start replaces.
func (d *data) firstToken(ctx context.Context) (path string, err error) {
	list, err := d.lock.Tokens(ctx)
	if err != nil {
		return "", err
	}
	const name = "admin"
	for _, t := range list {
		if t.Name == name {
			return "", nil
		}
	}
	r := auth.Request{Name: name, By: "chartd", Now: time.Now()}
	for _, s := range auth.AllScopes() {
		r.Scopes = append(r.Scopes, s.String())
	}
	t, secret, err := auth.New(r)
	if err != nil {
		return "", err
	}
	path = filepath.Join(d.dir, adminFile)
	if err := durable.WriteFile(path, []byte(secret.Reveal()+"\n"), 0o600); err != nil {
		return "", err
	}
	op := lock.Op{Actor: lock.Actor{Name: "chartd"}, Route: "token create"}
	return path, d.lock.CreateToken(ctx, op, t)
}

// emptyDir reports whether a directory can be filled: it is not there, or
// there is nothing in it.
func emptyDir(dir string) (bool, error) {
	list, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return true, nil
	}
	return len(list) == 0, err
}
