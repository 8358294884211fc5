package imports

import (
	"encoding/json"
	"fmt"
	"net/url"
	"path"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v4"

	"chartd.dev/chartd/internal/api"
	"chartd.dev/chartd/internal/ref"
)

// maxIndex bounds an index; the largest public ones have some 60 MB.
const maxIndex = 256 << 20

// entry is one chart version of an index.
type entry struct {
	Name    string   `json:"name" yaml:"name"`
	Version string   `json:"version" yaml:"version"`
	Created string   `json:"created" yaml:"created"`
	Digest  string   `json:"digest" yaml:"digest"`
	URLs    []string `json:"urls" yaml:"urls"`

	Dependencies []any `json:"dependencies" yaml:"dependencies"`

	used bool
}

// parseIndex reads an index as Helm does, JSON or YAML, but takes unknown keys.
// Entries come in order of name and then as listed.
func parseIndex(where string, b []byte) ([]*entry, error) {
	var doc struct {
		Entries map[string][]*entry `json:"entries" yaml:"entries"`
	}
	var err error
	if json.Valid(b) {
		err = json.Unmarshal(b, &doc)
	} else {
		err = yaml.Unmarshal(b, &doc)
	}
	if err != nil {
		return nil, fail(api.CodeInvalid, "index %q can't be read: %s", where, firstLine(err))
	}
	if doc.Entries == nil {
		return nil, fail(api.CodeInvalid, "index %q has no entries: is it the index.yaml of a chart repository?", where)
	}
	var names []string
	for name := range doc.Entries {
		names = append(names, name)
	}
	slices.Sort(names)
	var out []*entry
	for _, name := range names {
		for _, e := range doc.Entries[name] {
			if e == nil {
				continue
			}
			if e.Name == "" {
				e.Name = name
			}
			out = append(out, e)
		}
	}
	return out, nil
}

func firstLine(err error) string {
	s, _, _ := strings.Cut(err.Error(), "\n")
	return s
}

func (e *entry) String() string { return e.Name + "@" + e.Version }

// created is the entry's date; the zero time where it has none. A date of the
// epoch is what tools write that know no date.
func (e *entry) created() time.Time {
	t, err := time.Parse(time.RFC3339Nano, e.Created)
	if err != nil || !dated(t) {
		return time.Time{}
	}
	return t
}

func dated(t time.Time) bool { return t.Year() > 1970 }

// digest is the entry's digest in either way of writing; zero if it has none.
func (e *entry) digest() ref.Digest {
	d, err := ref.ParseHex(strings.ToLower(strings.TrimPrefix(e.Digest, "sha256:")))
	if err != nil {
		return ref.Digest{}
	}
	return d
}

// file is the name of the package's file: that of its URL, without one the
// name that Helm gives it.
func (e *entry) file() string {
	if len(e.URLs) > 0 {
		if u, err := url.Parse(e.URLs[0]); err == nil && strings.HasSuffix(u.Path, ".tgz") {
			return path.Base(u.Path)
		}
	}
	return e.Name + "-" + e.Version + ".tgz"
}

func fail(code api.Code, format string, a ...any) *api.Error {
	return &api.Error{Code: code, Message: fmt.Sprintf(format, a...)}
}
