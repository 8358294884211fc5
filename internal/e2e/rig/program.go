package rig

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

// Program finds a program of Debian's that a test drives, also where a user's
// PATH leaves system ones out. Without it the test is skipped, except in CI.
func Program(t testing.TB, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err == nil {
		return path
	}
	for _, dir := range []string{"/usr/sbin", "/usr/bin"} {
		if info, err := os.Stat(filepath.Join(dir, name)); err == nil && info.Mode().IsRegular() {
			return filepath.Join(dir, name)
		}
	}
	if os.Getenv("CI") != "" {
		t.Fatalf("%s is needed: run make tools (%v)", name, err)
	}
	t.Skipf("%s is not installed; make tools installs it", name)
	return ""
}
