package gitrepo

import (
	"context"
	"errors"
)

var errTypes = errors.New("not ready")

// Branch is the branch that is checked out, "" on a detached HEAD.
func (r *Repo) Branch(ctx context.Context) (string, error) { return "", errTypes }

// Head is the commit that is checked out, "" before the first commit.
func (r *Repo) Head(ctx context.Context) (string, error) { return "", errTypes }

// Dirty lists what differs from HEAD among paths (from Root), or in the whole
// checkout where there are none: staged, unstaged and untracked.
func (r *Repo) Dirty(ctx context.Context, paths ...string) ([]Change, error) { return nil, errTypes }

// State says what is unusual about the checkout.
func (r *Repo) State(ctx context.Context) (State, error) { return State{}, errTypes }

// Show returns a file of a commit, byte for byte. It is fs.ErrNotExist if the
// commit has no such file.
func (r *Repo) Show(ctx context.Context, rev, path string) ([]byte, error) { return nil, errTypes }

// FirstParents returns the commits on the first-parent line of HEAD that
// changed path, newest first, max at most, with the file as each left it.
func (r *Repo) FirstParents(ctx context.Context, path string, max int) ([]Version, error) {
	return nil, errTypes
}

// Branches lists branch names, local ones and those of remotes without the
// remote's name, sorted, each once.
func (r *Repo) Branches(ctx context.Context) ([]string, error) { return nil, errTypes }

// Tracked returns those of paths (from Root) that are in the index.
func (r *Repo) Tracked(ctx context.Context, paths ...string) ([]string, error) {
	return nil, errTypes
}

// Commit commits the present content of paths, and nothing else, and returns
// the new commit.
func (r *Repo) Commit(ctx context.Context, message string, paths []string) (string, error) {
	return "", errTypes
}
