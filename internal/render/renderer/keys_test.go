package renderer

import (
	"strings"
	"testing"

	"chartd.dev/chartd/internal/render/rendertest"
)

const makingKeys = `{{ $ca := genCA "demo-ca" 365 -}}
{{ $cert := genSignedCert "demo" nil (list "demo" (printf "demo.%s" .Release.Namespace)) 365 $ca -}}
{{ $again := buildCustomCert ($ca.Cert | b64enc) ($ca.Key | b64enc) -}}
{{ $self := 30 | genSelfSignedCert "demo" nil nil -}}
`

const keyed = `apiVersion: v1
kind: Secret
metadata: {name: keys}
data:
  ca.crt: {{ $again.Cert | b64enc }}
  tls.crt: {{ $cert.Cert | b64enc }}
  tls.key: {{ $cert.Key | b64enc }}
  ssh: {{ genPrivateKey "rsa" | b64enc }}
---
apiVersion: v1
kind: Pod
metadata: {name: demo}
spec:
  containers: [{name: demo, image: "{{ .Values.image.repository }}:{{ .Values.image.tag }}"}]
`

// A trace makes keys for its first rendering and for one more, however often it
// renders.
func TestKeysAreMadeOnce(t *testing.T) {
	files := map[string]string{
		"values.yaml":         "image: {repository: quay.io/example/app, tag: 1.0.0}\n",
		"templates/keys.yaml": makingKeys + keyed,
	}
	s, err := open(rendertest.Package(t, files), generous)
	if err != nil {
		t.Fatal(err)
	}
	if s.quick, err = withOneKey(s.chart); err != nil || s.quick == s.chart {
		t.Fatalf("the chart makes keys and has no form that does not (%v)", err)
	}
	b, err := s.basisOf(values{over: map[string]any{}})
	if err != nil || !b.quick {
		t.Fatalf("the quick form is not used: %v, %v", b, err)
	}
	again, err := s.show(b, nil, false)
	if err != nil || len(compare(b.shown, again)) > 0 {
		t.Errorf("keys are made again: %v, %v", compare(b.shown, again), err)
	}
	random := 0
	for key := range b.random {
		if strings.Contains(key, "data") {
			random++
		}
	}
	if random != 4 {
		t.Errorf("%d of 4 keys count as random: %v", random, b.random)
	}
	tr := traceOf(rendertest.Package(t, files), nil, generous)
	if len(tr.Images) != 1 || tr.Images[0].Role != "main" || len(tr.Images[0].Feeds) != 2 || len(tr.Random) != 4 {
		t.Errorf("traced %s", written(tr))
	}
}

// Where a chart looks at a key, it is rendered as it is.
func TestKeysThatAreLookedAt(t *testing.T) {
	for name, text := range map[string]string{
		"the words stand in a text":   `{{ if false }}{{ fail "genCA needs \"a name\"" }}{{ end }}`,
		"what it shows depends on it": `{{ if kindIs "map" (genCA "demo" 1) }}extra: "1"{{ end }}`,
	} {
		t.Run(name, func(t *testing.T) {
			files := map[string]string{
				"values.yaml":        "image: {repository: quay.io/example/app, tag: 1.0.0}\n",
				"templates/pod.yaml": "apiVersion: v1\nkind: Pod\nmetadata: {name: demo}\nspec:\n  containers: [{name: demo, image: \"{{ .Values.image.repository }}:{{ .Values.image.tag }}\"}]\n" + text + "\n",
			}
			s, err := open(rendertest.Package(t, files), generous)
			if err != nil {
				t.Fatal(err)
			}
			if s.quick, err = withOneKey(s.chart); err != nil {
				t.Fatal(err)
			}
			b, err := s.basisOf(values{over: map[string]any{}})
			if err != nil || b.quick {
				t.Fatalf("the quick form is used: %v", err)
			}
			tr := traceOf(rendertest.Package(t, files), nil, generous)
			if len(tr.Images) != 1 || tr.Images[0].Role != "main" {
				t.Errorf("traced %s", written(tr))
			}
		})
	}
}
