package repo

import (
	"archive/tar"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"chartd.dev/chartd/internal/ref"
	"chartd.dev/chartd/storage"
)

// backupFormat is the version of the backup stream: a tar archive with
// backup.json, lock.db and one file for each blob.
const backupFormat = 1

type backupHead struct {
	Format  int       `json:"format"`
	Created time.Time `json:"created"`
}

// Backup writes a consistent copy while the repository serves. The database
// is copied first and nothing is deleted until the end, so every blob that the
// copy names is there. Snapshot writes the copy of the database.
func (r *Repository) Backup(ctx context.Context, w io.Writer, dir string, snapshot func(context.Context, io.Writer) error) error {
	r.backing.Lock()
	defer r.backing.Unlock()
	db, err := os.CreateTemp(dir, "backup-*")
	if err != nil {
		return fmt.Errorf("backup: %w", err)
	}
	defer os.Remove(db.Name())
	defer db.Close()
	if err := snapshot(ctx, db); err != nil {
		return fmt.Errorf("backup: copy the lock database: %w", err)
	}
	size, err := db.Seek(0, io.SeekCurrent)
	if err == nil {
		_, err = db.Seek(0, io.SeekStart)
	}
	if err != nil {
		return fmt.Errorf("backup: %w", err)
	}
	head, err := json.Marshal(backupHead{backupFormat, r.Now().UTC()})
	if err != nil {
		return err
	}
	t := tar.NewWriter(w)
	if err := errors.Join(
		addFile(t, "backup.json", int64(len(head)), strings.NewReader(string(head))),
		addFile(t, "lock.db", size, db),
	); err != nil {
		return fmt.Errorf("backup: %w", err)
	}
	err = r.Blobs.List(ctx, func(i storage.Info) error {
		rc, err := r.Blobs.Get(ctx, i.Digest, 0, -1)
		if err != nil {
			return err
		}
		defer rc.Close()
		return addFile(t, "blobs/"+i.Digest.Hex(), i.Size, rc)
	})
	if err != nil {
		return fmt.Errorf("backup: %w", err)
	}
	// The end mark: a stream that was cut off has none.
	if err := addFile(t, "end", 0, strings.NewReader("")); err != nil {
		return fmt.Errorf("backup: %w", err)
	}
	return t.Close()
}

func addFile(t *tar.Writer, name string, size int64, r io.Reader) error {
	if err := t.WriteHeader(&tar.Header{Name: name, Mode: 0o600, Size: size, Typeflag: tar.TypeReg, Format: tar.FormatPAX}); err != nil {
		return err
	}
	n, err := io.Copy(t, r)
	if err == nil && n != size {
		err = fmt.Errorf("%s has %d bytes, not %d", name, n, size)
	}
	return err
}

// BackupTarget takes what a backup holds.
type BackupTarget struct {
	Database io.Writer
	Blobs    storage.Store
}

// ErrBackup says that a backup stream is damaged, cut off, or none at all.
var ErrBackup = errors.New("backup cannot be read")

// ReadBackup reads a backup stream into the target and checks each blob
// against its digest.
func ReadBackup(ctx context.Context, r io.Reader, to BackupTarget) error {
	t := tar.NewReader(r)
	bad := func(format string, args ...any) error {
		return fmt.Errorf("%w: %s", ErrBackup, fmt.Sprintf(format, args...))
	}
	for n := 0; ; n++ {
		h, err := t.Next()
		if err != nil {
			return bad("it ends after %d files without its end mark (%v): it was cut off or is no backup of chartd", n, err)
		}
		blob, isBlob := strings.CutPrefix(h.Name, "blobs/")
		switch {
		case h.Typeflag != tar.TypeReg:
			return bad("file %q is not a regular file", h.Name)
		case n == 0 && h.Name == "backup.json" && h.Size < 1<<16:
			var head backupHead
			if err := json.NewDecoder(t).Decode(&head); err != nil {
				return bad("backup.json: %v", err)
			}
			if head.Format != backupFormat {
				return bad("it has format %d, and this version reads format %d", head.Format, backupFormat)
			}
		case n == 1 && h.Name == "lock.db":
			if _, err := io.Copy(to.Database, t); errors.Is(err, io.ErrUnexpectedEOF) {
				return bad("it was cut off inside the lock database")
			} else if err != nil {
				return fmt.Errorf("restore the lock database: %w", err)
			}
		case n > 1 && isBlob:
			d, err := ref.ParseHex(blob)
			if err != nil {
				return bad("file %q: %v", h.Name, err)
			}
			if err := to.Blobs.Put(ctx, d, t); errors.Is(err, io.ErrUnexpectedEOF) {
				return bad("it was cut off inside blob %s", d)
			} else if err != nil {
				return fmt.Errorf("restore blob %s: %w", d, err)
			}
		case n > 1 && h.Name == "end" && h.Size == 0:
			if more, err := t.Next(); err == nil {
				return bad("file %q does not belong behind its end mark", more.Name)
			} else if err != io.EOF {
				return bad("behind its end mark: %v", err)
			}
			return nil
		default:
			return bad("file %q does not belong there", h.Name)
		}
	}
}
