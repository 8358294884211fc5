package archive

import (
	"archive/tar"
	"fmt"
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
// (SOURCE_DATE_EPOCH if set, else 1980-01-01), .helmignore honoured. Symbolic
// links are followed as helm package does it, also out of the directory: those
// are in the package's Links. What it returns passed Read.
func Pack(dir string, o Options) ([]byte, *Package, error) {
	o.Limits = o.Limits.orDefault()
	d := &directory{FS: os.DirFS(dir), path: dir, o: o}
	data, err := d.pack(true)
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
	p.Links = d.links
	return data, p, nil
}

// ReadDir reads a chart that was unpacked into a directory, and nothing outside
// of it. Every file in it counts: Helm reads no .helmignore of a chart that lies
// in another's charts/.
func ReadDir(root *os.Root, o Options) (*Package, error) {
	o.Limits = o.Limits.orDefault()
	d := &directory{FS: root.FS(), path: root.Name(), o: o}
	data, err := d.pack(false)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", root.Name(), err)
	}
	return Read(data, o)
}

func (d *directory) pack(ignore bool) ([]byte, error) {
	date, err := packDate()
	if err != nil {
		return nil, err
	}
	chartYAML, err := fs.ReadFile(d.FS, "Chart.yaml")
	if err != nil {
		return nil, refused("chart-yaml", "%s has no readable Chart.yaml: %s", d.path, err)
	}
	m, err := readMetadata("Chart.yaml", chartYAML, nil)
	if err != nil {
		return nil, err
	}
	if ignore {
		if err := d.readIgnore(); err != nil {
			return nil, err
		}
	}
	if err := d.list(".", 0); err != nil {
		return nil, err
	}
	slices.Sort(d.names)
	z, err := newMemberWriter(plainGzip)
	if err != nil {
		return nil, err
	}
	w := tar.NewWriter(z)
	total := int64(0)
	for _, name := range append([]string{"Chart.yaml"}, d.names...) {
		h := &tar.Header{Typeflag: tar.TypeReg, Name: m.Name + "/" + name, Mode: 0o644, ModTime: date}
		if err := d.add(w, name, h); err != nil {
			return nil, err
		}
		if total += h.Size; total > d.o.Limits.Unpacked {
			return nil, tooLarge("unpacked", "the directory has more than %d bytes", d.o.Limits.Unpacked)
		}
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return z.close()
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
