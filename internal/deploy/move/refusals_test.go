package move_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"chartd.dev/chartd/internal/api"
	"chartd.dev/chartd/internal/client"
	"chartd.dev/chartd/internal/deploy/move"
	"chartd.dev/chartd/internal/e2e/rig"
	"chartd.dev/chartd/internal/ref"
)

// A checkout in which the change would mix with others is left alone.
func TestUncleanCheckout(t *testing.T) {
	d := newDesk(t, nil)
	try := func(words string) {
		t.Helper()
		_, err := d.bump("1.0.0", move.Files{}, "data8/prod")
		refused(t, err, api.CodePrecondition, words)
		if !strings.Contains(err.Error(), "or give --allow-dirty") {
			t.Errorf("the way out is not told: %v", err)
		}
	}
	d.write("data8/values.yaml", "hub: {image: {name: quay.io/example/hub, tag: mine}}\n")
	try("uncommitted changes in data8/values.yaml: commit them first")
	d.git("checkout", "-q", "--", ".")
	d.git("checkout", "-q", "--detach")
	try("no branch is checked out here")
	d.git("checkout", "-q", "main")
	lock := filepath.Join(d.dir, ".git", "index.lock")
	if err := os.WriteFile(lock, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	try("another git works here, or died")
	if err := os.Remove(lock); err != nil {
		t.Fatal(err)
	}
	for words, f := range map[string]move.Files{
		"--commit and --allow-dirty exclude each other": {Commit: true, AllowDirty: true},
		"--commit and --dry-run exclude each other":     {Commit: true, DryRun: true},
		"--no-files excludes --commit":                  {None: true, Commit: true},
	} {
		_, err := d.bump("1.0.0", f, "data8/prod")
		refused(t, err, api.CodeUsage, words)
	}
	d.moved(d.files(), "")
}

// What the images are built on moves ahead, and nothing is pinned.
func TestPrepareOutcome(t *testing.T) {
	d := newDesk(t, nil)
	r := move.BumpRequest{Request: move.Request{Envs: d.envs("data8/prod")}, Prepare: true, Pair: move.Pair{Choice: api.Choice{Version: "1.1.0"}}}
	_, err := move.Bump(t.Context(), d.at(), r)
	refused(t, err, api.CodeUsage, "no site of kind")
	d.write(".chartctl.yaml", strings.Replace(deskFiles[".chartctl.yaml"], "  stat20:\n", "    - {kind: from, file: Dockerfile, repository: example/hub, role: hub}\n  stat20:\n", 1))
	d.write("Dockerfile", "FROM example/hub:0.9.0\n")
	d.git("add", "-A")
	d.git("commit", "-qm", "built here")
	out, err := move.Bump(t.Context(), d.at(), r)
	if err != nil || !out.Proposal.Written || !strings.Contains(out.Proposal.Diff, "+FROM example/hub:1.1.0") || len(out.Pins) != 0 {
		t.Errorf("%+v, %v", out, err)
	}
	if last := out.Notes[len(out.Notes)-1]; !strings.Contains(last, "chartctl bump data8/prod --version 1.1.0 --image ROLE=REF") {
		t.Errorf("the note is %q", last)
	}
	if _, err := d.Client.Yank(t.Context(), chartVersion(t, "1.1.0"), "broken"); err != nil {
		t.Fatal(err)
	}
	r.Files.AllowDirty = true
	_, err = move.Bump(t.Context(), d.at(), r)
	refused(t, err, api.CodeGate, "jupyterhub@1.1.0 was yanked: broken; prepare another version")
}

func chartVersion(t *testing.T, version string) ref.ChartVersion {
	t.Helper()
	v, err := ref.ParseChartVersion("jupyterhub", version)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// What a command cannot do without is a deploy repo or a server.
func TestNoDeployRepo(t *testing.T) {
	b := rig.New(t)
	at := move.Place{Dir: t.TempDir(), Dial: func(string) (*client.Client, error) { return b.Client, nil }}
	for name, try := range map[string]func() error{
		"apply":   func() error { _, err := move.Apply(t.Context(), at, move.Why{}); return err },
		"recover": func() error { _, err := move.Recover(t.Context(), at, false); return err },
		"resolve": func() error { _, err := move.ResolveLock(t.Context(), at, false); return err },
	} {
		if err := try(); api.CodeOf(err) != api.CodeUsage || !strings.Contains(err.Error(), "make one with chartctl init") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// The same fact has one code and one sentence, whichever command comes to it.
func TestOneFactOneSentence(t *testing.T) {
	d := newDesk(t, nil)
	prod := d.envs("data8/prod")[0]
	d.bumped("1.1.0", move.Files{None: true}, "data8/prod")
	image := map[ref.Role]string{"hub": "quay.io/my/hub:none"}
	for _, tt := range []struct {
		name   string
		before func()
		pair   api.Choice
		code   api.Code
		words  string
	}{
		{"no such version", nil, api.Choice{Version: "9.0.0"}, api.CodeNotFound, "jupyterhub@9.0.0"},
		{"no such revision", nil, api.Choice{Revision: 7}, api.CodeNotFound, "no revision 7"},
		{"nothing passed", nil, api.Choice{Passed: true}, api.CodeGate, `"rollback"`},
		{"not bound to it", nil, api.Choice{Version: "1.0.0", Images: image}, api.CodeGate, "no binding of jupyterhub@1.0.0 has hub=quay.io/my/hub:none"},
		{"goes back", nil, api.Choice{Version: "1.0.0"}, api.CodeGate, `"direction"`},
		{"halted", func() { d.Ctl(0, "halt", "data8/prod", "--reason", "the cluster is down") }, api.Choice{Version: "1.0.0"}, api.CodeHalted, "the cluster is down"},
		{"yanked", func() {
			if _, err := d.Client.Yank(t.Context(), chartVersion(t, "1.0.0"), "broken"); err != nil {
				t.Fatal(err)
			}
		}, api.Choice{Version: "1.0.0"}, api.CodeGate, "was yanked: broken"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if tt.before != nil {
				tt.before()
			}
			q := move.Question{Env: prod, Pair: move.Pair{Choice: tt.pair}}
			v, want := q.Ask(t.Context(), d.Client)
			if want == nil {
				want = move.Refusal(v)
			}
			refused(t, want, tt.code, tt.words)
			at := d.at()
			at.Dir = ""
			for _, dry := range []bool{true, false} {
				if len(tt.pair.Images) > 0 && !dry || v.Already {
					continue // it is bound first; it is there, so nothing is pinned
				}
				r := move.Request{Envs: d.envs("data8/prod"), Files: move.Files{None: true, DryRun: dry}}
				var err error
				if tt.pair.Version == "" {
					_, err = move.Rollback(t.Context(), at, prod, tt.pair.Revision, r)
				} else {
					_, err = move.Bump(t.Context(), at, move.BumpRequest{Request: r, Pair: q.Pair})
				}
				if err == nil || err.Error() != want.Error() || api.CodeOf(err) != tt.code {
					t.Errorf("dry run %v: %v\nthe gate: %v", dry, err, want)
				}
			}
		})
	}
}
