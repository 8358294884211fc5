package verify

import (
	"errors"
	"fmt"
	"os"
	"path"
	"slices"

	"chartd.dev/chartd/internal/archive"
	"chartd.dev/chartd/internal/deploy/site"
	"chartd.dev/chartd/internal/yamledit"
)

// unpacked compares a chart that lies in charts/ as files: its version, then
// all of it with what was published, or the images in its values where nobody
// was asked what that is.
func (v *verification) unpacked(s subject, dir, name string) {
	want := s.entry.Chart
	file := path.Join(name, "Chart.yaml")
	f := Finding{Kind: DriftPacked, Place: Place{File: file}, Want: want.Name + " " + want.Version, Mend: unpack(dir, name)}
	version, line, err := v.chartVersion(file)
	switch {
	case err != nil:
		f.Found, f.Message = "unreadable", fmt.Sprintf("the unpacked chart cannot be checked: %v", err)
		v.add(s, f)
		return
	case version != want.Version:
		f.Line, f.Found, f.Want = line, version, want.Version
		f.Message = fmt.Sprintf("the unpacked chart is %s %s, locked is %s", want.Name, version, want.Version)
		v.add(s, f)
		return
	}
	p, err := v.readUnpacked(name)
	known, online := v.o.Charts[want.Name+"@"+want.Version]
	switch {
	case err != nil:
		f.Found, f.Message = "unreadable", fmt.Sprintf("the unpacked chart cannot be checked: %v", err)
		v.add(s, f)
	case online && p.Content == known.Content:
	case online:
		f.File, f.Found, f.Want = name, p.Content.String(), known.Content.String()
		f.Message = fmt.Sprintf("the unpacked chart calls itself %s %s, and its files are not those that were published: Helm would deploy them", want.Name, want.Version)
		v.add(s, f)
	default:
		v.unpackedImages(s, dir, name, p)
		v.note(s, "%s is an unpacked chart: its version and the images in its values were checked; whether its files are those that were published is told without --offline", name)
	}
}

// unpack is the command that fetches a chart anew in place of a directory.
func unpack(dir, name string) string { return fmt.Sprintf("remove %s, then: %s", name, redo(dir)) }

// readUnpacked reads a chart in charts/ once.
func (v *verification) readUnpacked(name string) (*archive.Package, error) {
	read, ok := v.unpackeds[name]
	if !ok {
		read.pkg, read.err = readDir(v.repo.Root().Dir(), name)
		v.unpackeds[name] = read
	}
	return read.pkg, read.err
}

type unpackedChart struct {
	pkg *archive.Package
	err error
}

func readDir(top, name string) (*archive.Package, error) {
	root, err := os.OpenRoot(top)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	dir, err := root.OpenRoot(name)
	if err != nil {
		return nil, err
	}
	defer dir.Close()
	return archive.ReadDir(dir, archive.Options{Lenient: true})
}

// unpackedImages compares the images in the chart's own values with the lock:
// they are the bases, or the locked ones themselves.
func (v *verification) unpackedImages(s subject, dir, name string, p *archive.Package) {
	for _, is := range s.entry.Images {
		own := s.base(is.Role)
		f := Finding{Kind: DriftPacked, Place: Place{File: path.Join(name, "values.yaml")}, Want: own.String(), Mend: unpack(dir, name)}
		i := slices.IndexFunc(p.Images, func(i archive.Image) bool { return i.Role == is.Role })
		if i < 0 {
			f.Found = "nothing"
			f.Message = fmt.Sprintf("the values of the unpacked chart name no %s image, locked is %s", is.Role, own)
			v.add(s, f)
			continue
		}
		locked := s.image(is.Role)
		if have := p.Images[i]; !isImage(have, own) && !isImage(have, locked) {
			f.Found = have.Repository + ":" + have.Tag
			if have.Digest != "" {
				f.Found += "@" + have.Digest
			}
			f.Message = fmt.Sprintf("the %s image in the unpacked chart is %s, locked for its version is %s", is.Role, shortened(f.Found), own)
			v.add(s, f)
		}
	}
}

// isImage compares as far as the chart says it: its values may name no digest.
func isImage(i archive.Image, n site.Named) bool {
	return i.Repository == n.Repository.String() && (i.Tag == n.Tag || n.Tag == "") && (i.Digest == "" || i.Digest == n.Digest.String())
}

// chartVersion reads the version of a chart that lies in files.
func (v *verification) chartVersion(file string) (string, int, error) {
	b, err := v.files.Bytes(file)
	if err != nil {
		var at *site.Error
		if errors.As(err, &at) {
			return "", 0, errors.New(at.Text)
		}
		return "", 0, err
	}
	s, err := yamledit.Find(b, "version")
	return s.Value, s.Line, err
}
