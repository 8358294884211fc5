package move

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"chartd.dev/chartd/internal/api"
	"chartd.dev/chartd/internal/deploy"
	"chartd.dev/chartd/internal/deploy/lockfile"
	"chartd.dev/chartd/internal/model"
	"chartd.dev/chartd/internal/ref"
)

func env(t *testing.T, s string) ref.Env {
	t.Helper()
	e, err := ref.ParseEnv(s)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// status is that of an environment at a version; "" for no pin.
func status(t *testing.T, name, version string, verdict model.Verdict, upstream ...string) api.EnvironmentStatus {
	t.Helper()
	e := api.EnvironmentStatus{Environment: api.Environment{Env: env(t, name), Upstream: upstream}, Verdict: verdict}
	if version != "" {
		b := hubBinding(t, version, version, version)
		e.Revision, e.Binding, e.Pin = 3, &b, &api.Pin{Revision: 3, Binding: b.ID, Version: version}
	}
	return e
}

// Of all hubs those go on whose stage passed with another pair; each of the
// others is told why it stays, or there is an error where none goes on.
func TestReadyFrom(t *testing.T) {
	staging := func(hub, version string, v model.Verdict) api.EnvironmentStatus {
		return status(t, hub+"/staging", version, v)
	}
	prod := func(hub, version string) api.EnvironmentStatus {
		return status(t, hub+"/prod", version, "", hub+"/staging")
	}
	for name, tt := range map[string]struct {
		list  []api.EnvironmentStatus
		hubs  []string
		ready string
		stay  string
		code  api.Code
	}{
		"one that passed":   {[]api.EnvironmentStatus{staging("a", "1.1.0", model.Passed), prod("a", "1.0.0")}, nil, "a/prod", "", ""},
		"the first pin":     {[]api.EnvironmentStatus{staging("a", "1.1.0", model.Passed), prod("a", "")}, nil, "a/prod", "", ""},
		"one that did not":  {[]api.EnvironmentStatus{staging("a", "1.1.0", ""), prod("a", "1.0.0")}, nil, "", "a/prod stays: a/staging revision 3 has no pass (none)", api.CodeGate},
		"one that failed":   {[]api.EnvironmentStatus{staging("a", "1.1.0", model.Failed), prod("a", "1.0.0")}, nil, "", "a/prod stays: a/staging revision 3 has no pass (failed)", api.CodeGate},
		"there already":     {[]api.EnvironmentStatus{staging("a", "1.1.0", ""), prod("a", "1.1.0")}, nil, "", "a/prod stays: it is at the pair of a/staging already", ""},
		"nothing before it": {[]api.EnvironmentStatus{staging("a", "", ""), prod("a", "1.1.0")}, nil, "", "a/prod stays: a/staging has no pin", ""},
		"no such stage":     {[]api.EnvironmentStatus{staging("a", "1.1.0", model.Passed), status(t, "a/prod", "1.0.0", "")}, nil, "", "", api.CodeNotFound},
		"two hubs": {[]api.EnvironmentStatus{staging("a", "1.1.0", model.Passed), prod("a", "1.0.0"), staging("b", "1.2.0", ""), prod("b", "1.1.0")}, nil,
			"a/prod", "b/prod stays: b/staging revision 3 has no pass (none)", ""},
		"a hub that was named": {[]api.EnvironmentStatus{staging("a", "1.1.0", model.Passed), prod("a", "1.0.0"), staging("b", "1.2.0", model.Passed), prod("b", "1.1.0")}, []string{"b"}, "b/prod", "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			ready, stay, err := readyFrom(api.Status{Environments: tt.list}, "staging", tt.hubs)
			var names []string
			for _, s := range ready {
				names = append(names, s.Env.String())
				if s.From != s.Env.Hub()+"/staging" || s.there() {
					t.Errorf("%s comes from %s", s.Env, s.From)
				}
			}
			if strings.Join(names, " ") != tt.ready || strings.Join(stay, "\n") != tt.stay || api.CodeOf(err) != tt.code {
				t.Errorf("ready %q, stay %q, %v", names, stay, err)
			}
		})
	}
	var many []api.EnvironmentStatus
	for i := range model.MaxPinSet + 1 {
		hub := "h" + strings.Repeat("x", i)
		many = append(many, staging(hub, "1.1.0", model.Passed), prod(hub, "1.0.0"))
	}
	if _, _, err := readyFrom(api.Status{Environments: many}, "staging", nil); api.CodeOf(err) != api.CodeUsage || !strings.Contains(err.Error(), "61 environments") {
		t.Errorf("more than a set takes: %v", err)
	}
}

func TestChoiceNotes(t *testing.T) {
	at := env(t, "data8/prod")
	for name, tt := range map[string]struct {
		v    api.GateVerdict
		want []string
	}{
		"nothing to say": {api.GateVerdict{Env: at, Version: "1.0.0"}, nil},
		"one above it": {api.GateVerdict{Env: at, Version: "1.0.0", PassedOver: []api.PassedOver{{Version: "1.1.0", Why: "it is bound to no images", Command: "chartctl bind hub@1.1.0"}}},
			[]string{"note: data8/prod takes 1.0.0 and passes over the newer 1.1.0: it is bound to no images; see chartctl bind hub@1.1.0"}},
		"several": {api.GateVerdict{Env: at, Version: "1.0.0", PassedOver: []api.PassedOver{{Version: "1.2.0", Why: "w"}, {Version: "1.1.0"}}},
			[]string{"note: data8/prod takes 1.0.0 and passes over the newer 1.2.0 (and 1 more): w"}},
		"a revision": {api.GateVerdict{Env: at, Version: "1.0.0", PassedOver: []api.PassedOver{{Version: "1.2.0", Revision: 7, Why: "it was revoked"}}},
			[]string{"note: data8/prod takes 1.0.0 and passes over the newer revision 7 with 1.2.0: it was revoked"}},
		"published after it": {api.GateVerdict{Env: at, Version: "2.0.0", PublishedLast: "1.9.9"},
			[]string{"note: data8/prod takes 2.0.0, the highest version; the lower 1.9.9 was published after it"}},
	} {
		if d := cmp.Diff(tt.want, ChoiceNotes(tt.v)); d != "" {
			t.Errorf("%s: -want +got:\n%s", name, d)
		}
	}
}

// The server knows of no files that environments share.
func TestGrouped(t *testing.T) {
	a := &act{co: &Checkout{}, files: Files{Group: true}, envs: []ref.Env{env(t, "a/prod"), env(t, "b/prod")}}
	for _, tt := range []struct{ want, command, isWant, isCommand string }{
		{"name it with chartctl bump b/prod --version 1", "", "name it with chartctl bump b/prod --group --version 1", ""},
		{"say why", "chartctl rollback a/prod --to 1", "say why", "chartctl rollback a/prod --to 1 --group"},
		{"see", "chartctl show hub@1.0.0", "see", "chartctl show hub@1.0.0"},
		{"", "chartctl bump c/prod --latest", "", "chartctl bump c/prod --latest"},
	} {
		var e *api.Error
		if err := a.grouped(&api.Error{Want: tt.want, Command: tt.command}); !errors.As(err, &e) || e.Want != tt.isWant || e.Command != tt.isCommand {
			t.Errorf("%+v becomes %+v", tt, e)
		}
	}
	a.files.Group = false
	err := &api.Error{Command: "chartctl bump a/prod --latest"}
	if got := a.grouped(err); got != error(err) {
		t.Errorf("without a group: %v", got)
	}
}

// Who lost a race is told who won.
func TestExplain(t *testing.T) {
	at := env(t, "data8/prod")
	m := move{Steps: []step{{Env: at, Base: 3}}}
	won := &api.Pin{Env: at, Revision: 4, By: "ci", Name: "hub", Version: "1.1.0", Kind: model.Promote}
	for want, e := range map[string]*api.Error{
		"data8/prod moved meanwhile: ci pinned revision 4 (hub@1.1.0, promote) first; look at it, then try again": {Code: api.CodeStale, Want: "w", Current: won},
		"data8/prod moved meanwhile from revision 3 to 4; look at it, then try again":                             {Code: api.CodeStale, Revision: 4},
		"halted": {Code: api.CodeHalted, Message: "halted"},
	} {
		if got := m.explain(e).Error(); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

// What files do not hold has to be given again.
func TestFlagsForApply(t *testing.T) {
	if got := (Why{}).flags(); got != "" {
		t.Errorf("nothing was said: %q", got)
	}
	w := Why{Reason: "the class", Downgrade: `it "fails"`, BreakGlass: "fire"}
	if got, want := w.flags(), ` --reason "the class" --downgrade "it \"fails\"" --break-glass "fire"`; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

// The journal of a killed process is read by every later chartctl.
func TestIntentIsAsItWas(t *testing.T) {
	m := move{Kind: model.Bump, Why: Why{Reason: "why"}, Steps: []step{{Env: env(t, "data8/prod"), Base: 2, To: hubBinding(t, "1.0.0", "1.0.0", "a")}}}
	n := m.intent("http://127.0.0.1:1")
	n.Key = "k"
	want := `{"format":1,"server":"http://127.0.0.1:1","key":"k","environments":["data8/prod"],"request":{"Env":"data8/prod","Base":2,"Key":"`
	if got := string(n.encode()); !strings.HasPrefix(got, want) || !strings.Contains(got, `"Pin":{"binding":"b1:`) {
		t.Errorf("%s\nwant first\n%s", got, want)
	}
	if got, want := string(FilesOnly("http://127.0.0.1:1")), `{"format":1,"server":"http://127.0.0.1:1","environments":[]}`; got != want {
		t.Errorf("%s, want %s", got, want)
	}
}

// What becomes of each entry of a lock file that is written anew.
func TestLockDecisions(t *testing.T) {
	entry := func(key, version, seed string) lockfile.Entry {
		return deploy.EntryOf(key, hubBinding(t, version, version, seed), "https://charts.example.edu")
	}
	say := func(version, seed string) string {
		return "jupyterhub " + version + ", hub quay.io/example/hub:" + version + "@" + short(ref.DigestOf([]byte(seed)))
	}
	old := lockfile.File{}.With(entry("a/prod", "1.0.0", "a"), entry("b/prod", "1.0.0", "b"), entry("c/prod", "1.0.0", "c"), entry("d/prod", "1.0.0", "d"))
	sure := []lockfile.Entry{entry("a/prod", "1.0.0", "a"), entry("b/prod", "1.0.0", "b"), entry("d/prod", "1.0.0", "d")} // c is in doubt
	other := entry("d/prod", "1.0.0", "d")
	other.Source = "https://elsewhere.example.edu"
	waits := entry("e/prod", "1.1.0", "e")
	waits.Prepare = &lockfile.Chart{Name: "jupyterhub", Version: "1.2.0", Digest: ref.DigestOf([]byte("x"))}
	now := lockfile.File{}.With(entry("a/prod", "1.1.0", "new"), entry("c/prod", "1.0.0", "c"), other, waits)
	want := []LockDecision{
		{Key: "a/prod", Was: say("1.0.0", "a"), Now: say("1.1.0", "new")},
		{Key: "b/prod", Was: say("1.0.0", "b")},
		{Key: "c/prod", Was: "an entry in conflict, or with a wrong sum", Now: say("1.0.0", "c")},
		{Key: "d/prod", Was: "the same with another binding, source, digest or base", Now: say("1.0.0", "d")},
		{Key: "e/prod", Now: say("1.1.0", "e") + ", prepared 1.2.0"},
	}
	if d := cmp.Diff(want, decisions(old.Bytes(), sure, now)); d != "" {
		t.Errorf("-want +got:\n%s", d)
	}
	if got := decisions(old.Bytes(), old.Entries, old); len(got) != 0 {
		t.Errorf("the same file: %v", got)
	}
}

// What a chart names is what its image is built on; a digest is known where
// the chart is bound to that very image.
func TestOwnImages(t *testing.T) {
	b := hubBinding(t, "1.0.0", "1.0.0", "a")
	ch := api.Chart{Name: "jupyterhub", Version: "1.0.0", Binding: &b, Images: []api.ChartImage{
		{Role: "hub", Repository: "quay.io/example/hub", Tag: "1.0.0", Required: true},
		{Role: "singleuser", Repository: "not an image"},
	}}
	got, err := ownImages(ch)
	if err != nil || len(got) != 1 || got["hub"].Digest != b.Images[0].Image.Digest || got["hub"].Tag != "1.0.0" {
		t.Errorf("%+v, %v", got, err)
	}
	ch.Images[0].Base = "quay.io/example/hub:0.9.0" // a wrapper: what the chart below it names
	if got, err = ownImages(ch); err != nil || got["hub"].Tag != "0.9.0" || !got["hub"].Digest.IsZero() {
		t.Errorf("of a wrapper: %+v, %v", got, err)
	}
	ch.Images[0].Base = "a b"
	if _, err = ownImages(ch); api.CodeOf(err) != api.CodeInvalid || !strings.Contains(err.Error(), `"a b"`) {
		t.Errorf("no reference: %v", err)
	}
}
