package main

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// files is every stored file of a data directory.
func files(t *testing.T, dir string) []string {
	t.Helper()
	list, err := filepath.Glob(filepath.Join(dir, blobsDir, "sha256", "*", "*"))
	if err != nil {
		t.Fatal(err)
	}
	return list
}

// Packages without their database are a loss to mend, not garbage to sweep.
func TestMissingDatabaseBesidePackagesIsRefused(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	r := start(t, dir)
	if code, body := r.do("POST", "/api/charts", r.admin(), bytes.NewReader(chart(t, "demo", "1.0.0"))); code != 201 {
		t.Fatalf("%d %s", code, body)
	}
	r.end()
	stored := len(files(t, dir))
	if stored == 0 {
		t.Fatal("nothing is stored")
	}
	db := filepath.Join(dir, databaseFile)
	for name, damage := range map[string]func() error{
		"missing": func() error { return os.Remove(db) },
		"empty":   func() error { return os.WriteFile(db, nil, 0o600) },
	} {
		if err := damage(); err != nil && !errors.Is(err, fs.ErrNotExist) {
			t.Fatal(err)
		}
		for _, args := range [][]string{
			{"serve", "--listen", "127.0.0.1:0"}, {"token", "create", "ci", "--scope", "read"}, {"fsck"}, {"backup", "-o", "-"},
		} {
			code, out, errs := chartd(t, append(args, "--data", dir)...)
			if code != exitFailed || out != "" || !strings.Contains(errs, databaseFile) {
				t.Errorf("%s, %q: exit %d %q: %s", name, args, code, out, errs)
			}
			if create := args[0] == "serve" || args[0] == "token"; create && (!strings.Contains(errs, "chartd restore") || name == "missing" && !strings.Contains(errs, "sweep")) {
				t.Errorf("%s, %q does not say what to do: %s", name, args, errs)
			}
		}
		if n := len(files(t, dir)); n != stored {
			t.Errorf("%s: %d of %d files are left", name, n, stored)
		}
		if fi, err := os.Stat(db); err == nil && fi.Size() > 0 {
			t.Errorf("%s: a new database was made", name)
		}
	}
}
