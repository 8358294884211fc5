package gitrepo

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Keys of git that name a program or a file; <…> stands for a name of ours.
var naming = regexp.MustCompile(`(?i)(program|command|cmd|helper|path|file|hook|external|textconv|driver|editor|pager|fsmonitor|proxy|askpass|process|clean|smudge|worktree|orderfile|socketdir|prompt)$`)

// settable is every key that this git knows and that names something.
func settable(t *testing.T) []string {
	t.Helper()
	out, err := exec.Command("git", "help", "-c").Output()
	if err != nil {
		t.Fatal(err)
	}
	var keys []string
	for _, key := range strings.Fields(string(out)) {
		key = strings.NewReplacer("gpg.<format>", "gpg.ssh").Replace(key)
		key = regexp.MustCompile(`<[^>]*>`).ReplaceAllString(key, "trap")
		if strings.Count(key, ".") > 0 && naming.MatchString(key) && !strings.HasPrefix(strings.ToLower(key), "include") {
			keys = append(keys, key)
		}
	}
	if len(keys) < 40 {
		t.Fatalf("git help -c names only %d such keys: %v", len(keys), keys)
	}
	return append(keys, "gpg.program", "gpg.openpgp.program", "gpg.x509.program", "gpg.ssh.defaultKeyCommand")
}

// use does with a checkout what chartctl does.
func use(t *testing.T, dir string) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	r := open(t, dir)
	_, dirty := r.Dirty(ctx)
	_, show := r.Show(ctx, "HEAD", "chartd.lock")
	_, past := r.Ancestors(ctx, "chartd.lock", 3)
	_, commit := r.Commit(ctx, "next", []string{"chartd.lock"})
	return errors.Join(dirty, show, past, commit, ctx.Err())
}

// Whatever key of the checkout's configuration names a program, it does not
// run, and a signed commit is made by the user's own program.
func TestNoKeyRunsAProgram(t *testing.T) {
	program, check := trap(t)
	for _, key := range settable(t) {
		for _, format := range []string{"openpgp", "ssh", "x509"} {
			if strings.HasPrefix(strings.ToLower(key), "gpg.") != (format != "openpgp") && key != "gpg.program" && key != "gpg.openpgp.program" {
				continue
			}
			dir := checkout(t)
			write(t, dir, "chartd.lock", "next "+key+"\n")
			write(t, dir, ".git/info/attributes", "*.lock diff=trap merge=trap\n")
			for _, kv := range [][2]string{{"commit.gpgSign", "true"}, {"gpg.format", format}, {"user.signingKey", "key"}, {key, program}} {
				if out, err := exec.Command("git", "config", "--file", filepath.Join(dir, ".git/config"), kv[0], kv[1]).CombinedOutput(); err != nil {
					t.Fatalf("set %s: %v: %s", kv[0], err, out)
				}
			}
			_ = use(t, dir) // some of them are no values that git takes
			check(key + " with " + format)
		}
	}
}

// A file that the configuration names may be one that never ends.
func TestNoFileIsWaitedFor(t *testing.T) {
	for _, key := range []string{"core.excludesFile", "core.attributesFile", "include.path", "includeIf.onbranch:**.path", "mailmap.file", "blame.ignoreRevsFile"} {
		dir := checkout(t)
		write(t, dir, "chartd.lock", "next\n")
		fifo := filepath.Join(t.TempDir(), "fifo")
		if err := syscall.Mkfifo(fifo, 0o600); err != nil {
			t.Fatal(err)
		}
		section, name, _ := strings.Cut(key, ".")
		if i := strings.LastIndexByte(name, '.'); i >= 0 {
			section, name = section+` "`+name[:i]+`"`, name[i+1:]
		}
		config := filepath.Join(dir, ".git/config")
		old, err := os.ReadFile(config)
		if err != nil {
			t.Fatal(err)
		}
		write(t, dir, ".git/config", string(old)+"["+section+"]\n\t"+name+" = "+fifo+"\n")
		err = use(t, dir)
		if errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("%s: git waits for a file that never ends", key)
		}
		if included := strings.HasPrefix(key, "include"); included != errors.Is(err, ErrConfig) || !included && err != nil {
			t.Errorf("%s: %v", key, err)
		}
	}
}
