package rendered

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"chartd.dev/chartd/internal/api"
)

// program makes a helm of a shell script.
func program(t *testing.T, script string) helm {
	t.Helper()
	dir := t.TempDir()
	at := filepath.Join(dir, "helm")
	if err := os.WriteFile(at, []byte("#!/bin/sh\n"+script+"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	return helm{at, dir, time.Minute}
}

// What Helm says when it fails is told in one line; one that does not end is
// stopped.
func TestAHelmThatFails(t *testing.T) {
	slow := program(t, "sleep 60")
	slow.limit = 50 * time.Millisecond
	for name, tt := range map[string]struct {
		helm helm
		want string
	}{
		"an error":    {program(t, "echo 'WARNING: old' >&2; echo 'Error: no such' >&2; echo '  value' >&2; exit 1"), "no such value"},
		"no word":     {program(t, "exit 3"), "exit status 3"},
		"a time":      {slow, "did not end within 50ms"},
		"much output": {program(t, "yes aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa | head -c 70000000"), "more than 64 MiB"},
	} {
		began := time.Now()
		_, err := tt.helm.render(t.Context(), template{release: "r", namespace: "n", chart: "c"})
		var f *failure
		if !errors.As(err, &f) || !strings.Contains(f.said, tt.want) {
			t.Errorf("%s: %v", name, err)
		}
		if took := time.Since(began); took > 20*time.Second {
			t.Errorf("%s took %v", name, took)
		}
	}
}

// A helm of the checkout is none that is found in the path.
func TestFind(t *testing.T) {
	here := program(t, "exit 0")
	t.Chdir(filepath.Dir(here.program))
	t.Setenv("PATH", ".")
	if at, err := Find(""); api.CodeOf(err) != api.CodeUsage {
		t.Errorf("found %q, %v", at, err)
	}
	if at, err := Find("./helm"); err != nil || !filepath.IsAbs(at) {
		t.Errorf("named: %q, %v", at, err)
	}
	t.Setenv("PATH", filepath.Dir(here.program))
	if at, err := Find(""); err != nil || at != here.program {
		t.Errorf("in the path: %q, %v", at, err)
	}
}
