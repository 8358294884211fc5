//go:build !race

package renderer

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
)

// made is a chart of the grammar: a few images, each written in the values in
// one of the usual ways, and shown in places that take a digest, and in others
// that do not.
type made struct {
	images []madeImage
	places []string // documents of templates/all.yaml
	helper bool     // references are made by named templates
}

// madeImage is one image of it, and how the values write it.
type madeImage struct {
	key    string // of the values
	style  style
	name   string // of the repository, below quay.io
	tag    string
	digest string // that a seal is to have
}

type style int

const (
	tagged    style = iota // repository, tag
	split                  // registry, repository, tag
	flat                   // the whole reference in one scalar
	digested               // repository, tag, digest, which wins
	defaulted              // repository, and the appVersion where the tag is empty
	prefixed               // repository, and a tag that the template writes a "v" before
	styles
)

const appVersion = "7.0.0"

// shows are the places where an image, or a part of it, can be shown. REF is
// the image's reference, TAG its tag as the values have it, # a number.
var shows = []string{
	`kind: Pod
metadata: {name: pod#}
spec:
  initContainers: [{name: init, image: "REF"}]
  containers: [{name: main, image: "REF"}]
`, `kind: Pod
metadata: {name: pod#, labels: {version: "TAG"}}
spec:
  containers: [{name: main, image: "REF"}]
`, `kind: Pod
metadata: {name: pod#, labels: {version: {{ TAGEXPR | replace "@" "-" | replace ":" "-" | trunc 40 | quote }}}}
spec:
  containers: [{name: main, image: "REF"}]
`, `kind: Deployment
metadata: {name: deployment#}
spec:
  template:
    spec:
      containers:
      - name: main
        image: "REF"
{{- if semverCompare ">=1.0.0" TAGEXPR }}
        command: [new]
{{- end }}
`, `kind: Deployment
metadata: {name: deployment#, annotations: {was: "REF"}}
spec:
  template:
    metadata: {annotations: {checksum/values: {{ .Values | toJson | sha256sum | quote }}}}
    spec:
      containers: [{name: main, image: "REF", args: ["--worker=REF", "--verbose"]}]
`, `kind: Deployment
metadata: {name: deployment#}
spec:
  template:
    spec:
      containers: [{name: main, image: "REF", env: [{name: VERSION, value: "TAG"}]}]
`, `kind: Secret
metadata: {name: secret#}
data:
  values.yaml: {{ .Values | toYaml | b64enc }}
`, `kind: Secret
metadata: {name: secret#}
data:
  tag: {{ TAGEXPR | b64enc }}
`, `kind: ConfigMap
metadata: {name: config#}
data:
  worker.conf: |
    image = "REF"
    pull = always
`, `kind: Deployment
metadata: {name: deployment#}
spec:
  replicas: {{ len TAGEXPR }}
  template:
    spec:
      containers: [{name: main, image: "REF"}]
`, `kind: Deployment
metadata: {name: deployment#}
spec:
  template:
    spec:
      containers: [{name: main, image: "REF"}]
{{- if eq TAGEXPR "ISTAG" }}
      hostNetwork: true
{{- end }}
`, `kind: Deployment
metadata: {name: deployment#, annotations: {named: {{ printf "at-%s" TAGEXPR | sha256sum | trunc 12 | quote }}}}
spec:
  template:
    spec:
      containers: [{name: main, image: "REF"}]
`,
}

func makeChart(r *rand.Rand) made {
	m := made{helper: r.IntN(2) == 0}
	for i := range 1 + r.IntN(3) {
		image := madeImage{key: []string{"hub", "proxy", "worker"}[i], style: style(r.IntN(int(styles))), name: fmt.Sprintf("example/app%d", i), tag: fmt.Sprintf("%d.%d.0", 1+r.IntN(2), i)}
		if r.IntN(3) == 0 {
			image.tag = "1.0.0" // as another one has
		}
		if image.style == defaulted {
			image.tag = ""
		}
		image.digest = fmt.Sprintf("sha256:%064x", r.Uint64())
		m.images = append(m.images, image)
	}
	for i := range m.images {
		m.places = append(m.places, m.place(i, 0)) // a container at least
		for range r.IntN(3) {
			m.places = append(m.places, m.place(i, r.IntN(len(shows))))
		}
	}
	return m
}

// place is a document that shows an image.
func (m made) place(image, show int) string {
	i := m.images[image]
	ref := i.expression()
	if m.helper {
		ref = fmt.Sprintf(`{{ include "made.%s" . }}`, i.key)
	}
	return strings.NewReplacer("REF", ref, "TAGEXPR", "("+i.tagExpression()+")", "ISTAG", i.shownTag(), "TAG", "{{ "+i.tagExpression()+" }}",
		"#", fmt.Sprint(len(m.places))).Replace(shows[show])
}

// at is the path of one of the image's values.
func (i madeImage) at(key string) string { return ".Values." + i.key + "." + key }

func (i madeImage) tagExpression() string {
	switch i.style {
	case flat:
		return fmt.Sprintf(`.Values.%s | splitList ":" | last`, i.key)
	case defaulted:
		return i.at("tag") + " | default .Chart.AppVersion"
	}
	return i.at("tag")
}

func (i madeImage) expression() string {
	switch i.style {
	case split:
		return fmt.Sprintf("{{ %s }}/{{ %s }}:{{ %s }}", i.at("registry"), i.at("repository"), i.at("tag"))
	case flat:
		return fmt.Sprintf("{{ .Values.%s }}", i.key)
	case digested:
		return fmt.Sprintf("{{ %s }}{{ if %s }}@{{ %s }}{{ else }}:{{ %s }}{{ end }}", i.at("repository"), i.at("digest"), i.at("digest"), i.at("tag"))
	case prefixed:
		return fmt.Sprintf("{{ %s }}:v{{ %s }}", i.at("repository"), i.at("tag"))
	}
	return fmt.Sprintf("{{ %s }}:{{ %s }}", i.at("repository"), i.tagExpression())
}

func (i madeImage) shownTag() string {
	if i.style == defaulted {
		return appVersion
	}
	return i.tag
}

func (i madeImage) repository() string { return "quay.io/" + i.name }

// text is the reference that the chart shows.
func (i madeImage) text() string {
	tag := i.shownTag()
	if i.style == prefixed {
		tag = "v" + tag
	}
	return i.repository() + ":" + tag
}

// values writes the image into a values file.
func (i madeImage) values() map[string]string {
	switch i.style {
	case split:
		return map[string]string{"registry": "quay.io", "repository": i.name, "tag": i.tag}
	case flat:
		return map[string]string{"": i.text()}
	case digested:
		return map[string]string{"repository": i.repository(), "tag": i.tag, "digest": ""}
	}
	return map[string]string{"repository": i.repository(), "tag": i.tag}
}

// seals are the ways, right and wrong, to write the digest of an image.
func (i madeImage) seals(r *rand.Rand) map[string]string {
	v := i.values()
	digest := i.digest
	switch r.IntN(12) {
	case 0:
		return v // not sealed
	case 1:
		digest = "sha256:" + strings.Repeat("e", 64)
	case 2:
		if i.style != flat {
			v["repository"] += "x"
		}
	case 3:
		if i.style != flat {
			v["repository"] += "@" + digest
			return v
		}
	}
	switch {
	case i.style == flat:
		v[""] += "@" + digest
	case i.style == digested && r.IntN(4) > 0:
		v["digest"] = digest
	default:
		v["tag"] = i.shownTag() + "@" + digest
	}
	return v
}

// files are the chart's, with values in place of those of its images.
func (m made) files(values []map[string]string, note int) map[string]string {
	var y, helpers strings.Builder
	for n, i := range m.images {
		fmt.Fprintf(&helpers, "{{ define \"made.%s\" }}%s{{ end }}\n", i.key, i.expression())
		if text, ok := values[n][""]; ok {
			fmt.Fprintf(&y, "%s: %q\n", i.key, text)
			continue
		}
		fmt.Fprintf(&y, "%s:\n", i.key)
		for _, k := range []string{"registry", "repository", "tag", "digest"} {
			if text, ok := values[n][k]; ok {
				fmt.Fprintf(&y, "  %s: %q\n", k, text)
			}
		}
	}
	fmt.Fprintf(&y, "note: \"%d\"\n", note)
	docs := slices.Clone(m.places)
	return map[string]string{
		"Chart.yaml":             "apiVersion: v2\nname: made\nversion: 1.0.0\nappVersion: " + appVersion + "\n",
		"values.yaml":            y.String(),
		"templates/_helpers.tpl": helpers.String(),
		"templates/all.yaml":     strings.Join(docs, "---\n"),
	}
}
