package repo

import (
	"cmp"
	"encoding/json"
	"fmt"
	"hash/crc32"
	"maps"
	"strings"

	"github.com/Masterminds/semver/v3"
	"helm.sh/helm/v3/pkg/chart"
	helmrepo "helm.sh/helm/v3/pkg/repo"

	"chartd.dev/chartd/lock"
	"chartd.dev/chartd/lock/store"
)

// annotations of an index line.
const (
	annotationBinding  = "chartd.dev/binding"
	annotationEvidence = "chartd.dev/evidence"
	annotationImage    = "chartd.dev/image." // and the role
	annotationUnbound  = "chartd.dev/unbound"
	annotationEnv      = "chartd.dev/environment"
	annotationRevision = "chartd.dev/revision"
)

// line is one line of the index. Its place follows from name, version and
// publication sequence, which never change; only what it says does.
type line struct {
	name, version string
	seq           uint64
	json          []byte
}

// place is where a line stands: by name, then by descending version, then by
// descending sequence, since versions that differ only in build metadata are
// of the same order.
type place struct {
	name  string
	order *semver.Version
	seq   uint64
}

func (l *line) place() (place, error) {
	order, err := semver.NewVersion(l.version)
	if err != nil {
		return place{}, fmt.Errorf("index %s@%s: %w", l.name, l.version, err)
	}
	return place{l.name, order, l.seq}, nil
}

func (p place) compare(q place) int {
	if c := strings.Compare(p.name, q.name); c != 0 {
		return c
	}
	return cmp.Or(q.order.Compare(p.order), cmp.Compare(q.seq, p.seq))
}

// stable says that a version is no pre-release.
func stable(version string) bool {
	core, _, _ := strings.Cut(version, "+")
	return !strings.Contains(core, "-")
}

// A segment ends where the names say so, and not where the history of
// publishing left it: the compressed bytes are a function of the generation
// too.
const segmentLines = 128 // on average

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func (l *line) beginsSegment() bool {
	sum := crc32.Update(crc32.Checksum([]byte(l.name), castagnoli), castagnoli, []byte{0})
	return crc32.Update(sum, castagnoli, []byte(l.version))%segmentLines == 0
}

// newLine encodes the line of a chart version in the repository's index.
func newLine(from lock.IndexLine) (line, error) {
	v := from.Chart
	raw, err := entry(from, []string{"charts/" + v.Chart.FileName()}, nil)
	if err != nil {
		return line{}, err
	}
	return line{v.Chart.Name(), v.Chart.Version(), v.Seq, raw}, nil
}

// entry encodes one line of an index: what Helm would write, with the binding
// as annotations.
func entry(from lock.IndexLine, urls []string, more map[string]string) ([]byte, error) {
	var m chart.Metadata
	if err := json.Unmarshal(from.Chart.Metadata, &m); err != nil {
		return nil, fmt.Errorf("%w: decode metadata of %s: %v", store.ErrDamaged, from.Chart.Chart, err)
	}
	notes := map[string]string{}
	maps.Copy(notes, m.Annotations)
	maps.DeleteFunc(notes, func(k, _ string) bool { return strings.HasPrefix(k, "chartd.dev/") })
	if b := from.Binding; b != nil {
		notes[annotationBinding] = b.ID.String()
		notes[annotationEvidence] = string(b.Evidence)
		for _, i := range b.Images {
			notes[annotationImage+string(i.Role)] = i.Image.String()
		}
	} else {
		notes[annotationUnbound] = "true"
	}
	maps.Copy(notes, more)
	m.Annotations = notes
	readableKeys(&m)
	raw, err := json.Marshal(&helmrepo.ChartVersion{Metadata: &m, URLs: urls, Created: from.Chart.Created, Digest: from.Chart.Package.Hex()})
	return readable(raw), err
}
