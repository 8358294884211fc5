package gitrepo

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
)

// Place is where a repository lies: read from the file system, without git.
type Place struct {
	Root   string // the top directory of the checkout
	Dir    string // its git directory: its own one also for a linked worktree
	Common string // what all worktrees of the repository share: refs, objects
}

// Find looks for the checkout that dir lies in. It is ErrNone if there is none.
func Find(dir string) (Place, error) {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return Place{}, fmt.Errorf("find the git repository: %w", err)
	}
	if dir, err = filepath.EvalSymlinks(dir); err != nil {
		return Place{}, fmt.Errorf("find the git repository: %w", err)
	}
	for at := dir; ; at = filepath.Dir(at) {
		gitDir, err := gitDirAt(at)
		if err != nil {
			return Place{}, err
		}
		if gitDir != "" {
			return Place{Root: at, Dir: gitDir, Common: commonDir(gitDir)}, nil
		}
		if at == filepath.Dir(at) {
			return Place{}, fmt.Errorf("%w: %q lies in none", ErrNone, dir)
		}
	}
}

// gitDirAt returns the git directory of a checkout whose top is dir, or "".
func gitDirAt(dir string) (string, error) {
	path := filepath.Join(dir, ".git")
	fi, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return "", nil
	case err != nil:
		return "", fmt.Errorf("find the git repository: %w", err)
	case fi.IsDir():
		if _, err := os.Lstat(filepath.Join(path, "HEAD")); err != nil {
			return "", nil // as git has it: not a repository, look further up
		}
		return path, nil
	case !fi.Mode().IsRegular():
		return "", nil
	}
	text, err := readSmall(path)
	if err != nil {
		return "", fmt.Errorf("find the git repository: %w", err)
	}
	target, ok := strings.CutPrefix(strings.TrimRight(string(text), "\r\n"), "gitdir: ")
	if !ok {
		return "", fmt.Errorf("find the git repository: %q is a file without a line %q; remove it or repair the worktree", path, "gitdir: …")
	}
	if !filepath.IsAbs(target) {
		target = filepath.Join(dir, target)
	}
	if fi, err := os.Stat(target); err != nil || !fi.IsDir() {
		return "", fmt.Errorf("find the git repository: %q names %q, which is no directory; run: git worktree repair", path, target)
	}
	return filepath.Clean(target), nil
}

// commonDir follows the file that a linked worktree's git directory has.
func commonDir(gitDir string) string {
	text, err := readSmall(filepath.Join(gitDir, "commondir"))
	if err != nil {
		return gitDir
	}
	dir := strings.TrimRight(string(text), "\r\n")
	if !filepath.IsAbs(dir) {
		dir = filepath.Join(gitDir, dir)
	}
	return filepath.Clean(dir)
}

const smallFile = 64 << 10

// readSmall reads one of git's own small files, and nothing that could block.
func readSmall(path string) ([]byte, error) {
	return readLimited(path, smallFile)
}

func readLimited(path string, most int64) ([]byte, error) {
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK|syscall.O_NOFOLLOW, 0)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	fi, err := f.Stat()
	if err != nil {
		return nil, err
	}
	if !fi.Mode().IsRegular() {
		return nil, fmt.Errorf("%q is not a regular file", path)
	}
	var b bytes.Buffer
	if n, err := io.Copy(&b, io.LimitReader(f, most+1)); err != nil {
		return nil, err
	} else if n > most {
		return nil, fmt.Errorf("%q is larger than %d bytes", path, most)
	}
	return b.Bytes(), nil
}
