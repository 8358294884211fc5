package move

import (
	"cmp"
	"context"
	"fmt"

	"chartd.dev/chartd/internal/advice"
	"chartd.dev/chartd/internal/api"
	"chartd.dev/chartd/internal/client"
	"chartd.dev/chartd/internal/deploy"
	"chartd.dev/chartd/internal/deploy/lockfile"
	"chartd.dev/chartd/internal/model"
	"chartd.dev/chartd/internal/ref"
)

// entries are the lock file's when the move is made.
func (co *Checkout) entries(m move) []lockfile.Entry {
	var out []lockfile.Entry
	for _, s := range m.Steps {
		out = append(out, deploy.EntryOf(co.Repo.Key(s.Env), s.To, co.Repo.Config().Server))
	}
	return out
}

func (a *act) noteThere(m move) {
	for _, s := range m.Steps {
		if s.there() {
			a.note("%s is at that pair already, as revision %d", s.Env, s.Pin.Revision)
		}
	}
}

// pinned is the outcome of a move that was made.
func (a *act) pinned(m move, res api.PinSetResult) error {
	made := map[ref.Env]api.Pin{}
	for _, p := range res.Pins {
		made[p.Env] = p
	}
	a.out.Set = res.Set
	for _, s := range m.Steps {
		p, ok := made[s.Env]
		switch {
		case ok:
			a.notePinned(s, p)
		case s.there():
			p = *s.Pin
		default:
			return api.Errorf(api.CodeInvalid, "the server's answer has no pin of %s: look with %s", s.Env, advice.History.With(model.Facts{Env: s.Env}))
		}
		a.out.Pins = append(a.out.Pins, Now{Pin: p, Made: ok, ByVersion: s.byVersion()})
	}
	return nil
}

// notePinned says what may surprise about a bump or a promote that was made.
func (a *act) notePinned(s step, p api.Pin) {
	if s.Pin != nil && p.Kind != model.Rollback {
		if is := course(p.Direction, s.byVersion()); is != "" {
			a.note("note: %s goes from %s to %s, which %s", p.Env, s.Pin.Version, p.Version, is)
		}
	}
	if len(s.To.Images) > 0 && s.To.Sealed.IsZero() {
		a.note("note: %s@%s cannot be sealed (%s): the environment repository of %s is empty; use revisions/%d with values.yaml",
			p.Name, p.Version, cmp.Or(s.To.Unsealed, "no reason is known"), p.Env, p.Revision)
	}
}

// course says of a chart that goes back, or that goes the other way by its
// version, what is to be known. Where it goes is for the gate to say.
func course(d *api.Direction, byVersion model.Heading) string {
	switch {
	case byVersion == model.Forward:
		return "was published earlier, though its version is higher"
	case byVersion == model.Back:
		return "was published later, though its version is lower"
	case d != nil && d.Chart == model.Back:
		return "is lower"
	}
	return ""
}

// verdicts is what the gate says of each step that is still to be made.
func verdicts(ctx context.Context, c *client.Client, m move) ([]api.GateVerdict, error) {
	out := []api.GateVerdict{}
	for i, s := range m.Steps {
		if s.there() {
			continue
		}
		if s.verdict == nil {
			v, err := c.CheckPin(ctx, m.call(s, ""))
			if err != nil {
				return nil, err
			}
			m.Steps[i].verdict = &v
		}
		out = append(out, *m.Steps[i].verdict)
	}
	return out, nil
}

// Refusal is the first refusal among verdicts, as the error that the pin would
// be; nil if all pass.
func Refusal(list ...api.GateVerdict) error {
	for _, v := range list {
		switch {
		case v.Pass:
		case v.Refusal != nil:
			return v.Refusal
		default:
			return api.Errorf(api.CodeGate, "the gate refuses %s@%s for %s", v.Name, v.Version, v.Env)
		}
	}
	return nil
}

// propose shows what would change and what the gate says to it. The error is
// that of the pin.
func (a *act) propose(ctx context.Context, m move, p *deploy.Plan) error {
	said, err := verdicts(ctx, a.client, m)
	if err != nil {
		return err
	}
	a.out.Proposal = propose(p)
	a.out.Proposal.Verdicts = said
	return Refusal(said...)
}

// review writes the files if the gate would let the pin pass, and leaves the
// pin to apply.
func (a *act) review(ctx context.Context, m move, p *deploy.Plan) error {
	said, err := verdicts(ctx, a.client, m)
	if err == nil {
		err = Refusal(said...)
	}
	if err == nil {
		err = a.writeOnly(ctx, m, p)
	}
	if err != nil {
		return err
	}
	a.out.Proposal = propose(p)
	a.out.Proposal.Verdicts, a.out.Proposal.Written = said, true
	a.note("nothing is pinned yet (flow: review): %s%s pins it after the merge", advice.Apply, m.Why.flags())
	return nil
}

// flags are those of the move that no file holds, so apply needs them again.
func (w Why) flags() string {
	var out string
	for _, f := range []struct{ name, value string }{{"reason", w.Reason}, {"downgrade", w.Downgrade}, {"break-glass", w.BreakGlass}} {
		if f.value != "" {
			out += fmt.Sprintf(" --%s %q", f.name, f.value)
		}
	}
	return out
}

// writeOnly changes files to which no pin belongs.
func (a *act) writeOnly(ctx context.Context, m move, p *deploy.Plan) error {
	if _, err := a.pinAndWrite(ctx, move{}, p); err != nil {
		return err
	}
	if err := a.wrote(ctx, m, p); err != nil {
		return halfwayCommit(nil, err)
	}
	return nil
}
