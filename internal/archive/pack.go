package archive

import (
	"archive/tar"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strconv"
	"time"
)

// plainGzip is a gzip header without a name or a date.
var plainGzip = []byte{0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255}

// Pack packs a chart directory so that the same tree gives the same bytes:
// Chart.yaml first, then by name, one mode and one date for every file
// (SOURCE_DATE_EPOCH if set, else 1980-01-01), .helmignore honoured. What it
// returns passed Read.
func Pack(dir string, o Options) ([]byte, *Package, error) {
	o.Limits = o.Limits.orDefault()
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, nil, fmt.Errorf("pack %s: %w", dir, err)
	}
	defer root.Close()
	data, err := pack(root, o, true)
	if err != nil {
		return nil, nil, fmt.Errorf("pack %s: %w", dir, err)
	}
	p, top, err := read(data, o, nil)
	if err != nil {
		return nil, nil, fmt.Errorf("pack %s: %w", dir, err)
	}
	for _, d := range top.meta.Dependencies {
		packed := func(name string) bool { return top.subs[name].meta.Name == d.Name }
		if !slices.ContainsFunc(top.subNames(), packed) {
			return nil, nil, fmt.Errorf("pack %s: %w", dir,
				refused("dependencies", "%s is not in charts/; run helm dependency build", quote(d.Name)))
		}
	}
	return data, p, nil
}

// ReadDir reads a chart that was unpacked into a directory. Every file in it
// counts: Helm reads no .helmignore of a chart that lies in another's charts/.
func ReadDir(root *os.Root, o Options) (*Package, error) {
	o.Limits = o.Limits.orDefault()
	data, err := pack(root, o, false)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", root.Name(), err)
	}
	return Read(data, o)
}

func pack(root *os.Root, o Options, ignore bool) ([]byte, error) {
	date, err := packDate()
	if err != nil {
		return nil, err
	}
	chartYAML, err := root.ReadFile("Chart.yaml")
	if err != nil {
		return nil, refused("chart-yaml", "%s has no readable Chart.yaml: %s", root.Name(), err)
	}
	m, err := readMetadata("Chart.yaml", chartYAML, nil)
	if err != nil {
		return nil, err
	}
	var rules ignoreRules
	if ignore {
		if rules, err = readIgnore(root); err != nil {
			return nil, err
		}
	}
	names, err := listFiles(root, rules)
	if err != nil {
		return nil, err
	}
	z, err := newMemberWriter(plainGzip)
	if err != nil {
		return nil, err
	}
	w := tar.NewWriter(z)
	total := int64(0)
	for _, name := range names {
		h := &tar.Header{Typeflag: tar.TypeReg, Name: m.Name + "/" + name, Mode: 0o644, ModTime: date}
		if err := addFile(w, root, name, h, o.Limits.File); err != nil {
			return nil, err
		}
		if total += h.Size; total > o.Limits.Unpacked {
			return nil, tooLarge("unpacked", "the directory has more than %d bytes", o.Limits.Unpacked)
		}
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return z.close()
}

func addFile(w *tar.Writer, root *os.Root, name string, h *tar.Header, most int64) error {
	info, err := root.Stat(name)
	if err != nil {
		return err
	}
	if !info.Mode().IsRegular() { // before it is opened: a pipe blocks
		return refused("tar-type", "%s is not a regular file", quote(name))
	}
	f, err := root.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	if h.Size = info.Size(); h.Size > most {
		return tooLarge("file-size", "%s has %d bytes, at most %d", quote(name), h.Size, most)
	}
	if err := w.WriteHeader(h); err != nil {
		return err
	}
	if _, err := io.CopyN(w, f, h.Size); err != nil {
		return fmt.Errorf("%s changed while it was read: %w", name, err)
	}
	return nil
}

// listFiles lists what goes into the package, Chart.yaml first. A symbolic
// link to a file inside the directory counts as that file.
func listFiles(root *os.Root, rules ignoreRules) ([]string, error) {
	var names []string
	err := fs.WalkDir(root.FS(), ".", func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil || name == ".":
			return err
		case rules.ignore(name, d.IsDir()):
			if d.IsDir() {
				return fs.SkipDir
			}
			return nil
		case d.IsDir():
			return nil
		case d.Type()&^fs.ModeSymlink != 0:
			return refused("tar-type", "%s is not a regular file", quote(name))
		}
		if name != "Chart.yaml" {
			names = append(names, name)
		}
		return nil
	})
	slices.Sort(names)
	return append([]string{"Chart.yaml"}, names...), err
}

func readIgnore(root *os.Root) (ignoreRules, error) {
	text, err := root.ReadFile(".helmignore")
	if err != nil && !os.IsNotExist(err) {
		return nil, err
	}
	rules, err := parseIgnore(text)
	if err != nil {
		return nil, refused("helmignore", ".helmignore %s", err)
	}
	return rules, nil
}

// packDate is the date of every file.
func packDate() (time.Time, error) {
	s := os.Getenv("SOURCE_DATE_EPOCH")
	if s == "" {
		return time.Date(1980, 1, 1, 0, 0, 0, 0, time.UTC), nil
	}
	secs, err := strconv.ParseInt(s, 10, 34)
	if err != nil || secs < 0 {
		return time.Time{}, fmt.Errorf("%w: SOURCE_DATE_EPOCH is %q; want seconds since 1970", ErrRefused, s)
	}
	return time.Unix(secs, 0).UTC(), nil
}
