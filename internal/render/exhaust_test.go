package render_test

import (
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"chartd.dev/chartd/internal/render"
	"chartd.dev/chartd/internal/render/rendertest"
)

// Charts that would take all there is. Each of them ends within the limits,
// with a word, and leaves the pool as it was.
func TestExhaust(t *testing.T) {
	const second = time.Second
	limits := render.Limits{CPU: second, Memory: 256 << 20, Output: 4 << 20, Wall: 30 * second}
	cases := []struct {
		name, template string
		want           []render.Reason
	}{
		{"endless range", `{{ range untilStep 0 2147483647 1 }}{{ end }}`, []render.Reason{render.TimeLimit, render.MemoryLimit}},
		{"nested ranges", `{{ range until 100000 }}{{ range until 100000 }}{{ end }}{{ end }}`, []render.Reason{render.TimeLimit}},
		{"include itself", `{{ define "a" }}{{ include "a" . }}{{ end }}{{ include "a" . }}`, []render.Reason{render.ChartFault}},
		{"template itself", `{{ define "a" }}{{ template "a" . }}{{ end }}{{ template "a" . }}`, []render.Reason{render.ChartFault, render.MemoryLimit}},
		{"tpl itself", `{{ define "a" }}{{ tpl "{{ include \"a\" . }}" . }}{{ end }}{{ include "a" . }}`, []render.Reason{render.ChartFault, render.TimeLimit, render.MemoryLimit}},
		{"fan out", `{{ define "a0" }}x{{ end }}` + fanOut(12) + `{{ include "a12" . }}`, []render.Reason{render.TimeLimit, render.OutputLimit, render.MemoryLimit}},
		{"huge output", `a: {{ repeat 6000000 "x" }}`, []render.Reason{render.OutputLimit}},
		{"memory", `{{ $x := repeat 10000000 "x" }}{{ range until 1000 }}{{ $x = cat $x $x }}{{ end }}`, []render.Reason{render.MemoryLimit}},
		{"list", `{{ $l := list }}{{ range until 100000 }}{{ $l = append $l (repeat 10000 "x") }}{{ end }}`, []render.Reason{render.MemoryLimit, render.TimeLimit}},
		{"regular expression", `{{ $x := repeat 200000 "ab" }}{{ range until 1000 }}{{ if regexMatch "(a|b|ab)*(a|b|ab)*(a|b|ab)*c$" $x }}{{ end }}{{ end }}`, []render.Reason{render.TimeLimit}},
		{"keys", `{{ range until 1000 }}{{ if genPrivateKey "rsa" }}{{ end }}{{ end }}`, []render.Reason{render.TimeLimit}},
		{"bcrypt", `{{ range until 1000 }}{{ if bcrypt "password" }}{{ end }}{{ end }}`, []render.Reason{render.TimeLimit}},
		{"htpasswd", `{{ range until 1000 }}{{ if htpasswd "user" "password" }}{{ end }}{{ end }}`, []render.Reason{render.TimeLimit}},
		{"aliases in YAML", "a0: &a0 [x, x]\n" + aliases(40), []render.Reason{render.ChartFault, render.MemoryLimit, render.TimeLimit}},
		{"deep YAML", strings.Repeat("[", 60000), []render.Reason{render.ChartFault, render.TimeLimit, render.MemoryLimit}},
	}
	p := pool(t, limits)
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			began := time.Now()
			m, err := p.Render(t.Context(), "k", one(t, c.template), nil)
			if err != nil || m.Failure == nil || !slices.Contains(c.want, m.Failure.Reason) {
				t.Errorf("%v, %.200v; want %q", err, m.Failure, c.want)
			}
			if d := time.Since(began); d > 2*limits.Wall+second { // it is tried twice
				t.Errorf("ended after %s", d)
			}
		})
	}
	if m, err := p.Render(t.Context(), "k", one(t, "a: 1"), nil); err != nil || m.Failure != nil {
		t.Errorf("after it: %v, %v", err, m.Failure)
	}
}

func fanOut(n int) string {
	var b strings.Builder
	for i := range n {
		b.WriteString(`{{ define "a` + itoa(i+1) + `" }}` + strings.Repeat(`{{ include "a`+itoa(i)+`" . }}`, 10) + `{{ end }}`)
	}
	return b.String()
}

func aliases(n int) string {
	var b strings.Builder
	for i := range n {
		b.WriteString("a" + itoa(i+1) + ": &a" + itoa(i+1) + " [*a" + itoa(i) + ", *a" + itoa(i) + "]\n")
	}
	return b.String()
}

func itoa(i int) string { return strconv.Itoa(i) }

// A trace of a chart that exhausts its renderer is a result too.
func TestExhaustTrace(t *testing.T) {
	p := pool(t, render.Limits{CPU: time.Second, Wall: 30 * time.Second})
	pkg := rendertest.Package(t, map[string]string{"templates/a.yaml": `{{ range until 100000 }}{{ range until 100000 }}{{ end }}{{ end }}`})
	tr, err := p.Trace(t.Context(), "k", pkg, nil)
	if err != nil || tr.Verdict != render.NotRendered || tr.Attempts[0].Failure.Reason != render.TimeLimit {
		t.Errorf("%v, %+v", err, tr)
	}
}
