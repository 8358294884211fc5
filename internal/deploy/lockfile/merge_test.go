package lockfile

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
)

// number is a count that the environment may raise.
func number(t *testing.T, name string, usual int) int {
	t.Helper()
	text := os.Getenv(name)
	if text == "" {
		return usual
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		t.Fatalf("%s=%q, want a number from 1", name, text)
	}
	return n
}

// gitEnv keeps everybody's own settings out, and those of a hook that runs
// the tests.
func gitEnv(home string) []string {
	env := slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "GIT_") })
	return append(env, "HOME="+home, "XDG_CONFIG_HOME="+home, "GIT_CONFIG_GLOBAL="+os.DevNull, "GIT_CONFIG_NOSYSTEM=1",
		"GIT_TERMINAL_PROMPT=0", "GIT_CEILING_DIRECTORIES="+filepath.Dir(home), "LC_ALL=C")
}

// inParallel runs n trials, and stops at the first failure.
func inParallel(t *testing.T, n int, trial func(dir string, i uint64) error) {
	t.Helper()
	var next atomic.Int64
	var wg sync.WaitGroup
	var once sync.Once
	for range runtime.GOMAXPROCS(0) {
		dir := t.TempDir()
		wg.Go(func() {
			for i := next.Add(1); i <= int64(n); i = next.Add(1) {
				if err := trial(dir, uint64(i)); err != nil {
					next.Store(int64(n))
					once.Do(func() { t.Errorf("trial %d: %v", i, err) })
				}
			}
		})
	}
	wg.Wait()
}

// trial is one merge of two sides that started from one file.
type trial struct {
	base, ours, theirs File
	flag               string // of git merge-file
	out                []byte
	conflict           bool
}

// flags: plain more often than the others.
var flags = []string{"", "", "", "", "--diff3", "--zdiff3", "--ours", "--theirs", "--union"}

func (w *world) trial(dir string, f format) (trial, error) {
	grow := w.IntN(4) == 0 || w.alike
	c := trial{base: w.file(1 + w.IntN(12)), flag: flags[w.IntN(len(flags))]}
	if w.alike {
		c.flag = ""
	}
	c.ours, c.theirs = w.bumps(c.base, grow), w.bumps(c.base, grow)
	args := []string{"merge-file", "-p", "-q"}
	if c.flag != "" {
		args = append(args, c.flag)
	}
	for name, file := range map[string]File{"ours": c.ours, "base": c.base, "theirs": c.theirs} {
		if err := os.WriteFile(filepath.Join(dir, name), f.write(file), 0o600); err != nil {
			return c, err
		}
	}
	cmd := exec.Command("git", append(args, "ours", "base", "theirs")...)
	cmd.Dir, cmd.Env = dir, gitEnv(dir)
	out, err := cmd.Output()
	var exit *exec.ExitError
	if c.out = out; errors.As(err, &exit) && exit.ExitCode() > 0 && exit.ExitCode() < 128 {
		c.conflict, err = true, nil
	}
	return c, err
}

// judge says what is wrong with the result of a merge.
func (w *world) judge(c trial, f format) error {
	fail := func(format string, a ...any) error {
		return fmt.Errorf("%s (git merge-file %s)\n%s", fmt.Sprintf(format, a...), c.flag, c.out)
	}
	got, err := f.read(c.out)
	if err == nil {
		if bad := w.unapproved(got); len(bad) > 0 {
			return fail("a pair that nobody approved:\n%s", text(bad[0]))
		}
	}
	if c.flag == "--ours" || c.flag == "--theirs" || c.flag == "--union" {
		return nil
	}
	want, contested, moved := merged(c.base, c.ours, c.theirs)
	switch {
	case c.conflict && err == nil:
		return fail("a conflict is taken")
	case c.conflict && !strings.Contains(err.Error(), "resolve the conflict at line"):
		return fail("a conflict is refused as %v", err)
	case c.conflict && !contested && !moved:
		return fail("bumps of different environments conflict")
	case contested && !c.conflict && (!moved || err == nil):
		return fail("two bumps of one environment do not conflict")
	case !c.conflict && err != nil && !moved: // two new ones may land out of order
		return fail("merged clean, and refused: %v", err)
	case !c.conflict && err == nil && string(f.write(got)) != string(f.write(want)):
		return fail("merged to something else than\n%s", f.write(want))
	}
	for _, e := range Whole(c.out) {
		if o, _ := want.Get(e.Key); text(o) != text(e) {
			return fail("%s is beyond doubt as\n%s", e.Key, text(e))
		}
	}
	return nil
}

const mergeSeed = 20171

// Random bumps on two sides, merged by git. CHARTD_MERGES says how many.
func TestMergeFile(t *testing.T) {
	t.Parallel()
	var conflicts, clean, forced, refused atomic.Int64
	inParallel(t, number(t, "CHARTD_MERGES", 10_000), func(dir string, i uint64) error {
		w := newWorld(mergeSeed, i)
		c, err := w.trial(dir, real)
		if err != nil {
			return err
		}
		_, bad := Parse(c.out)
		switch {
		case c.flag == "--ours" || c.flag == "--theirs" || c.flag == "--union":
			forced.Add(1)
			if bad != nil {
				refused.Add(1)
			}
		case c.conflict:
			conflicts.Add(1)
		default:
			clean.Add(1)
		}
		return w.judge(c, real)
	})
	t.Logf("%d merged clean, %d conflicts; of %d where git was told to take a side, %d mixed pairs and were refused",
		clean.Load(), conflicts.Load(), forced.Load(), refused.Load())
	if conflicts.Load() == 0 || clean.Load() == 0 || refused.Load() == 0 {
		t.Error("the trials do not reach every outcome")
	}
}

// The same trials find bad merges in formats that lack what the real one has.
func TestMergeFileFindsBadFormats(t *testing.T) {
	t.Parallel()
	// bad counts the merges that make a pair which nobody approved.
	bad := func(t *testing.T, trials int, f format, alike bool) int {
		var found atomic.Int64
		inParallel(t, trials, func(dir string, i uint64) error {
			w := newWorld(mergeSeed, i)
			w.alike = alike
			c, err := w.trial(dir, f)
			if err != nil {
				return err
			}
			_, contested, _ := merged(c.base, c.ours, c.theirs)
			got, err := f.read(c.out)
			if err == nil && len(w.unapproved(got)) > 0 && !(alike && contested) {
				found.Add(1)
			}
			return nil
		})
		return int(found.Load())
	}
	n := bad(t, 500, unsummed, false)
	t.Logf("without the sum: %d bad of 500", n)
	if n == 0 {
		t.Error("without the sum no bad merge is found: the trials could find none in the real format")
	}
	// Where no environment was changed by both sides, the key on each line is
	// enough, and it is needed.
	n = bad(t, 1500, unsummed, true)
	m := bad(t, 1500, keyless, true)
	t.Logf("of 1500 merges in which no environment was bumped twice, %d bad with the key on each line, %d without", n, m)
	if n > 0 || m == 0 {
		t.Error("the key on each line makes no difference, or not enough")
	}
}
