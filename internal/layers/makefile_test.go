package layers

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// `make help` has one line for each target.
func TestHelpOfMake(t *testing.T) {
	top := filepath.Join("..", "..")
	makefile, err := os.ReadFile(filepath.Join(top, "Makefile"))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(makefile), "\n.PHONY: ")
	targets, _, _ := strings.Cut(rest, "\n")
	cmd := exec.Command("make", "-s", "-C", top, "help")
	cmd.Env = append(os.Environ(), "MAKEFLAGS=", "MAKELEVEL=") // make may run this test
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	lines := strings.Split(strings.TrimSpace(string(out)), "\n")
	said := make(map[string]bool)
	for _, line := range lines {
		if fields := strings.Fields(line); len(fields) > 1 {
			said[fields[0]] = true
		}
	}
	if len(lines) != len(strings.Fields(targets)) {
		t.Errorf("%d lines: %s", len(lines), out)
	}
	for _, target := range strings.Fields(targets) {
		if !said[target] {
			t.Errorf("%q is not in it", target)
		}
	}
}
