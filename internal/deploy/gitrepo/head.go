package gitrepo

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"regexp"
	"strings"
)

var objectName = regexp.MustCompile(`^([0-9a-f]{40}|[0-9a-f]{64})$`)

const maxPackedRefs = 32 << 20

// Branch is the branch that is checked out, "" on a detached HEAD. It is read
// from the file HEAD where that says it, without a git process.
func (r *Repo) Branch(ctx context.Context) (string, error) {
	ref, _, err := r.readHead()
	if err != nil {
		out, err := r.run(ctx, call{args: []string{"symbolic-ref", "--quiet", "HEAD"}})
		if exit, ok := errors.AsType[*exitError](err); ok && exit.status == 1 {
			return "", nil
		}
		if err != nil {
			return "", fmt.Errorf("find the branch: %w", err)
		}
		ref = strings.TrimSuffix(string(out), "\n")
	}
	branch, _ := strings.CutPrefix(ref, "refs/heads/")
	return branch, nil
}

// Head is the commit that is checked out, "" before the first commit. It is
// read from git's files where they say it, without a git process.
func (r *Repo) Head(ctx context.Context) (string, error) {
	ref, commit, err := r.readHead()
	if err == nil && ref != "" {
		commit, err = r.readRef(ref)
	}
	if err == nil {
		return commit, nil
	}
	out, err := r.run(ctx, call{args: []string{"rev-parse", "--quiet", "--verify", "HEAD^{commit}"}})
	if exit, ok := errors.AsType[*exitError](err); ok && exit.status == 1 {
		return "", nil
	}
	if err != nil {
		return "", fmt.Errorf("find the commit of HEAD: %w", err)
	}
	return strings.TrimSuffix(string(out), "\n"), nil
}

var errAskGit = errors.New("git's files do not say")

// readHead returns the ref that HEAD names, or else the commit.
func (r *Repo) readHead() (ref, commit string, err error) {
	b, err := readSmall(filepath.Join(r.place.Dir, "HEAD"))
	if err != nil {
		return "", "", errAskGit
	}
	text := strings.TrimRight(string(b), "\n")
	if objectName.MatchString(text) {
		return "", text, nil
	}
	ref, ok := strings.CutPrefix(text, "ref: refs/heads/")
	// Other ways to keep refs put an invalid name there.
	if !ok || ref == "" || ref == ".invalid" || !filepath.IsLocal(ref) || strings.ContainsAny(ref, "\n\x00 ~^:?*[\\") {
		return "", "", errAskGit
	}
	return "refs/heads/" + ref, "", nil
}

// readRef returns the commit of a ref, "" if there is no such ref.
func (r *Repo) readRef(ref string) (string, error) {
	b, err := readSmall(filepath.Join(r.place.Common, filepath.FromSlash(ref)))
	if err == nil {
		if text := strings.TrimRight(string(b), "\n"); objectName.MatchString(text) {
			return text, nil
		}
		return "", errAskGit
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return "", errAskGit
	}
	packed, err := readLimited(filepath.Join(r.place.Common, "packed-refs"), maxPackedRefs)
	if err != nil {
		// Neither file: no commit yet, or refs that are kept otherwise.
		return "", errAskGit
	}
	for lines := bufio.NewScanner(bytes.NewReader(packed)); lines.Scan(); {
		commit, name, ok := strings.Cut(lines.Text(), " ")
		if ok && name == ref && objectName.MatchString(commit) {
			return commit, nil
		}
	}
	return "", errAskGit
}
