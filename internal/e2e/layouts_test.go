package e2e

import (
	"cmp"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v4"

	"chartd.dev/chartd/internal/api"
	"chartd.dev/chartd/internal/deploy/config"
	"chartd.dev/chartd/internal/deploy/site"
	"chartd.dev/chartd/internal/e2e/rig"
	"chartd.dev/chartd/internal/ref"
	"chartd.dev/chartd/internal/registrytest"
	"chartd.dev/chartd/internal/testtools"
)

// layouts are the made deploy repos that init reads as their teams do.
var layouts = []string{"ignored-lock", "two-wrappers", "cookiecutter", "two-dependencies", "ranges"}

// layoutPlace is a line that says a half of a pair.
type layoutPlace struct {
	File string
	Line int
	Says string
}

// layoutWant is what is right about a layout.
type layoutWant struct {
	Needs struct {
		Images map[string]string   // and what each is built on
		Bind   map[string][]string // by version of the chart
	}
	Environments map[string]struct {
		Chart, Wrapper, Prefix string
		Version, Image, From   []layoutPlace
		Values                 []string
	}
	Said []struct {
		At       string
		By       string
		Optional bool
	}
	Bumps []struct {
		Run     string
		Moves   []string
		Changes []struct {
			File     string
			Line     int
			From, To string
		}
	}
}

// layout is a checkout of one.
type layout struct {
	*smallCheckout
	want layoutWant
}

func newLayout(t *testing.T, name string) layout {
	t.Helper()
	from := testtools.Shared(t, "data", "deploy-layouts", name)
	l := layout{smallCheckout: &smallCheckout{rig.New(t), filepath.Join(t.TempDir(), name)}}
	text, err := os.ReadFile(filepath.Join(from, "expected.yaml"))
	if err == nil {
		err = yaml.Unmarshal(text, &l.want)
	}
	if err == nil {
		err = os.CopyFS(l.dir, os.DirFS(filepath.Join(from, "repo")))
	}
	if err != nil {
		t.Fatal(err)
	}
	own := map[string]registrytest.Image{}
	for _, v := range []string{"1.0.0", "1.1.0"} {
		own["quay.io/example/hub:"+v], _ = l.HubImage(v)
		l.Publish(rig.Hub{Version: v})
	}
	for image, base := range l.want.Needs.Images {
		r, err := ref.ParseReference(image)
		if err != nil {
			t.Fatal(err)
		}
		l.Image(r.Repository.Path(), r.Tag, registrytest.From(own[base], image))
	}
	l.sh(0, "chmod -R u+w . && git init -q -b main && git add -A && git commit -q -m start")
	return l
}

// check compares the environments that init made with those wanted.
func (l layout) check(t *testing.T) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(l.dir, config.Name))
	if err != nil {
		t.Fatal(err)
	}
	c, err := config.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := c.Keys(), slices.Sorted(maps.Keys(l.want.Environments)); !slices.Equal(got, want) {
		t.Fatalf("environments %q, want %q", got, want)
	}
	files := site.NewFiles(func(name string) ([]byte, error) { return os.ReadFile(filepath.Join(l.dir, name)) })
	all := c.ValuesFiles(filepath.Base(l.dir), strings.Fields(l.sh(0, "git ls-files").Out))
	for key, want := range l.want.Environments {
		e := c.Environments[key]
		env, err := ref.ParseEnv(key)
		if err != nil {
			t.Fatal(err)
		}
		given, _ := c.HelmValues(env, all)
		if given = append([]string{e.Wrapper + "/values.yaml"}, given...); !slices.Equal(given, want.Values) {
			t.Errorf("%s: Helm is given %q, want %q", key, given, want.Values)
		}
		if e.Chart != want.Chart || e.Wrapper != want.Wrapper || cmp.Or(e.Prefix, want.Prefix) != want.Prefix {
			t.Errorf("%s: chart %q, wrapper %q, prefix %q, want %q, %q, %q", key, e.Chart, e.Wrapper, e.Prefix, want.Chart, want.Wrapper, want.Prefix)
		}
		var got []string
		for _, set := range e.Sites {
			for _, at := range c.Sites[set] {
				if at.Role != "" && at.Role != "hub" {
					continue // users' images, which this chart's pairs do not name
				}
				v, err := files.Value(at)
				if err != nil {
					t.Errorf("%s: %v", key, err)
				}
				got = append(got, fmt.Sprintf("%s:%d", at.File, v.Line))
			}
		}
		var places []string
		for _, p := range slices.Concat(want.Version, want.Image, want.From) {
			places = append(places, fmt.Sprintf("%s:%d", p.File, p.Line))
		}
		slices.Sort(got)
		slices.Sort(places)
		if got = slices.Compact(got); !slices.Equal(got, places) {
			t.Errorf("%s: sites at %q, want %q", key, got, places)
		}
	}
}

// bump runs one and compares which pins it moves and which lines.
func (l layout) bump(t *testing.T, n int) {
	t.Helper()
	b := l.want.Bumps[n]
	before := l.pins()
	l.sh(0, "chartctl "+b.Run+" && git add -A")
	var moved []string
	for env, revision := range l.pins() {
		if before[env] != revision {
			moved = append(moved, env)
		}
	}
	slices.Sort(moved)
	slices.Sort(b.Moves)
	if !slices.Equal(moved, b.Moves) {
		t.Errorf("%s moves %q, want %q", b.Run, moved, b.Moves)
	}
	var got, want []string
	file := ""
	for line := range strings.Lines(l.sh(0, "git diff --cached -U0 -- . ':!chartd.lock'").Out) {
		line = strings.TrimSuffix(line, "\n")
		if rest, ok := strings.CutPrefix(line, "+++ b/"); ok {
			file = rest
		} else if strings.HasPrefix(line, "-") && !strings.HasPrefix(line, "---") {
			got = append(got, file+" - "+digestless(line[1:]))
		} else if strings.HasPrefix(line, "+") && !strings.HasPrefix(line, "+++") {
			got = append(got, file+" + "+digestless(line[1:]))
		}
	}
	for _, c := range b.Changes {
		want = append(want, c.File+" - "+digestless(c.From), c.File+" + "+digestless(c.To))
	}
	slices.Sort(want)
	slices.Sort(got)
	if !slices.Equal(got, want) {
		t.Errorf("%s changes\n%s\nwant\n%s", b.Run, strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	l.sh(0, "git commit -q -m bump && chartctl verify")
	for _, c := range b.Changes {
		l.putBack(t, c.File, c.Line)
	}
}

// putBack puts one line back as it was before the bump. That half of a pair is
// found, with the lock file and, where Helm reads it, without.
func (l layout) putBack(t *testing.T, file string, line int) {
	t.Helper()
	was := fmt.Sprintf("git show HEAD~:%[1]s | sed -n %[2]dp > ../line && sed -i -e '%[2]dr ../line' -e '%[2]dd' %[1]s", file, line)
	l.sh(0, was)
	l.sh(api.ExitDrift, "chartctl verify")
	if base := filepath.Base(file); base == "Chart.yaml" || base == "values.yaml" {
		out := l.sh(api.ExitDrift, "mv chartd.lock ..; chartctl verify --render --helm "+testtools.Helm(t, 3)).Out
		if !strings.Contains(out, fmt.Sprintf("%s:%d: ", file, line)) {
			t.Errorf("%s:%d was put back, and verify --render says\n%s", file, line, out)
		}
		l.sh(0, "mv ../chartd.lock .")
	}
	l.sh(0, "git checkout -q -- "+file)
}

// digestless is a line without quotes and digests, which no layout spells out.
func digestless(line string) string {
	text, _, _ := strings.Cut(strings.TrimSpace(line), "@sha256:")
	if strings.HasPrefix(text, "digest: ") {
		return "digest:"
	}
	return strings.ReplaceAll(text, `"`, "")
}

// pins are the revisions of all environments.
func (l layout) pins() map[string]uint64 {
	l.Helper()
	all, err := l.Client.Environments(l.Context())
	if err != nil {
		l.Fatal(err)
	}
	out := map[string]uint64{}
	for _, e := range all.Environments {
		out[e.Env.String()] = e.Revision
	}
	return out
}

// Each layout is read as its team reads it, and a bump changes its lines and
// no others.
func TestLayouts(t *testing.T) {
	for _, name := range layouts {
		t.Run(name, func(t *testing.T) {
			l := newLayout(t, name)
			said := l.sh(0, "chartctl init --dry-run").Text()
			said += l.sh(0, "chartctl init --adopt 'runs today' --yes").Text()
			l.check(t)
			for _, s := range l.want.Said {
				if !s.Optional && s.By != "verify" && !strings.Contains(said, s.At) {
					t.Errorf("init does not name %s:\n%s", s.At, said)
				}
			}
			l.sh(0, "git add -A && git commit -q -m init && chartctl verify")
			for version, images := range l.want.Needs.Bind {
				for _, image := range images {
					l.sh(0, "chartctl bind jupyterhub@"+version+" --image hub="+image)
				}
			}
			for n := range l.want.Bumps {
				l.bump(t, n)
			}
		})
	}
}
