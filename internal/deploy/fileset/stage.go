package fileset

import (
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"strings"
	"syscall"

	"chartd.dev/chartd/internal/durable"
)

// Change is one file of a transaction.
type Change struct {
	Path string // from the Root; where it is a symbolic link, its target changes
	Old  []byte // as it was read; nil: there is no such file
	New  []byte // nil: the file is removed
}

// Tx is a staged transaction. Its files are complete on disk under temporary
// names, and so is the journal that names them.
type Tx struct {
	root     *Root
	journal  journal
	changes  []Change
	warnings []string
	over     bool
}

// Note is what Stage was given, without needless white space.
func (t *Tx) Note() json.RawMessage { return t.journal.Note }

// Changes are the files that change. Old is nil in a transaction that Pending
// found.
func (t *Tx) Changes() []Change {
	if t.changes != nil {
		return t.changes
	}
	changes := make([]Change, len(t.journal.Files))
	for i, f := range t.journal.Files {
		changes[i].Path = f.Path
		if f.New != "" {
			changes[i].New = append([]byte{}, f.Data...)
		}
	}
	return changes
}

// Warnings are sentences for the user, such as that a hard link is broken.
func (t *Tx) Warnings() []string { return t.warnings }

// Stage compares each file with Old (ErrChanged if it differs), writes the new
// ones beside the old ones, synced and with the same owner, mode and
// attributes, and journals them with the note, which is JSON or nil. What
// could keep Finish from moving them in is refused here. Lock must be held.
// After an error every file is as before. A change to the same bytes is left
// out.
func (r *Root) Stage(changes []Change, note json.RawMessage) (*Tx, error) {
	state, err := r.locked()
	if err != nil {
		return nil, err
	}
	if len(note) > 0 && !json.Valid(note) {
		return nil, errors.New("stage files: the note is not JSON")
	}
	if j, err := readJournal(state); err != nil {
		return nil, err
	} else if j != nil {
		return nil, fmt.Errorf("stage files: %w", ErrPending)
	}
	t := &Tx{root: r, journal: journal{Note: note}}
	if err := t.plan(changes); err != nil {
		return nil, err
	}
	if err := t.write(state); err != nil {
		if undo := t.discard(state); undo != nil {
			err = fmt.Errorf("%w (and what was staged could not be removed, which the next run of chartctl does: %w)", err, undo)
		}
		return nil, err
	}
	return t, nil
}

// Check tells what Stage would refuse of the files themselves, and leaves all
// as it is. It is for what has to be known before something else is done.
func (r *Root) Check(changes []Change) error {
	return (&Tx{root: r}).plan(changes)
}

// locked returns the state directory if the lock is held.
func (r *Root) locked() (*os.Root, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.held == nil {
		return nil, fmt.Errorf("change files of %q: the lock is not held", r.Dir())
	}
	return r.held, nil
}

func (t *Tx) plan(changes []Change) error {
	total, seen := 0, map[string]string{}
	for _, c := range changes {
		f := file{Path: c.Path, Old: contentDigest(c.Old), New: contentDigest(c.New), Data: c.New}
		at, fi, err := t.root.resolve(c.Path)
		switch {
		case errors.Is(err, fs.ErrNotExist) && c.Old == nil && at != "":
		case errors.Is(err, fs.ErrNotExist) && c.Old != nil:
			return fmt.Errorf("stage %q: %w: it is gone; run the command again", c.Path, ErrChanged)
		case err != nil:
			return err
		}
		if other, ok := seen[at]; ok {
			return unsafePath(c.Path, "%q is the same file", other)
		}
		seen[at] = c.Path
		f.Target, f.Temp = at, tempName(at, strings.ToLower(rand.Text()[:16]))
		if err := t.checkOld(f, fi); err != nil {
			return err
		}
		if total += len(c.New); total > maxTotal {
			return fmt.Errorf("stage %q: %w: the new files have more than %d bytes together", c.Path, ErrTooLarge, maxTotal)
		}
		if f.Old != f.New {
			t.journal.Files, t.changes = append(t.journal.Files, f), append(t.changes, c)
		}
	}
	return nil
}

// checkOld compares a file with what the caller read, and looks for what would
// forbid to replace it.
func (t *Tx) checkOld(f file, fi fs.FileInfo) error {
	if fi == nil {
		return nil
	}
	old, err := t.root.openRegular(f.Target, fi, os.O_RDONLY)
	if err != nil {
		return err
	}
	defer old.Close()
	data, err := readAll(old, f.Target, maxTotal)
	if err != nil {
		return err
	}
	if f.Old != digest(data) {
		return fmt.Errorf("stage %q: %w since it was read; run the command again", f.Path, ErrChanged)
	}
	if f.Old == f.New {
		return nil
	}
	if fi.Mode().Perm()&0o222 == 0 {
		return fail("replace", f.Path, fmt.Errorf("its mode %v lets nobody write it; run: chmod u+w %s: %w", fi.Mode(), f.Path, syscall.EACCES))
	}
	if err := checkFlags(old); err != nil {
		return fail("replace", f.Path, err)
	}
	// Nothing is written through this: it asks whether we could.
	w, err := t.root.openRegular(f.Target, fi, os.O_WRONLY)
	if err != nil {
		return err
	}
	_ = w.Close()
	if n := names(fi); n > 1 {
		t.warnings = append(t.warnings, fmt.Sprintf("%q has %d names (hard links); this one gets a new file, the others keep the old content", f.Path, n))
	}
	return nil
}

func (t *Tx) write(state *os.Root) error {
	// The names first: whoever is killed after this leaves nothing unknown.
	names := journal{State: staging, Files: make([]file, len(t.journal.Files))}
	for i, f := range t.journal.Files {
		f.Data = nil
		names.Files[i] = f
	}
	if err := writeJournal(state, names); err != nil {
		return err
	}
	for _, f := range t.journal.Files {
		if err := t.root.stageFile(f); err != nil {
			return err
		}
	}
	for _, f := range t.journal.Files {
		if _, err := t.root.look(f); err != nil {
			return err
		}
	}
	t.journal.State = staged
	return writeJournal(state, t.journal)
}

// stageFile writes the temporary file of f. Where f is removed it is empty: it
// shows that the directory can be changed.
func (r *Root) stageFile(f file) (err error) {
	dir, base, err := r.dirOf(f.Target)
	if err != nil {
		return err
	}
	defer dir.Close()
	if err := checkDir(dir); err != nil {
		return fail("replace files in", path.Dir(f.Target), err)
	}
	tmp, err := dir.OpenFile(path.Base(f.Temp), os.O_WRONLY|os.O_CREATE|os.O_EXCL|syscall.O_NOFOLLOW, 0o644)
	if err != nil {
		return fail("create", f.Temp, err)
	}
	_, err = tmp.WriteAt(f.Data, 0)
	if err == nil && f.Old != "" {
		err = likeOld(dir, base, tmp)
	}
	if err == nil {
		err = durable.Sync(tmp)
	}
	if closeErr := tmp.Close(); err == nil {
		err = closeErr
	}
	return fail("write", f.Path, err)
}

func checkDir(dir *os.Root) error {
	d, err := dir.Open(".")
	if err != nil {
		return err
	}
	defer d.Close()
	return checkFlags(d)
}

// likeOld gives tmp the attributes of the file that it will replace.
func likeOld(dir *os.Root, base string, tmp *os.File) error {
	old, err := dir.OpenFile(base, os.O_RDONLY|syscall.O_NONBLOCK|syscall.O_NOFOLLOW, 0)
	if err != nil {
		return err
	}
	defer old.Close()
	a, err := readAttrs(old)
	if err != nil {
		return err
	}
	return a.apply(tmp)
}

// dirOf opens the directory of a path that has no symbolic links, and refuses
// it if it has some now.
func (r *Root) dirOf(target string) (*os.Root, string, error) {
	parent, base := path.Dir(target), path.Base(target)
	if parent != "." {
		at, fi, err := r.resolve(parent)
		if err != nil {
			return nil, "", err
		}
		if at != parent || !fi.IsDir() {
			return nil, "", unsafePath(target, "its directory %q was replaced by a symbolic link during the run", parent)
		}
		dir, err := r.root.OpenRoot(parent)
		if err != nil {
			return nil, "", fail("open", parent, err)
		}
		if now, err := dir.Stat("."); err != nil || !os.SameFile(fi, now) {
			_ = dir.Close()
			return nil, "", unsafePath(target, "its directory %q was replaced during the run", parent)
		}
		return dir, base, nil
	}
	dir, err := r.root.OpenRoot(".")
	if err != nil {
		return nil, "", fail("open", parent, err)
	}
	return dir, base, nil
}
