package durable

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestWriteFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "file")
	old := syscall.Umask(0o077)
	defer syscall.Umask(old)
	for _, content := range []string{"first", "", "second and longer"} {
		if err := WriteFile(path, []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
		got, err := os.ReadFile(path)
		if err != nil || string(got) != content {
			t.Errorf("content %q, %v, want %q", got, err, content)
		}
	}
	if fi, err := os.Stat(path); err != nil || fi.Mode().Perm() != 0o644 {
		t.Errorf("mode: %v, %v", fi, err)
	}
	if err := os.Mkdir(path+".dir", 0o700); err != nil {
		t.Fatal(err)
	}
	if err := WriteFile(path+".dir", []byte("x"), 0o600); err == nil {
		t.Error("wrote over a directory")
	}
	if err := WriteFile(filepath.Join(path, "below"), nil, 0o600); err == nil {
		t.Error("wrote below a file")
	}
	if left, err := os.ReadDir(filepath.Dir(path)); err != nil || len(left) != 2 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}

func TestMkdir(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "a", "b")
	if err := Mkdir(dir); err == nil {
		t.Error("Mkdir made its parent")
	}
	for range 2 {
		if err := MkdirAll(dir); err != nil {
			t.Fatal(err)
		}
	}
	file := filepath.Join(dir, "file")
	if err := WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := Mkdir(file); err == nil || !strings.Contains(err.Error(), file) {
		t.Errorf("Mkdir over a file: %v", err)
	}
}

func TestNoSpace(t *testing.T) {
	for err, want := range map[error]bool{
		&os.PathError{Op: "write", Path: "x", Err: syscall.ENOSPC}: true,
		syscall.EDQUOT: true, syscall.EIO: false, errors.New("x"): false,
		errors.Join(ErrSync, syscall.ENOSPC): false,
	} {
		if got := IsNoSpace(err); got != want {
			t.Errorf("IsNoSpace(%v) = %t", err, got)
		}
	}
}

func TestLockDir(t *testing.T) {
	dir := t.TempDir()
	info := Holder{PID: 4711, Host: "here", Started: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)}
	l, err := LockDir(dir, info)
	if err != nil {
		t.Fatal(err)
	}
	second := func(want ...string) {
		t.Helper()
		begun := time.Now()
		_, err := LockDir(dir, Holder{PID: 1})
		if !errors.Is(err, ErrLocked) || time.Since(begun) > 2*time.Second {
			t.Fatalf("second LockDir: %v after %v", err, time.Since(begun))
		}
		for _, s := range append(want, dir) {
			if !strings.Contains(err.Error(), s) {
				t.Errorf("second LockDir: %q does not say %q", err, s)
			}
		}
	}
	second("4711", `"here"`, "2026-01-02T03:04:05Z")
	if err := l.SetURL("http://127.0.0.1:8879"); err != nil {
		t.Fatal(err)
	}
	second("4711", "http://127.0.0.1:8879")
	if h, err := ReadHolder(dir); err != nil || h.URL != "http://127.0.0.1:8879" || h.PID != 4711 {
		t.Errorf("ReadHolder: %+v, %v", h, err)
	}
	// Whatever the file says, the kernel's lock counts.
	for _, content := range []string{"", "not JSON"} {
		if err := os.WriteFile(filepath.Join(dir, LockName), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		second()
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	// A file that a killed process left does not hold the directory.
	if err := os.WriteFile(filepath.Join(dir, LockName), []byte(`{"pid":1}`), 0o600); err != nil {
		t.Fatal(err)
	}
	l, err = LockDir(dir, info)
	if err != nil {
		t.Fatalf("after Close: %v", err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := LockDir(filepath.Join(dir, "missing"), info); err == nil || errors.Is(err, ErrLocked) {
		t.Errorf("LockDir of nothing: %v", err)
	}
}
