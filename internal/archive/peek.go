package archive

import (
	"bytes"
	"errors"
	"io"
	"path"
	"strings"
	"time"

	"chartd.dev/chartd/internal/ref"
	"sigs.k8s.io/yaml"
)

// Glance is what Peek sees of a package.
type Glance struct {
	Chart      ref.ChartVersion
	NewestFile time.Time // zero where the archive has none, or nobody asked
}

var errNoGlance = errors.New("not to be seen at a glance")

// Peek reads who a package is and, where dated asks for it, the date of its
// newest file. It judges nothing: what Read accepts has the identity and the
// date that Peek says, but Peek says them of packages that Read refuses, too.
// With an error only Read knows.
func Peek(data []byte, o Options, dated bool) (Glance, error) {
	o.Limits = o.Limits.orDefault()
	b := &budget{l: o.Limits, packed: int64(len(data))}
	defer b.free()
	m, err := openMember(&source{buf: data}, b, o.tolerance())
	if err != nil {
		return Glance{}, err
	}
	defer m.close()
	var g Glance
	for t := newTarReader(m, b, o.tolerance()); ; {
		h, err := t.next()
		if err == io.EOF && !g.Chart.IsZero() {
			return g, nil
		}
		if err != nil {
			return g, errors.Join(errNoGlance, err)
		}
		if h.dir {
			continue
		}
		_, rel, _ := strings.Cut(h.name, "/")
		switch {
		case dated && strings.HasPrefix(rel, "charts/") && path.Ext(rel) == ".tgz":
			return g, errNoGlance // the files in it count
		case dated && h.mtime.After(g.NewestFile):
			g.NewestFile = h.mtime
		}
		if rel != "Chart.yaml" {
			continue
		}
		if h.size > o.Limits.ChartYAML || !g.Chart.IsZero() {
			return g, errNoGlance
		}
		text, err := t.rest()
		if err != nil {
			return g, err
		}
		if g.Chart, err = identity(text); err != nil || !dated {
			return g, err
		}
	}
}

func identity(chartYAML []byte) (ref.ChartVersion, error) {
	var m metadata
	if err := yaml.Unmarshal(bytes.TrimPrefix(chartYAML, []byte(bom)), &m); err != nil {
		return ref.ChartVersion{}, err
	}
	v, err := ref.ParseChartVersion(m.Name, m.Version)
	if err != nil {
		v, err = ref.ParseImported(m.Name, m.Version)
	}
	return v, err
}
