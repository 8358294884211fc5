package gitrepo

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"strings"
)

// IgnoreRule is the line of a .gitignore, or of a file like it, by which git
// leaves a path out.
type IgnoreRule struct {
	File    string // from Root; absolute for the user's own list
	Line    int
	Pattern string
}

func (i IgnoreRule) String() string { return fmt.Sprintf("%s:%d: %s", i.File, i.Line, i.Pattern) }

// IgnoredBy tells by which rule git leaves a path (from Root) out of what it
// adds; nil for none. A file that git has already is not ignored.
func (r *Repo) IgnoredBy(ctx context.Context, path string) (*IgnoreRule, error) {
	out, err := r.run(ctx, call{args: []string{"check-ignore", "-v", "-z", "--stdin"}, stdin: []byte(path + "\x00"), env: []string{"GIT_LITERAL_PATHSPECS=0"}})
	if exit, ok := errors.AsType[*exitError](err); ok && exit.status == 1 {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("find out whether git ignores %q: %w", path, err)
	}
	f := fields(out)
	if len(f) != 4 {
		return nil, fmt.Errorf("find out whether git ignores %q: git printed %q", path, out)
	}
	line, err := strconv.Atoi(f[1])
	if err != nil {
		return nil, fmt.Errorf("find out whether git ignores %q: git printed %q", path, out)
	}
	if strings.HasPrefix(f[2], "!") {
		return nil, nil
	}
	return &IgnoreRule{f[0], line, f[2]}, nil
}
