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

// ErrConfig says that the configuration of the checkout is not one that git can
// be run with.
var ErrConfig = errors.New("the checkout's git configuration is not usable")

const (
	maxConfig   = 1 << 20
	maxIncludes = 16
)

// telling are the words by which a configuration names what git would run for
// us, or a file that it would wait for. Nearly none has one of them.
var telling = [][]byte{[]byte("gpg"), []byte("include"), []byte("excludesfile"), []byte("attributesfile")}

// openPGP is the key's other name, of which git takes whichever comes last.
const openPGP = "gpg.program"

// programs are what git runs for commands of ours, with what it takes where
// nobody names one; files are what it reads.
var (
	programs = map[string]string{
		openPGP: "gpg", "gpg.x509.program": "gpgsm", "gpg.ssh.program": "ssh-keygen", "gpg.ssh.defaultkeycommand": "",
	}
	files = []string{"core.excludesfile", "core.attributesfile"}
)

// own are the options that put the user's own choice of programs and files in
// the place of the checkout's: whoever sent a directory must not choose what
// runs here. It is read once for each Repo.
func (r *Repo) own(ctx context.Context) ([]string, error) {
	r.owned.Lock()
	defer r.owned.Unlock()
	if r.options != nil {
		return r.options, nil
	}
	options := []string{"--git-dir=" + r.place.Dir, "--work-tree=" + r.place.Root}
	suspect := false
	for _, file := range []string{filepath.Join(r.place.Common, "config"), filepath.Join(r.place.Dir, "config.worktree")} {
		tells, err := r.inspect(ctx, file, 0)
		if err != nil {
			return nil, err
		}
		suspect = suspect || tells
	}
	if suspect {
		chosen, err := r.chosen(ctx)
		if err != nil {
			return nil, err
		}
		options = append(options, chosen...)
	}
	r.options = options
	return options, nil
}

// inspect makes sure that git can read a configuration file, and those that it
// includes, and reports whether one of them names a program or a file.
func (r *Repo) inspect(ctx context.Context, file string, depth int) (bool, error) {
	fi, err := os.Stat(file)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil || !fi.Mode().IsRegular() || fi.Size() > maxConfig || depth > maxIncludes {
		return false, fmt.Errorf("%w: %q is no plain file of at most 1 MiB, or is included too often; remove what names it", ErrConfig, file)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return false, fmt.Errorf("%w: %w", ErrConfig, err)
	}
	text = bytes.ToLower(text)
	if !slices.ContainsFunc(telling, func(w []byte) bool { return bytes.Contains(text, w) }) {
		return false, nil
	}
	// Outside of the repository, so that git does not follow what it says.
	out, err := r.start(ctx, call{args: []string{"config", "--file", file, "--no-includes", "-z", "--type=path", "--get-regexp", `^include(if\..*)?\.path$`},
		env: []string{"GIT_DIR=" + os.DevNull}}, filepath.Dir(file))
	if exit, ok := errors.AsType[*exitError](err); ok && exit.status == 1 {
		return true, nil
	}
	if err != nil {
		return false, fmt.Errorf("%w: %w", ErrConfig, err)
	}
	for _, line := range fields(out) {
		_, path, _ := strings.Cut(line, "\n")
		if !filepath.IsAbs(path) {
			path = filepath.Join(filepath.Dir(file), path)
		}
		if _, err := r.inspect(ctx, path, depth+1); err != nil {
			return false, err
		}
	}
	return true, nil
}

// chosen are the options for what the user, the system or the environment has
// chosen, and git's own choice for the rest.
func (r *Repo) chosen(ctx context.Context) ([]string, error) {
	out, err := r.start(ctx, call{args: []string{"config", "-z", "--show-scope", "--type=path", "--get-regexp", `^(gpg\..*|core\.(excludesfile|attributesfile))$`}}, r.place.Root)
	if exit, ok := errors.AsType[*exitError](err); err != nil && !(ok && exit.status == 1) {
		return nil, fmt.Errorf("%w: %w", ErrConfig, err)
	}
	value := map[string]string{}
	for key, usual := range programs {
		value[key] = usual
	}
	for _, key := range files {
		value[key] = ""
	}
	f := fields(out)
	for ; len(f) >= 2; f = f[2:] {
		key, text, _ := strings.Cut(f[1], "\n")
		key = strings.ToLower(key)
		if key == "gpg.openpgp.program" {
			key = openPGP
		}
		if _, ours := value[key]; ours && f[0] != "local" && f[0] != "worktree" {
			value[key] = text
		}
	}
	var options []string
	for key, text := range value {
		options = append(options, "-c", key+"="+text)
	}
	return options, nil
}
