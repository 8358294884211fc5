package config_test

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"chartd.dev/chartd/internal/deploy/config"
	"chartd.dev/chartd/internal/ref"
	"chartd.dev/chartd/internal/testtools"
)

const sample = `version: 1
server: https://charts.example.edu/
flow: review
branches: {staging: staging, release/prod: prod}
sites:
  hub:
    - {kind: dependency, file: hub/requirements.yaml, name: jupyterhub}
    - {kind: image, file: hub/values.yaml, path: jupyterhub.hub.image, role: hub}
  users: [{kind: image-ref, file: a.yaml, path: "x.*.y\\.z", repository: "quay.io:5000/a/b", role: singleuser, count: 2}]
  edge: [{kind: marker, file: ci.sh, path: image.hub.tag, name: "no"}]
  own: [{kind: from, file: Dockerfile, repository: jupyterhub/k8s-hub, role: hub}]
environments:
  data8: {chart: jupyterhub, sites: [hub, users], wrapper: hub, prefix: jupyterhub}
  dev: {chart: jupyterhub, sites: [edge, users]}
  r: {chart: jupyterhub, sites: [own]}
  "12": {chart: jupyterhub, sites: [own, edge]}
`

func TestParse(t *testing.T) {
	c, err := config.Parse([]byte(sample))
	if err != nil {
		t.Fatal(err)
	}
	if c.Server != "https://charts.example.edu" || c.Flow != config.Review || c.Sites["users"][0].Count != 2 || c.Sites["users"][0].Path != `x.*.y\.z` {
		t.Errorf("%+v", c)
	}
	again, err := config.Parse(c.Bytes())
	if err != nil {
		t.Fatalf("%v\n%s", err, c.Bytes())
	}
	if d := cmp.Diff(c, again); d != "" {
		t.Errorf("printed and read (-want +got):\n%s", d)
	}
	if !bytes.Equal(again.Bytes(), c.Bytes()) {
		t.Errorf("printed twice:\n%s", again.Bytes())
	}
}

func TestAsk(t *testing.T) {
	c, err := config.Parse([]byte(sample))
	if err != nil {
		t.Fatal(err)
	}
	if s, ok := c.Stage("release/prod"); !ok || s != "prod" {
		t.Errorf("stage %q", s)
	}
	if b, ok := c.Branch("prod"); !ok || b != "release/prod" {
		t.Errorf("branch %q", b)
	}
	if _, ok := c.Stage("main"); ok {
		t.Error("main has a stage")
	}
	if got := c.Stages(); !slices.Equal(got, []string{"prod", "staging"}) {
		t.Errorf("stages %v", got)
	}
	if got := c.Envs(); len(got) != 8 || got[0] != env(t, "12/prod") {
		t.Errorf("environments %v", got)
	}
	if got := c.Key(env(t, "data8/prod")); got != "data8" {
		t.Errorf("key %q", got)
	}
	if got := len(c.SitesOf(env(t, "data8/prod"))); got != 3 {
		t.Errorf("%d sites", got)
	}
	if got := c.SitesOf(env(t, "data8/other")); got != nil {
		t.Errorf("sites of no environment: %v", got)
	}
	// data8 shares with dev, dev with 12, 12 with r.
	all := []ref.Env{env(t, "12/prod"), env(t, "data8/prod"), env(t, "dev/prod"), env(t, "r/prod")}
	if got := c.Group(env(t, "r/prod")); !slices.Equal(got, all) {
		t.Errorf("group %v", got)
	}
	if got := c.Group(env(t, "x/prod")); got != nil {
		t.Errorf("group of no environment: %v", got)
	}
	if got := c.Groups(); len(got) != 1 || len(got[0]) != 4 {
		t.Errorf("groups %v", got)
	}
	plain, err := config.Parse([]byte(strings.NewReplacer("branches: {staging: staging, release/prod: prod}\n", "", "data8:", "data8/prod:", "dev:", "data8/dev:",
		"  r:", "  r/x:", `"12"`, "1/2", "[edge, users]", "[edge]").Replace(sample)))
	if err != nil {
		t.Fatal(err)
	}
	if got := plain.Groups(); len(got) != 2 || plain.Key(env(t, "data8/prod")) != "data8/prod" {
		t.Errorf("groups %v", got)
	}
}

func TestSyntax(t *testing.T) {
	swap := func(pairs ...string) string { return strings.NewReplacer(pairs...).Replace(sample) }
	for _, c := range []struct{ name, text, want string }{
		{"empty", "", ".chartctl.yaml:1: want one YAML document"},
		{"two documents", sample + "---\na: 1\n", ".chartctl.yaml:1: want one YAML document"},
		{"list", "- a\n", ".chartctl.yaml:1: .chartctl.yaml: want a mapping"},
		{"bad YAML", "version: [", ".chartctl.yaml:1: read YAML"},
		{"no version", swap("version: 1\n", ""), "version is missing"},
		{"no server", swap("server: https://charts.example.edu/\n", ""), ".chartctl.yaml:1: server is missing"},
		{"other version", swap("version: 1", "version: 2"), `.chartctl.yaml:1: version "2" is not known`},
		{"unknown field", swap("flow:", "flwo:"), `.chartctl.yaml:3: unknown field "flwo"`},
		{"twice", swap("flow: review", "server: https://x"), `.chartctl.yaml:3: .chartctl.yaml: "server" is given twice`},
		{"bad flow", swap("review", "reviw"), `.chartctl.yaml:3: flow "reviw" is neither`},
		{"bad server", swap("https://charts", "ftp://charts"), `.chartctl.yaml:2: server "ftp://charts.example.edu/" is no address`},
		{"credentials", swap("https://charts", "https://a:b@charts"), ".chartctl.yaml:2: server"},
		{"no branches", swap("{staging: staging, release/prod: prod}", "{}"), ".chartctl.yaml:4: branches: none"},
		{"bad stage", swap("prod: prod", "prod: Prod"), `.chartctl.yaml:4: branches: stage "Prod" of branch "release/prod"`},
		{"bad branch", swap("release/prod: prod", `"-x": prod`), `.chartctl.yaml:4: branches: "-x" is no name`},
		{"hub and stage with branches", swap("data8:", "data8/prod:"), `.chartctl.yaml:13: environment "data8/prod": with branches`},
		{"hub without branches", swap("branches: {staging: staging, release/prod: prod}", ""), `environment "data8": want HUB/STAGE`},
		{"environment without sites", swap("sites: [own]}", "sites: []}"), ".chartctl.yaml:15: environment r: it has no sites"},
		{"environment without chart", swap("r: {chart: jupyterhub, ", "r: {"), ".chartctl.yaml:15: environment r: chart is missing"},
		{"no such set", swap("[own]", "[onw]"), `.chartctl.yaml:15: environment r: there is no set of sites named "onw"`},
		{"set twice", swap("[own]", "[own, own]"), `.chartctl.yaml:15: sites: "own" is given twice`},
		{"unused set", swap("[edge, users]", "[users]", "[own, edge]", "[own]"), `.chartctl.yaml:10: sites: no environment uses the set "edge"`},
		{"unknown kind", swap("kind: from", "kind: form"), `.chartctl.yaml:11: unknown kind of site "form"`},
		{"unknown field of a site", swap("name: jupyterhub}", "nmae: jupyterhub}"), `.chartctl.yaml:7: unknown field "nmae"`},
		{"missing field", swap(", name: jupyterhub}", "}"), ".chartctl.yaml:7: a site of the kind dependency needs name"},
		{"field of another kind", swap("name: jupyterhub}", "name: jupyterhub, role: hub}"), ".chartctl.yaml:7: a site of the kind dependency takes no role"},
		{"same place twice", swap("  users:", "    - {kind: dependency, file: hub/requirements.yaml, name: jupyterhub}\n  users:"), ".chartctl.yaml:9: sites: hub: the same place is given twice"},
		{"out of the repo", swap("file: a.yaml", "file: ../a.yaml"), `.chartctl.yaml:9: file "../a.yaml" is not a plain path`},
		{"absolute", swap("file: a.yaml", "file: /a.yaml"), `.chartctl.yaml:9: file "/a.yaml" is not relative`},
		{"into git", swap("file: a.yaml", "file: .git/config"), `.chartctl.yaml:9: file ".git/config" belongs to git`},
		{"not clean", swap("file: a.yaml", "file: ./a.yaml"), `.chartctl.yaml:9: file "./a.yaml" is not a plain`},
		{"newline", swap("file: a.yaml", `file: "a\nb"`), `.chartctl.yaml:9: file "a\nb" has a control`},
		{"drive", swap("file: a.yaml", `file: "c:/a"`), `.chartctl.yaml:9: file "c:/a" is not relative`},
		{"bad role", swap("role: singleuser", "role: a..b"), ".chartctl.yaml:9: "},
		{"bad repository", swap(`"quay.io:5000/a/b"`, `"quay.io:5000/a/b:1"`), `.chartctl.yaml:9: repository "quay.io:5000/a/b:1" is no image repository`},
		{"star without repository", swap(`repository: "quay.io:5000/a/b", `, ""), ".chartctl.yaml:9: the path"},
		{"bad count", swap("count: 2", "count: 0"), `.chartctl.yaml:9: count "0" is no number`},
		{"bad path", swap(`"x.*.y\\.z"`, `"x..y"`), ".chartctl.yaml:9: path \"x..y\" has an empty element"},
		{"bad marker", swap("path: image.hub.tag", "path: image"), `.chartctl.yaml:10: "image" is no key of a marker`},
		{"alias", swap("chart: jupyterhub, sites: [hub, users]", "chart: &c jupyterhub, sites: [hub, users]"), ".chartctl.yaml:13: chart: want one value"},
		{"null", swap("kind: from", "kind: ~"), ".chartctl.yaml:11: kind: want one value"},
		{"prefix alone", swap("wrapper: hub, ", ""), ".chartctl.yaml:13: environment data8: prefix says nothing"},
		{"conflict", "<<<<<<< ours\n" + sample, ".chartctl.yaml:1: "},
	} {
		_, err := config.Parse([]byte(c.text))
		var e *config.SyntaxError
		if !errors.As(err, &e) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v\nwant %s", c.name, err, c.want)
		}
	}
}

// FuzzParse: what is read prints as a file that reads the same.
func FuzzParse(f *testing.F) {
	f.Add([]byte(sample))
	f.Add([]byte(withPolicies))
	f.Add([]byte("version: 1\nserver: http://x\nenvironments: {a/b: {chart: c, sites: [x]}}\nsites: {x: [{kind: marker, file: \"\\u00e9 #\", path: chart.version}]}\n"))
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := config.Parse(data)
		if err != nil {
			return
		}
		again, err := config.Parse(c.Bytes())
		if err != nil {
			t.Fatalf("%v\n%s", err, c.Bytes())
		}
		if d := cmp.Diff(c, again); d != "" {
			t.Fatalf("printed and read (-want +got):\n%s\n%s", d, c.Bytes())
		}
	})
}

// The example of the reference is a file in its canonical form.
func TestReference(t *testing.T) {
	root, err := testtools.Root()
	if err != nil {
		t.Fatal(err)
	}
	page, err := os.ReadFile(filepath.Join(root, "docs", "reference", "chartctl-yaml.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(page), "<!-- example -->\n```yaml\n")
	example, _, _ := strings.Cut(rest, "```\n")
	c, err := config.Parse([]byte(example))
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(c.Bytes()), example); d != "" {
		t.Errorf("the page (-want +got):\n%s", d)
	}
}
