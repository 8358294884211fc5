package repo

import (
	"bytes"
	"encoding/json"
	"fmt"

	"helm.sh/helm/v3/pkg/chart"
	"helm.sh/helm/v3/pkg/chart/loader"

	"chartd.dev/chartd/internal/archive"
	"chartd.dev/chartd/lock"
)

// metadata is what the index says of a package: what Helm's own loader reads,
// held to Helm's own rules. The package has passed our tar walk before, which
// reads it as Helm does and takes nothing that Helm does not load; whole has
// Helm load it all the same.
func metadata(data []byte, p *archive.Package, bare, whole bool) (json.RawMessage, error) {
	m, err := readMetadata(data, p, whole)
	if err == nil {
		err = checkMetadata(m)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %s: %v", ErrMetadata, p.Chart, err)
	}
	if m.Name != p.Chart.Name() || m.Version != p.Chart.Version() {
		return nil, fmt.Errorf("%w: the package says %s and Helm reads %s@%s", ErrMetadata, p.Chart, m.Name, m.Version)
	}
	if bare && m.APIVersion == chart.APIVersionV1 {
		m.Dependencies = nil
	}
	raw, err := json.Marshal(m)
	if err != nil {
		return nil, fmt.Errorf("encode metadata of %s: %w", p.Chart, err)
	}
	return raw, nil
}

// checkMetadata applies the rules by which Helm drops a line of an index. A
// missing API version means v1 there.
func checkMetadata(m *chart.Metadata) error {
	if m == nil {
		return fmt.Errorf("there is no metadata")
	}
	if m.APIVersion == "" {
		m.APIVersion = chart.APIVersionV1
	}
	return m.Validate()
}

func readMetadata(data []byte, p *archive.Package, whole bool) (*chart.Metadata, error) {
	if whole {
		c, err := loader.LoadArchive(bytes.NewReader(data))
		if err != nil {
			return nil, err
		}
		return c.Metadata, nil
	}
	raw, err := p.Metadata()
	if err != nil {
		return nil, err
	}
	m := new(chart.Metadata)
	return m, json.Unmarshal(raw, m)
}

// version is the chart version record of a package. Where our limits go beyond
// Helm's own, Helm has to load the whole package to say whether it does.
func (r *Repository) version(data []byte, p *archive.Package, bare bool) (lock.ChartVersion, error) {
	beyond := r.Archive.Unpacked > loader.MaxDecompressedChartSize || r.Archive.File > loader.MaxDecompressedFileSize
	return version(data, p, bare, beyond)
}

func version(data []byte, p *archive.Package, bare, whole bool) (lock.ChartVersion, error) {
	raw, err := metadata(data, p, bare, whole)
	if err != nil {
		return lock.ChartVersion{}, err
	}
	v := lock.ChartVersion{
		Chart: p.Chart, Package: p.Digest, Content: p.Content, Size: p.Size,
		Lenient: p.Lenient, BareRequirements: bare, Metadata: raw, Warnings: p.Warnings,
	}
	v.Warnings = append(v.Warnings, tooLargeForSome(p.Size)...)
	for _, i := range p.Images {
		v.Images = append(v.Images, lock.ChartImage{
			Role: i.Role, Repository: i.Repository, Tag: i.Tag, Digest: i.Digest, File: i.File, Path: i.Path,
			Override: i.Override, Base: i.Base, Required: i.Required, Problem: i.Problem,
		})
	}
	return v, nil
}
