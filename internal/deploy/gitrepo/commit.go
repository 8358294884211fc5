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
	"strings"
)

// ErrCommit says why a commit is not made. The files stay as they are.
var ErrCommit = errors.New("not committed")

func refuse(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrCommit, fmt.Sprintf(format, args...))
}

// one is a path of a commit, as the index has it and as it shall be.
type one struct {
	path, mode, blob string // mode "0": removed
}

// Commit commits the present content of paths (from Root), and nothing else
// that is changed or staged, and returns the new commit; if they are as in
// HEAD, HEAD. No hook runs and no filter: a path that needs one is refused
// with ErrCommit. Author, committer and signing are as the user's
// configuration has them.
func (r *Repo) Commit(ctx context.Context, message string, paths []string) (string, error) {
	state, err := r.State(ctx)
	switch {
	case err != nil:
		return "", err
	case state.Operation != "":
		return "", refuse("a %s is in progress; end it first and commit by hand", state.Operation)
	case state.IndexLock != "":
		return "", refuse("another git holds %q; wait for it, or remove that file if none runs", state.IndexLock)
	}
	head, err := r.Head(ctx)
	if err != nil {
		return "", err
	}
	if paths, err = r.targets(paths); err != nil {
		return "", err
	}
	if err := r.checkAttributes(ctx, paths); err != nil {
		return "", err
	}
	// Writing an index, git compares files that are as new as the index itself,
	// and would run a filter for it.
	off, err := r.filtersOff(ctx)
	if err != nil {
		return "", fmt.Errorf("commit: %w", err)
	}
	var info bytes.Buffer
	for _, p := range paths {
		o, err := r.store(ctx, head, p)
		if err != nil {
			return "", fmt.Errorf("commit %q: %w", p, err)
		}
		fmt.Fprintf(&info, "%s %s\t%s\x00", o.mode, o.blob, o.path)
	}
	update := call{args: append(off, "update-index", "-z", "--index-info"), env: []string{emptyVar + "="}, stdin: info.Bytes(), write: true}
	tree, err := r.tree(ctx, head, update)
	if err != nil {
		return "", fmt.Errorf("commit: %w", err)
	}
	// The index before the ref: a kill between them leaves the files staged.
	if _, err := r.run(ctx, update); err != nil {
		return "", fmt.Errorf("commit: %w", err)
	}
	return r.advance(ctx, head, tree, message)
}

// targets follows symbolic links: what chartctl changes is the file.
func (r *Repo) targets(paths []string) ([]string, error) {
	var out []string
	for _, p := range paths {
		if !filepath.IsLocal(p) {
			return nil, refuse("%q is no path below %q", p, r.place.Root)
		}
		full := filepath.Join(r.place.Root, filepath.FromSlash(p))
		dir, err := filepath.EvalSymlinks(filepath.Dir(full))
		if err != nil {
			return nil, refuse("%v", err)
		}
		full = filepath.Join(dir, filepath.Base(full))
		if fi, err := os.Lstat(full); err == nil && fi.Mode()&fs.ModeSymlink != 0 {
			if full, err = filepath.EvalSymlinks(full); err != nil {
				return nil, refuse("%v", err)
			}
		}
		rel, err := filepath.Rel(r.place.Root, full)
		if err != nil || !filepath.IsLocal(rel) {
			return nil, refuse("%q leads to %q, outside of the checkout", p, full)
		}
		out = append(out, filepath.ToSlash(rel))
	}
	return out, nil
}

// checkAttributes refuses paths whose stored bytes a program makes from those
// of the checkout.
func (r *Repo) checkAttributes(ctx context.Context, paths []string) error {
	args := append([]string{"check-attr", "-z", "filter", "ident", "working-tree-encoding", "--"}, paths...)
	out, err := r.run(ctx, call{args: args})
	if err != nil {
		return fmt.Errorf("commit: %w", err)
	}
	f := fields(out)
	for ; len(f) >= 3; f = f[3:] {
		if f[2] != "unspecified" && f[2] != "unset" {
			return refuse("%q has the attribute %s=%s, and its program is not run by chartctl; commit by hand", f[0], f[1], f[2])
		}
	}
	return nil
}

// store writes the content of a path as an object.
func (r *Repo) store(ctx context.Context, head, path string) (one, error) {
	o := one{path: path, mode: "100644"}
	out, err := r.run(ctx, call{args: []string{"ls-files", "-z", "--stage", "--", path}})
	if err != nil {
		return o, err
	}
	for _, line := range fields(out) {
		meta, name, _ := strings.Cut(line, "\t")
		parts := strings.Fields(meta)
		if name != path || len(parts) != 3 {
			return o, refuse("%q is a directory in the index", path)
		}
		if parts[2] != "0" {
			return o, refuse("%q has a merge conflict; resolve it first", path)
		}
		if o.mode = parts[0]; !strings.HasPrefix(o.mode, "100") {
			return o, refuse("%q is a link or submodule in the index (mode %s)", path, o.mode)
		}
	}
	data, err := readLimited(filepath.Join(r.place.Root, filepath.FromSlash(path)), maxOutput)
	if errors.Is(err, fs.ErrNotExist) {
		o.mode, o.blob = "0", strings.Repeat("0", 40)
		if len(head) == 64 {
			o.blob = strings.Repeat("0", 64)
		}
		return o, nil
	}
	if err != nil {
		return o, err
	}
	if data, err = r.storedForm(ctx, head, path, data); err != nil {
		return o, err
	}
	out, err = r.run(ctx, call{args: []string{"hash-object", "-w", "--no-filters", "--stdin"}, stdin: data, write: true})
	o.blob = strings.TrimSpace(string(out))
	return o, err
}

// storedForm undoes the line ends of a checkout with CRLF: where all stored
// ones are LF and all of the file's are CRLF, git made them so.
func (r *Repo) storedForm(ctx context.Context, head, path string, data []byte) ([]byte, error) {
	crlf := bytes.Count(data, []byte("\r\n"))
	if crlf == 0 || crlf != bytes.Count(data, []byte("\n")) || head == "" {
		return data, nil
	}
	old, err := r.Show(ctx, head, path)
	if errors.Is(err, fs.ErrNotExist) || err == nil && bytes.Contains(old, []byte("\r\n")) {
		return data, nil
	}
	return bytes.ReplaceAll(data, []byte("\r\n"), []byte("\n")), err
}

// tree makes the tree of head with an update, in an index of its own, so that
// nothing else that is staged gets in.
func (r *Repo) tree(ctx context.Context, head string, update call) (string, error) {
	dir, err := os.MkdirTemp(r.place.Dir, "chartctl-commit-")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(dir)
	env := []string{"GIT_INDEX_FILE=" + filepath.Join(dir, "index")}
	if head != "" {
		if _, err := r.run(ctx, call{args: []string{"read-tree", head}, env: env, write: true}); err != nil {
			return "", err
		}
	}
	update.env = append(slices.Clone(update.env), env...)
	if _, err := r.run(ctx, update); err != nil {
		return "", err
	}
	out, err := r.run(ctx, call{args: []string{"write-tree", "--missing-ok"}, env: env, write: true})
	return strings.TrimSpace(string(out)), err
}

// advance makes the commit and moves the branch to it, if it is still at head.
func (r *Repo) advance(ctx context.Context, head, tree, message string) (string, error) {
	args := []string{"commit-tree", "-F", "-"}
	old := strings.Repeat("0", len(tree))
	if head != "" {
		out, err := r.run(ctx, call{args: []string{"rev-parse", "--verify", head + "^{tree}"}})
		if err != nil {
			return "", fmt.Errorf("commit: %w", err)
		}
		if strings.TrimSpace(string(out)) == tree {
			return head, nil
		}
		args, old = append(args, "-p", head), head
	}
	sign, err := r.boolean(ctx, "commit.gpgSign")
	if err != nil {
		return "", fmt.Errorf("commit: %w", err)
	}
	if sign {
		args = append(args, "-S")
	}
	message = strings.TrimRight(message, "\n") + "\n"
	out, err := r.run(ctx, call{args: append(args, tree), stdin: []byte(message), write: true})
	if err != nil {
		return "", fmt.Errorf("%w (the files are staged; commit them by hand): %w", ErrCommit, err)
	}
	commit := strings.TrimSpace(string(out))
	subject, _, _ := strings.Cut(message, "\n")
	if _, err := r.run(ctx, call{args: []string{"update-ref", "-m", "commit: " + subject, "HEAD", commit, old}, write: true}); err != nil {
		return "", fmt.Errorf("%w (the files are staged; commit them by hand): %w", ErrCommit, err)
	}
	return commit, nil
}
