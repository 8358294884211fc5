package verify

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"slices"
	"strings"

	"chartd.dev/chartd/internal/api"
	"chartd.dev/chartd/internal/archive"
	"chartd.dev/chartd/internal/deploy/release"
	"chartd.dev/chartd/internal/ref"
	"chartd.dev/chartd/internal/yamledit"
)

// packed compares the packages in charts/ with the locked chart: Helm's own
// lock files hold no digest of them.
func (v *verification) packed(s subject) {
	for _, dir := range s.dirs {
		charts := path.Join(dir, "charts")
		names, err := listDir(v.repo.Root().Dir(), charts)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			v.add(s, Finding{Kind: DriftPacked, Place: Place{File: charts}, Found: "unreadable", Want: s.entry.Chart.Name,
				Message: fmt.Sprintf("cannot be listed: %v", err), Mend: "correct the directory"})
			continue
		}
		var packages, loaded []string
		for _, name := range names {
			at := path.Join(charts, name)
			switch v.holdsChart(s, charts, name) {
			case "package":
				packages, loaded = append(packages, at), append(loaded, at)
			case "directory":
				v.unpacked(s, dir, at)
				loaded = append(loaded, at)
			}
		}
		if len(loaded) > 1 {
			v.add(s, Finding{Kind: DriftPacked, Place: Place{File: charts}, Found: fmt.Sprint(len(loaded)), Want: "1",
				Message: fmt.Sprintf("%d packages of %s lie here (%s), and Helm loads them all", len(loaded), s.entry.Chart.Name, strings.Join(loaded, ", ")),
				Mend:    redo(dir)})
		}
		for _, name := range packages {
			v.pack(s, dir, name)
		}
	}
}

// holdsChart says as what the locked chart lies in charts/ under a name:
// "package", "directory", or "". Helm goes by what is in it, whatever it is
// called, and leaves out names that begin with a dot or an underscore.
func (v *verification) holdsChart(s subject, charts, name string) string {
	chart, at := s.entry.Chart.Name, path.Join(charts, name)
	label, isPackage := strings.CutSuffix(name, ".tgz")
	switch {
	case name[0] == '.' || name[0] == '_':
		return ""
	case name == chart:
		return "directory"
	case isPackage:
		if _, ok := release.LabelVersion(label, chart); ok || v.packageName(s, at) == chart {
			return "package"
		}
		return ""
	}
	b, err := v.files.Bytes(path.Join(at, "Chart.yaml"))
	if err != nil {
		return "" // no chart
	}
	if is, err := yamledit.Find(b, "name"); err == nil && is.Value == chart {
		return "directory"
	}
	return ""
}

// packageName is the name of the chart in a package, "" for what is none. Each
// is read once, however many environments share it.
func (v *verification) packageName(s subject, at string) string {
	name, known := v.packages[at]
	if known {
		return name
	}
	data, err := v.files.Bytes(at)
	if err != nil {
		v.note(s, "%s could not be looked into: %v", at, err)
		return ""
	}
	if p, err := archive.Read(data, archive.Options{Lenient: true}); err == nil {
		name = p.Chart.Name()
	}
	v.packages[at] = name
	return name
}

// redo is the command that fetches the dependencies anew.
func redo(dir string) string { return "helm dependency update " + cleanDir(dir) }

func cleanDir(dir string) string {
	if dir == "" {
		return "."
	}
	return dir
}

// pack compares one package by its digest, then by its content: Helm may have
// saved it again.
func (v *verification) pack(s subject, dir, name string) {
	want := s.entry.Chart
	f := Finding{Kind: DriftPacked, Place: Place{File: name}, Want: want.Name + " " + want.Version, Mend: redo(dir)}
	data, err := v.files.Bytes(name)
	if err != nil {
		f.Found, f.Message = "unreadable", fmt.Sprintf("the package cannot be read: %v", err)
		v.add(s, f)
		return
	}
	digest := ref.DigestOf(data)
	if digest == want.Digest || v.isSealed(s, digest) {
		return
	}
	p, err := archive.Read(data, archive.Options{Lenient: true})
	if err != nil {
		f.Found, f.Message = digest.String(), fmt.Sprintf("the package is not a chart: %v", err)
		v.add(s, f)
		return
	}
	f.Found = p.Chart.Name() + " " + p.Chart.Version()
	known, online := v.o.Charts[want.Name+"@"+want.Version]
	switch {
	case f.Found != f.Want:
		f.Message = fmt.Sprintf("the packed chart is %s, locked is %s: Helm would deploy the packed one", f.Found, f.Want)
	case online && p.Content == known.Content:
		return
	case !online && carries(p, s):
		v.note(s, "%s is %s sealed with the locked images; that nothing else differs is checked without --offline", name, f.Want)
		return
	default:
		f.Found, f.Want = digest.String(), want.Digest.String()
		f.Message = fmt.Sprintf("the packed chart calls itself %s %s, but its digest is %s, locked is %s", want.Name, want.Version, brief(digest), brief(want.Digest))
		if online {
			f.Message += ", and its content is not what was published"
		} else {
			f.Message += "; whether only the packing differs is told without --offline"
		}
	}
	v.add(s, f)
}

// isSealed: it is a sealed package of the locked binding, of either form, if
// the server was asked.
func (v *verification) isSealed(s subject, digest ref.Digest) bool {
	b := v.o.Environments[s.full].Binding
	if b == nil || b.ID != s.entry.Binding {
		return false
	}
	return digest == b.Sealed || b.Seal != nil && slices.ContainsFunc(b.Seal.Forms, func(f api.SealedForm) bool { return f.Sealed == digest })
}

// carries reports whether a package names all locked images by their digests,
// as a sealed one does.
func carries(p *archive.Package, s subject) bool {
	for _, i := range s.entry.Images {
		if !slices.ContainsFunc(p.Images, func(have archive.Image) bool {
			return have.Role == i.Role && have.Repository == i.Repository.String() && have.Digest == i.Digest.String()
		}) {
			return false
		}
	}
	return len(s.entry.Images) > 0
}

// listDir lists a directory below top, following no link out of it. There are
// never many charts in one.
func listDir(top, dir string) ([]string, error) {
	root, err := os.OpenRoot(top)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	info, err := root.Stat(dir)
	if err == nil && !info.IsDir() {
		err = errors.New("it is no directory") // and opening it might block
	}
	if err != nil {
		return nil, err
	}
	d, err := root.Open(dir)
	if err != nil {
		return nil, err
	}
	defer d.Close()
	entries, err := d.ReadDir(1000)
	if err != nil && len(entries) == 0 && err != io.EOF {
		return nil, err
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	slices.Sort(names)
	return names, nil
}
