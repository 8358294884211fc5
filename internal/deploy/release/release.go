// Package release reads what Helm says that it deployed: a release secret, what
// helm prints of a release, or a list of them. What it reads is as little
// trusted as any file: it is bounded, and a form that it does not know is
// ErrFormat.
package release

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"go.yaml.in/yaml/v4"

	"chartd.dev/chartd/internal/ref"
	"chartd.dev/chartd/internal/yamledit"
)

// ErrFormat is wrapped where a file is none of the forms that Read knows, or is
// damaged or too large.
var ErrFormat = errors.New("not a Helm release")

// MaxSize is the largest file of a Helm release that is read, in bytes. A
// release itself is kept by Kubernetes in at most 1 MiB.
const MaxSize = 16 << 20

// maxUnpacked bounds what all releases of one file unpack to, and maxReleases
// how many it may hold.
const (
	maxUnpacked = 64 << 20
	maxReleases = 10_000
)

// Release is one revision of a Helm release.
type Release struct {
	Name, Namespace string
	Revision        int
	Status          string
	Chart           Chart   // zero where only Label is known
	Label           string  // "jupyterhub-3.3.8", of "helm list"
	Dependencies    []Chart // with the exact versions of the chart's lock file
	Rendered        bool    // the form holds the manifest, and so the images
	Images          []Image // of the containers in the manifest
}

// Chart is a chart as a release names it: no digest is kept there.
type Chart struct{ Name, Version string }

// Image is one container's image in a rendered manifest.
type Image struct {
	Object    string // "Deployment/hub"
	Container string
	Text      string        // as written
	Ref       ref.Reference // zero where the text is no reference
}

// Read reads what runs: a Helm release secret or config map (as
// kubectl prints it in JSON or YAML, a list of them, or the value alone), the
// release in JSON as "helm status" and "helm get all" style commands print it,
// or the rows of "helm list -o json" and "helm get metadata -o json", which
// hold no image. Of several revisions of one release only the one that is
// deployed counts. The result is sorted by namespace and name.
func Read(data []byte) ([]Release, error) {
	if len(data) > MaxSize {
		return nil, fmt.Errorf("%w: %d bytes, at most %d", ErrFormat, len(data), MaxSize)
	}
	d := decoder{left: maxUnpacked}
	data = bytes.TrimSpace(bytes.TrimPrefix(data, []byte("\ufeff")))
	var err error
	switch {
	case len(data) == 0:
		err = errors.New("the file is empty")
	case data[0] == '{' || data[0] == '[':
		err = d.json(data)
	case isGzip(data) || !bytes.ContainsAny(data, ": "):
		err = d.packed(data)
	default:
		err = d.yaml(data)
	}
	if err == nil && len(d.out) == 0 {
		err = errors.New("it holds no release")
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w: want a release secret (kubectl get secret NAME -o json), or the output of helm list -o json", ErrFormat, err)
	}
	return current(d.out), nil
}

// current keeps one revision of each release: the deployed one, else the
// newest.
func current(all []Release) []Release {
	slices.SortFunc(all, func(a, b Release) int {
		return cmp.Or(cmp.Compare(a.Namespace, b.Namespace), cmp.Compare(a.Name, b.Name),
			-cmp.Compare(rank(a.Status), rank(b.Status)), -cmp.Compare(a.Revision, b.Revision))
	})
	return slices.CompactFunc(all, func(a, b Release) bool { return a.Namespace == b.Namespace && a.Name == b.Name })
}

func rank(status string) int {
	if status == "deployed" {
		return 1
	}
	return 0
}

// decoder gathers the releases of one file under one budget.
type decoder struct {
	left int64 // bytes that may still be unpacked
	out  []Release
}

// object is every JSON form at once; what is set tells which it is.
type object struct {
	Kind  string            `json:"kind"`
	Items []json.RawMessage `json:"items"`
	Data  struct {
		Release string `json:"release"`
	} `json:"data"`

	Name      string          `json:"name"`
	Namespace string          `json:"namespace"`
	Version   json.RawMessage `json:"version"`  // the revision; of "helm get metadata" the chart's version
	Revision  json.RawMessage `json:"revision"` // a number, or one in quotes
	Status    string          `json:"status"`
	Chart     json.RawMessage `json:"chart"` // an object; of "helm list" a text
	Info      struct {
		Status string `json:"status"`
	} `json:"info"`
	Manifest *string `json:"manifest"`
}

// object decodes a JSON object. The status of Kubernetes' own objects is not
// a text, and none of our business.
func (d *decoder) object(data []byte) (object, error) {
	var o struct {
		object
		Status json.RawMessage `json:"status"`
	}
	if err := json.Unmarshal(data, &o); err != nil {
		return object{}, fmt.Errorf("read JSON: %w", err)
	}
	_ = json.Unmarshal(o.Status, &o.object.Status)
	return o.object, nil
}

func (d *decoder) json(data []byte) error {
	if data[0] == '[' {
		var rows []json.RawMessage
		if err := json.Unmarshal(data, &rows); err != nil {
			return fmt.Errorf("read JSON: %w", err)
		}
		return d.each(rows)
	}
	o, err := d.object(data)
	if err != nil {
		return err
	}
	switch o.Kind {
	case "Secret", "ConfigMap":
		if o.Data.Release == "" {
			return fmt.Errorf("the %s holds no data.release", o.Kind)
		}
		return d.packed([]byte(o.Data.Release))
	case "List", "SecretList", "ConfigMapList":
		return d.each(o.Items)
	case "":
		return d.release(o)
	}
	return fmt.Errorf("an object of kind %q", cutText(o.Kind))
}

// each reads the items of a list. Other secrets may stand between those of
// Helm's.
func (d *decoder) each(items []json.RawMessage) error {
	if len(items) > maxReleases {
		return fmt.Errorf("a list of %d, at most %d", len(items), maxReleases)
	}
	for _, item := range items {
		item = bytes.TrimSpace(item)
		if len(item) == 0 || item[0] != '{' {
			return errors.New("an item of the list is no object")
		}
		var foreign struct {
			Kind string                     `json:"kind"`
			Data map[string]json.RawMessage `json:"data"`
		}
		if json.Unmarshal(item, &foreign) == nil && foreign.Kind != "" && foreign.Data["release"] == nil {
			continue
		}
		if err := d.json(item); err != nil {
			return err
		}
	}
	return nil
}

func (d *decoder) release(o object) error {
	r := Release{Name: o.Name, Namespace: o.Namespace, Status: cmp.Or(o.Info.Status, o.Status)}
	if r.Name == "" || len(o.Chart) == 0 {
		return errors.New("a JSON object without the name and the chart of a release")
	}
	if o.Chart[0] == '"' {
		return d.row(r, o)
	}
	var c struct {
		Metadata struct {
			Name, Version string
			Dependencies  []Chart
		}
		Lock struct{ Dependencies []Chart }
	}
	if err := json.Unmarshal(o.Chart, &c); err != nil {
		return fmt.Errorf("read the chart of release %q: %w", cutText(r.Name), err)
	}
	r.Revision = number(o.Version)
	r.Chart = Chart{c.Metadata.Name, c.Metadata.Version}
	r.Dependencies = c.Lock.Dependencies
	for _, dep := range c.Metadata.Dependencies { // without a lock file: those that are exact
		locked := slices.ContainsFunc(r.Dependencies, func(l Chart) bool { return l.Name == dep.Name })
		if _, err := ref.ParseImported(dep.Name, dep.Version); err == nil && !locked {
			r.Dependencies = append(r.Dependencies, dep)
		}
	}
	if r.Chart.Name == "" || r.Chart.Version == "" {
		return fmt.Errorf("release %q names no chart", cutText(r.Name))
	}
	if o.Manifest != nil {
		r.Rendered = true
		var err error
		if r.Images, err = manifestImages(*o.Manifest); err != nil {
			return fmt.Errorf("read the manifest of release %q: %w", cutText(r.Name), err)
		}
	}
	d.out = append(d.out, r)
	return nil
}

// row is a line of "helm list" (chart "jupyterhub-3.3.8") or of "helm get
// metadata" (chart and version apart).
func (d *decoder) row(r Release, o object) error {
	var chart, version string
	if err := json.Unmarshal(o.Chart, &chart); err != nil {
		return fmt.Errorf("read the chart of release %q: %w", cutText(r.Name), err)
	}
	r.Revision = number(o.Revision)
	if json.Unmarshal(o.Version, &version) == nil && version != "" {
		r.Chart = Chart{chart, version}
	} else {
		r.Label = chart
	}
	if chart == "" {
		return fmt.Errorf("release %q names no chart", cutText(r.Name))
	}
	d.out = append(d.out, r)
	return nil
}

func number(raw json.RawMessage) int {
	var n int
	_ = json.Unmarshal(bytes.Trim(raw, `"`), &n) // 0 where there is none
	return n
}

// yaml goes by way of JSON, as Kubernetes does.
func (d *decoder) yaml(data []byte) error {
	f, err := yamledit.Parse(data, yamledit.Limits{})
	if err != nil {
		return err
	}
	docs := f.Documents()
	if len(docs) != 1 || docs[0] == nil || docs[0].Kind != yaml.MappingNode {
		return errors.New("it is neither JSON, a release secret in YAML, nor the value of one")
	}
	var v map[string]any
	if err := docs[0].Decode(&v); err != nil {
		return fmt.Errorf("read YAML: %w", err)
	}
	b, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("read YAML: %w", err)
	}
	return d.json(b)
}

func cutText(s string) string {
	const most = 120
	if r := []rune(s); len(r) > most {
		return string(r[:most]) + "…"
	}
	return s
}
