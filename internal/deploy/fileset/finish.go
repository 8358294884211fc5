package fileset

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"slices"

	"chartd.dev/chartd/internal/advice"
)

// Pending returns the transaction that an earlier process left staged, or nil.
// It is ErrJournal if its journal cannot be trusted. It needs no lock, but
// without one the transaction may be that of a process at work.
func (r *Root) Pending() (*Tx, error) {
	r.mu.Lock()
	state := r.held
	r.mu.Unlock()
	if state == nil {
		var err error
		if state, err = r.openState(false); err != nil || state == nil {
			return nil, err
		}
		defer state.Close()
	}
	j, err := readJournal(state)
	if err != nil || j == nil || j.State != staged {
		return nil, err
	}
	return &Tx{root: r, journal: *j}, nil
}

// Finish moves all files in and forgets the transaction. It can be repeated
// after a failure or a crash at any point. It is ErrChanged, and moves
// nothing, if a file is neither old nor new; ErrIO if the file system refuses;
// ErrUnknown too if a sync failed.
func (t *Tx) Finish() error {
	state, err := t.begin()
	if err != nil {
		return err
	}
	var todo []file
	for _, f := range t.journal.Files {
		done, err := t.root.look(f)
		if err != nil {
			return err
		}
		if !done {
			todo = append(todo, f)
		}
	}
	for _, f := range todo {
		if err := t.root.ready(f); err != nil {
			return err
		}
	}
	for _, f := range todo {
		if err := t.root.moveIn(f); err != nil {
			return err
		}
	}
	return t.end(state)
}

// Abort discards the staged files and forgets the transaction. It refuses
// (ErrPending) once a file was moved in.
func (t *Tx) Abort() error {
	state, err := t.begin()
	if err != nil {
		return err
	}
	for _, f := range t.journal.Files {
		moved, err := t.root.moved(f)
		if err != nil {
			return err
		}
		if moved {
			return fmt.Errorf("discard staged files: %w: %q is moved in already", ErrPending, f.Path)
		}
	}
	return t.end(state)
}

func (t *Tx) begin() (*os.Root, error) {
	if t.over {
		return nil, errors.New("this transaction is over")
	}
	return t.root.locked()
}

func (t *Tx) end(state *os.Root) error {
	if err := t.discard(state); err != nil {
		return err
	}
	t.over = true
	return nil
}

// discard removes the temporary files, and the journal that names them last.
func (t *Tx) discard(state *os.Root) error {
	var dirs []string
	for _, f := range t.journal.Files {
		if err := t.root.dropTemp(f); err != nil {
			return err
		}
		if dir := path.Dir(f.Target); !slices.Contains(dirs, dir) {
			dirs = append(dirs, dir)
		}
	}
	for _, dir := range dirs {
		if err := t.root.syncDir(dir); err != nil {
			return err
		}
	}
	return dropJournal(state)
}

// sweep discards what a process left that was killed while it staged.
func (r *Root) sweep() error {
	state, err := r.locked()
	if err != nil {
		return err
	}
	if err := remove(state, journalNew); err != nil {
		return fail("remove", journalNew, err)
	}
	j, err := readJournal(state)
	if err != nil || j == nil || j.State != staging {
		// A damaged one is for Pending to report.
		if errors.Is(err, ErrJournal) {
			return nil
		}
		return err
	}
	t := &Tx{root: r, journal: *j}
	return t.discard(state)
}

// look says whether a file is as it shall be. It is ErrChanged if it is not as
// it was either.
func (r *Root) look(f file) (done bool, err error) {
	at, fi, err := r.resolve(f.Path)
	missing := errors.Is(err, fs.ErrNotExist)
	if err != nil && !missing {
		return false, err
	}
	if at != f.Target {
		if missing && at == "" {
			return false, fmt.Errorf("replace %q: %w: its directory is gone; put it back and run: %s", f.Path, ErrChanged, advice.Recover)
		}
		return false, unsafePath(f.Path, "it was %q and is %q now, because a symbolic link or directory on its way changed during the run; put it back and run: %s", f.Target, at, advice.Recover)
	}
	now := ""
	if !missing {
		old, err := r.openRegular(at, fi, os.O_RDONLY)
		if err != nil {
			return false, err
		}
		defer old.Close()
		data, err := readAll(old, at, maxTotal)
		if err != nil && !errors.Is(err, ErrTooLarge) {
			return false, err
		}
		now = "too large"
		if err == nil {
			now = digest(data)
		}
	}
	switch now {
	case f.New:
		return true, nil
	case f.Old:
		return false, nil
	case "":
		return false, fmt.Errorf("replace %q: %w: it is gone; put it back (git checkout) and run: %s", f.Path, ErrChanged, advice.Recover)
	}
	return false, fmt.Errorf("replace %q: %w: it is neither as it was nor as it shall be; put it back (keep your edit elsewhere) and run: %s", f.Path, ErrChanged, advice.Recover)
}

// moved says whether our own rename put f in place: the same content from
// another hand leaves the temporary file where it was.
func (r *Root) moved(f file) (bool, error) {
	dir, _, err := r.dirOf(f.Target)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, ErrUnsafe) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer dir.Close()
	if _, err := dir.Lstat(path.Base(f.Temp)); err == nil && f.New != "" {
		return false, nil
	}
	done, err := r.look(f)
	if errors.Is(err, ErrChanged) || errors.Is(err, ErrUnsafe) {
		return false, nil
	}
	return done, err
}

// ready makes sure that the temporary file is there and whole.
func (r *Root) ready(f file) error {
	if f.New == "" {
		return nil
	}
	dir, _, err := r.dirOf(f.Target)
	if err != nil {
		return err
	}
	defer dir.Close()
	tmp, err := dir.Lstat(path.Base(f.Temp))
	if err == nil && tmp.Mode().IsRegular() {
		data, err := r.Read(f.Temp, maxTotal)
		if err == nil && digest(data) == f.New {
			return nil
		}
	}
	if err := remove(dir, path.Base(f.Temp)); err != nil {
		return fail("write", f.Path, err)
	}
	return r.stageFile(f)
}

func (r *Root) moveIn(f file) error {
	dir, base, err := r.dirOf(f.Target)
	if err != nil {
		return err
	}
	defer dir.Close()
	// Again, and at the last moment: an editor may have saved the file.
	if done, err := r.look(f); done || err != nil {
		return err
	}
	if f.New == "" {
		return fail("remove", f.Path, dir.Remove(base))
	}
	if err := dir.Rename(path.Base(f.Temp), base); err != nil {
		return fail("replace", f.Path, err)
	}
	return nil
}

func (r *Root) dropTemp(f file) error {
	dir, _, err := r.dirOf(f.Target)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, ErrUnsafe) {
		return nil // whatever took the directory away took the file with it
	}
	if err != nil {
		return err
	}
	defer dir.Close()
	return fail("remove", f.Temp, remove(dir, path.Base(f.Temp)))
}

func (r *Root) syncDir(dir string) error {
	d, _, err := r.dirOf(path.Join(dir, "x"))
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, ErrUnsafe) {
		return nil
	}
	if err != nil {
		return err
	}
	defer d.Close()
	return fail("sync directory", dir, syncRoot(d))
}
