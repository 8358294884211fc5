package main

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestBackupNeverOverwrites(t *testing.T) {
	temp := t.TempDir()
	dir, file := filepath.Join(temp, "data"), filepath.Join(temp, "backup.tar")
	start(t, dir).end()
	backup := func() (int, string) {
		code, _, errs := chartd(t, "backup", "--data", dir, "--output", file)
		return code, errs
	}
	if code, errs := backup(); code != 0 {
		t.Fatalf("exit %d: %s", code, errs)
	}
	first, err := os.ReadFile(file)
	if err != nil || len(first) == 0 {
		t.Fatalf("%d bytes, %v", len(first), err)
	}
	if code, errs := backup(); code != exitFailed || !strings.Contains(errs, file) || strings.Count(strings.TrimSpace(errs), "\n") > 0 {
		t.Errorf("over an old backup: exit %d: %s", code, errs)
	}
	if again, err := os.ReadFile(file); err != nil || string(again) != string(first) {
		t.Errorf("the old backup changed: %v", err)
	}
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(filepath.Join(temp, "nowhere"), file); err != nil {
		t.Fatal(err)
	}
	if code, errs := backup(); code != exitFailed {
		t.Errorf("over a link to nowhere: exit %d: %s", code, errs)
	}
}

func TestFailedBackupLeavesNothing(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "backup.tar")
	names := func() []string {
		list, err := os.ReadDir(dir)
		if err != nil {
			t.Fatal(err)
		}
		out := []string{}
		for _, e := range list {
			out = append(out, e.Name())
		}
		return out
	}
	broken := errors.New("broken off")
	err := writeDurably(file, func(w io.Writer) error {
		if got := names(); !slices.Equal(got, []string{"backup.tar.partial"}) {
			t.Errorf("while it is written: %q", got)
		}
		if _, err := io.WriteString(w, "half"); err != nil {
			return err
		}
		return broken
	})
	if !errors.Is(err, broken) || len(names()) != 0 {
		t.Errorf("%v, left %q", err, names())
	}
	// A file that comes while the backup is written stays as it is.
	err = writeDurably(file, func(io.Writer) error { return os.WriteFile(file, []byte("other"), 0o600) })
	if data, readErr := os.ReadFile(file); err == nil || readErr != nil || string(data) != "other" || len(names()) != 1 {
		t.Errorf("%v, %q %v, left %q", err, data, readErr, names())
	}
	if err := os.Rename(file, file+".partial"); err != nil {
		t.Fatal(err)
	}
	err = writeDurably(file, func(io.Writer) error { return nil })
	if err == nil || !strings.Contains(err.Error(), "backup.tar.partial") || !slices.Equal(names(), []string{"backup.tar.partial"}) {
		t.Errorf("beside a backup under way: %v, left %q", err, names())
	}
}
