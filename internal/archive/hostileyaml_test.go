package archive

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"chartd.dev/chartd/internal/ref"
)

// strictRow is judged in strict mode only: an import takes what Helm takes.
func strictRow(t *testing.T, id string, data []byte, want error, rule string) {
	t.Helper()
	p, err := Read(data, Options{})
	if !errors.Is(err, want) {
		t.Errorf("%s: %v, want %v", id, err, want)
	} else if err != nil && !strings.Contains(err.Error(), rule) {
		t.Errorf("%s: %v does not name the rule %s", id, err, rule)
	} else if err == nil && p.Chart.IsZero() {
		t.Errorf("%s: accepted without identity", id)
	}
}

func TestHostileNames(t *testing.T) {
	for _, name := range []string{
		"../../other/evil", ".", "..", "...", "-", "--help", "-rf", "a/b", `a\b`, "a%2fb", "a%00b", `"a\tb"`, "a b",
		"A", "a_b", "a.b", "foo\u200bbar", "foo\u00adbar", "\u0430", "\uff41", "\u202ea", strings.Repeat("a", 64),
		strings.Repeat("a", 256), `""`, "", "null", "12", "no", "1e3", "[a]", "{a: b}", "index", "index.yaml", "api", "healthz", "metrics", "log",
	} {
		yaml := fmt.Sprintf("apiVersion: v2\nname: %s\nversion: 1.0.0\n", name)
		root := strings.Trim(name, `"`)
		if why, _ := badElement(root); strings.ContainsAny(root, "/\\") || why != "" || root == "" || len(root) > 60 {
			root = "c"
		}
		strictRow(t, "name "+name, pkgOf(t, root, map[string]string{"Chart.yaml": yaml}), ErrRefused, "")
	}
	for _, version := range []string{
		`"1.0"`, "v1.0", `"1"`, "01.0.0", "1.0.0-", "1.0.0+", "../1.0.0", "1.0.0/..", "latest", `"*"`, `">=1"`,
		strings.Repeat("1", 60_000), "99999999999999999999.0.0",
	} {
		yaml := fmt.Sprintf("apiVersion: v2\nname: c\nversion: %s\n", version)
		strictRow(t, "version "+version[:min(len(version), 30)], with(t, map[string]string{"Chart.yaml": yaml}), ErrRefused, "version")
	}
	yaml := "apiVersion: v2\nname: c\nversion: 1.10\n"
	strictRow(t, "V05", with(t, map[string]string{"Chart.yaml": yaml}), ErrRefused, "quote it")
	p, err := Read(chartOf(t, "appVersion: 1.10\n"), Options{})
	if err != nil || p.AppVersion != "1.10" {
		t.Errorf("V05: appVersion is %+v (%v)", p, err)
	}
}

func TestHostileChartYAML(t *testing.T) {
	bomb := "x0: &x0 a\n"
	for i := range 9 {
		bomb += fmt.Sprintf("x%d: &x%d [%s]\n", i+1, i+1, strings.Repeat(fmt.Sprintf("*x%d,", i), 9))
	}
	for id, lines := range map[string]string{
		"Y01":            "name: c\n",
		"Y01 case":       "NAME: d\n",
		"Y01 fold":       "ver\u017fion: 2.0.0\n",
		"Y02":            bomb,
		"Y03 flow":       "x: " + strings.Repeat("[", 10_001) + "\n",
		"Y03 maps":       "x: " + strings.Repeat("{a: ", 10_001) + "\n",
		"Y04 self":       "x: &a [*a]\n",
		"Y04 merge":      "x: &a {b: c}\ny:\n  <<: *a\n",
		"Y04 binary":     "description: !!binary aGVsbG8=\n",
		"Y04 python":     "x: !!python/object:os.system {}\n",
		"Y04 unknown":    "x: !foo bar\n",
		"Y05 maint":      "maintainers: [null]\n",
		"Y05 deps":       "dependencies: [null]\n",
		"Y06":            "dependencies: [{name: a, version: \"1\", import-values: [{child: 1, parent: []}]}]\n",
		"Y08 documents":  "---\nname: d\n",
		"Y08 lone CR":    "description: a\rhome: b\n",
		"Y08 tab":        "home:\thttps://example.org\n",
		"Y10 icon":       "icon: \"javascript:alert(1)\"\n",
		"Y10 home":       "home: \"data:text/html,x\"\n",
		"Y10 sources":    "sources: [\"file:///etc/passwd\"]\n",
		"Y12 newline":    "dependencies: [{name: a, version: \"1\", alias: \"a\\nb\"}]\n",
		"Y12 path":       "dependencies: [{name: a, version: \"1\", alias: ../x}]\n",
		"Y12 twice":      "dependencies: [{name: a, version: \"1\", alias: x}, {name: b, version: \"1\", alias: x}]\n",
		"Y13":            "dependencies:\n- name: a\n  version: \"1\"\n  repository: 'https://x?a;echo$IFS\"x\">/tmp/2'\n",
		"not UTF-8":      "description: \xff\n",
		"second type":    "type: operator\n",
		"api without ok": "apiVersion: v1\n",
	} {
		strictRow(t, id, chartOf(t, lines), ErrRefused, "")
	}
	utf16 := "\xff\xfea\x00:\x00 \x00b\x00\n\x00"
	strictRow(t, "Y08 UTF-16", with(t, map[string]string{"Chart.yaml": utf16}), ErrRefused, "yaml")
	strictRow(t, "Y05 scalar", with(t, map[string]string{"Chart.yaml": "metadata"}), ErrRefused, "chart-yaml")
	sameAsHelm(t, "Y05 annot", chartOf(t, "annotations: null\n"), "annotations is empty")
	sameAsHelm(t, "values twice", with(t, map[string]string{"values.yaml": "hub:\n  image: {name: a/b, tag: x,\n    tag: y}\n"}), `values.yaml has the key "tag" in line 2 and again in line 3: the last one counts`)
	strictRow(t, "Y08 BOM", with(t, map[string]string{"Chart.yaml": "\ufeff" + chartYAML("c", "1.0.0")}), nil, "")
	strictRow(t, "Y08 CRLF", with(t, map[string]string{"Chart.yaml": strings.ReplaceAll(chartYAML("c", "1.0.0"), "\n", "\r\n")}), nil, "")
	strictRow(t, "no apiVersion", with(t, map[string]string{"Chart.yaml": "name: c\nversion: 1.0.0\n"}), nil, "")
	strictRow(t, "Y11", chartOf(t, "description: <script>alert(1)</script>\nkeywords: [\"<b>\"]\n"), nil, "")
	strictRow(t, "N07", with(t, map[string]string{"requirements.yaml": "name: b\ndependencies: []\n"}), ErrRefused, "identity")
	strictRow(t, "N07 case", with(t, map[string]string{"requirements.yaml": "Version: 2.0.0\ndependencies: []\n"}), ErrRefused, "identity")
	if _, err := Read(with(t, map[string]string{"requirements.yaml": "name: b\n"}), Options{Lenient: true}); !errors.Is(err, ErrRefused) {
		t.Errorf("N07 lenient: %v", err)
	}
}

// Every field of Chart.yaml against every type that it does not take.
func TestHostileTypes(t *testing.T) {
	values := map[string]string{
		"text": "x", "number": "12", "float": "1.5", "bool": "true", "null": "null",
		"date": "2001-01-01", "list": "[[]]", "mapping": "{a: {}}",
	}
	takes := map[string]string{isText: "text", isVersion: "text number float bool date", isBool: "bool"}
	for field, want := range chartFields {
		for kind, value := range values {
			if strings.Contains(takes[want], kind) && (want != isText || kind == "text") {
				continue
			}
			base := map[string]string{"apiVersion": "v2", "name": "c", "version": "1.0.0"}
			base[field] = value
			var b strings.Builder
			for k, v := range base {
				fmt.Fprintf(&b, "%s: %s\n", k, v)
			}
			data := with(t, map[string]string{"Chart.yaml": b.String()})
			taken := kind == "null" || want == isText && kind != "list" && kind != "mapping" && field != "home" && field != "icon"
			if taken && !slices.Contains(identities, field) {
				sameAsHelm(t, field+" "+kind, data, field)
				continue
			}
			strictRow(t, field+" "+kind, data, ErrRefused, "")
		}
	}
	for _, v := range []string{".nan", ".inf", "1e999999", "18446744073709551616", "0o777", "12e3", "2001-01-01", "no", "~"} {
		sameAsHelm(t, "Y15 "+v, chartOf(t, "description: "+v+"\n"), "description")
		strictRow(t, "Y15 version "+v, with(t, map[string]string{"Chart.yaml": "apiVersion: v2\nname: c\nversion: " + v + "\n"}), ErrRefused, "")
	}
}

func TestHostileValuesAndSchema(t *testing.T) {
	bomb := "x0: &x0 a\n"
	for i := range 9 {
		bomb += fmt.Sprintf("x%d: &x%d [%s]\n", i+1, i+1, strings.TrimSuffix(strings.Repeat(fmt.Sprintf("*x%d,", i), 9), ","))
	}
	file := func(name, data string) []byte { return with(t, map[string]string{name: data}) }
	for _, r := range []hostile{
		{"Y02 values", file("values.yaml", bomb), ErrRefused, "yaml-limit", false},
		{"Y02 within", file("values.yaml", "a: &a {b: 1}\nc: *a\nd: {<<: *a}\n"), nil, "", false},
		{"Y03 values", file("values.yaml", "a: "+strings.Repeat("[", 10_001)), ErrRefused, "yaml", false},
		{"Y03 indents", file("values.yaml", indents(2_000)), ErrRefused, "yaml", false},
		{"values list", file("values.yaml", "- a\n"), ErrRefused, "values", false},
		{"values syntax", file("values.yaml", "a: [\n"), ErrRefused, "yaml", false},
		{"lock syntax", file("Chart.lock", "dependencies: 7\n"), ErrRefused, "chart-lock", false},
		{"stray file in charts", file("charts/README.md", "x"), ErrRefused, "nested-chart", false},
		{"ignored in charts", file("charts/_x/README.md", "x"), nil, "", false},
		{"chart without Chart.yaml", file("charts/x/values.yaml", "a: 1"), ErrRefused, "chart-yaml", false},
		{"S02", file("values.schema.json", strings.Repeat(`{"allOf":[`, 100_000)+strings.Repeat("]}", 100_000)), nil, "", false},
		{"S02 cycle", file("values.schema.json", `{"$ref":"#"}`), nil, "", false},
		{"S03", file("values.schema.json", `{"$ref":"file:///dev/zero"}`), nil, "", false},
		{"S04", file("templates/x.yaml", `{{ range $i := until 1e9 }}{{ lookup "v1" "" "" "" }}{{ end }}`), nil, "", false},
		{"S01 size", file("values.schema.json", `{"a":"`+strings.Repeat("a", 5<<20)+`"}`), ErrTooLarge, "file-size", false},
	} {
		r.run(t)
	}
	for _, s := range []string{"", "x", "true", "[]", "{", `{"a":1,}`, `{"a" 1}`, `{"a":01}`, `{"a":.5}`, `{"a":1e}`, `{"a":"\x"}`, "{} {}", `{"a":tru}`, "{\"a\":\"\n\"}", `{"a":1}]`, `{]`} {
		strictRow(t, "S01 "+s, file("values.schema.json", s), ErrRefused, "schema")
	}
	for _, s := range []string{"{}", ` {"a":[1,-0.5e+3,"\u00e9\n",null,true,false,{"b":[[],{}]}]} `} {
		strictRow(t, "schema "+s, file("values.schema.json", s), nil, "")
	}
}

func indents(n int) string {
	var b strings.Builder
	for i := range n {
		b.WriteString(strings.Repeat(" ", i) + "a:\n")
	}
	return b.String()
}

func TestReservedAndImported(t *testing.T) {
	data := with(t, map[string]string{"Chart.yaml": "name: c\nversion: v0.5\nhome: example\n"})
	strictRow(t, "imported", data, ErrRefused, "url")
	p, err := Read(data, Options{Lenient: true})
	if err != nil || !p.Lenient || p.Chart.String() != "c@v0.5" || len(p.Warnings) != 1 {
		t.Errorf("lenient: %+v, %v", p, err)
	}
	if _, err := ref.ParseImported("c", "v0.5"); err != nil {
		t.Error(err)
	}
}
