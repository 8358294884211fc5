package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"chartd.dev/chartd/internal/archive"
	"chartd.dev/chartd/internal/durable"
	"chartd.dev/chartd/lock"
	"chartd.dev/chartd/lock/boltstore"
	"chartd.dev/chartd/repo"
	"chartd.dev/chartd/storage/dirstore"
	"github.com/spf13/cobra"
)

func newBackup(getenv func(string) string) *cobra.Command {
	var out, tokenFile string
	cmd := &cobra.Command{
		Use: "backup", Short: "Write a consistent backup, also while the server runs", Args: noArgs,
		Long: "Write a consistent backup of a data directory as a tar file. Where a server holds\nthe directory, the backup comes from it, and it goes on serving.",
	}
	flags := configFlags(cmd.Flags(), "data")
	cmd.Flags().StringVarP(&out, "output", "o", "", `file to write, "-" for standard output (required)`)
	cmd.Flags().StringVar(&tokenFile, "token-file", "", "token for the running server (default: DIR/admin.token)")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		c, err := configOf(cmd, flags, getenv)
		if err != nil {
			return err
		}
		if out == "" {
			return fmt.Errorf("%w: say where to write the backup: -o FILE, or -o - for standard output", errUsage)
		}
		write := func(w io.Writer) error { return backup(cmd.Context(), c.Data, tokenFile, w) }
		if out == "-" {
			return write(cmd.OutOrStdout())
		}
		return writeDurably(out, write)
	}
	return cmd
}

// backup reads the directory itself, or asks the server that holds it.
func backup(ctx context.Context, dir, tokenFile string, w io.Writer) error {
	d, err := openData(ctx, dir, false)
	if errors.Is(err, durable.ErrLocked) {
		return online(ctx, question{dir, tokenFile, "/api/v1/backup", err}, func(body io.Reader) error {
			_, err := io.Copy(w, body)
			return err
		})
	}
	if err != nil {
		return err
	}
	r, err := d.repository(ctx)
	if err == nil {
		err = r.Backup(ctx, w, d.temp(), d.db.Snapshot)
	}
	return errors.Join(err, d.Close())
}

// writeDurably writes a file that is there whole or not at all, and never over
// another one.
func writeDurably(path string, write func(io.Writer) error) error {
	if err := absent(path); err != nil {
		return err
	}
	partial := path + ".partial"
	f, err := os.OpenFile(partial, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("write backup: another backup is being written to %q, or one was cut off: then remove that file", partial)
	}
	if err != nil {
		return fmt.Errorf("write backup: %w", err)
	}
	err = write(f)
	if err == nil {
		err = durable.Sync(f)
	}
	if err = errors.Join(err, f.Close()); err != nil {
		err = fmt.Errorf("write backup: %w", err)
	} else {
		err = absent(path) // it may have come meanwhile
	}
	if err == nil {
		err = durable.Rename(partial, path)
	}
	if err != nil {
		if left := os.Remove(partial); !errors.Is(left, fs.ErrNotExist) {
			err = errors.Join(err, left)
		}
	}
	return err
}

// absent refuses a name that is taken.
func absent(path string) error {
	_, err := os.Lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("write backup: %w", err)
	}
	return fmt.Errorf("write backup: %q exists, name a new file with --output", path)
}

func newRestore(getenv func(string) string) *cobra.Command {
	cmd := &cobra.Command{
		Use: "restore FILE", Short: "Make a data directory from a backup", Args: oneArg(`the backup FILE, or "-"`),
		Long: "Make a data directory from a backup. Everything is verified before the directory\ngets its name; one that is not empty is refused.",
	}
	flags := configFlags(cmd.Flags(), "data")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		c, err := configOf(cmd, flags, getenv)
		if err != nil {
			return err
		}
		in := cmd.InOrStdin()
		if args[0] != "-" {
			f, err := os.Open(args[0])
			if err != nil {
				return fmt.Errorf("read backup: %w", err)
			}
			defer f.Close()
			in = f
		}
		rep, err := restore(cmd.Context(), in, c.Data)
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(cmd.OutOrStdout(), "restored %s: %d chart versions, %d bindings, %d environments, %d pins, %d files, all verified\n",
			c.Data, rep.Charts, rep.Bindings, rep.Environments, rep.Pins, rep.Blobs)
		return err
	}
	return cmd
}

// restore fills a directory beside dir, checks it, and renames it: the rename
// is the commit point.
func restore(ctx context.Context, in io.Reader, dir string) (rep repo.Report, err error) {
	dir, err = filepath.Abs(dir)
	if err != nil {
		return rep, err
	}
	empty, err := emptyDir(dir)
	if err != nil {
		return rep, fmt.Errorf("restore: %w", err)
	}
	if !empty {
		return rep, fmt.Errorf("restore: %q is not empty, name a new directory with --data", dir)
	}
	if err := durable.MkdirAll(filepath.Dir(dir)); err != nil {
		return rep, fmt.Errorf("restore: %w", err)
	}
	temp, err := os.MkdirTemp(filepath.Dir(dir), "."+filepath.Base(dir)+".restoring-*")
	if err != nil {
		return rep, fmt.Errorf("restore: %w", err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, os.RemoveAll(temp))
		}
	}()
	if rep, err = unpack(ctx, in, temp); err != nil {
		return rep, fmt.Errorf("restore: %w", err)
	}
	if err := durable.SyncDir(temp); err != nil {
		return rep, fmt.Errorf("restore: %w", err)
	}
	return rep, durable.Rename(temp, dir)
}

// unpack writes a backup into an empty directory and checks what it made.
func unpack(ctx context.Context, in io.Reader, dir string) (rep repo.Report, err error) {
	blobs, err := dirstore.Open(filepath.Join(dir, blobsDir))
	if err != nil {
		return rep, err
	}
	f, err := os.OpenFile(filepath.Join(dir, databaseFile), os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o600)
	if err != nil {
		return rep, err
	}
	err = repo.ReadBackup(ctx, in, repo.BackupTarget{Database: f, Blobs: blobs})
	if err == nil {
		err = durable.Sync(f)
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return rep, err
	}
	db, err := boltstore.Open(f.Name(), boltstore.Options{})
	if err != nil {
		return rep, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	l, err := lock.Open(ctx, db, time.Now)
	if err != nil {
		return rep, err
	}
	return check(ctx, &data{db: db, blobs: blobs, lock: l})
}

// check verifies a data directory that is open; what it finds is an error.
func check(ctx context.Context, d *data) (repo.Report, error) {
	if err := d.db.Verify(ctx); err != nil {
		return repo.Report{}, err
	}
	r, err := repo.Open(ctx, repo.Config{Blobs: d.blobs, Lock: d.lock, Archive: archive.DefaultLimits(), Now: time.Now})
	if err != nil {
		return repo.Report{}, err
	}
	rep, err := r.Check(ctx, repo.CheckOptions{Blobs: true})
	if err == nil && len(rep.Problems) > 0 {
		err = fmt.Errorf("%d problems, the first: %s", len(rep.Problems), rep.Problems[0])
	}
	return rep, err
}
