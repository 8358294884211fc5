package move_test

import (
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"chartd.dev/chartd/internal/api"
	"chartd.dev/chartd/internal/client"
	"chartd.dev/chartd/internal/deploy/move"
	"chartd.dev/chartd/internal/model"
	"chartd.dev/chartd/internal/ref"
)

// at is the desk as the place of a command, which this process is.
func (d *desk) at() move.Place {
	return move.Place{Dir: d.dir, Dial: func(string) (*client.Client, error) { return d.Client, nil }}
}

func (d *desk) git(args ...string) string {
	d.Helper()
	cmd := exec.Command("git", append([]string{"-c", "user.name=A", "-c", "user.email=a@example.edu"}, args...)...)
	cmd.Dir = d.dir
	out, err := cmd.CombinedOutput()
	if err != nil {
		d.Fatalf("git %v: %v\n%s", args, err, out)
	}
	return string(out)
}

func (d *desk) write(file, text string) {
	d.Helper()
	if err := os.WriteFile(filepath.Join(d.dir, file), []byte(strings.ReplaceAll(text, "URL", d.proxy.URL)), 0o644); err != nil {
		d.Fatal(err)
	}
}

func (d *desk) envs(names ...string) []ref.Env {
	d.Helper()
	var out []ref.Env
	for _, n := range names {
		e, err := ref.ParseEnv(n)
		if err != nil {
			d.Fatal(err)
		}
		out = append(out, e)
	}
	return out
}

// bump asks for a version, with files unless they are left alone.
func (d *desk) bump(version string, f move.Files, names ...string) (move.Outcome, error) {
	d.Helper()
	r := move.BumpRequest{Request: move.Request{Envs: d.envs(names...), Files: f}, Pair: move.Pair{Choice: api.Choice{Version: version}}}
	at := d.at()
	if f.None {
		at.Dir = ""
	}
	return move.Bump(d.Context(), at, r)
}

func (d *desk) bumped(version string, f move.Files, names ...string) move.Outcome {
	d.Helper()
	out, err := d.bump(version, f, names...)
	if err != nil {
		d.Fatal(err)
	}
	return out
}

func (d *desk) report(name string, revision uint64, v model.Verdict) {
	d.Helper()
	if _, err := d.Client.Report(d.Context(), d.envs(name)[0], revision, api.ReportRequest{State: v}); err != nil {
		d.Fatal(err)
	}
}

// refused wants an error with a code and words.
func refused(t testing.TB, err error, code api.Code, words string) {
	t.Helper()
	if api.CodeOf(err) != code || !strings.Contains(err.Error(), words) {
		t.Errorf("%v (%s), want %s and %q", err, api.CodeOf(err), code, words)
	}
}

// A bump plans, asks and pins: what it did is in its outcome.
func TestBumpOutcome(t *testing.T) {
	d := newDesk(t, nil)
	out, err := d.bump("1.0.0", move.Files{DryRun: true}, "data8/prod")
	if p := out.Proposal; err != nil || p == nil || p.Written || len(p.Verdicts) != 1 || !p.Verdicts[0].Pass || !strings.Contains(p.Diff, "+  version: 1.0.0") {
		t.Errorf("a dry run: %+v, %v", out, err)
	}
	d.moved(d.files(), "")

	out = d.bumped("1.0.0", move.Files{Commit: true}, "data8/prod")
	if len(out.Pins) != 1 || !out.Pins[0].Made || out.Pins[0].Revision != 1 || out.Pins[0].Commit == "" || out.Proposal != nil {
		t.Errorf("the first: %+v", out)
	}
	if got := strings.Join(out.Notes, "; "); !strings.HasPrefix(got, "wrote chartd.lock, data8/requirements.yaml, data8/values.yaml; committed as ") {
		t.Errorf("notes are %q", got)
	}
	if got, want := d.git("log", "-1", "--format=%s"), "data8/prod: jupyterhub 1.0.0, hub 1.0.0\n"; got != want {
		t.Errorf("the commit says %q, want %q", got, want)
	}

	// Two, of which one is there already: the other alone is pinned.
	out = d.bumped("1.0.0", move.Files{}, "data8/prod", "stat20/prod")
	if len(out.Pins) != 2 || out.Pins[0].Made || !out.Pins[1].Made || out.Pins[0].Revision != 1 {
		t.Errorf("again: %+v", out.Pins)
	}
	if out.Notes[0] != "data8/prod is at that pair already, as revision 1" {
		t.Errorf("notes are %q", out.Notes)
	}
	d.git("commit", "-qam", "both")

	// A refusal leaves everything, and a line in the journal.
	before := d.files()
	d.Ctl(0, "bump", "data8/prod", "--version", "1.1.0", "--no-files")
	_, err = d.bump("1.0.0", move.Files{}, "data8/prod")
	refused(t, err, api.CodeGate, `"direction"`)
	if now := d.files(); len(now) != len(before) || now["chartd.lock"] != before["chartd.lock"] {
		t.Error("a refused bump changed files")
	}
	if got := d.Ctl(0, "events", "--kind", "refused").Out; !strings.Contains(got, "data8/prod") {
		t.Errorf("no line of the refusal:\n%s", got)
	}
	_, err = d.bump("9.0.0", move.Files{None: true}, "data8/prod")
	refused(t, err, api.CodeNotFound, "chartctl charts jupyterhub lists those that are")
	_, err = d.bump("1.0.0", move.Files{None: true}, "no/where")
	refused(t, err, api.CodeNotFound, "there is no environment no/where")
}

// One question and one pin: the verdict is the plan.
func TestBumpAsksOnce(t *testing.T) {
	d := newDesk(t, nil)
	var asked []string
	var mu sync.Mutex
	d.before(func(w http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		asked = append(asked, r.Method+" "+strings.TrimPrefix(r.URL.Path, "/api/v1/environments/data8/prod"))
		d.next.ServeHTTP(w, r)
	})
	d.want(0, "revision 1", "bump", "data8/prod", "--latest")
	mu.Lock()
	defer mu.Unlock()
	if got, want := strings.Join(asked, ", "), "POST /gate, POST /pins"; got != want {
		t.Errorf("asked %s, want %s", got, want)
	}
}

func TestPromoteOutcome(t *testing.T) {
	d := newDesk(t, nil)
	d.Ctl(0, "env", "create", "data8/staging", "--chart", "jupyterhub")
	to := move.Request{Envs: d.envs("data8/prod"), Files: move.Files{None: true}}
	from := d.envs("data8/staging")[0]
	at := d.at()
	at.Dir = ""
	_, err := move.Promote(t.Context(), at, from, to)
	refused(t, err, api.CodeNotFound, "data8/staging is not pinned, so there is nothing to promote")
	d.bumped("1.0.0", move.Files{None: true}, "data8/staging")
	out, err := move.Promote(t.Context(), at, from, to)
	if err != nil || len(out.Pins) != 1 || out.Pins[0].Kind != model.Promote || out.Pins[0].From != "data8/staging#1" {
		t.Errorf("%+v, %v", out.Pins, err)
	}
	_, err = move.PromoteAll(t.Context(), at, "staging", nil, move.Request{})
	refused(t, err, api.CodeNotFound, `no environment has the stage "staging" before it`)
	if _, err := d.Client.SetPolicy(t.Context(), to.Envs[0], api.Policy{Upstream: []string{"staging"}}, false); err != nil {
		t.Fatal(err)
	}
	d.bumped("1.1.0", move.Files{None: true}, "data8/staging")
	_, err = move.PromoteAll(t.Context(), at, "staging", nil, move.Request{Files: move.Files{None: true}})
	refused(t, err, api.CodeGate, "has passed")
	d.report("data8/staging", 2, model.Passed)
	out, err = move.PromoteAll(t.Context(), at, "staging", nil, move.Request{Files: move.Files{None: true}, Why: move.Why{Reason: "summer"}})
	if err != nil || len(out.Pins) != 1 || out.Pins[0].Version != "1.1.0" || out.Pins[0].Reason != "summer" {
		t.Errorf("%+v, %v", out, err)
	}
	out, err = move.PromoteAll(t.Context(), at, "staging", nil, move.Request{Files: move.Files{None: true}})
	if err != nil || len(out.Pins) != 0 || len(out.Notes) != 1 || !strings.Contains(out.Notes[0], "already") {
		t.Errorf("again: %+v, %v", out, err)
	}
}

// Without a revision it is what passed here, and files go with it.
func TestRollbackOutcome(t *testing.T) {
	d := newDesk(t, nil)
	at, prod := d.at(), d.envs("data8/prod")[0]
	r := move.Request{Files: move.Files{Commit: true}}
	d.bumped("1.0.0", move.Files{Commit: true}, "data8/prod")
	d.bumped("1.1.0", move.Files{Commit: true}, "data8/prod")
	_, err := move.Rollback(t.Context(), at, prod, 0, r)
	refused(t, err, api.CodeGate, "revision 1 had jupyterhub@1.0.0, which has no verdict")
	_, err = move.Rollback(t.Context(), at, prod, 9, r)
	refused(t, err, api.CodeNotFound, "no revision 9")
	_, err = move.Rollback(t.Context(), at, prod, 1, r)
	refused(t, err, api.CodeGate, `chartctl rollback data8/prod --to 1 --downgrade "…"`)
	r.Why.Downgrade = "logins fail"
	out, err := move.Rollback(t.Context(), at, prod, 1, r)
	if err != nil || out.Pins[0].From != "1" || out.Pins[0].Kind != model.Rollback || out.Pins[0].Downgrade != "logins fail" {
		t.Fatalf("%+v, %v", out, err)
	}
	d.report("data8/prod", 3, model.Passed)
	d.bumped("1.1.0", move.Files{Commit: true}, "data8/prod")
	out, err = move.Rollback(t.Context(), at, prod, 0, move.Request{})
	if err != nil || out.Pins[0].From != "3" || !strings.Contains(d.files()["data8/requirements.yaml"], "version: 1.0.0") {
		t.Errorf("%+v, %v", out, err)
	}
}

const groupConfig = `version: 1
server: URL
flow: FLOW
sites:
  hubs: [{kind: dependency, file: data8/requirements.yaml, name: jupyterhub}]
environments:
  data8/prod: {chart: jupyterhub, sites: [hubs]}
  stat20/prod: {chart: jupyterhub, sites: [hubs]}
`

// Environments that share files move as one: the one that was named chooses.
func TestGroupMovesTogether(t *testing.T) {
	d := newDesk(t, nil)
	d.write(".chartctl.yaml", strings.ReplaceAll(groupConfig, "FLOW", "pin"))
	d.git("commit", "-qam", "one file")
	_, err := d.bump("1.0.0", move.Files{}, "data8/prod")
	refused(t, err, api.CodeUsage, "data8/prod shares sites with stat20/prod")
	d.bumped("1.1.0", move.Files{None: true}, "stat20/prod")
	_, err = d.bump("1.0.0", move.Files{Group: true}, "data8/prod")
	refused(t, err, api.CodeGate, "chartctl bump stat20/prod --binding")
	refused(t, err, api.CodeGate, "--group)")
	out := d.bumped("1.1.0", move.Files{Group: true, Commit: true}, "data8/prod")
	if len(out.Pins) != 2 || !out.Pins[0].Made || out.Pins[1].Made {
		t.Errorf("%+v", out.Pins)
	}
	_, err = move.Promote(t.Context(), d.at(), d.envs("stat20/prod")[0], move.Request{Envs: d.envs("data8/prod"), Files: move.Files{Group: true}})
	refused(t, err, api.CodeUsage, "they always have the same pair")
}

// Under review a bump writes, and apply pins what HEAD has: as a promote, a
// bump or a rollback, whichever passes; and nothing that the repo did not say.
func TestApply(t *testing.T) {
	d := newDesk(t, nil)
	d.write(".chartctl.yaml", strings.ReplaceAll(groupConfig, "FLOW", "review"))
	d.git("commit", "-qam", "review")
	_, err := move.Apply(t.Context(), d.at(), move.Why{})
	refused(t, err, api.CodeNotFound, "HEAD has no chartd.lock")
	files := move.Files{Group: true, Commit: true}
	r := move.BumpRequest{Request: move.Request{Envs: d.envs("data8/prod"), Files: files, Why: move.Why{Reason: "term"}}, Pair: move.Pair{Choice: api.Choice{Latest: true}}}
	out, err := move.Bump(t.Context(), d.at(), r)
	if err != nil || out.Proposal == nil || !out.Proposal.Written || len(out.Pins) != 0 {
		t.Fatalf("%+v, %v", out, err)
	}
	if last := out.Notes[len(out.Notes)-1]; last != `nothing is pinned yet (flow: review): chartctl apply --reason "term" pins it after the merge` {
		t.Errorf("the note is %q", last)
	}
	out, err = move.Apply(t.Context(), d.at(), move.Why{Reason: "term"})
	if err != nil || len(out.Pins) != 2 || out.Set == "" || out.Pins[0].Kind != model.Bump || out.Pins[0].Commit != out.Commit || out.Pins[0].Reason != "term" {
		t.Fatalf("%+v, %v", out, err)
	}
	if out, err = move.Apply(t.Context(), d.at(), move.Why{}); err != nil || len(out.Pins) != 0 {
		t.Errorf("again: %+v, %v", out, err)
	}

	// Pinned behind the repo's back: it is not overwritten.
	d.Ctl(0, "bump", "data8/prod", "--version", "1.0.0", "--no-files", "--downgrade", "at night")
	_, err = move.Apply(t.Context(), d.at(), move.Why{})
	refused(t, err, api.CodeDrift, "which chartd.lock had at no commit of this branch")
	co, err := move.Find(t.Context(), d.at(), true)
	if err != nil {
		t.Fatal(err)
	}
	defer co.Leave()
	if err := co.Connect(); err != nil {
		t.Fatal(err)
	}
	now := map[ref.Env]api.Environment{}
	for _, name := range []string{"data8/prod", "stat20/prod"} {
		e, err := d.Client.Environment(t.Context(), d.envs(name)[0])
		if err != nil {
			t.Fatal(err)
		}
		now[e.Env] = e
	}
	waits, err := co.Pending(t.Context(), d.envs("data8/prod", "stat20/prod"), now)
	if err != nil || !waits.Judged || len(waits.Unfollowed) != 1 {
		t.Fatalf("%+v, %v", waits, err)
	}
	refused(t, waits.Unfollowed[d.envs("data8/prod")[0]], api.CodeDrift, "at no commit of this branch")
	if list, err := waits.AskGate(t.Context()); err != nil || len(list) != 0 {
		t.Errorf("nothing else waits: %v, %v", list, err)
	}

	// Taking the server's word mends it.
	lock, err := move.ResolveLock(t.Context(), d.at(), true)
	if err != nil || len(lock.Proposal.Entries) != 1 || lock.Proposal.Entries[0].Key != "data8/prod" {
		t.Fatalf("%+v, %v", lock.Proposal, err)
	}
	lock.Leave()
	if lock, err = move.ResolveLock(t.Context(), d.at(), false); err != nil {
		t.Fatal(err)
	}
	err = lock.Write(t.Context())
	lock.Leave()
	if err != nil || !lock.Proposal.Written || !strings.Contains(d.files()["chartd.lock"], "data8/prod chart: jupyterhub 1.0.0 ") {
		t.Errorf("%+v, %v", lock.Proposal, err)
	}
}
