package renderer

import (
	"testing"

	"chartd.dev/chartd/internal/render/rendertest"
)

// Two images of one registry, in a chart that refuses other registries and
// repositories, as charts of one publisher do.
var refusing = map[string]string{
	"values.yaml": "app: {registry: docker.io, repository: example/app, tag: 1.0.0}\n" +
		"proxy: {registry: docker.io, repository: example/proxy, tag: 2.0.0}\n" +
		"spare: {registry: docker.io, repository: example/spare, tag: 3.0.0}\n",
	"templates/pod.yaml": `{{ range list .Values.app .Values.proxy .Values.spare }}
{{ if ne .registry "docker.io" }}{{ fail "another registry" }}{{ end }}
{{ if not (has .repository (list "example/app" "example/proxy" "example/spare")) }}{{ fail "another repository" }}{{ end }}
{{ end }}
apiVersion: v1
kind: Pod
metadata: {name: demo}
spec:
  containers:
  - {name: app, image: "{{ .Values.app.registry }}/{{ .Values.app.repository }}:{{ .Values.app.tag }}"}
  - {name: proxy, image: "{{ .Values.proxy.registry }}/{{ .Values.proxy.repository }}:{{ .Values.proxy.tag }}"}
`,
}

// A scalar that the chart renders with no other value of feeds only references
// that its neighbours feed.
func TestRefusedScalarFeedsItsOwnImage(t *testing.T) {
	tr := traceOf(rendertest.Package(t, refusing), nil, generous)
	if len(tr.Images) != 2 {
		t.Fatalf("traced %s", written(tr))
	}
	for i, role := range []string{"app", "proxy"} {
		image := tr.Images[i]
		if image.Role != role || len(image.Feeds) != 3 {
			t.Fatalf("traced %s", written(tr))
		}
		for _, f := range image.Feeds {
			if len(f.Values) == 0 || f.Values[0] != role {
				t.Errorf("%v feeds the image of %s: %s", f.Values, role, written(tr))
			}
		}
	}
	if len(tr.Hidden) != 1 || tr.Hidden[0].Text != "docker.io/example/spare:3.0.0" {
		t.Errorf("hidden are %v", tr.Hidden)
	}
}

// When the time is up, what showed up beside others keeps its reference, and
// what was not tried goes with its neighbours.
func TestTraceCutShort(t *testing.T) {
	s, err := open(rendertest.Package(t, refusing), generous)
	if err != nil {
		t.Fatal(err)
	}
	b, err := s.basisOf(values{over: map[string]any{}})
	if err != nil {
		t.Fatal(err)
	}
	tr := newTracer(s, b)
	var refs []string
	for _, o := range tr.order {
		refs = append(refs, o.text)
	}
	groups := apart(candidates(b, refs))
	tr.screen(groups[0])
	tr.partial = "after a test of it"
	tr.finish(groups)
	for i, of := range []string{"app", "proxy"} {
		o := tr.order[i]
		if len(o.feeds) != 3 {
			t.Errorf("%s is fed by %d scalars, not 3", o.text, len(o.feeds))
		}
		for _, f := range o.feeds {
			if f.at[0] != of {
				t.Errorf("%s is fed by %v", o.text, f.at)
			}
		}
	}
}
