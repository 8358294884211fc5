package main

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"chartd.dev/chartd/internal/durable/durabletest"
)

// A start on a disk without a free byte serves what is there, refuses what is
// new, and takes it again once there is space.
func TestStartOnAFullDisk(t *testing.T) {
	for name, before := range map[string]func(dir string) error{
		"after a stop":         func(string) error { return nil },
		"without a lock file":  func(dir string) error { return os.Remove(filepath.Join(dir, "LOCK")) },
		"with an empty one":    func(dir string) error { return os.Truncate(filepath.Join(dir, "LOCK"), 0) },
		"without the snapshot": func(dir string) error { return os.Remove(filepath.Join(dir, snapshotFile)) },
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			durabletest.Mount(t, dir, "size=16m")
			r := start(t, dir)
			token := r.admin()
			publish := func(version string, want int) {
				t.Helper()
				if code, body := r.do("POST", "/api/charts", token, bytes.NewReader(chart(t, "demo", version))); code != want {
					t.Errorf("publish of %s: %d %s, want %d", version, code, body, want)
				}
			}
			publish("1.0.0", 201)
			_, index := r.do("GET", "/index.yaml", "", nil)
			if code := r.end(); code != 0 {
				t.Fatalf("exit %d: %s", code, r.log)
			}
			if err := before(dir); err != nil {
				t.Fatal(err)
			}
			ballast := filepath.Join(dir, "ballast")
			fill(t, ballast)

			r = start(t, dir)
			if code, body := r.do("GET", "/index.yaml", "", nil); code != 200 || body != index {
				t.Errorf("the index: %d %s", code, body)
			}
			if code, _ := r.do("GET", "/charts/demo-1.0.0.tgz", "", nil); code != 200 {
				t.Errorf("the package: %d", code)
			}
			publish("1.1.0", 507)
			if err := os.Remove(ballast); err != nil {
				t.Fatal(err)
			}
			publish("1.1.0", 201)
			if code := r.end(); code != 0 {
				t.Errorf("exit %d: %s", code, r.log)
			}
			if code, out, errs := chartd(t, "fsck", "--data", dir); code != 0 || !strings.Contains(out, "2 chart versions") {
				t.Errorf("fsck: %d %s %s", code, out, errs)
			}
		})
	}
}

// fill leaves no byte free on the file system of a file.
func fill(t *testing.T, path string) {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for size := 1 << 20; size > 0; {
		if _, err := f.Write(make([]byte, size)); errors.Is(err, syscall.ENOSPC) {
			size /= 2
		} else if err != nil {
			t.Fatal(err)
		}
	}
}

// A server whose files are removed under it says so and ends.
func TestLogRemovedUnderTheServer(t *testing.T) {
	dir := t.TempDir()
	r := start(t, dir)
	token := r.admin()
	if err := os.Remove(filepath.Join(dir, "lock.db-log0")); err != nil {
		t.Fatal(err)
	}
	if code, body := r.do("POST", "/api/charts", token, bytes.NewReader(chart(t, "demo", "1.0.0"))); code != 500 || !strings.Contains(body, "the server stops") {
		t.Errorf("publish: %d %s", code, body)
	}
	if code := <-r.code; code != exitFailed || !strings.Contains(r.log.String(), "lock.db-log0 was removed") {
		t.Errorf("exit %d: %s", code, r.log)
	}
}
