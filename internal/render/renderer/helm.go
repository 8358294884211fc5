package renderer

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"path"
	"runtime/debug"
	"slices"
	"strings"
	"sync"

	"chartd.dev/chartd/internal/render"
	"helm.sh/helm/v3/pkg/chart"
	"helm.sh/helm/v3/pkg/chart/loader"
	"helm.sh/helm/v3/pkg/chartutil"
	"helm.sh/helm/v3/pkg/engine"
	"helm.sh/helm/v3/pkg/releaseutil"
	"sigs.k8s.io/yaml"
)

// What "helm template" gives a chart where nothing is said.
var release = chartutil.ReleaseOptions{Name: "release-name", Namespace: "default", Revision: 1, IsInstall: true}

// kubernetesMinor is the Kubernetes that this Helm takes for granted: the
// minor version of its client, which Helm's own build sets by the linker.
var kubernetesMinor = sync.OnceValue(func() string {
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, d := range info.Deps {
			if rest, ok := strings.CutPrefix(d.Version, "v0."); ok && d.Path == "k8s.io/client-go" {
				minor, _, _ := strings.Cut(rest, ".")
				return minor
			}
		}
	}
	return "37"
})

var capabilities = sync.OnceValue(func() *chartutil.Capabilities {
	c := chartutil.DefaultCapabilities.Copy()
	minor := kubernetesMinor()
	c.KubeVersion = chartutil.KubeVersion{Version: "v1." + minor + ".0", Major: "1", Minor: minor}
	return c
})

// fault is a chart's own: what Helm says of it.
type fault struct{ error }

func faultf(format string, a ...any) error { return fault{fmt.Errorf(format, a...)} }

// errOutput: the chart prints more than it may.
var errOutput = errors.New("it prints too much")

// failure is what an answer says of an error.
func failure(err error) *render.Failure {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, errOutput):
		return &render.Failure{Reason: render.OutputLimit, Message: err.Error()}
	}
	return &render.Failure{Reason: render.ChartFault, Message: sentence(err.Error())}
}

// maxSentence bounds what is kept of a chart's own words.
const maxSentence = 2000

func sentence(s string) string {
	s = strings.TrimSpace(s)
	if len(s) > maxSentence {
		s = strings.ToValidUTF8(s[:maxSentence], "") + "…"
	}
	return s
}

// load reads a package as Helm does, and refuses what helm template refuses.
func load(pkg []byte) (*chart.Chart, error) {
	c, err := loader.LoadArchive(bytes.NewReader(pkg))
	if err != nil {
		return nil, fault{err}
	}
	switch c.Metadata.Type {
	case "", "application":
	default:
		return nil, faultf("%s charts are not installable", c.Metadata.Type)
	}
	var missing []string
	have := map[string]bool{}
	for _, d := range c.Dependencies() {
		have[d.Name()] = true
	}
	for _, d := range c.Metadata.Dependencies {
		if !have[d.Name] {
			missing = append(missing, d.Name)
		}
	}
	if len(missing) > 0 {
		return nil, faultf("found in Chart.yaml, but missing in charts/ directory: %s", strings.Join(missing, ", "))
	}
	return c, nil
}

// copyOf is a chart that rendering may change: Helm renames dependencies and
// imports values in place.
func copyOf(c *chart.Chart) *chart.Chart {
	out, meta := *c, *c.Metadata
	out.Metadata = &meta
	meta.Dependencies = nil
	for _, d := range c.Metadata.Dependencies {
		if d != nil {
			own := *d
			d = &own
		}
		meta.Dependencies = append(meta.Dependencies, d)
	}
	out.Values = copyMap(c.Values)
	subs := make([]*chart.Chart, 0, len(c.Dependencies()))
	for _, d := range c.Dependencies() {
		subs = append(subs, copyOf(d))
	}
	out.SetDependencies(subs...)
	return &out
}

func copyMap(m map[string]any) map[string]any {
	out := make(map[string]any, len(m))
	for k, v := range m {
		out[k] = copyValue(v)
	}
	return out
}

func copyValue(v any) any {
	switch v := v.(type) {
	case map[string]any:
		return copyMap(v)
	case []any:
		out := slices.Clone(v)
		for i := range out {
			out[i] = copyValue(out[i])
		}
		return out
	}
	return v
}

// rendering is one way to render a chart.
type rendering struct {
	values    map[string]any
	unchecked bool               // the schemas are not asked
	prepare   func(*chart.Chart) // what to change once dependencies are settled
	output    int64
}

// files renders a chart: its templates by name, without notes and partials.
// The chart is changed by it.
func (r rendering) files(c *chart.Chart) (map[string]string, error) {
	if err := chartutil.ProcessDependenciesWithMerge(c, r.values); err != nil {
		return nil, fault{err}
	}
	if r.prepare != nil {
		r.prepare(c)
	}
	caps := capabilities()
	values, err := chartutil.ToRenderValuesWithSchemaValidation(c, r.values, release, caps, r.unchecked)
	if err != nil {
		return nil, fault{err}
	}
	if want := c.Metadata.KubeVersion; want != "" && !chartutil.IsCompatibleRange(want, caps.KubeVersion.String()) {
		return nil, faultf("chart requires kubeVersion: %s which is incompatible with Kubernetes %s", want, caps.KubeVersion.String())
	}
	files, err := engine.Render(c, values)
	if err != nil {
		return nil, fault{err}
	}
	total := int64(0)
	for name, text := range files {
		if strings.HasSuffix(name, "NOTES.txt") || strings.HasPrefix(path.Base(name), "_") {
			delete(files, name)
		}
		total += int64(len(text))
	}
	if total > r.output {
		return nil, fmt.Errorf("%w: %d bytes, at most %d", errOutput, total, r.output)
	}
	return files, nil
}

// manifests puts rendered files in the order of helm template, which refuses
// what is no manifest.
func manifests(files map[string]string) ([]render.Manifest, error) {
	hooks, docs, err := releaseutil.SortManifests(files, nil, releaseutil.InstallOrder)
	if err != nil {
		return nil, fault{err}
	}
	out := make([]render.Manifest, 0, len(hooks)+len(docs))
	for _, d := range docs {
		out = append(out, render.Manifest{Template: d.Name, Text: d.Content + "\n"})
	}
	for _, h := range hooks {
		out = append(out, render.Manifest{Template: h.Path, Hook: true, Text: h.Manifest + "\n"})
	}
	return out, nil
}

// valuesOf merges values files, the last one on top.
func valuesOf(files [][]byte) (map[string]any, error) {
	out := map[string]any{}
	for i, data := range files {
		var v map[string]any
		if err := yaml.Unmarshal(data, &v); err != nil {
			return nil, faultf("values file %d: %w", i+1, err)
		}
		merge(out, v)
	}
	return out, nil
}

// merge puts b over a, maps into maps, as Helm merges values files.
func merge(a, b map[string]any) {
	for _, k := range slices.Sorted(maps.Keys(b)) {
		below, ok := a[k].(map[string]any)
		above, both := b[k].(map[string]any)
		if ok && both {
			merge(below, above)
			continue
		}
		a[k] = b[k]
	}
}

func renderOnce(pkg []byte, values [][]byte, l limits) ([]render.Manifest, error) {
	c, err := load(pkg)
	if err != nil {
		return nil, err
	}
	v, err := valuesOf(values)
	if err != nil {
		return nil, err
	}
	files, err := rendering{values: v, output: l.output}.files(c)
	if err != nil {
		return nil, err
	}
	return manifests(files)
}
