package gitrepo

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
)

// ErrRevision says that a revision names no commit of the repository.
var ErrRevision = errors.New("no such revision")

// Below is the path of dir from Root, with slashes; "" if it is Root.
func (r *Repo) Below(dir string) (string, error) {
	dir, err := filepath.Abs(dir)
	if err == nil {
		dir, err = filepath.EvalSymlinks(dir)
	}
	if err != nil {
		return "", fmt.Errorf("find %q in the repository: %w", dir, err)
	}
	below, err := filepath.Rel(r.place.Root, dir)
	if err != nil || !filepath.IsLocal(below) {
		return "", fmt.Errorf("find %q in the repository: it lies outside of %q", dir, r.place.Root)
	}
	if below == "." {
		below = ""
	}
	return filepath.ToSlash(below), nil
}

// Dirty lists what differs from HEAD among paths (from Root), or in the whole
// checkout where there are none: staged, unstaged and untracked. A submodule is
// listed if another commit of it is checked out. Filters that the repository's
// attributes ask for are not run: a file that went through one is listed if it
// was touched.
func (r *Repo) Dirty(ctx context.Context, paths ...string) ([]Change, error) {
	off, err := r.filtersOff(ctx)
	if err != nil {
		return nil, fmt.Errorf("list changed files: %w", err)
	}
	// Inside a submodule git would obey that one's configuration.
	args := append(off, "status", "--porcelain=v2", "-z", "--untracked-files=all", "--no-renames", "--ignore-submodules=dirty", "--")
	out, err := r.run(ctx, call{args: append(args, paths...), env: []string{emptyVar + "="}})
	if err != nil {
		return nil, fmt.Errorf("list changed files: %w", err)
	}
	var changes []Change
	for _, line := range fields(out) {
		c, err := parseStatus(line)
		if err != nil {
			return nil, fmt.Errorf("list changed files: %w", err)
		}
		changes = append(changes, c)
	}
	return changes, nil
}

func parseStatus(line string) (Change, error) {
	if path, ok := strings.CutPrefix(line, "? "); ok {
		return Change{Path: path, Index: '?', Tree: '?'}, nil
	}
	for mark, n := range map[string]int{"1 ": 9, "u ": 11} {
		parts := strings.SplitN(line, " ", n)
		if strings.HasPrefix(line, mark) && len(parts) == n && len(parts[1]) == 2 {
			return Change{Path: parts[n-1], Index: parts[1][0], Tree: parts[1][1]}, nil
		}
	}
	return Change{}, fmt.Errorf("git status printed %q, which is not its format version 2", line)
}

const emptyVar = "CHARTCTL_EMPTY"

// filtersOff returns the options that turn off each filter that the
// configuration knows.
func (r *Repo) filtersOff(ctx context.Context) ([]string, error) {
	out, err := r.run(ctx, call{args: []string{"config", "-z", "--name-only", "--get-regexp", `^filter\.`}})
	if exit, ok := errors.AsType[*exitError](err); ok && exit.status == 1 {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var names, args []string
	for _, key := range fields(out) {
		end := strings.LastIndexByte(key, '.')
		if name := key[:end]; !slices.Contains(names, name) && end > len("filter") {
			names = append(names, name)
			for _, k := range []string{"clean", "smudge", "process", "required"} {
				args = append(args, "--config-env="+name+"."+k+"="+emptyVar)
			}
		}
	}
	return args, nil
}

var operations = []struct{ file, name string }{
	{"MERGE_HEAD", "merge"}, {"rebase-merge", "rebase"}, {"rebase-apply/applying", "am"}, {"rebase-apply", "rebase"},
	{"CHERRY_PICK_HEAD", "cherry-pick"}, {"REVERT_HEAD", "revert"}, {"BISECT_LOG", "bisect"},
}

// State says what is unusual about the checkout.
func (r *Repo) State(ctx context.Context) (State, error) {
	there := func(elem ...string) bool {
		_, err := os.Lstat(filepath.Join(elem...))
		return err == nil
	}
	s := State{
		Worktree:   r.place.Dir != r.place.Common,
		Submodules: there(r.place.Root, ".gitmodules"),
		Submodule:  strings.Contains(filepath.ToSlash(r.place.Dir), "/.git/modules/"),
		Shallow:    there(r.place.Common, "shallow"),
	}
	if lock := filepath.Join(r.place.Dir, "index.lock"); there(lock) {
		s.IndexLock = lock
	}
	for _, op := range operations {
		if there(r.place.Dir, op.file) {
			s.Operation = op.name
			break
		}
	}
	var err error
	if s.Sparse, err = r.boolean(ctx, "core.sparseCheckout"); err != nil {
		return State{}, fmt.Errorf("look at the checkout: %w", err)
	}
	return s, nil
}

func (r *Repo) boolean(ctx context.Context, key string) (bool, error) {
	out, err := r.run(ctx, call{args: []string{"config", "--type=bool", "--get", key}})
	if exit, ok := errors.AsType[*exitError](err); ok && exit.status == 1 {
		return false, nil
	}
	return string(out) == "true\n", err
}

// Show returns a file of a commit, byte for byte, as it is stored: of a
// symbolic link, where it leads. It is fs.ErrNotExist if the commit has no such
// file, and ErrRevision if there is no such commit.
func (r *Repo) Show(ctx context.Context, rev, path string) ([]byte, error) {
	if rev == "" || strings.HasPrefix(rev, "-") || strings.ContainsAny(rev, ": \t\n\x00") {
		return nil, fmt.Errorf("show %q: %w: %q", path, ErrRevision, rev)
	}
	objects, err := r.objects(ctx, []string{rev + "^{commit}", rev + ":" + path})
	switch {
	case err != nil:
		return nil, fmt.Errorf("show %q of %q: %w", path, rev, err)
	case objects[0].kind != "commit":
		return nil, fmt.Errorf("show %q: %w: %q; fetch it first if it is a remote one", path, ErrRevision, rev)
	case objects[1].kind != "blob":
		return nil, fmt.Errorf("show %q of %q: %w", path, rev, fs.ErrNotExist)
	}
	return objects[1].data, nil
}

type object struct {
	name, kind string // "" if there is none
	data       []byte
}

// objects reads many objects with one process.
func (r *Repo) objects(ctx context.Context, names []string) ([]object, error) {
	if strings.ContainsAny(strings.Join(names, ""), "\n\x00") {
		return nil, errors.New("a path with a line break cannot be asked for")
	}
	out, err := r.run(ctx, call{args: []string{"cat-file", "--batch"}, stdin: []byte(strings.Join(names, "\n") + "\n")})
	if err != nil {
		return nil, err
	}
	all := make([]object, len(names))
	for i, name := range names {
		head, rest, ok := bytes.Cut(out, []byte("\n"))
		if !ok {
			return nil, fmt.Errorf("git cat-file said nothing of %q", name)
		}
		out = rest
		parts := strings.Split(string(head), " ")
		if len(parts) != 3 || !objectName.MatchString(parts[0]) {
			continue // "… missing", "… ambiguous"
		}
		size, err := strconv.Atoi(parts[2])
		if err != nil || size < 0 || size >= len(out) {
			return nil, fmt.Errorf("git cat-file printed %q for %q", head, name)
		}
		all[i] = object{parts[0], parts[1], out[:size:size]}
		out = out[size+1:]
	}
	return all, nil
}

// FirstParents returns the commits on the first-parent line of HEAD that
// changed path, newest first, most of them at most, with the file as each left
// it. In a shallow clone the oldest commit there counts as one.
func (r *Repo) FirstParents(ctx context.Context, path string, most int) ([]Version, error) {
	return r.versions(ctx, path, most, "--first-parent")
}

// Ancestors is as FirstParents, but of all parents.
func (r *Repo) Ancestors(ctx context.Context, path string, most int) ([]Version, error) {
	return r.versions(ctx, path, most, "--full-history")
}

func (r *Repo) versions(ctx context.Context, path string, most int, which string) ([]Version, error) {
	head, err := r.Head(ctx)
	if err != nil || head == "" {
		return nil, err
	}
	out, err := r.run(ctx, call{args: []string{"rev-list", which, "--max-count=" + strconv.Itoa(most), head, "--", path}})
	if err != nil {
		return nil, fmt.Errorf("read the history of %q: %w", path, err)
	}
	commits := strings.Fields(string(out))
	if len(commits) == 0 {
		return nil, nil
	}
	names := make([]string, len(commits))
	for i, c := range commits {
		names[i] = c + ":" + path
	}
	objects, err := r.objects(ctx, names)
	if err != nil {
		return nil, fmt.Errorf("read the history of %q: %w", path, err)
	}
	versions := make([]Version, len(commits))
	for i, c := range commits {
		versions[i] = Version{Commit: c}
		if objects[i].kind == "blob" {
			versions[i].Blob, versions[i].Data = objects[i].name, objects[i].data
		}
	}
	return versions, nil
}

// Branches lists branch names, local ones and those of remotes without the
// remote's name, sorted, each once.
func (r *Repo) Branches(ctx context.Context) ([]string, error) {
	out, err := r.run(ctx, call{args: []string{"for-each-ref", "--format=%(refname)", "refs/heads", "refs/remotes"}})
	if err != nil {
		return nil, fmt.Errorf("list branches: %w", err)
	}
	var names []string
	for ref := range strings.Lines(string(out)) {
		ref = strings.TrimSuffix(ref, "\n")
		if name, ok := strings.CutPrefix(ref, "refs/heads/"); ok {
			names = append(names, name)
		} else if _, name, ok := strings.Cut(strings.TrimPrefix(ref, "refs/remotes/"), "/"); ok && name != "HEAD" {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return slices.Compact(names), nil
}

// Tracked returns those of paths (from Root) that are in the index.
func (r *Repo) Tracked(ctx context.Context, paths ...string) ([]string, error) {
	if len(paths) == 0 {
		return nil, nil
	}
	out, err := r.run(ctx, call{args: append([]string{"ls-files", "-z", "--cached", "--"}, paths...)})
	if err != nil {
		return nil, fmt.Errorf("list tracked files: %w", err)
	}
	known := fields(out)
	return slices.DeleteFunc(slices.Clone(paths), func(p string) bool { return !slices.Contains(known, p) }), nil
}
