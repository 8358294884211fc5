package verify

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"chartd.dev/chartd/internal/api"
	"chartd.dev/chartd/internal/client"
	"chartd.dev/chartd/internal/deploy"
	"chartd.dev/chartd/internal/deploy/lockfile"
	"chartd.dev/chartd/internal/ref"
)

// Question is what a checkout is to be compared with. What the server and the
// registries know is asked for.
type Question struct {
	Options
	Connect  func() (*client.Client, error) // of the repo's server; nil: the files alone
	Registry bool                           // what the tags are today, too
	// Ahead judges the locks that wait for their pin. It is asked with Pending.
	Ahead func(ctx context.Context, envs []ref.Env, now map[ref.Env]api.Environment) (Pending, error)
	// Render compares what Helm renders with the pairs; nil: it is not looked at.
	Render func(ctx context.Context, pairs []Pair) (Verdict, []Rendering, error)

	pending Pending
}

// Pair is an environment with what it is to have: its pin, or the lock that
// waits for its pin.
type Pair struct {
	Env     ref.Env
	Entry   lockfile.Entry
	Binding *api.Binding // of the pair, where the server told it
}

// Rendering is how an environment was rendered.
type Rendering struct {
	Environment string   `json:"environment"`
	Chart       string   `json:"chart"`
	Version     string   `json:"version"`            // of the pinned chart in it
	Values      []string `json:"values"`             // in Helm's order
	LeftOut     []string `json:"left_out,omitempty"` // because they are secret
}

// Answer is what a checkout was compared with, and what came of it.
type Answer struct {
	OK           bool              `json:"ok"`
	Environments []string          `json:"environments"`
	Checked      []string          `json:"checked"` // sites, pin, history, registry, deployed, render, gate
	Findings     []Finding         `json:"findings"`
	Notes        []string          `json:"notes"`
	Rendered     []Rendering       `json:"rendered,omitempty"`
	Gate         []api.GateVerdict `json:"gate,omitempty"`
	// Asked is why something could not be asked, or the gate's refusal. What the
	// files say is told all the same.
	Asked error `json:"-"`
}

// Err decides the exit code: what could not be asked comes first, then the
// differences, then the gate.
func (a Answer) Err() error {
	code := api.CodeOf(a.Asked)
	switch gate := code == api.CodeGate || code == api.CodeHalted; {
	case a.Asked != nil && !gate:
		return a.Asked
	case len(a.Findings) > 0:
		return api.Errorf(api.CodeDrift, "%s found", Count(a.Findings))
	}
	return a.Asked
}

// Count names how many differences there are.
func Count(all []Finding) string {
	if len(all) == 1 {
		return "1 difference"
	}
	return fmt.Sprintf("%d differences", len(all))
}

// Scope are the environments to look at: those named, else all of a checkout of
// a stage. The stage is "" where it is not known or there are none.
func Scope(r *deploy.Repo, stage string, envs []ref.Env) (Options, error) {
	o, conf := Options{Envs: envs}, r.Config()
	for _, e := range envs {
		if _, ok := conf.Environment(e); ok && conf.ByBranch() && stage != "" && e.Stage() != stage {
			return o, api.Errorf(api.CodeUsage, "the files here are those of stage %q, and %s is not of it: check out its branch", stage, e)
		}
	}
	if len(envs) > 0 {
		return o, nil
	}
	if conf.ByBranch() && stage == "" {
		o.AnyStage, stage = true, conf.Stages()[0]
	}
	var err error
	o.Envs, err = r.Environments(stage)
	return o, deploy.Coded(err)
}

// Ask compares a checkout with all that q wants. An error is of the checkout;
// one of the server stands in the answer.
func Ask(ctx context.Context, r *deploy.Repo, q Question) (Answer, error) {
	a := Answer{Checked: []string{"sites"}, Findings: []Finding{}, Notes: []string{}}
	if q.Deployed != nil {
		a.Checked = append(a.Checked, "deployed")
	}
	if q.Connect != nil {
		a.Asked = q.ask(ctx, r, &a)
		ignored, err := r.LockIgnored(ctx)
		if err != nil {
			return a, deploy.Coded(err)
		}
		if ignored != "" {
			a.Notes = append(a.Notes, ignored)
		}
	}
	if err := q.files(r, &a); err != nil {
		return a, err
	}
	if q.Render != nil && a.Asked == nil {
		a.Asked = q.render(ctx, r, &a)
	}
	for _, e := range q.Envs {
		name := e.String()
		if q.AnyStage {
			name = r.Key(e)
		}
		a.Environments = append(a.Environments, name)
	}
	if a.Asked == nil && q.Pending {
		a.Asked = q.askGate(ctx, &a)
	}
	a.OK = len(a.Findings) == 0 && a.Asked == nil
	return a, nil
}

// files compares the files. Where Helm renders them the lock file may be
// missing: the pins are the truth.
func (q *Question) files(r *deploy.Repo, a *Answer) error {
	if q.Render != nil && r.LockBytes() == nil {
		a.Checked = slices.DeleteFunc(a.Checked, func(what string) bool { return what == "sites" })
		for _, env := range q.Envs {
			if _, ok := r.Config().Environment(env); !ok {
				return unknown(r.Config(), env, env.String())
			}
		}
		a.Notes = append(a.Notes, fmt.Sprintf("there is no %s: what Helm renders is compared with what the server has pinned", lockfile.Name))
		return nil
	}
	verdict, err := Repo(r, q.Options)
	if err != nil {
		return deploy.Coded(err)
	}
	a.Findings, a.Notes = append(a.Findings, verdict.Findings...), append(a.Notes, verdict.Notes...)
	return nil
}

// ask adds what the server knows, and of each thing all or nothing: half an
// answer would read as differences.
func (q *Question) ask(ctx context.Context, r *deploy.Repo, a *Answer) error {
	if q.AnyStage {
		return api.Errorf(api.CodeUsage, "this branch is none of a stage's, so it is not known which pins to compare with: name HUB/STAGE, or give --offline, or --branch %s",
			strings.Join(slices.Sorted(maps.Keys(r.Config().Branches)), " or "))
	}
	c, err := q.Connect()
	if err != nil {
		return err
	}
	list, err := c.Environments(ctx)
	if err != nil {
		return err
	}
	entries, err := lockedEntries(r, q.Envs)
	if err != nil {
		return nil // Repo says it
	}
	charts, err := lockedCharts(ctx, c, entries)
	if err == nil {
		err = foundCharts(ctx, c, r, q.Options, charts)
	}
	if err != nil {
		return err
	}
	q.Environments, q.Charts = map[ref.Env]api.Environment{}, charts
	for _, e := range list.Environments {
		q.Environments[e.Env] = e
	}
	a.Checked = append(a.Checked, "pin")
	if q.Pending {
		if err := q.askPending(ctx, a); err != nil {
			return err
		}
	}
	if !q.Registry {
		return nil
	}
	if q.Tags, err = tagsToday(ctx, c, entries, a); err == nil {
		a.Checked = append(a.Checked, "registry")
	}
	return err
}

// Pinned compares a checkout with the pin of one environment. It refuses one
// that differs from it, and tells what it found in any case.
func Pinned(ctx context.Context, r *deploy.Repo, c *client.Client, e api.Environment) (Verdict, error) {
	o := Options{Envs: []ref.Env{e.Env}, Environments: map[ref.Env]api.Environment{e.Env: e}}
	entries, err := lockedEntries(r, o.Envs)
	if err != nil {
		return Verdict{}, deploy.Coded(err)
	}
	if o.Charts, err = lockedCharts(ctx, c, entries); err != nil {
		return Verdict{}, err
	}
	v, err := Repo(r, o)
	if err != nil {
		return v, deploy.Coded(err)
	}
	if len(v.Findings) > 0 {
		return v, api.Errorf(api.CodeDrift, "%s between this checkout and the pin of %s: nothing was run", Count(v.Findings), e.Env)
	}
	return v, nil
}

// lockedEntries are the lock's entries of the environments, each pair once.
func lockedEntries(r *deploy.Repo, envs []ref.Env) ([]lockfile.Entry, error) {
	lock, err := r.Lock()
	if err != nil {
		return nil, err
	}
	var out []lockfile.Entry
	for _, env := range envs {
		e, ok := lock.Get(r.Key(env))
		same := func(have lockfile.Entry) bool { return have.Binding == e.Binding }
		if ok && e.Pinned() && !slices.ContainsFunc(out, same) {
			out = append(out, e)
		}
	}
	return out, nil
}

// lockedCharts is what the server knows of the locked versions alone. With
// their content a package in charts/ that was packed anew is recognised.
func lockedCharts(ctx context.Context, c *client.Client, entries []lockfile.Entry) (map[string]api.Chart, error) {
	out := map[string]api.Chart{}
	for _, e := range entries {
		if err := addChart(ctx, c, e.Chart.Name, e.Chart.Version, out); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// addChart asks for a version. One that is not published is left out.
func addChart(ctx context.Context, c *client.Client, name, version string, to map[string]api.Chart) error {
	ch, err := c.Chart(ctx, name, version)
	if api.CodeOf(err) == api.CodeNotFound {
		return nil
	}
	if err == nil {
		to[ch.Name+"@"+ch.Version] = ch
	}
	return err
}

// foundCharts adds the versions that the files name in place of the locked
// ones: in which order the two were published decides the words.
func foundCharts(ctx context.Context, c *client.Client, r *deploy.Repo, o Options, known map[string]api.Chart) error {
	local, err := Repo(r, o)
	if err != nil {
		return nil // the caller's own comparison says it
	}
	for _, f := range local.Findings {
		for _, ch := range slices.Collect(maps.Values(known)) {
			v, err := ref.ParseImported(ch.Name, f.Found)
			if _, have := known[v.String()]; f.Kind != DriftPair || err != nil || have {
				continue
			}
			if err := addChart(ctx, c, v.Name(), v.Version(), known); err != nil {
				return err
			}
		}
	}
	return nil
}

// tagsToday asks what the registries have behind the tags of the locked pairs.
func tagsToday(ctx context.Context, c *client.Client, entries []lockfile.Entry, a *Answer) (map[string]ref.Digest, error) {
	tags := map[string]ref.Digest{}
	for _, e := range entries {
		now, err := c.TagsNow(ctx, e.Binding)
		if api.CodeOf(err) == api.CodeNotFound {
			continue // a binding that the server does not have: the pin check says it
		}
		if err != nil {
			return nil, err
		}
		for _, t := range now.Tags {
			name := t.Repository + ":" + t.Tag
			tags[name] = t.Now
			if t.Gone {
				a.Notes = append(a.Notes, fmt.Sprintf("the registry has no tag %s any more; the pair is locked by digest", name))
				tags[name] = t.Bound
			}
		}
	}
	return tags, nil
}
