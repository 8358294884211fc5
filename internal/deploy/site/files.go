package site

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"slices"
	"strings"

	"chartd.dev/chartd/internal/yamledit"
)

// Files holds the files of the sites, each read and parsed once, and the edits
// made to them in memory. It is for one goroutine.
type Files struct {
	read func(path string) ([]byte, error)
	open map[string]*file
	lock map[string]bool // directories of charts whose dependencies were edited
}

// Change is a file that an edit changed.
type Change struct {
	Path     string
	Old, New []byte
}

type file struct {
	name     string
	old, now []byte
	err      error
	yaml     *yamledit.File // of now; nil until it is asked for
}

// NewFiles reads files by read, which gets a path in the repo and wraps
// fs.ErrNotExist for one that does not exist.
func NewFiles(read func(path string) ([]byte, error)) *Files {
	return &Files{read: read, open: map[string]*file{}, lock: map[string]bool{}}
}

func missingFile(path string) error {
	return &fs.PathError{Op: "read", Path: path, Err: fs.ErrNotExist}
}

// get reads a file, or finds it read already.
func (f *Files) get(path string) (*file, error) {
	one, ok := f.open[path]
	if !ok {
		one = &file{name: path}
		one.old, one.err = f.read(path)
		one.now = one.old
		f.open[path] = one
	}
	switch {
	case errors.Is(one.err, fs.ErrNotExist):
		return nil, &Error{File: path, Text: "there is no such file", Err: errors.Join(ErrMissing, one.err)}
	case one.err != nil:
		return nil, &Error{File: path, Text: fmt.Sprintf("cannot be read: %v", one.err), Err: one.err}
	case template(path):
		return nil, &Error{File: path, Text: "is a template, and what it is rendered to cannot be edited", Err: ErrTemplate}
	}
	if line := conflict(one.old); line > 0 {
		return nil, &Error{File: path, Line: line, Text: "git's conflict markers are in the file: resolve them first", Err: ErrConflict}
	}
	return one, nil
}

// conflict is the line where git left the first conflict, 0 if there is none:
// all three of its marks, each at the start of a line and in their order.
func conflict(b []byte) int {
	marks := []string{"<<<<<<< ", "=======", ">>>>>>> "}
	if !bytes.Contains(b, []byte(marks[0])) {
		return 0
	}
	at, n := 0, 0
	for line := range bytes.Lines(b) {
		n++
		if !bytes.HasPrefix(line, []byte(marks[0])) {
			continue
		}
		if len(marks) == 3 {
			at = n
		}
		if marks = marks[1:]; len(marks) == 0 {
			return at
		}
	}
	return 0
}

// Bytes returns a file with its edits.
func (f *Files) Bytes(path string) ([]byte, error) {
	one, err := f.get(path)
	if err != nil {
		return nil, err
	}
	return one.now, nil
}

// set takes the new bytes of a file.
func (one *file) set(now []byte) { one.now, one.yaml = now, nil }

// Value returns what a site says.
func (f *Files) Value(s Site) (Value, error) {
	one, err := f.get(s.File)
	if err != nil {
		return Value{}, err
	}
	places, err := s.places(one)
	if err != nil {
		return Value{}, err
	}
	for _, p := range places[1:] {
		if p.value.Text != places[0].value.Text {
			return Value{}, s.fail(p.value.Line, ErrForm, "says %q, and line %d says %q: make them equal", p.value.Text, places[0].value.Line, places[0].value.Text)
		}
	}
	return places[0].value, nil
}

// Edit brings a site to w, in memory. A site whose half is not in w is left
// as it is, and not even looked for.
func (f *Files) Edit(s Site, w Want) error {
	if !s.concerns(w) {
		return nil
	}
	one, err := f.get(s.File)
	if err != nil {
		return err
	}
	if s.Kind == HelmLock || s.Kind == Dependency {
		f.lock[dirOf(s.File)] = true
	}
	// Every edit moves the bytes behind it: the places are found anew.
	for i := range s.count() {
		places, err := s.places(one)
		if err != nil {
			return err
		}
		now, err := s.write(one, places[i], w)
		if err != nil {
			return err
		}
		if !bytes.Equal(now, one.now) {
			one.set(now)
		}
	}
	return nil
}

// Check compares a site with w.
func (f *Files) Check(s Site, w Want) ([]Finding, error) {
	if !s.concerns(w) {
		return nil, nil
	}
	one, err := f.get(s.File)
	if err != nil {
		return nil, err
	}
	places, err := s.places(one)
	if err != nil {
		return nil, err
	}
	var out []Finding
	for _, p := range places {
		out = append(out, s.compare(p, w)...)
	}
	if s.Kind == Dependency || s.Kind == HelmLock {
		beside, err := f.checkLock(s, w)
		if err != nil {
			return nil, err
		}
		out = append(out, beside...)
	}
	return out, nil
}

// Changes returns the files that the edits changed, sorted by path, with
// Helm's lock files brought up to date.
func (f *Files) Changes() ([]Change, error) {
	for _, dir := range slices.Sorted(maps.Keys(f.lock)) {
		if err := f.relock(dir); err != nil {
			return nil, err
		}
	}
	var out []Change
	for _, path := range slices.Sorted(maps.Keys(f.open)) {
		if one := f.open[path]; one.err == nil && !bytes.Equal(one.old, one.now) {
			out = append(out, Change{path, one.old, one.now})
		}
	}
	return out, nil
}

// dirOf is the directory of a path, with its slash; "" at the top.
func dirOf(path string) string { return path[:strings.LastIndexByte(path, '/')+1] }
