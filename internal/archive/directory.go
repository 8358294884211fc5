package archive

import (
	"archive/tar"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"path/filepath"
	"strings"
)

// directory is a chart directory on its way into a package.
type directory struct {
	fs.FS
	path  string // for what is said of it
	o     Options
	rules ignoreRules
	names []string // of what goes in, Chart.yaml left out
	seen  int      // what was looked at: links make few files many
	links []string // remarks on links out of the directory
}

// list lists what goes into the package below a directory. A symbolic link counts
// as what it leads to, as far as the file system follows it.
func (d *directory) list(dir string, depth int) error {
	if depth > d.o.Limits.Depth || d.seen > d.o.Limits.Entries {
		return refused("tar-path", "%s: more than %d directories deep, or more than %d files: does a link lead to a directory above it?", quote(dir), d.o.Limits.Depth, d.o.Limits.Entries)
	}
	entries, err := fs.ReadDir(d.FS, dir)
	if err != nil {
		return err
	}
	d.seen += len(entries)
	for _, e := range entries {
		if err := d.entry(path.Join(dir, e.Name()), e, depth); err != nil {
			return err
		}
	}
	return nil
}

func (d *directory) entry(name string, e fs.DirEntry, depth int) error {
	mode, link := e.Type(), e.Type()&fs.ModeSymlink != 0
	if link {
		info, err := fs.Stat(d.FS, name)
		if err != nil {
			return refused("tar-type", "the link %s leads nowhere: %s", quote(name), err)
		}
		mode = info.Mode()
	}
	if rule := d.rules.match(name, mode.IsDir()); rule != nil {
		if name == "Chart.yaml" {
			return refused("helmignore", ".helmignore line %d: %q leaves Chart.yaml out, and helm package finds no chart then%s", rule.line, rule.text, rule.hint())
		}
		return nil
	}
	if link {
		d.noteLink(name)
	}
	switch {
	case mode.IsDir():
		return d.list(name, depth+1)
	case !mode.IsRegular(): // found before it is opened: a pipe blocks
		return refused("tar-type", "%s is not a regular file", quote(name))
	case name != "Chart.yaml":
		d.names = append(d.names, name)
	}
	return nil
}

// noteLink remarks on a link that leads out of the chart.
func (d *directory) noteLink(name string) {
	target, err := fs.ReadLink(d.FS, name)
	if err != nil {
		return
	}
	top, err := filepath.EvalSymlinks(d.path)
	if err != nil {
		return
	}
	to, err := filepath.EvalSymlinks(filepath.Join(d.path, name))
	if err != nil || strings.HasPrefix(to, top+string(filepath.Separator)) {
		return
	}
	d.links = append(d.links, fmt.Sprintf("%s is a link out of the chart, to %s: what is there was packed", quote(name), quote(target)))
}

// add writes one file.
func (d *directory) add(w *tar.Writer, name string, h *tar.Header) error {
	info, err := fs.Stat(d.FS, name)
	if err != nil {
		return err
	}
	f, err := d.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	if h.Size = info.Size(); h.Size > d.o.Limits.File {
		return tooLarge("file-size", "%s has %d bytes, at most %d", quote(name), h.Size, d.o.Limits.File)
	}
	if err := w.WriteHeader(h); err != nil {
		return err
	}
	if _, err := io.CopyN(w, f, h.Size); err != nil {
		return fmt.Errorf("%s changed while it was read: %w", name, err)
	}
	return nil
}

func (d *directory) readIgnore() error {
	text, err := fs.ReadFile(d.FS, ".helmignore")
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if d.rules, err = parseIgnore(text); err != nil {
		return refused("helmignore", ".helmignore %s", err)
	}
	return nil
}
