package archive

import (
	"encoding/json"
	"strings"
	"time"
	"unicode"

	"github.com/Masterminds/semver/v3"
	"sigs.k8s.io/yaml"
)

// metadata is Chart.yaml as Helm reads it: the same decoder into the same
// fields, so that our identity is Helm's.
type metadata struct {
	Name         string            `json:"name,omitempty"`
	Home         string            `json:"home,omitempty"`
	Sources      []string          `json:"sources,omitempty"`
	Version      string            `json:"version,omitempty"`
	Description  string            `json:"description,omitempty"`
	Keywords     []string          `json:"keywords,omitempty"`
	Maintainers  []*maintainer     `json:"maintainers,omitempty"`
	Icon         string            `json:"icon,omitempty"`
	APIVersion   string            `json:"apiVersion,omitempty"`
	Condition    string            `json:"condition,omitempty"`
	Tags         string            `json:"tags,omitempty"`
	AppVersion   string            `json:"appVersion,omitempty"`
	Deprecated   bool              `json:"deprecated,omitempty"`
	Annotations  map[string]string `json:"annotations,omitempty"`
	KubeVersion  string            `json:"kubeVersion,omitempty"`
	Dependencies []*Dependency     `json:"dependencies,omitempty"`
	Type         string            `json:"type,omitempty"`
}

type maintainer struct {
	Name  string `json:"name,omitempty"`
	Email string `json:"email,omitempty"`
	URL   string `json:"url,omitempty"`
}

// Dependency is an item of a chart's dependencies: the fields that Helm hashes, in
// Helm's order.
type Dependency struct {
	Name         string   `json:"name"`
	Version      string   `json:"version,omitempty"`
	Repository   string   `json:"repository"`
	Condition    string   `json:"condition,omitempty"`
	Tags         []string `json:"tags,omitempty"`
	Enabled      bool     `json:"enabled,omitempty"`
	ImportValues []any    `json:"import-values,omitempty"`
	Alias        string   `json:"alias,omitempty"`
}

// key is the dependency's place in the values.
func (d *Dependency) key() string {
	if d.Alias != "" {
		return d.Alias
	}
	return d.Name
}

type lockFile struct {
	Generated    time.Time     `json:"generated"`
	Digest       string        `json:"digest"`
	Dependencies []*Dependency `json:"dependencies"`
}

// readMetadata decodes and checks Chart.yaml and what requirements.yaml adds.
func readMetadata(file string, chartYAML, requirements []byte) (*metadata, error) {
	m := new(metadata)
	if err := yaml.Unmarshal(chartYAML, m); err != nil {
		return nil, refused("chart-yaml", "%s: Helm cannot read it: %s", file, firstLine(err))
	}
	if m.APIVersion == "" {
		m.APIVersion = "v1"
	}
	before := *m
	if err := yaml.Unmarshal(requirements, m); err != nil {
		return nil, refused("requirements", "%s: Helm cannot read requirements.yaml: %s", file, firstLine(err))
	}
	if m.Name != before.Name || m.Version != before.Version || m.APIVersion != before.APIVersion || m.Type != before.Type {
		return nil, refused("identity", "requirements.yaml would make %s %s of %s %s", quote(m.Name), quote(m.Version), quote(before.Name), quote(before.Version))
	}
	return m, m.check(file)
}

// check applies the checks without which Helm does not load a chart.
func (m *metadata) check(file string) error {
	name := m.Name
	m.sanitize()
	switch {
	case name == "":
		return refused("name", "%s names no chart", file)
	case m.Name != name:
		return refused("name", "the chart name %s has invisible characters", quote(name))
	case m.Version == "":
		return refused("version", "%s has no version", file)
	}
	if _, err := semver.NewVersion(m.Version); err != nil {
		return refused("version", "%s has version %s; want a semantic version such as 1.2.3", file, quote(m.Version))
	}
	if m.Type != "" && m.Type != "application" && m.Type != "library" {
		return refused("chart-yaml", "%s has type %s; want application or library", file, quote(m.Type))
	}
	return m.checkLists(file)
}

func (m *metadata) checkLists(file string) error {
	for _, p := range m.Maintainers {
		if p == nil {
			return refused("chart-yaml", "%s: an empty item in maintainers", file)
		}
		p.Name, p.Email, p.URL = sanitize(p.Name), sanitize(p.Email), sanitize(p.URL)
	}
	seen := map[string]bool{}
	for _, d := range m.Dependencies {
		if d == nil {
			return refused("dependencies", "%s: an empty item in dependencies", file)
		}
		d.sanitize()
		if strings.Trim(d.Alias, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-") != "" {
			return refused("dependencies", "%s: alias %s; want letters, digits, dashes and underscores", file, quote(d.Alias))
		}
		if seen[d.key()] {
			return refused("dependencies", "%s: two dependencies are called %s", file, quote(d.key()))
		}
		seen[d.key()] = true
	}
	return nil
}

// sanitize does to the texts what Helm does on load, and so on re-save.
func (m *metadata) sanitize() {
	for _, s := range []*string{&m.Name, &m.Description, &m.Home, &m.Icon, &m.Condition, &m.Tags, &m.AppVersion, &m.KubeVersion} {
		*s = sanitize(*s)
	}
	for _, list := range [][]string{m.Sources, m.Keywords} {
		for i := range list {
			list[i] = sanitize(list[i])
		}
	}
}

func (d *Dependency) sanitize() {
	d.Name, d.Version, d.Repository, d.Condition = sanitize(d.Name), sanitize(d.Version), sanitize(d.Repository), sanitize(d.Condition)
	for i := range d.Tags {
		d.Tags[i] = sanitize(d.Tags[i])
	}
}

func sanitize(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case unicode.IsSpace(r):
			return ' '
		case unicode.IsPrint(r):
			return r
		}
		return -1
	}, s)
}

// canonical is Chart.yaml without what a re-save loses: comments, order,
// quoting, fields that Helm does not know.
func (m *metadata) canonical() ([]byte, error) { return json.Marshal(m) }

// readLock returns a lock file in canonical form.
func readLock(file string, data []byte) ([]byte, *lockFile, error) {
	l := new(lockFile)
	if err := yaml.Unmarshal(data, l); err != nil {
		return nil, nil, refused("chart-lock", "%s: Helm cannot read it: %s", file, firstLine(err))
	}
	b, err := json.Marshal(l)
	if err != nil {
		return nil, nil, refused("chart-lock", "%s: %s", file, firstLine(err))
	}
	return b, l, nil
}

func firstLine(err error) string {
	s, _, _ := strings.Cut(err.Error(), "\n")
	if len(s) > 300 {
		s = s[:300] + "…"
	}
	return s
}
