package imports

import (
	"context"
	"errors"
	"io/fs"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"chartd.dev/chartd/internal/api"
)

// source is a repository as it was found: its packages, and its index entries.
type source struct {
	name     string
	packages []candidate
	entries  []*entry
	indexed  bool // there is an index
	findings []Finding
	dir      *os.Root // a directory that was opened; nil for an URL
}

func (s *source) close() {
	if s.dir != nil {
		_ = s.dir.Close()
	}
}

// candidate is something that should be a package.
type candidate struct {
	file  string // as shown: path in the directory, or URL
	entry *entry // the index entry that names it; nil if none does
	read  func(ctx context.Context) ([]byte, error)
	prov  func(ctx context.Context) ([]byte, error) // errNone where there is no provenance file
	// fetched: reading costs a transfer, so what is read once is kept on disk.
	fetched bool
}

var errNone = errors.New("no such file")

// open finds out what the location is.
func open(ctx context.Context, o Options) (*source, error) {
	if u, ok := parseURL(o.Location); ok {
		return openURL(ctx, o, u)
	}
	info, err := os.Stat(o.Location)
	if err != nil {
		return nil, fail(api.CodeLocalIO, "import: %v", err)
	}
	if !info.IsDir() {
		return nil, fail(api.CodeUsage, "import %q: want a directory of packages or the URL of a repository", o.Location)
	}
	return openDir(ctx, o)
}

func parseURL(s string) (*url.URL, bool) {
	u, err := url.Parse(s)
	return u, err == nil && (u.Scheme == "http" || u.Scheme == "https") && u.Host != ""
}

// indexNames are tried in this order; the second is ChartMuseum's cache.
var indexNames = []string{"index.yaml", "index-cache.yaml"}

func openDir(ctx context.Context, o Options) (_ *source, err error) {
	s := &source{name: o.Location}
	if s.dir, err = os.OpenRoot(o.Location); err != nil {
		return nil, fail(api.CodeLocalIO, "import: %v", err)
	}
	defer func() {
		if err != nil {
			s.close()
		}
	}()
	if err := s.readIndex(ctx, o); err != nil {
		return nil, err
	}
	files, err := packages(s.dir)
	if err != nil {
		return nil, fail(api.CodeLocalIO, "import %q: %v", o.Location, err)
	}
	byFile := map[string][]*entry{}
	for _, e := range s.entries {
		byFile[e.file()] = append(byFile[e.file()], e)
	}
	for _, rel := range files {
		c := localCandidate(s.dir, o.Limits.Packed, rel)
		for _, e := range byFile[filepath.Base(rel)] {
			if c.entry == nil {
				c.entry = e
			} else if e.String() == c.entry.String() {
				s.find(Finding{Kind: Duplicate, Chart: e.String(), File: rel, Message: "the index lists this version twice"})
			}
			e.used = true
		}
		if c.entry == nil && s.indexed {
			s.find(Finding{Kind: NotInIndex, File: rel, Message: "the index does not name this file"})
		}
		s.packages = append(s.packages, c)
	}
	s.absent(o)
	return s, nil
}

// absent deals with the entries whose package is not in the directory: they
// are fetched from where the index says if that was asked for, else reported.
func (s *source) absent(o Options) {
	f := newFetcher(o, nil)
	for _, e := range s.entries {
		if e.used {
			continue
		}
		if o.Fetch && len(e.URLs) > 0 {
			if u, ok := parseURL(e.URLs[0]); ok {
				s.packages = append(s.packages, f.candidate(u, e))
				continue
			}
		}
		s.find(Finding{Kind: NoFile, Chart: e.String(), File: e.file(), Message: "the index names a file that is not there"})
	}
}

// empty refuses a repository without packages: somebody has named another
// directory than they meant, and "0 imported" would look like success.
func (s *source) empty() error {
	switch {
	case len(s.packages) > 0:
		return nil
	case len(s.entries) > 0:
		return fail(api.CodeInvalid, "import %q: no package is there, of the %d that its index names; --fetch fetches those that have a URL", s.name, len(s.entries))
	}
	return fail(api.CodeInvalid, "import %q: no package (.tgz) is there: name a directory or a repository that holds some", s.name)
}

func (s *source) find(f Finding) { s.findings = append(s.findings, f) }

// readIndex reads the index that was given, or the one in the directory.
func (s *source) readIndex(ctx context.Context, o Options) error {
	var b []byte
	where := o.Index
	if u, ok := parseURL(o.Index); ok {
		got, err := newFetcher(o, u).get(ctx, u, maxIndex)
		if err != nil {
			return err
		}
		b, where = got, u.Redacted()
	} else if o.Index != "" {
		got, err := readFile(anywhere{}, o.Index, maxIndex)
		if err != nil {
			return fail(api.CodeLocalIO, "read index: %v", err)
		}
		b = got
	} else {
		for _, name := range indexNames {
			where = filepath.Join(o.Location, name)
			got, err := readFile(within{s.dir}, name, maxIndex)
			if errors.Is(err, fs.ErrNotExist) {
				continue
			}
			if err != nil {
				return fail(api.CodeLocalIO, "read index: %v", err)
			}
			b = got
			break
		}
		if b == nil {
			return nil
		}
	}
	entries, err := parseIndex(where, b)
	if err != nil {
		return err
	}
	s.entries, s.indexed = entries, true
	return nil
}

// packages lists the packages below dir, in order of path. Hidden directories
// and those of chart sources, whose packages are dependencies, are left out.
func packages(dir *os.Root) ([]string, error) {
	var out []string
	err := fs.WalkDir(dir.FS(), ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() {
			if name != "." && strings.HasPrefix(d.Name(), ".") {
				return fs.SkipDir
			}
			if _, err := dir.Lstat(filepath.FromSlash(path.Join(name, "Chart.yaml"))); err == nil && name != "." {
				return fs.SkipDir
			}
			return nil
		}
		if path.Ext(name) == ".tgz" {
			out = append(out, filepath.FromSlash(name))
		}
		return nil
	})
	slices.Sort(out)
	return out, err
}

func localCandidate(dir *os.Root, most int64, rel string) candidate {
	return candidate{
		file: rel,
		read: func(context.Context) ([]byte, error) { return readFile(within{dir}, rel, most) },
		prov: func(context.Context) ([]byte, error) {
			b, err := readFile(within{dir}, rel+".prov", maxProv)
			if errors.Is(err, fs.ErrNotExist) {
				return nil, errNone
			}
			return b, err
		},
	}
}

const maxProv = 1 << 20

var errTooLarge = errors.New("file is too large")
