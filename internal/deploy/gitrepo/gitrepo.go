// Package gitrepo asks git about a checkout. No hook, filter, signing program or
// shell that the repository names is ever run, and no file that it names is
// waited for.
package gitrepo

import (
	"context"
	"errors"
	"fmt"
	"os/exec"
	"path/filepath"
	"sync"
)

var (
	// ErrNone says that the directory lies in no git repository.
	ErrNone = errors.New("not a git repository")
	// ErrNoGit says that there is a repository but no git program.
	ErrNoGit = errors.New("the program git is not installed")
)

// Repo is a checkout of a git repository. Its methods may be called from
// several goroutines.
type Repo struct {
	place Place
	git   string // the program

	owned   sync.Mutex
	options []string // see own
}

// Open finds the checkout that dir lies in; no git process is run. It is
// ErrNone where there is no repository and ErrNoGit where there is no git.
func Open(_ context.Context, dir string) (*Repo, error) {
	place, err := Find(dir)
	if err != nil {
		return nil, err
	}
	git, err := exec.LookPath("git")
	if err == nil {
		git, err = filepath.Abs(git)
	}
	if err != nil {
		return nil, fmt.Errorf("open repository %q: %w: %w", place.Root, ErrNoGit, err)
	}
	return &Repo{place: place, git: git}, nil
}

// Root is the top directory of the checkout, without symbolic links.
func (r *Repo) Root() string { return r.place.Root }

// Dir is the git directory of this worktree.
func (r *Repo) Dir() string { return r.place.Dir }

// Version is a commit on the first-parent line that changed a path.
type Version struct {
	Commit string
	Blob   string // object name; "" where the commit removed the path
	Data   []byte
}

// Change is a path whose state differs from HEAD.
type Change struct {
	Path  string // with slashes, from Root
	Index byte   // as in git's status: '.', 'M', 'A', 'D', 'T', 'R', 'C', 'U', '?'
	Tree  byte
}

// State is what is unusual about a checkout.
type State struct {
	Operation  string // "merge", "rebase", "cherry-pick", "revert", "bisect", "am" or ""
	IndexLock  string // path of an index.lock that another git holds or left, or ""
	Sparse     bool   // parts of the tree are not checked out
	Shallow    bool   // history is cut off
	Submodules bool   // there is a .gitmodules
	Submodule  bool   // this checkout is itself a submodule of another one
	Worktree   bool   // this is a linked worktree
}
