package archive

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"
	"maps"
	"path"
	"slices"
	"strings"

	"chartd.dev/chartd/internal/ref"
	"chartd.dev/chartd/internal/yamledit"
	"github.com/klauspost/compress/flate"
)

// level of compression of what we write. Changing it, or the compressor,
// changes the digest of every package sealed after that.
const level = 6

// edit is one scalar to write.
type edit struct {
	path  []string
	value string
}

// Seal splices the images into the values files that name them: the tag as
// "TAG@sha256:…", or the digest where the values have a key for it, and the
// repository where its canonical name differs. Nothing else changes, and the
// same input gives the same bytes. ErrNoSite says for which role the values
// hold no scalar that can be written.
func Seal(data []byte, want map[ref.Role]SealImage, o Options) ([]byte, []Splice, error) {
	o.Limits = o.Limits.orDefault()
	p, _, err := read(data, o, nil)
	if err != nil {
		return nil, nil, err
	}
	edits := map[string][]edit{}
	for _, role := range slices.Sorted(maps.Keys(want)) {
		i := slices.IndexFunc(p.Images, func(i Image) bool { return i.Role == role })
		if i < 0 {
			return nil, nil, fmt.Errorf("seal %s: %w: the values name no image of role %q", p.Chart, ErrNoSite, role)
		}
		if err := p.Images[i].edits(want[role], edits); err != nil {
			return nil, nil, fmt.Errorf("seal %s: role %q: %w", p.Chart, role, err)
		}
	}
	s := &sealer{o: o, b: &budget{l: o.Limits, packed: int64(len(data))}, edits: edits}
	sealed, err := s.archive(&source{buf: data}, "")
	if err != nil {
		return nil, nil, fmt.Errorf("seal %s: %w", p.Chart, err)
	}
	proof, err := CompareSeal(data, sealed, o)
	return sealed, proof, err
}

// edits adds what sealing the image takes, by values file.
func (i *Image) edits(want SealImage, edits map[string][]edit) error {
	if want.Repository.IsZero() || want.Digest.IsZero() {
		return fmt.Errorf("%w: the image has no repository or no digest", ErrRefused)
	}
	add := func(key, value string) error {
		at, ok := i.site.keys[key]
		if !ok {
			return fmt.Errorf("%w: %s in %s has no scalar %q", ErrNoSite, i.Path, i.File, key)
		}
		if at.value != value {
			edits[at.file] = append(edits[at.file], edit{at.path, value})
		}
		return nil
	}
	tag := want.Tag
	if tag == "" {
		tag = i.Tag
	}
	if err := i.repositoryEdits(want.Repository, add); err != nil {
		return err
	}
	if _, ok := i.site.keys["digest"]; !ok {
		if tag == "" {
			return fmt.Errorf("%w: %s in %s has neither a tag nor a digest key", ErrNoSite, i.Path, i.File)
		}
		return add("tag", tag+"@"+want.Digest.String())
	}
	if err := add("digest", want.Digest.String()); err != nil {
		return err
	}
	if tag == i.Tag && !strings.Contains(i.site.keys["tag"].value, "@") {
		return nil
	}
	return add("tag", tag)
}

func (i *Image) repositoryEdits(want ref.Repository, add func(key, value string) error) error {
	if i.Repository == want.String() {
		return nil
	}
	key := "repository"
	if i.site.keys[key].value == "" {
		key = "name"
	}
	if i.site.keys["registry"].value == "" {
		return add(key, want.String())
	}
	if err := add("registry", want.Host()); err != nil {
		return err
	}
	return add(key, want.Path())
}

// sealer writes a package anew with some values files edited.
type sealer struct {
	o     Options
	b     *budget
	edits map[string][]edit
}

// archive copies one package; where is as in reader.archive. Headers, order,
// padding and the gzip header are kept.
func (s *sealer) archive(src *source, where string) ([]byte, error) {
	m, err := openMember(src, s.b)
	if err != nil {
		return nil, err
	}
	w, err := newMemberWriter(m.header)
	if err != nil {
		return nil, err
	}
	t := newTarReader(m, s.b, s.o.Lenient)
	for {
		h, err := t.next()
		if err == io.EOF {
			break
		}
		if err != nil {
			return nil, err
		}
		if err := s.file(w, t, h, where); err != nil {
			return nil, err
		}
	}
	if _, err := io.CopyN(w, zeros{}, t.tail); err != nil {
		return nil, err
	}
	return w.close()
}

func (s *sealer) file(w io.Writer, t *tarReader, h *header, where string) error {
	_, rel, _ := strings.Cut(h.name, "/")
	name := where + rel
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
	if _, ok := h.pax["size"]; ok {
		return fmt.Errorf("%w: %s has its size in an extended header", ErrNoSite, name)
	}
	var data []byte
	var err error
	if inside {
		data, err = s.archive(&source{more: t.chunk}, name+"!")
	} else {
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
	return false
}

func applyEdits(file string, t *tarReader, edits []edit) ([]byte, error) {
	data, err := t.rest()
	if err != nil {
		return nil, err
	}
	for _, e := range edits {
		if data, _, err = yamledit.Set(data, e.path, e.value); err != nil {
			return nil, fmt.Errorf("%w: %s: %w", ErrNoSite, file, err)
		}
	}
	return data, nil
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

// zeros reads as zeros.
type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}

// memberWriter writes one gzip member with a given header.
type memberWriter struct {
	out  bytes.Buffer
	z    *flate.Writer
	crc  uint32
	size uint32
}

func newMemberWriter(header []byte) (*memberWriter, error) {
	w := &memberWriter{}
	w.out.Write(header)
	var err error
	w.z, err = flate.NewWriter(&w.out, level)
	return w, err
}

func (w *memberWriter) Write(p []byte) (int, error) {
	w.crc = crc32.Update(w.crc, crc32.IEEETable, p)
	w.size += uint32(len(p))
	return w.z.Write(p)
}

func (w *memberWriter) close() ([]byte, error) {
	if err := w.z.Close(); err != nil {
		return nil, err
	}
	t := binary.LittleEndian.AppendUint32(nil, w.crc)
	w.out.Write(binary.LittleEndian.AppendUint32(t, w.size))
	return w.out.Bytes(), nil
}
