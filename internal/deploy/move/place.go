package move

import (
	"chartd.dev/chartd/internal/api"
	"chartd.dev/chartd/internal/client"
)

// Place is where a command runs.
type Place struct {
	// Dir lies in the deploy repo. "" is the present directory, where no deploy
	// repo is no error for a move.
	Dir string
	// Branch is the one that the files are for, where branches are stages; Guess
	// is what the surroundings say, for a checkout whose own branch is no stage's.
	Branch, Guess string
	// Dial makes the client of a server, or that of the last login for "".
	Dial func(server string) (*client.Client, error)
}

// Files say how a move treats the deploy repo that it is made in.
type Files struct {
	None       bool // only pin
	Group      bool // move the environments that share sites, too
	AllowDirty bool // also over uncommitted changes
	Commit     bool // the changed files, and nothing else
	DryRun     bool // change nothing, here or on the server
}

// check refuses what excludes each other.
func (f Files) check(at Place) error {
	switch {
	case f.Commit && f.AllowDirty:
		return usage("--commit and --allow-dirty exclude each other: the commit would hold changes that are not the pin's")
	case f.Commit && f.DryRun:
		return usage("--commit and --dry-run exclude each other")
	case f.None && (f.Commit || f.Group || at.Dir != ""):
		return usage("--no-files excludes --commit, --group and -C: they are about the deploy repo's files")
	}
	return nil
}

// need reports whether a deploy repo has to be there.
func (f Files) need(at Place) bool { return at.Dir != "" || f.Group || f.Commit }

func usage(format string, args ...any) *api.Error { return api.Errorf(api.CodeUsage, format, args...) }

func localIO(format string, args ...any) *api.Error {
	return api.Errorf(api.CodeLocalIO, format, args...)
}
