package move

import (
	"context"
	"errors"
	"fmt"

	"chartd.dev/chartd/internal/advice"
	"chartd.dev/chartd/internal/api"
	"chartd.dev/chartd/internal/client"
	"chartd.dev/chartd/internal/model"
	"chartd.dev/chartd/internal/ref"
)

// Pair says which pair is meant: exactly this binding, of the choice's version
// if that names one, or the pair that the server chooses.
type Pair struct {
	Binding ref.BindingID
	api.Choice
}

// Question asks what the gate would say to the pin of an environment.
type Question struct {
	Env  ref.Env
	Pair Pair
	Kind model.Kind // where the choice does not say it
	Why  Why
}

// Ask asks it. A refusal is an answer; where no pair can be chosen it is an
// error.
func (q Question) Ask(ctx context.Context, c *client.Client) (api.GateVerdict, error) {
	ask := api.GateRequest{PinRequest: api.PinRequest{Binding: q.Pair.Binding, Kind: q.Kind, Downgrade: q.Why.Downgrade, BreakGlass: q.Why.BreakGlass}}
	if q.Pair.Binding.IsZero() {
		ask.Choose = &q.Pair.Choice
	}
	v, err := c.Gate(ctx, client.GateCall{Env: q.Env, Ask: ask})
	switch {
	case err == nil && q.Pair.Version != "" && v.Version != q.Pair.Version:
		return v, usage("binding %q is of %s@%s, not of version %q", q.Pair.Binding, v.Name, v.Version, q.Pair.Version)
	case err == nil && v.Pair == nil:
		return v, api.Errorf(api.CodeInvalid, "%s does not say which pair it judged for %s: it is older than this chartctl", c.Server(), q.Env)
	case api.CodeOf(err) == api.CodeNotFound && q.Pair.Version != "":
		if e, unknown := c.Environment(ctx, q.Env); unknown == nil {
			return v, Unpublished(err, e.Chart)
		}
	}
	return v, err
}

// Unpublished adds to a chart version that is not there how to see those that
// are.
func Unpublished(err error, chart string) error {
	if api.CodeOf(err) != api.CodeNotFound {
		return err
	}
	return &api.Error{Code: api.CodeNotFound, Message: err.Error(), Want: advice.Charts.With(model.Facts{Name: chart}) + " lists those that are"}
}

// stepOf is the pin that was asked about.
func stepOf(v api.GateVerdict) step {
	return step{Env: v.Env, Base: v.Revision, Pin: v.Pin, To: *v.Pair, From: v.From, verdict: &v}
}

// choose asks which pair is meant, and says what was passed over for it. With
// images the version is bound to them first, unless nothing is to change.
func (a *act) choose(ctx context.Context, q Question) (step, error) {
	if len(q.Pair.Images) > 0 && !a.files.DryRun {
		id, err := a.bind(ctx, q)
		if err != nil {
			return step{}, err
		}
		q.Pair = Pair{Binding: id}
	}
	v, err := q.Ask(ctx, a.client)
	if err != nil {
		return step{}, err
	}
	a.out.Notes = append(a.out.Notes, ChoiceNotes(v)...)
	if a.files.DryRun || v.Pair != nil && !v.Pair.Sealed.IsZero() { // else it is said with the revision that was made
		a.out.Notes = append(a.out.Notes, SealNotes(v)...)
	}
	return stepOf(v), nil
}

// bind binds the version that is meant to the images as their tags are now.
func (a *act) bind(ctx context.Context, q Question) (ref.BindingID, error) {
	v, err := q.Ask(ctx, a.client)
	a.out.Notes = append(a.out.Notes, ChoiceNotes(v)...)
	var no *api.Error
	var chart ref.ChartVersion
	switch {
	case errors.As(err, &no) && no.Rule == model.RuleBinding && !no.Chart.IsZero():
		chart = no.Chart
	case err != nil:
		return ref.BindingID{}, err
	default:
		if chart, err = ref.ParseImported(v.Name, v.Version); err != nil {
			return ref.BindingID{}, err
		}
	}
	b, _, err := a.client.Bind(ctx, chart, api.BindRequest{Images: q.Pair.Images})
	return b.ID, err
}

// ChoiceNotes say what stood before the pair that was chosen and can't be
// taken, and what was published after it.
func ChoiceNotes(v api.GateVerdict) (notes []string) {
	if over := v.PassedOver; len(over) > 0 {
		first, more := over[0], ""
		if len(over) > 1 {
			more = fmt.Sprintf(" (and %d more)", len(over)-1)
		}
		what := "newer " + first.Version
		if first.Revision > 0 {
			what = fmt.Sprintf("newer revision %d with %s", first.Revision, first.Version)
		}
		why := first.Why
		if first.Command != "" {
			why += "; see " + first.Command
		}
		notes = append(notes, fmt.Sprintf("note: %s takes %s and passes over the %s%s: %s", v.Env, v.Version, what, more, why))
	}
	if v.PublishedLast != "" {
		notes = append(notes, fmt.Sprintf("note: %s takes %s, the highest version; the lower %s was published after it", v.Env, v.Version, v.PublishedLast))
	}
	return notes
}
