package gitrepo

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// trap makes a program that leaves a mark if anybody runs it.
func trap(t *testing.T) (program string, check func(string)) {
	t.Helper()
	dir := t.TempDir()
	program, mark := filepath.Join(dir, "trap"), filepath.Join(dir, "mark")
	if err := os.WriteFile(program, []byte("#!/bin/sh\necho \"$0 $*\" >>"+mark+"\ncat\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	return program, func(step string) {
		t.Helper()
		if b, err := os.ReadFile(mark); err == nil {
			t.Errorf("%s ran a program of the repository: %s", step, b)
		}
		_ = os.Remove(mark)
	}
}

// Every program that a repository can name is set, and none runs.
func TestNoPrograms(t *testing.T) {
	dir := checkout(t)
	program, check := trap(t)
	for _, hook := range []string{"pre-commit", "prepare-commit-msg", "commit-msg", "post-commit", "reference-transaction", "post-index-change", "fsmonitor-watchman"} {
		if err := os.Symlink(program, filepath.Join(dir, ".git/hooks", hook)); err != nil {
			t.Fatal(err)
		}
	}
	for _, key := range []string{"core.fsmonitor", "core.pager", "pager.status", "core.editor", "diff.external", "diff.trap.textconv", "diff.trap.command",
		"filter.trap.clean", "filter.trap.smudge", "filter.odd=name.process", "core.sshCommand", "core.askPass", "gpg.program"} {
		git(t, dir, "config", key, program)
	}
	git(t, dir, "config", "filter.odd=name.required", "true")
	write(t, dir, ".git/info/attributes", "*.yaml filter=trap diff=trap\n*.txt filter=odd=name\n")
	write(t, dir, "hub/values.yaml", "tag: two\n")
	write(t, dir, "chartd.lock", "second\n")
	r := open(t, dir)
	if c, err := r.Dirty(t.Context()); len(c) != 2 || err != nil {
		t.Errorf("Dirty: %q, %v", c, err)
	}
	check("Dirty")
	if _, err := r.Show(t.Context(), "HEAD", "hub/values.yaml"); err != nil {
		t.Error(err)
	}
	if _, err := r.FirstParents(t.Context(), "hub/values.yaml", 3); err != nil {
		t.Error(err)
	}
	check("Show and FirstParents")
	if _, err := r.Commit(t.Context(), "second", []string{"chartd.lock", "hub/values.yaml"}); !errors.Is(err, ErrCommit) || !strings.Contains(err.Error(), "filter=trap") {
		t.Errorf("Commit of a filtered file: %v", err)
	}
	if _, err := r.Commit(t.Context(), "second", []string{"chartd.lock"}); err != nil {
		t.Errorf("Commit: %v", err)
	}
	check("Commit")
	if subject := git(t, dir, "-c", "core.fsmonitor=false", "log", "-1", "--format=%s"); subject != "second" {
		t.Errorf("the last commit is %q", subject)
	}
}

func TestCommit(t *testing.T) {
	dir := checkout(t)
	r := open(t, dir)
	write(t, dir, "run.sh", "one\n")
	if err := errors.Join(os.Chmod(filepath.Join(dir, "run.sh"), 0o755), os.Symlink("hub/values.yaml", filepath.Join(dir, "link.yaml"))); err != nil {
		t.Fatal(err)
	}
	git(t, dir, "add", ".")
	git(t, dir, "commit", "-q", "-m", "more")
	before := git(t, dir, "rev-parse", "HEAD")

	write(t, dir, "hub/values.yaml", "tag: two\n")
	write(t, dir, "run.sh", "two\n")
	write(t, dir, "new", "new\n")
	write(t, dir, "staged", "by somebody\n")
	git(t, dir, "add", "staged")
	if err := os.Remove(filepath.Join(dir, "chartd.lock")); err != nil {
		t.Fatal(err)
	}
	message := "bump data8/prod\n\nwith \"quotes\" and $(nothing)"
	head, err := r.Commit(t.Context(), message, []string{"link.yaml", "run.sh", "new", "chartd.lock"})
	if err != nil || head != git(t, dir, "rev-parse", "HEAD") {
		t.Fatalf("Commit: %q, %v", head, err)
	}
	if got := git(t, dir, "log", "-1", "--format=%P|%an <%ae>|%B"); got != before+"|Ada <ada@example.edu>|"+message+"\n" {
		t.Errorf("commit: %q", got)
	}
	want := "D\tchartd.lock\nM\thub/values.yaml\nA\tnew\nM\trun.sh"
	if got := git(t, dir, "show", "--format=", "--name-status", "HEAD"); got != want {
		t.Errorf("paths: %q, want %q", got, want)
	}
	if got := git(t, dir, "ls-tree", "HEAD", "run.sh"); !strings.HasPrefix(got, "100755 ") {
		t.Errorf("mode: %q", got)
	}
	if got := git(t, dir, "status", "--porcelain"); got != "A  staged" {
		t.Errorf("left: %q", got)
	}
	if again, err := r.Commit(t.Context(), "nothing", []string{"new"}); again != head || err != nil {
		t.Errorf("Commit of nothing: %q, %v", again, err)
	}
	for _, bad := range []string{"../out", "/etc/passwd", "hub"} {
		if _, err := r.Commit(t.Context(), "x", []string{bad}); !errors.Is(err, ErrCommit) {
			t.Errorf("Commit of %q: %v", bad, err)
		}
	}
	if left, _ := filepath.Glob(filepath.Join(dir, ".git/chartctl*")); len(left) > 0 {
		t.Errorf("left behind: %q", left)
	}
	git(t, dir, "fsck", "--strict")
}

// A checkout with CRLF commits the line ends that git would.
func TestCommitLineEnds(t *testing.T) {
	dir := checkout(t)
	git(t, dir, "config", "core.autocrlf", "true")
	write(t, dir, "hub/values.yaml", "tag: two\r\nmore: x\r\n")
	if _, err := open(t, dir).Commit(t.Context(), "x", []string{"hub/values.yaml"}); err != nil {
		t.Fatal(err)
	}
	if got := git(t, dir, "cat-file", "blob", "HEAD:hub/values.yaml"); got != "tag: two\nmore: x" {
		t.Errorf("stored: %q", got)
	}
	if got := git(t, dir, "status", "--porcelain"); got != "" {
		t.Errorf("left: %q", got)
	}
}

func TestCommitWithoutIdentity(t *testing.T) {
	dir := checkout(t)
	for _, who := range []string{"AUTHOR", "COMMITTER"} {
		t.Setenv("GIT_"+who+"_NAME", "")
		t.Setenv("GIT_"+who+"_EMAIL", "")
	}
	git(t, dir, "config", "user.useConfigOnly", "true")
	write(t, dir, "chartd.lock", "second\n")
	before := git(t, dir, "rev-parse", "HEAD")
	_, err := open(t, dir).Commit(t.Context(), "x", []string{"chartd.lock"})
	if !errors.Is(err, ErrCommit) || git(t, dir, "rev-parse", "HEAD") != before {
		t.Errorf("Commit: %v", err)
	}
}

// The first commit of a repository is one too.
func TestCommitUnborn(t *testing.T) {
	dir := filepath.Join(filepath.Dir(checkout(t)), "empty")
	git(t, "", "init", "-q", "-b", "prod", dir)
	write(t, dir, "chartd.lock", "x\n")
	head, err := open(t, dir).Commit(t.Context(), "first", []string{"chartd.lock"})
	if err != nil || head != git(t, dir, "rev-parse", "prod") {
		t.Errorf("Commit: %q, %v", head, err)
	}
}

// A signature that the configuration asks for is made by the program that the
// user chose, whatever the checkout names, or there is no commit.
func TestCommitSigns(t *testing.T) {
	dir := checkout(t)
	signer := filepath.Join(t.TempDir(), "signer")
	script := "#!/bin/sh\ncat >/dev/null\necho '[GNUPG:] SIG_CREATED ' >&2\necho '-----BEGIN PGP SIGNATURE-----'\necho '-----END PGP SIGNATURE-----'\n"
	if err := os.WriteFile(signer, []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	git(t, dir, "config", "commit.gpgSign", "true")
	git(t, dir, "config", "--global", "gpg.program", signer)
	bad, check := trap(t)
	git(t, dir, "config", "gpg.program", bad)
	write(t, dir, "chartd.lock", "second\n")
	head, err := open(t, dir).Commit(t.Context(), "signed", []string{"chartd.lock"})
	if err != nil || !strings.Contains(git(t, dir, "cat-file", "commit", "HEAD"), "gpgsig -----BEGIN PGP") {
		t.Errorf("Commit: %q, %v", head, err)
	}
	check("a signed commit")
	git(t, dir, "config", "--global", "gpg.program", "false")
	write(t, dir, "chartd.lock", "third\n")
	if _, err := open(t, dir).Commit(t.Context(), "not signed", []string{"chartd.lock"}); !errors.Is(err, ErrCommit) || git(t, dir, "rev-parse", "HEAD") != head {
		t.Errorf("Commit without a key: %v", err)
	}
}
