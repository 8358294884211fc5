package lockfile

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
)

// checkout is a real repository with a lock file on some branches.
type checkout struct {
	*world
	dir      string
	branches []string
	stats    *branchStats
}

type branchStats struct{ merges, conflicts, picks, sloppy atomic.Int64 }

// git runs with nobody's settings and no hooks. ok is false where it fails.
func (c *checkout) git(args ...string) (out string, ok bool) {
	cmd := exec.Command("git", append([]string{"-c", "user.name=test", "-c", "user.email=test@example.org",
		"-c", "core.hooksPath=" + os.DevNull, "-c", "commit.gpgSign=false", "-c", "gc.auto=0", "-c", "maintenance.auto=false",
		"-c", "advice.detachedHead=false", "-c", "merge.renames=false"}, args...)...)
	cmd.Dir, cmd.Env = c.dir, append(gitEnv(c.dir), "GIT_DIR="+filepath.Join(c.dir, ".git"), "GIT_WORK_TREE="+c.dir)
	b, err := cmd.CombinedOutput()
	return strings.TrimSpace(string(b)), err == nil
}

// gits runs commands that have to succeed.
func (c *checkout) gits(commands ...string) error {
	for _, command := range commands {
		if out, ok := c.git(strings.Fields(command)...); !ok {
			return fmt.Errorf("git %s: %s", command, out)
		}
	}
	return nil
}

func (c *checkout) path() string { return filepath.Join(c.dir, Name) }

// commit writes the file and commits it.
func (c *checkout) commit(f File) error {
	if err := os.WriteFile(c.path(), f.Bytes(), 0o600); err != nil {
		return err
	}
	return c.gits("add "+Name, "commit -q --allow-empty --no-edit -m bump")
}

// at reads the lock of a commit, which has to be in order.
func (c *checkout) at(commit string) (File, error) {
	cmd := exec.Command("git", "cat-file", "blob", commit+":"+Name)
	cmd.Dir, cmd.Env = c.dir, append(gitEnv(c.dir), "GIT_DIR="+filepath.Join(c.dir, ".git"))
	data, err := cmd.Output()
	if err != nil {
		return File{}, fmt.Errorf("read %s: %w", commit, err)
	}
	return Parse(data)
}

// verify checks the file of the checkout as every command does: it may be no
// lock file (syntax), and never one that nobody approved (wrong).
func (c *checkout) verify(what string) (data []byte, syntax, wrong error) {
	data, err := os.ReadFile(c.path())
	if err != nil && !errors.Is(err, fs.ErrNotExist) { // reverting the first commit takes it away
		return nil, nil, err
	}
	f, syntax := Parse(data)
	if syntax == nil {
		if bad := c.unapproved(f); len(bad) > 0 {
			return data, nil, fmt.Errorf("%s made a pair that nobody approved:\n%s", what, text(bad[0]))
		}
	}
	return data, syntax, nil
}

// mergeInto merges another branch into the one checked out.
func (c *checkout) mergeInto(branch, other string) error {
	c.stats.merges.Add(1)
	bases, _ := c.git("merge-base", "--all", branch, other)
	ours, err := c.at(branch)
	if err != nil {
		return err
	}
	theirs, err := c.at(other)
	if err != nil {
		return err
	}
	args := []string{"merge", "-q", "--no-edit", "-m", "merge", other}
	if c.IntN(4) == 0 {
		args = append(args, []string{"-Xpatience", "-Xdiff-algorithm=histogram", "-Xdiff-algorithm=minimal", "-Xignore-all-space"}[c.IntN(4)])
	}
	out, clean := c.git(args...)
	data, syntax, err := c.verify("the merge")
	if err != nil {
		return err
	}
	if base, e := c.at(bases); e == nil && !strings.Contains(bases, "\n") {
		want, contested, moved := merged(base, ours, theirs)
		switch {
		case !clean && !contested && !moved:
			return fmt.Errorf("bumps of different environments conflict: %s\n%s", out, data)
		case clean && contested && (!moved || syntax == nil):
			return fmt.Errorf("two bumps of one environment do not conflict\n%s", data)
		case clean && syntax == nil && !bytes.Equal(data, want.Bytes()):
			return fmt.Errorf("merged to\n%s\nwant\n%s", data, want.Bytes())
		}
	}
	if !clean && syntax == nil {
		return fmt.Errorf("git says conflict (%s), and the file is taken\n%s", out, data)
	}
	if syntax == nil {
		return nil
	}
	return c.resolve(data, ours, theirs)
}

// resolve ends a conflict. People who only take the markers out, or one side
// of each, leave a file that is refused, or one that is right.
func (c *checkout) resolve(data []byte, ours, theirs File) error {
	c.stats.conflicts.Add(1)
	keep := c.IntN(3) // ours, theirs, both
	var sloppy []byte
	side := 2
	for line := range bytes.Lines(data) {
		switch word := string(bytes.TrimRight(line[:min(8, len(line))], " \n")); {
		case word == "<<<<<<<":
			side = 0
		case word == "=======":
			side = 1
		case word == ">>>>>>>":
			side = 2
		case side == 2 || keep == 2 || side == keep:
			sloppy = append(sloppy, line...)
		}
	}
	if err := os.WriteFile(c.path(), sloppy, 0o600); err != nil {
		return err
	}
	_, syntax, err := c.verify("taking the markers out")
	if err != nil {
		return err
	}
	if syntax == nil && c.IntN(2) == 0 {
		return c.gits("add "+Name, "commit -q --allow-empty --no-edit -m merge")
	}
	c.stats.sloppy.Add(1)
	// What is beyond doubt stays; for the rest the server knows which it is.
	f := File{}.With(Whole(data)...)
	for _, e := range f.Entries {
		if !c.approved[text(e)] {
			return fmt.Errorf("beyond doubt is a pair that nobody approved:\n%s", text(e))
		}
	}
	for _, key := range Keys(data) {
		if _, ok := f.Get(key); ok {
			continue
		}
		pinned := []File{ours, theirs}[c.IntN(2)]
		if e, ok := pinned.Get(key); ok {
			f = f.With(e)
		}
	}
	if len(f.Entries) == 0 {
		f = ours
	}
	return c.commit(f)
}

// pick takes the newest commit of another branch, or takes one back.
func (c *checkout) pick(branch, other string) error {
	c.stats.picks.Add(1)
	verb, args := "cherry-pick", []string{"cherry-pick", "--allow-empty", "--keep-redundant-commits", other}
	if c.IntN(3) == 0 {
		verb, args = "revert", []string{"revert", "--no-edit", branch}
	}
	before, err := c.at(branch)
	if err != nil {
		return err
	}
	_, clean := c.git(args...)
	_, syntax, err := c.verify(verb)
	if err != nil || clean && syntax == nil {
		return err
	}
	if !clean {
		// A conflict, or a merge, which neither takes: nothing happened.
		if _, ok := c.git(verb, "--abort"); !ok {
			return c.gits("reset -q --hard")
		}
		return nil
	}
	return c.commit(before)
}

func (c *checkout) step() error {
	i := c.IntN(len(c.branches))
	branch, other := c.branches[i], c.branches[(i+1+c.IntN(len(c.branches)-1))%len(c.branches)]
	if err := c.gits("checkout -q " + branch); err != nil {
		return err
	}
	switch n := c.IntN(10); {
	case n < 4:
		f, err := c.at(branch)
		if err != nil {
			return err
		}
		return c.commit(c.bumps(f, c.IntN(4) == 0))
	case n < 9:
		return c.mergeInto(branch, other)
	}
	return c.pick(branch, other)
}

func (c *checkout) run() error {
	if err := os.RemoveAll(filepath.Join(c.dir, ".git")); err != nil {
		return err
	}
	if err := c.gits("init -q --template= -b main"); err != nil {
		return err
	}
	if err := c.commit(c.file(2 + c.IntN(4))); err != nil {
		return err
	}
	c.branches = []string{"main", "a", "b", "c"}[:2+c.IntN(3)]
	for _, b := range c.branches[1:] {
		if err := c.gits("branch " + b); err != nil {
			return err
		}
	}
	for range 8 {
		if err := c.step(); err != nil {
			return err
		}
	}
	// In the end everything comes together.
	if err := c.gits("checkout -q main"); err != nil {
		return err
	}
	for _, b := range c.branches[1:] {
		if err := c.mergeInto("main", b); err != nil {
			return err
		}
	}
	_, syntax, err := c.verify("the last merge")
	if err == nil {
		err = syntax
	}
	return err
}

// Real repositories: bumps, merges, cherry-picks and reverts on several
// branches in random order. CHARTD_BRANCH_MERGES says how many merges.
func TestBranches(t *testing.T) {
	t.Parallel()
	want := number(t, "CHARTD_BRANCH_MERGES", 300)
	var stats branchStats
	inParallel(t, want, func(dir string, i uint64) error {
		if int(stats.merges.Load()) >= want {
			return nil
		}
		return (&checkout{world: newWorld(mergeSeed, i), dir: dir, stats: &stats}).run()
	})
	t.Logf("%d merges, %d conflicts, of which %d were refused with the markers taken out; %d cherry-picks and reverts",
		stats.merges.Load(), stats.conflicts.Load(), stats.sloppy.Load(), stats.picks.Load())
	if stats.merges.Load() < int64(want) || stats.conflicts.Load() == 0 || stats.sloppy.Load() == 0 || stats.picks.Load() == 0 {
		t.Error("the trials do not reach every outcome")
	}
}
