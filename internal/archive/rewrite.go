package archive

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"
	"time"

	"chartd.dev/chartd/internal/yamledit"
)

// Edit sets one scalar of a YAML file. One that is not there yet is added.
type Edit struct {
	File  string   `json:"file"` // nested packages joined by "!"
	Path  []string `json:"path"`
	Value string   `json:"value"`
}

// Plan is what sealing changes in a package: scalars, and files that it adds,
// nested packages joined by "!".
type Plan struct {
	Edits []Edit
	Files []File
}

// Rewrite makes the changes of a plan in a package, and no other: headers,
// order, padding and the gzip header are kept, and files are added behind all
// others. The same input gives the same bytes. ErrNoSite says which change
// cannot be made.
func Rewrite(data []byte, plan Plan, o Options) ([]byte, error) {
	o.Limits = o.Limits.orDefault()
	s := &sealer{o: o, b: &budget{l: o.Limits, packed: int64(len(data))}, edits: map[string][]Edit{}, files: plan.Files, done: map[string]bool{}}
	for _, e := range plan.Edits {
		s.edits[e.File] = append(s.edits[e.File], e)
	}
	out, err := s.archive(&source{buf: data}, "")
	if err != nil {
		return nil, err
	}
	for _, name := range plan.names() {
		if !s.done[name] {
			return nil, fmt.Errorf("%w: the package has no %s", ErrNoSite, quote(name))
		}
	}
	return out, nil
}

func (p Plan) names() []string {
	var out []string
	for _, e := range p.Edits {
		out = append(out, e.File)
	}
	for _, f := range p.Files {
		out = append(out, f.Name)
	}
	return out
}

// sealer writes a package anew with some files edited and others added.
type sealer struct {
	o     Options
	b     *budget
	edits map[string][]Edit
	files []File
	done  map[string]bool // names of what was edited or added
}

// archive copies one package; where is as in reader.archive. Headers, order,
// padding and the gzip header are kept.
func (s *sealer) archive(src *source, where string) ([]byte, error) {
	m, err := openMember(src, s.b, s.o.tolerance())
	if err != nil {
		return nil, err
	}
	w, err := newMemberWriter(m.header)
	if err != nil {
		return nil, err
	}
	t := newTarReader(m, s.b, s.o.tolerance())
	root := ""
	for {
		h, err := t.next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return nil, err
		}
		root, _, _ = strings.Cut(h.name, "/")
		if err := s.file(w, t, h, where); err != nil {
			return nil, err
		}
	}
	if err := s.add(w, root, where); err != nil {
		return nil, err
	}
	if _, err := io.CopyN(w, zeros{}, t.tail); err != nil {
		return nil, err
	}
	return w.close()
}

// add writes the files that belong into this package: also the values of a
// chart that has none.
func (s *sealer) add(w io.Writer, root, where string) error {
	if name := where + "values.yaml"; len(s.edits[name]) > 0 && !s.done[name] {
		s.done[name] = true
		data, _, err := applied(name, nil, s.edits[name])
		if err != nil {
			return err
		}
		if err := writeFile(w, root+"/values.yaml", data); err != nil {
			return err
		}
	}
	for _, f := range s.files {
		name, ok := strings.CutPrefix(f.Name, where)
		if !ok || strings.Contains(name, "!") {
			continue
		}
		s.done[f.Name] = true
		if err := writeFile(w, root+"/"+name, f.Data); err != nil {
			return err
		}
	}
	return nil
}

// addedAt is the date of a file that sealing adds.
var addedAt = time.Date(1980, 1, 1, 0, 0, 0, 0, time.UTC)

func writeFile(w io.Writer, name string, data []byte) error {
	t := tar.NewWriter(w)
	if err := t.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: name, Mode: 0o644, Size: int64(len(data)), ModTime: addedAt}); err != nil {
		return fmt.Errorf("%w: add %s: %w", ErrNoSite, quote(name), err)
	}
	if _, err := t.Write(data); err != nil {
		return err
	}
	return t.Flush()
}

func (s *sealer) file(w io.Writer, t *tarReader, h *header, where string) error {
	_, rel, _ := strings.Cut(h.name, "/")
	name := where + rel
	if slices.ContainsFunc(s.files, func(f File) bool { return strings.EqualFold(f.Name, name) }) {
		return fmt.Errorf("%w: the package has a file %s of its own", ErrNoSite, quote(name))
	}
	edits, inside := s.edits[name], path.Ext(name) == ".tgz" && s.inside(name+"!")
	if h.dir || len(edits) == 0 && !inside {
		if _, err := w.Write(h.raw); err != nil {
			return err
		}
		if err := s.b.copy(w, t); err != nil {
			return err
		}
		if err := t.skip(); err != nil {
			return err
		}
		_, err := w.Write(t.padding)
		return err
	}
	if h.link {
		return fmt.Errorf("%w: %s is a link", ErrNoSite, name)
	}
	if s.done[name] {
		return fmt.Errorf("%w: %s is there twice", ErrNoSite, name)
	}
	if _, ok := h.pax["size"]; ok {
		return fmt.Errorf("%w: %s has its size in an extended header", ErrNoSite, name)
	}
	var data []byte
	var err error
	if inside {
		data, err = s.archive(&source{more: t.chunk}, name+"!")
	} else {
		s.done[name] = true
		data, err = applyEdits(name, t, edits)
	}
	if err != nil {
		return err
	}
	setSize(h.raw[len(h.raw)-block:], int64(len(data)))
	if _, err := w.Write(h.raw); err != nil {
		return err
	}
	if _, err := w.Write(data); err != nil {
		return err
	}
	_, err = io.CopyN(w, zeros{}, -int64(len(data))&(block-1))
	return err
}

func (s *sealer) inside(prefix string) bool {
	for file := range s.edits {
		if strings.HasPrefix(file, prefix) {
			return true
		}
	}
	return slices.ContainsFunc(s.files, func(f File) bool { return strings.HasPrefix(f.Name, prefix) })
}

func applyEdits(file string, t *tarReader, edits []Edit) ([]byte, error) {
	data, err := t.rest()
	if err != nil {
		return nil, err
	}
	data, _, err = applied(file, data, edits)
	return data, err
}

// applied makes the edits of one file: what is there first, then what is added,
// in the order of its path, so that the result tells the edits.
func applied(file string, data []byte, edits []Edit) ([]byte, []Splice, error) {
	var splices []Splice
	var missing []Edit
	for _, e := range edits {
		next, sp, err := yamledit.Set(data, e.Path, e.Value)
		switch {
		case errors.Is(err, yamledit.ErrMissing):
			missing = append(missing, e)
			continue
		case err != nil:
			return nil, nil, fmt.Errorf("%w: %s: %w", ErrNoSite, file, err)
		}
		data, splices = next, append(splices, Splice{file, strings.Join(e.Path, "."), sp.From, sp.To})
	}
	slices.SortFunc(missing, func(a, b Edit) int { return slices.Compare(a.Path, b.Path) })
	for _, e := range missing {
		next, sp, err := yamledit.Add(data, e.Path, e.Value)
		if err != nil {
			return nil, nil, fmt.Errorf("%w: %s: %w", ErrNoSite, file, err)
		}
		data, splices = next, append(splices, Splice{file, strings.Join(e.Path, "."), sp.From, sp.To})
	}
	return data, splices, nil
}

// setSize writes a header block's size and checksum, and nothing else.
func setSize(rec []byte, size int64) {
	copy(rec[124:136], fmt.Sprintf("%011o\x00", size))
	sum(rec)
}

// sum writes a header block's checksum.
func sum(rec []byte) {
	copy(rec[148:156], "        ")
	n := 0
	for _, c := range rec {
		n += int(c)
	}
	copy(rec[148:156], fmt.Sprintf("%06o\x00 ", n))
}
