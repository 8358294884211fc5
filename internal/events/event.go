package events

import (
	"context"
	"encoding/json"
	"fmt"

	"chartd.dev/chartd/internal/api"
	"chartd.dev/chartd/internal/model"
	"chartd.dev/chartd/internal/ref"
	"chartd.dev/chartd/lock"
	"chartd.dev/chartd/lock/store"
)

// of makes the events of one journal line; most lines of other verbs than
// these are nobody's business but the auditor's.
func (f *Feed) of(ctx context.Context, line lock.Line) ([]api.Event, error) {
	out, err := f.parts(ctx, line)
	if err != nil {
		return nil, fmt.Errorf("%w: read journal line %d: %v", store.ErrDamaged, line.Seq, err)
	}
	for i := range out {
		e := &out[i]
		e.Seq, e.N, e.At, e.By = line.Seq, i+1, line.At, line.By.Name
	}
	return out, nil
}

func (f *Feed) parts(ctx context.Context, line lock.Line) ([]api.Event, error) {
	if line.Result == "refused" {
		return refused(line)
	}
	switch line.Verb {
	case "publish", "import":
		var p lock.Published
		if err := json.Unmarshal(line.Detail, &p); err != nil {
			return nil, err
		}
		return f.published(ctx, nil, line, p)
	case "importset":
		return f.importedSet(ctx, line)
	case "bind":
		var b lock.Binding
		if err := json.Unmarshal(line.Detail, &b); err != nil {
			return nil, err
		}
		return f.bound(ctx, nil, line, b)
	case "tag":
		var t lock.TagMoved
		err := json.Unmarshal(line.Detail, &t)
		return []api.Event{{Kind: api.EventTagMoved, Object: line.Object, Before: t.Before, Digest: t.Digest}}, err
	case "pin", "pinset":
		return pinned(line.Detail)
	case "report":
		return reported(line.Detail)
	case "halt", "resolve":
		var h lock.Halt
		err := json.Unmarshal(line.Detail, &h)
		return []api.Event{halted(h)}, err
	case "adopt":
		var a struct {
			Pin     json.RawMessage `json:"pin"`
			Binding lock.Binding    `json:"binding"`
			Report  *lock.Report    `json:"report"`
		}
		if err := json.Unmarshal(line.Detail, &a); err != nil {
			return nil, err
		}
		out, err := pinned(a.Pin)
		if err != nil {
			return nil, err
		}
		if a.Report != nil {
			out = append(out, reportEvent(*a.Report))
		}
		if !a.Binding.At.Equal(line.At) {
			return out, nil
		}
		return f.bound(ctx, out, line, a.Binding)
	}
	return nil, nil
}

// published adds a chart version and the binding that came with it.
func (f *Feed) published(ctx context.Context, out []api.Event, line lock.Line, p lock.Published) ([]api.Event, error) {
	v := p.Chart.Chart
	out = append(out, api.Event{Kind: api.EventPublished, Object: v.String(), Name: v.Name(), Version: v.Version(), Digest: p.Chart.Package})
	if p.Binding == nil {
		return out, nil
	}
	return f.bound(ctx, out, line, *p.Binding)
}

// importedSet reads several versions that were imported at once.
func (f *Feed) importedSet(ctx context.Context, line lock.Line) (out []api.Event, err error) {
	var set struct {
		Versions []lock.Published `json:"versions"`
	}
	err = json.Unmarshal(line.Detail, &set)
	for _, p := range set.Versions {
		if err == nil {
			out, err = f.published(ctx, out, line, p)
		}
	}
	return out, err
}

// bound adds a binding and, of its tags, those that were found with it to
// point elsewhere than before.
func (f *Feed) bound(ctx context.Context, out []api.Event, line lock.Line, b lock.Binding) ([]api.Event, error) {
	out = append(out, api.Event{Kind: api.EventBound, Object: b.Chart.String(), Name: b.Chart.Name(), Version: b.Chart.Version(), Binding: b.ID, State: string(b.State), Reason: b.Why})
	for _, i := range b.Images {
		for _, tagged := range []struct {
			image ref.Image
			tag   string
		}{{i.Image, i.Tag}, {i.Base, i.BaseTag}} {
			if tagged.tag == "" || tagged.image.IsZero() {
				continue
			}
			seen, err := f.lock.Observations(ctx, tagged.image.Repository, tagged.tag)
			if err != nil {
				return nil, err
			}
			for n := 1; n < len(seen); n++ {
				if seen[n].Digest == tagged.image.Digest && seen[n].At.Equal(line.At) {
					out = append(out, api.Event{Kind: api.EventTagMoved, Object: tagged.image.Repository.String() + ":" + tagged.tag, Before: seen[n-1].Digest, Digest: seen[n].Digest})
				}
			}
		}
	}
	return out, nil
}

// pinned reads a pin or a pin set.
func pinned(detail json.RawMessage) ([]api.Event, error) {
	var d struct {
		lock.Pin
		Pins []lock.Pin `json:"pins"`
	}
	if err := json.Unmarshal(detail, &d); err != nil {
		return nil, err
	}
	pins := d.Pins
	if pins == nil {
		pins = []lock.Pin{d.Pin}
	}
	var out []api.Event
	for _, p := range pins {
		out = append(out, api.Event{
			Kind: api.EventPinned, Object: fmt.Sprintf("%s#%d", p.Env, p.Revision), Env: p.Env, Revision: p.Revision,
			Name: p.Chart.Name(), Version: p.Chart.Version(), Binding: p.Binding, Set: p.Set, PinKind: p.Kind, Reason: p.Reason,
			Marks: marksOf(p),
		})
	}
	return out, nil
}

func marksOf(p lock.Pin) []string {
	var out []string
	if p.BreakGlass != "" {
		out = append(out, "break-glass")
	}
	if p.Downgrade != "" {
		out = append(out, "downgrade")
	}
	return out
}

// reported reads a report, with the halt that it raised and those it ended.
func reported(detail json.RawMessage) ([]api.Event, error) {
	var d struct {
		Report lock.Report `json:"report"`
		Halt   *lock.Halt  `json:"halt"`
		Ended  []lock.Halt `json:"ended"`
	}
	if err := json.Unmarshal(detail, &d); err != nil {
		return nil, err
	}
	out := []api.Event{reportEvent(d.Report)}
	if d.Halt != nil {
		out = append(out, halted(*d.Halt))
	}
	for _, h := range d.Ended {
		out = append(out, halted(h))
	}
	return out, nil
}

func reportEvent(r lock.Report) api.Event {
	e := api.Event{
		Kind: api.EventReported, Object: fmt.Sprintf("%s#%d", r.Env, r.Revision), Env: r.Env, Revision: r.Revision,
		Binding: r.Binding, State: string(r.State), Reason: r.Note, URL: r.URL,
	}
	for _, k := range r.Checks {
		e.Checks = append(e.Checks, api.Check(k))
	}
	if r.Superseded {
		e.Marks = []string{"superseded"}
	}
	return e
}

// halted is a halt that began or, where it has ended, its end.
func halted(h lock.Halt) api.Event {
	e := api.Event{
		Kind: api.EventHalted, Object: h.Env.String(), Env: h.Env, Revision: h.Revision, Binding: h.Binding,
		Halt: h.ID, Scope: h.Scope, Reason: h.Reason,
	}
	if !h.Open() {
		e.Kind, e.Revision, e.Reason = api.EventResolved, h.Ended.Revision, h.Ended.Reason
	}
	return e
}

// refused reads the line of a pin that was refused.
func refused(line lock.Line) ([]api.Event, error) {
	var d struct {
		Asked struct {
			Env     ref.Env
			Binding ref.BindingID
			Kind    model.Kind
		} `json:"asked"`
		Why string `json:"why"`
	}
	if err := json.Unmarshal(line.Detail, &d); err != nil {
		return nil, err
	}
	e := api.Event{Kind: api.EventRefused, Object: line.Object, Binding: d.Asked.Binding, PinKind: d.Asked.Kind, Reason: d.Why}
	if env, err := ref.ParseEnv(line.Object); err == nil {
		e.Env = env
	}
	return []api.Event{e}, nil
}
