package ref

import (
	"strings"

	"github.com/Masterminds/semver/v3"
)

// MaxName is the longest chart, hub or stage name, in bytes: a DNS label.
const MaxName = 63

// maxVersion bounds a version, and maxBoth an imported name and version
// together, so that every file name, a sealed package's too, stays under 255
// bytes.
const (
	maxVersion = 128
	maxBoth    = 220
)

// reserved names would collide with paths that the server answers.
var reserved = map[string]bool{
	"index": true, "index.yaml": true, "api": true, "healthz": true, "readyz": true,
	"health": true, "info": true, "metrics": true, "log": true, "static": true,
	"charts": true, "environments": true, "sealed": true, "debug": true,
}

// ChartVersion names one published chart version.
type ChartVersion struct{ name, version string }

// ParseChartVersion is the strict grammar, for new packages: a DNS label that
// is not reserved, and strict SemVer 2, with a leading v or without.
func ParseChartVersion(name, version string) (ChartVersion, error) {
	if err := CheckChartName(name); err != nil {
		return ChartVersion{}, err
	}
	if len(version) > maxVersion {
		return ChartVersion{}, invalid("version", version, "longer than 128 characters")
	}
	if _, err := semver.StrictNewVersion(strings.TrimPrefix(version, "v")); err != nil {
		return ChartVersion{}, invalid("version", version, "want a semantic version such as 1.2.3, v1.2.3 or 1.2.3-rc.1 (three numbers)")
	}
	return ChartVersion{name, version}, nil
}

// ParseImported is the grammar for charts taken over from an existing
// repository: what Helm accepts, less what cannot be a file name or a URL
// path element.
func ParseImported(name, version string) (ChartVersion, error) {
	if len(name) > 128 || !wordChars(name, "._-") || strings.HasPrefix(name, ".") || strings.HasPrefix(name, "-") {
		return ChartVersion{}, invalid("chart name", name, "want letters, digits, dots, underscores and dashes")
	}
	if reserved[name] {
		return ChartVersion{}, invalid("chart name", name, "the name is reserved")
	}
	if len(version) > maxVersion || !wordChars(version, "._-+") {
		return ChartVersion{}, invalid("version", version, "want at most 128 letters, digits, dots, dashes and plus signs")
	}
	if len(name)+len(version) > maxBoth {
		return ChartVersion{}, invalid("chart version", name+"@"+version, "want at most 220 characters for name and version together")
	}
	if _, err := semver.NewVersion(version); err != nil {
		return ChartVersion{}, invalid("version", version, "Helm cannot read it as a version")
	}
	return ChartVersion{name, version}, nil
}

// CheckChartName applies the strict grammar to a chart name alone.
func CheckChartName(name string) error {
	if !dnsLabel(name) {
		return invalid("chart name", name, "want at most 63 lower-case letters, digits and dashes, starting and ending with a letter or digit")
	}
	if reserved[name] {
		return invalid("chart name", name, "the name is reserved")
	}
	return nil
}

// Name returns the chart's name.
func (c ChartVersion) Name() string { return c.name }

// Version returns the version as published, byte for byte.
func (c ChartVersion) Version() string { return c.version }

// FileName is the package's file name as Helm builds it.
func (c ChartVersion) FileName() string { return c.name + "-" + c.version + ".tgz" }

// String returns "name@version".
func (c ChartVersion) String() string {
	if c.name == "" {
		return ""
	}
	return c.name + "@" + c.version
}

// IsZero reports whether c names nothing.
func (c ChartVersion) IsZero() bool { return c.name == "" }

// MarshalText implements encoding.TextMarshaler.
func (c ChartVersion) MarshalText() ([]byte, error) { return []byte(c.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (c *ChartVersion) UnmarshalText(b []byte) error {
	if len(b) == 0 {
		*c = ChartVersion{}
		return nil
	}
	name, version, ok := strings.Cut(string(b), "@")
	if !ok {
		return invalid("chart version", string(b), "want NAME@VERSION")
	}
	v, err := ParseImported(name, version)
	if err == nil {
		*c = v
	}
	return err
}

func dnsLabel(s string) bool {
	if s == "" || len(s) > MaxName || s[0] == '-' || s[len(s)-1] == '-' {
		return false
	}
	for i := 0; i < len(s); i++ {
		c := s[i]
		if !(c >= 'a' && c <= 'z' || c >= '0' && c <= '9' || c == '-') {
			return false
		}
	}
	return true
}

func wordChars(s, extra string) bool {
	if s == "" {
		return false
	}
	for i := 0; i < len(s); i++ {
		c := s[i]
		if !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte(extra, c) >= 0) {
			return false
		}
	}
	return true
}
