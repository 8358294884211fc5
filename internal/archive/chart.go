package archive

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"hash/maphash"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"

	"chartd.dev/chartd/internal/ref"
)

const bom = "\ufeff"

// chart is one chart of a package: the top one, a directory below charts/, or
// a package there.
type chart struct {
	where        string // what to write before its files' names
	top          bool
	files        []fileSum
	subs         map[string]*chart // by name in charts/
	values       map[string]*imageMap
	kept         map[string][]byte // only of the top chart
	chartYAML    []byte
	requirements []byte
	lock         *[sha256.Size]byte // of the lock file in canonical form
	meta         *metadata
	appVersion   string            // as written
	twice        map[*chart]string // why it is left to chance which subchart is rendered
}

type fileSum struct {
	name string
	sum  [sha256.Size]byte
}

func newChart(where string, top bool) *chart {
	return &chart{where: where, top: top, subs: map[string]*chart{}, kept: map[string][]byte{}}
}

func (c *chart) sub(name string) *chart {
	if c.subs[name] == nil {
		c.subs[name] = newChart(c.where+"charts/"+name+"/", false)
	}
	return c.subs[name]
}

func (c *chart) subNames() []string { return slices.Sorted(maps.Keys(c.subs)) }

// use is a subchart under the key that its values have.
type use struct {
	key   string
	chart *chart
}

// uses lists the packed subcharts by the keys of their values: once for each
// dependency that names it, by its alias or name, else by its own name.
func (c *chart) uses() []use {
	var out []use
	for _, name := range c.subNames() {
		s, named := c.subs[name], false
		for _, d := range c.meta.Dependencies {
			if d.Name == s.meta.Name {
				out, named = append(out, use{d.key(), s}), true
			}
		}
		if !named {
			out = append(out, use{s.meta.Name, s})
		}
	}
	return out
}

// subKeys are the keys of the values that belong to subcharts.
func (c *chart) subKeys() map[string]bool {
	keys := map[string]bool{}
	for _, d := range c.meta.Dependencies {
		keys[d.key()] = true
	}
	for _, u := range c.uses() {
		keys[u.key] = true
	}
	return keys
}

// hash notes a file's content.
func (c *chart) hash(name string, t *tarReader) error {
	if p, ok := t.whole(); ok {
		c.note(name, p)
		return nil
	}
	h := newFileHash()
	for {
		p, err := t.chunk()
		if err == io.EOF {
			break
		}
		if err != nil {
			return err
		}
		h.Write(p)
	}
	c.files = append(c.files, fileSum{name, h.sum()})
	return nil
}

// once drops the file that was noted last, which is there for the second time:
// its content has to be the same, since readers take either.
func (c *chart) once() error {
	last := len(c.files) - 1
	for _, f := range c.files[:last] {
		if f.name == c.files[last].name && f.sum != c.files[last].sum {
			return refused("tar-duplicate", "%s is there twice, with other content", quote(c.where+f.name))
		}
	}
	c.files = c.files[:last]
	return nil
}

// note is hash for a file that is in memory.
func (c *chart) note(name string, data []byte) (sum [sha256.Size]byte) {
	sum = sha256.Sum256(bytes.TrimPrefix(data, []byte(bom)))
	c.files = append(c.files, fileSum{name, sum})
	return sum
}

// content is the digest of what a chart holds, the same after a repack and
// after Helm's own re-save: that drops a byte order mark at the start of each
// file, writes Chart.yaml and Chart.lock anew, moves the dependencies of a v2
// chart from requirements.yaml into Chart.yaml, and turns packages in charts/
// into directories.
func (c *chart) content() (ref.Digest, error) {
	meta, err := c.meta.canonical()
	if err != nil {
		return ref.Digest{}, fmt.Errorf("digest content of %s: %w", c.meta.Name, err)
	}
	v1 := c.meta.APIVersion == "v1"
	lines := make([]string, 0, len(c.files)+len(c.subs)+2)
	lines = append(lines, fmt.Sprintf("metadata %x", sha256.Sum256(meta)))
	if c.lock != nil && !v1 {
		lines = append(lines, "lock "+hex.EncodeToString(c.lock[:]))
	}
	for _, f := range c.files {
		switch f.name {
		case "Chart.yaml", "Chart.lock":
			continue
		case "requirements.yaml", "requirements.lock":
			if !v1 {
				continue
			}
		}
		var own [256]byte
		line := strconv.AppendQuote(append(own[:0], "file "...), f.name)
		lines = append(lines, string(hex.AppendEncode(append(line, ' '), f.sum[:])))
	}
	for _, name := range c.subNames() {
		s := c.subs[name]
		d, err := s.content()
		if err != nil {
			return ref.Digest{}, err
		}
		lines = append(lines, fmt.Sprintf("chart %q %q %s", s.meta.Name, s.meta.Version, d.Hex()))
	}
	slices.Sort(lines)
	return ref.DigestOf([]byte("chartd content 1\n" + strings.Join(lines, "\n") + "\n")), nil
}

// fileHash hashes a file without a byte order mark at its start.
type fileHash struct {
	h    hash.Hash
	head []byte
	past bool
}

func newFileHash() *fileHash { return &fileHash{h: sha256.New()} }

func (f *fileHash) Write(p []byte) (int, error) {
	n := len(p)
	if !f.past {
		few := min(n, len(bom)-len(f.head))
		f.head, p = append(f.head, p[:few]...), p[few:]
		if len(f.head) == len(bom) {
			f.flush()
		}
	}
	f.h.Write(p) // a hash takes everything
	return n, nil
}

func (f *fileHash) flush() {
	f.h.Write(bytes.TrimPrefix(f.head, []byte(bom)))
	f.head, f.past = nil, true
}

func (f *fileHash) sum() (out [sha256.Size]byte) {
	if !f.past {
		f.flush()
	}
	f.h.Sum(out[:0])
	return out
}

// walk checks the names of one archive against each other. It keeps hashes,
// so that ten thousand long names cost little.
type walk struct {
	tol   tolerance
	root  string
	seen  map[uint64]uint64 // folded path → path with its kind
	files bool
	above string // directory whose way from the top was claimed last
	twice bool   // the file has been there before
}

var seed = maphash.MakeSeed()

// add takes in a header and returns its path below the top directory.
func (w *walk) add(h *header) (string, error) {
	w.twice = false
	root, rel, ok := strings.Cut(h.name, "/")
	if !ok && !h.dir {
		return "", refused("tar-root", "%s is in no directory; want everything in one that is called like the chart", quote(h.name))
	}
	if w.root == "" {
		w.root = root
	}
	if root != w.root {
		return "", refused("tar-root", "two top directories, %s and %s", quote(w.root), quote(root))
	}
	folded := fold(h.name)
	above := h.name[:strings.LastIndexByte(h.name, '/')+1]
	for i, j := 0, 0; above != w.above; i, j = i+1, j+1 {
		// The same slash in both: folding keeps the number of elements.
		a, b := strings.IndexByte(h.name[i:], '/'), strings.IndexByte(folded[j:], '/')
		if a < 0 {
			break
		}
		i, j = i+a, j+b
		if err := w.claim(folded[:j], h.name[:i], true, false); err != nil {
			return "", err
		}
	}
	w.above = above
	w.files = w.files || !h.dir
	return rel, w.claim(folded, h.name, h.dir, true)
}

// claim notes one path; named if it has a header of its own.
func (w *walk) claim(folded, name string, dir, named bool) error {
	const kindBits = 3
	id := maphash.String(seed, name) &^ kindBits
	state := id
	if !dir {
		state |= 1
	}
	key := maphash.String(seed, folded)
	old, ok := w.seen[key]
	if ok && old&^kindBits != id {
		if err := w.tol(refused("tar-case", "%s differs from another name only in case", quote(name))); err != nil {
			return err
		}
		key = maphash.String(seed, name+"\x00") // of its own
		old, ok = w.seen[key]
	}
	switch {
	case !ok:
	case (old&1 == 1) != !dir:
		return refused("tar-conflict", "%s is a file and a directory", quote(name))
	case named && (old&2 == 2 || !dir):
		w.twice = !dir
		return w.tol(refused("tar-duplicate", "%s is there twice", quote(name)))
	default:
		state = old
	}
	if named {
		state |= 2
	}
	w.seen[key] = state
	return nil
}
