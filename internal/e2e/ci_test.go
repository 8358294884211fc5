package e2e

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v4"

	"chartd.dev/chartd/internal/api"
	"chartd.dev/chartd/internal/e2e/rig"
	"chartd.dev/chartd/internal/testtools"
)

// smallCheckout is a deploy repo with one environment of the small hub chart,
// pinned and locked.
type smallCheckout struct {
	*rig.Bench
	dir string
}

func newSmallCheckout(t *testing.T, flow string) *smallCheckout {
	t.Helper()
	b := rig.New(t)
	for _, v := range []string{"1.0.0", "1.1.0"} {
		b.HubImage(v)
		b.Publish(rig.Hub{Version: v})
	}
	newEnv(t, b, "data8/prod")
	c := &smallCheckout{b, t.TempDir()}
	c.write(".chartctl.yaml", "version: 1\nserver: "+b.Server.URL+"\nflow: "+flow+`
sites:
  hub:
    - {kind: dependency, file: hub/Chart.yaml, name: jupyterhub}
    - {kind: image, file: hub/values.yaml, path: jupyterhub.hub.image, role: hub}
environments:
  data8/prod: {chart: jupyterhub, sites: [hub], wrapper: hub, prefix: jupyterhub}
`)
	c.write("hub/Chart.yaml", "apiVersion: v2\nname: hub\nversion: 0.1.0\ndependencies:\n- name: jupyterhub\n  version: 0.0.1\n  repository: "+b.Server.URL+"\n")
	c.write("hub/values.yaml", "jupyterhub:\n  hub:\n    image:\n      name: quay.io/example/hub\n      tag: none\n")
	c.sh(0, "git init -q -b main && git add -A && git commit -q -m start && chartctl bump data8/prod --version 1.0.0 --commit")
	if flow == "review" {
		c.sh(0, "chartctl apply")
	}
	return c
}

func (c *smallCheckout) write(file, text string) {
	c.Helper()
	path := filepath.Join(c.dir, file)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		c.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		c.Fatal(err)
	}
}

func (c *smallCheckout) env() []string {
	return []string{"PATH=" + filepath.Dir(testtools.Chartctl(c)) + ":" + os.Getenv("PATH"), "CHARTCTL_SERVER=" + c.Server.URL, "CHARTCTL_TOKEN=" + c.Server.Token, "XDG_CONFIG_HOME=" + c.dir + "/.config",
		"GIT_AUTHOR_NAME=a", "GIT_AUTHOR_EMAIL=a@example.edu", "GIT_COMMITTER_NAME=a", "GIT_COMMITTER_EMAIL=a@example.edu", "GIT_CONFIG_GLOBAL=/dev/null"}
}

func (c *smallCheckout) sh(want int, script string) rig.Result {
	c.Helper()
	r, err := rig.Run(c.Context(), c.dir, c.env(), "bash", "-c", script)
	if err != nil || r.Code != want {
		c.Fatalf("%s: %v, exit %d, want %d\n%s", script, err, r.Code, want, r.Text())
	}
	return r
}

// action is action.yml as far as GitHub defines it; another key fails to load.
type action struct {
	Name, Description, Author string
	Branding                  map[string]string
	Inputs                    map[string]struct {
		Description, Default string
		Required             bool
	}
	Outputs map[string]struct{ Description, Value string }
	Runs    struct {
		Using string
		Steps []struct {
			Name, ID, If, Shell, Run string
			Dir                      string `yaml:"working-directory"`
			Env                      map[string]string
		}
	}
}

func rootFile(t *testing.T, name string) []byte {
	t.Helper()
	root, err := testtools.Root()
	if err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(filepath.Join(root, name))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func load(t *testing.T, name string, into any) {
	t.Helper()
	d := yaml.NewDecoder(bytes.NewReader(rootFile(t, name)))
	d.KnownFields(true)
	if err := d.Decode(into); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
}

var expression = regexp.MustCompile(`\$\{\{\s*(.*?)\s*\}\}`)

func TestActionShape(t *testing.T) {
	var a action
	load(t, "action.yml", &a)
	if a.Name == "" || a.Description == "" || a.Runs.Using != "composite" || len(a.Runs.Steps) == 0 {
		t.Errorf("action %+v", a)
	}
	known := map[string]bool{"github.action_path": true, "runner.temp": true, "inputs.command != ''": true}
	for name, in := range a.Inputs {
		known["inputs."+name] = true
		if in.Description == "" || in.Required {
			t.Errorf("input %s: %+v", name, in)
		}
	}
	for _, s := range a.Runs.Steps {
		if s.Name == "" || s.Shell != "bash" || s.Run == "" {
			t.Errorf("step %+v", s)
		}
		if expression.MatchString(s.Run) {
			t.Errorf("step %q puts an input into its script: it could hold commands", s.Name)
		}
		for _, m := range expression.FindAllStringSubmatch(strings.Join(append(slices.Collect(maps.Values(s.Env)), s.If, s.Dir), " "), -1) {
			if !known[m[1]] {
				t.Errorf("step %q uses %q, which nothing defines", s.Name, m[1])
			}
		}
	}
	for name, out := range a.Outputs {
		m := expression.FindStringSubmatch(out.Value)
		if m == nil || !slices.ContainsFunc([]string{"install", "run"}, func(id string) bool { return strings.HasPrefix(m[1], "steps."+id+".outputs.") }) {
			t.Errorf("output %s is %q", name, out.Value)
		}
	}
}

// job is one use of the action on a runner.
type job struct {
	t       *testing.T
	dir     string // the workspace
	temp    string
	env     []string
	log     string
	outputs map[string]string
	path    []string
}

func newJob(t *testing.T, workspace string, env ...string) *job {
	return &job{t: t, dir: workspace, temp: t.TempDir(), env: env}
}

// use runs the action's steps as a runner does, and returns the exit code of
// the one that failed.
func (j *job) use(inputs map[string]string) int {
	j.t.Helper()
	var a action
	load(j.t, "action.yml", &a)
	root, err := testtools.Root()
	if err != nil {
		j.t.Fatal(err)
	}
	values := map[string]string{"github.action_path": root, "runner.temp": j.temp}
	for name, in := range a.Inputs {
		values["inputs."+name] = in.Default
	}
	for name, v := range inputs {
		values["inputs."+name] = v
	}
	fill := func(s string) string {
		return expression.ReplaceAllStringFunc(s, func(m string) string { return values[expression.FindStringSubmatch(m)[1]] })
	}
	j.outputs = map[string]string{}
	for _, s := range a.Runs.Steps {
		if s.If != "" && values["inputs.command"] == "" {
			continue
		}
		env := slices.Clone(j.env)
		for name, v := range s.Env {
			env = append(env, name+"="+fill(v))
		}
		if code := j.step(s.Run, filepath.Join(j.dir, fill(s.Dir)), env); code != 0 {
			return code
		}
	}
	return 0
}

func (j *job) step(script, dir string, env []string) int {
	j.t.Helper()
	file := func(name, text string) string {
		path := filepath.Join(j.temp, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			j.t.Fatal(err)
		}
		return path
	}
	run, output, path := file("step.sh", script), file("output", ""), file("path", "")
	env = append(env, "GITHUB_ACTIONS=true", "GITHUB_WORKSPACE="+j.dir, "GITHUB_OUTPUT="+output, "GITHUB_PATH="+path,
		"PATH="+strings.Join(append(slices.Clone(j.path), os.Getenv("PATH")), ":"))
	r, err := rig.Run(j.t.Context(), dir, env, "bash", "--noprofile", "--norc", "-eo", "pipefail", run)
	if err != nil {
		j.t.Fatal(err)
	}
	j.log += r.Text()
	for _, line := range fileLines(j.t, output) {
		name, value, ok := strings.Cut(line, "=")
		if !ok {
			j.t.Errorf("output %q", line)
		}
		j.outputs[name] = value
	}
	j.path = append(fileLines(j.t, path), j.path...)
	return r.Code
}

func fileLines(t *testing.T, path string) []string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	text := strings.TrimSuffix(string(b), "\n")
	if text == "" {
		return nil
	}
	return strings.Split(text, "\n")
}

// serveChartctl serves the built chartctl and returns its address and SHA-256.
func serveChartctl(t *testing.T) (url, sum string) {
	t.Helper()
	path := testtools.Chartctl(t)
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { http.ServeFile(w, r, path) }))
	t.Cleanup(s.Close)
	h := sha256.Sum256(b)
	return s.URL + "/chartctl", hex.EncodeToString(h[:])
}

func TestActionInstalls(t *testing.T) {
	url, sum := serveChartctl(t)
	for name, tt := range map[string]struct {
		inputs map[string]string
		code   int
		log    string
	}{
		"from its own source":      {map[string]string{}, 0, ""},
		"a download with checksum": {map[string]string{"url": url, "sha256": sum}, 0, ""},
		"another file":             {map[string]string{"url": url, "sha256": strings.Repeat("0", 64)}, 1, "another SHA-256"},
		"no checksum":              {map[string]string{"url": url}, 1, "needs the input sha256"},
		"no file":                  {map[string]string{"url": "http://127.0.0.1:1/chartctl", "sha256": sum}, 1, "could not be downloaded"},
		"a version that is none":   {map[string]string{"version": "v1.0.0; touch owned"}, 1, "none of source, installed"},
		"none installed":           {map[string]string{"version": "installed"}, 1, "no chartctl is installed"},
	} {
		t.Run(name, func(t *testing.T) {
			j := newJob(t, t.TempDir())
			if code := j.use(tt.inputs); code != tt.code || !strings.Contains(j.log, tt.log) {
				t.Fatalf("exit %d, want %d\n%s", code, tt.code, j.log)
			}
			built, err := os.Stat(filepath.Join(j.temp, "chartctl-bin", "chartctl"))
			if (err == nil) != (tt.code == 0) {
				t.Errorf("chartctl: %v, %v", built, err)
			}
			if tt.code == 0 && (len(j.path) != 1 || !strings.HasPrefix(j.outputs["version"], "chartctl ")) {
				t.Errorf("path %q, outputs %q", j.path, j.outputs)
			}
		})
	}
}

// recorder stands before chartctl on the PATH, keeps the arguments that it is
// given, and runs it.
func recorder(t *testing.T) (dir, args string) {
	t.Helper()
	dir = t.TempDir()
	args = filepath.Join(dir, "args")
	script := "#!/bin/sh\nprintf '%s\\n' \"$@\" >> " + args + "\nexec " + testtools.Chartctl(t) + " \"$@\"\n"
	if err := os.WriteFile(filepath.Join(dir, "chartctl"), []byte(script), 0o755); err != nil {
		t.Fatal(err)
	}
	return dir, args
}

func TestActionRuns(t *testing.T) {
	c := newSmallCheckout(t, "pin")
	dir, recorded := recorder(t)
	use := func(want int, inputs map[string]string) *job {
		t.Helper()
		j := newJob(t, c.dir, "XDG_CONFIG_HOME="+c.dir+"/.config")
		j.path = []string{dir}
		maps.Copy(inputs, map[string]string{"version": "installed", "server": c.Server.URL, "token": c.Server.Token})
		if code := j.use(inputs); code != want {
			t.Fatalf("%v: exit %d, want %d\n%s", inputs, code, want, j.log)
		}
		if strings.Contains(j.log, c.Server.Token) {
			t.Errorf("the log holds the token:\n%s", j.log)
		}
		return j
	}
	wants(t, "version", use(0, map[string]string{"command": "version"}).log, "chartctl ")
	if j := use(0, map[string]string{"command": "verify"}); j.outputs["exit-code"] != "0" || j.log != "" && strings.Contains(j.log, "::error") {
		t.Errorf("outputs %q\n%s", j.outputs, j.log)
	}
	wants(t, "verify in a table", use(0, map[string]string{"command": "verify", "args": "-o\ntable\n--offline\n"}).log, "no difference")
	c.sh(0, "sed -i 's/version: 1.0.0/version: 1.1.0/' hub/Chart.yaml")
	j := use(api.ExitDrift, map[string]string{"command": "verify", "working-directory": "hub"})
	if j.outputs["exit-code"] != "7" {
		t.Errorf("outputs %q", j.outputs)
	}
	wants(t, "the annotation", j.log, "::error file=hub/Chart.yaml,line=6,title=chartctl verify%3A pair::jupyterhub is 1.1.0, locked is 1.0.0: the chart moved forward alone")
	c.sh(0, "git checkout -q .")
	use(api.ExitUsage, map[string]string{"command": "env show", "args": "data8/prod\n$(touch owned)\n"})
	if _, err := os.Stat(filepath.Join(c.dir, "owned")); err == nil {
		t.Error("a shell read the arguments")
	}
	deployed := use(0, map[string]string{"command": "deploy", "args": "data8/prod\n--\nsh\n-c\necho deployed $CHARTCTL_VERSION\n"})
	wants(t, "deploy", deployed.log, "deployed 1.0.0\n", "it is reported passed")
	wants(t, "apply", use(0, map[string]string{"command": "apply"}).log, "nothing to do")
	c.HubImage("1.2.0")
	if _, err := (rig.Hub{Version: "1.2.0"}).Write(c.Root, filepath.Join(c.dir, "charts")); err != nil {
		t.Fatal(err)
	}
	wants(t, "publish", use(0, map[string]string{"command": "publish", "args": "--require-binding\ncharts/jupyterhub\n"}).log, "1.2.0", "verified")
	b, err := os.ReadFile(recorded)
	if err != nil || strings.Contains(string(b), c.Server.Token) || !strings.Contains(string(b), "$(touch owned)\n") {
		t.Errorf("arguments: %v\n%s", err, b)
	}
}

// gitlabJob is a job of .gitlab/chartctl.yml; another key fails to load.
type gitlabJob struct {
	Extends   string
	Image     string
	Variables map[string]string
	Before    []string `yaml:"before_script"`
	Script    []string
	Rules     []struct{ If string }
	Resource  string `yaml:"resource_group"`
}

func TestGitLabJobs(t *testing.T) {
	jobs := map[string]gitlabJob{}
	load(t, ".gitlab/chartctl.yml", &jobs)
	base := jobs[".chartctl"]
	if len(base.Before) == 0 {
		t.Fatalf("jobs %+v", jobs)
	}
	url, sum := serveChartctl(t)
	c := newSmallCheckout(t, "review")
	if _, err := (rig.Hub{Version: "1.2.0"}).Write(c.Root, filepath.Join(c.dir, "charts")); err != nil {
		t.Fatal(err)
	}
	c.HubImage("1.2.0")
	c.write("deploy.sh", "#!/bin/sh\necho deployed\n")
	c.sh(0, "chmod +x deploy.sh && git add deploy.sh && git commit -q -m deploy && chartctl bump data8/prod --version 1.1.0 --commit")
	run := func(name string, want int, vars ...string) string {
		t.Helper()
		j := jobs[name]
		if j.Extends != ".chartctl" || len(j.Script) == 0 || len(j.Rules) == 0 {
			t.Fatalf("job %s: %+v", name, j)
		}
		env := []string{"CI_PROJECT_DIR=" + t.TempDir(), "CHARTCTL_SERVER=" + c.Server.URL, "CHARTCTL_TOKEN=" + c.Server.Token, "XDG_CONFIG_HOME=" + c.dir + "/.config",
			"CHARTCTL_URL=" + url, "CHARTCTL_SHA256=" + sum}
		for k, v := range base.Variables {
			env = append(env, k+"="+v)
		}
		for k, v := range j.Variables {
			env = append(env, k+"="+v)
		}
		script := strings.Join(slices.Concat(base.Before, j.Script), "\n")
		r, err := rig.Run(t.Context(), c.dir, append(env, vars...), "bash", "-eo", "pipefail", "-c", script)
		if err != nil || r.Code != want {
			t.Fatalf("%s: %v, exit %d, want %d\n%s", name, err, r.Code, want, r.Text())
		}
		if strings.Contains(r.Text(), c.Server.Token) {
			t.Errorf("%s prints the token", name)
		}
		return r.Text()
	}
	if _, err := exec.LookPath("chartctl"); err == nil {
		t.Fatal("a chartctl on the PATH: this test installs one")
	}
	wants(t, "verify", run(".chartctl-verify", 0), "1.1.0 is not pinned yet, and the gate would pass it")
	wants(t, "apply", run(".chartctl-apply", 0), "data8/prod")
	wants(t, "deploy", run(".chartctl-deploy", 0, "DEPLOY_ENV=data8/prod", "DEPLOY_COMMAND=./deploy.sh"), "deployed")
	wants(t, "publish", run(".chartctl-publish", 0, "CHART_DIR=charts/jupyterhub"), "1.2.0")
	wants(t, "another file", run(".chartctl-verify", 1, "CHARTCTL_SHA256="+strings.Repeat("0", 64)), "another SHA-256")
}

func TestPreCommitHooks(t *testing.T) {
	var hooks []struct {
		ID, Name, Description, Entry, Language string
		AlwaysRun                              bool  `yaml:"always_run"`
		PassFilenames                          *bool `yaml:"pass_filenames"`
	}
	load(t, ".pre-commit-hooks.yaml", &hooks)
	c := newSmallCheckout(t, "pin")
	seen := map[string]bool{}
	for _, h := range hooks {
		if h.ID == "" || seen[h.ID] || h.Name == "" || h.Description == "" || !h.AlwaysRun || h.PassFilenames == nil || *h.PassFilenames ||
			h.Language != "golang" && h.Language != "system" {
			t.Errorf("hook %+v", h)
		}
		seen[h.ID] = true
		wants(t, h.ID, c.sh(0, h.Entry).Out, "no difference")
		c.sh(0, "sed -i 's/version: 1.0.0/version: 1.1.0/' hub/Chart.yaml")
		wants(t, h.ID, c.sh(api.ExitDrift, h.Entry).Out, "hub/Chart.yaml:6: jupyterhub is 1.1.0, locked is 1.0.0")
		c.sh(0, "git checkout -q .")
	}
}

// What the pages show of workflows uses inputs and jobs that exist.
func TestDocumentedWorkflows(t *testing.T) {
	var a action
	load(t, "action.yml", &a)
	jobs := map[string]gitlabJob{}
	load(t, ".gitlab/chartctl.yml", &jobs)
	used := 0
	for _, page := range []string{"ci-github.md", "ci-gitlab.md"} {
		for i, block := range strings.Split(string(rootFile(t, "docs/how-to/"+page)), "```yaml\n")[1:] {
			text, _, _ := strings.Cut(block, "\n```")
			var doc yaml.Node
			if err := yaml.Unmarshal([]byte(text), &doc); err != nil {
				t.Errorf("%s, block %d: %v", page, i+1, err)
				continue
			}
			eachMapping(&doc, func(m map[string]*yaml.Node) {
				if uses := m["uses"]; uses != nil && strings.Contains(uses.Value, "/chartd@") {
					used++
					for k := 0; m["with"] != nil && k < len(m["with"].Content); k += 2 {
						if _, ok := a.Inputs[m["with"].Content[k].Value]; !ok {
							t.Errorf("%s, block %d: the action has no input %q", page, i+1, m["with"].Content[k].Value)
						}
					}
				}
				if extends := m["extends"]; extends != nil {
					used++
					if _, ok := jobs[extends.Value]; !ok {
						t.Errorf("%s, block %d: there is no job %q", page, i+1, extends.Value)
					}
				}
			})
		}
	}
	if used < 9 {
		t.Errorf("%d uses of the action and the jobs in the pages", used)
	}
}

func eachMapping(n *yaml.Node, f func(map[string]*yaml.Node)) {
	if n.Kind == yaml.MappingNode {
		m := map[string]*yaml.Node{}
		for i := 0; i+1 < len(n.Content); i += 2 {
			m[n.Content[i].Value] = n.Content[i+1]
		}
		f(m)
	}
	for _, c := range n.Content {
		eachMapping(c, f)
	}
}
