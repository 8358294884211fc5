package site

import (
	"encoding/json"
	"errors"
	"fmt"

	"chartd.dev/chartd/internal/archive"
	"chartd.dev/chartd/internal/ref"
	"chartd.dev/chartd/internal/yamledit"
	"go.yaml.in/yaml/v4"
)

// lockDigest is what Helm 3 and 4 write into their lock files.
func lockDigest(requested, locked []*archive.Dependency) (string, error) {
	return hash([2][]*archive.Dependency{requested, locked})
}

// lockDigest2 is what Helm 2 wrote. Helm 3 and 4 take it for charts of
// apiVersion v1.
func lockDigest2(requested []*archive.Dependency) (string, error) {
	return hash(map[string][]*archive.Dependency{"dependencies": requested})
}

func hash(v any) (string, error) {
	b, err := json.Marshal(v)
	return ref.DigestOf(b).String(), err
}

// helmChart is what a chart's directory says of its dependencies.
type helmChart struct {
	source    *file // Chart.yaml or requirements.yaml
	lock      *file // nil if there is none
	v1        bool
	requested []*archive.Dependency
	before    []*archive.Dependency // requested, without the edits
}

// chartAt reads a chart's directory. A nil lock says that there is nothing to
// keep up to date.
func (f *Files) chartAt(dir string) (*helmChart, error) {
	c := &helmChart{}
	for _, name := range []string{"Chart.lock", "requirements.lock"} {
		one, err := f.get(dir + name)
		switch {
		case errors.Is(err, ErrMissing):
			continue
		case err != nil:
			return nil, err
		case c.lock != nil:
			return nil, &Error{File: one.name, Text: fmt.Sprintf("stands beside %q, and Helm reads both: remove one of them", c.lock.name), Err: ErrDoubled}
		}
		c.lock = one
	}
	if c.lock == nil {
		return c, nil
	}
	meta, err := f.get(dir + "Chart.yaml")
	if err != nil {
		return nil, err
	}
	y, err := Site{File: meta.name}.parse(meta)
	if err != nil {
		return nil, err
	}
	v, _ := y.Find(0, "apiVersion")
	c.v1 = v.Value == "" || v.Value == "v1"
	for _, name := range []string{"Chart.yaml", "requirements.yaml"} {
		one, err := f.get(dir + name)
		if errors.Is(err, ErrMissing) {
			continue
		}
		if err != nil {
			return nil, err
		}
		list, err := dependenciesOf(one, one.now)
		if err != nil {
			return nil, err
		}
		if list != nil && c.source != nil {
			return nil, &Error{File: one.name, Text: fmt.Sprintf("has dependencies, and %q has some too: keep one of the two", c.source.name), Err: ErrDoubled}
		}
		if list != nil {
			c.source, c.requested = one, list
		}
	}
	if c.source == nil {
		return nil, &Error{File: c.lock.name, Text: "locks dependencies, and the chart names none", Err: ErrMissing}
	}
	c.before, err = dependenciesOf(c.source, c.source.old)
	return c, err
}

// dependenciesOf reads "dependencies" as Helm does; nil if there are none.
func dependenciesOf(one *file, doc []byte) ([]*archive.Dependency, error) {
	y, err := yamledit.Parse(doc, yamledit.Limits{Depth: 200, Nodes: 500_000})
	if err != nil {
		return nil, &Error{File: one.name, Text: err.Error(), Err: errors.Join(ErrSyntax, err)}
	}
	if len(y.Documents()) != 1 {
		return nil, &Error{File: one.name, Text: "is not one YAML document, as Helm wants it", Err: ErrSyntax}
	}
	list := childOfMapping(y.Documents()[0], "dependencies")
	if list == nil {
		return nil, nil
	}
	if list.Kind != yaml.SequenceNode {
		return nil, &Error{File: one.name, Line: list.Line, Text: "dependencies is no list", Err: ErrForm}
	}
	out := []*archive.Dependency{}
	for _, item := range list.Content {
		if bad := untold(item); bad != nil {
			return nil, &Error{File: one.name, Line: bad.Line, Text: fmt.Sprintf("%q is read differently by different readers of YAML: put it in quotes", bad.Value), Err: ErrForm}
		}
		var raw map[string]any
		if err := item.Decode(&raw); err != nil {
			return nil, &Error{File: one.name, Line: item.Line, Text: "a dependency is no mapping", Err: ErrForm}
		}
		b, err := json.Marshal(raw)
		d := &archive.Dependency{}
		if err == nil {
			err = json.Unmarshal(b, d)
		}
		if err != nil {
			return nil, &Error{File: one.name, Line: item.Line, Text: fmt.Sprintf("a dependency cannot be read: %v", err), Err: ErrForm}
		}
		out = append(out, d)
	}
	return out, nil
}

// untold finds a scalar that Helm would read as something else than its text:
// what it hashes then is not what is written.
func untold(n *yaml.Node) *yaml.Node {
	for i := 0; i+1 < len(n.Content); i += 2 {
		k, v := n.Content[i], n.Content[i+1]
		if v.Kind == yaml.AliasNode {
			v = v.Alias
		}
		switch k.Value {
		case "name", "version", "repository", "condition", "alias":
			if v.Kind == yaml.ScalarNode && v.Style == 0 && v.Value != "" && v.Tag != "!!null" && yamledit.Typed(v.Value) {
				return n.Content[i+1]
			}
		}
	}
	return nil
}

// resolved gives a requested repository the address from the lock file, where
// the chart uses a name of "helm repo add".
func resolved(requested, locked []*archive.Dependency) []*archive.Dependency {
	out := make([]*archive.Dependency, len(requested))
	for i, d := range requested {
		one := *d
		out[i] = &one
		if len(d.Repository) > 0 && (d.Repository[0] == '@' || len(d.Repository) > 6 && d.Repository[:6] == "alias:") && i < len(locked) && locked[i].Name == d.Name {
			one.Repository = locked[i].Repository
		}
	}
	return out
}
