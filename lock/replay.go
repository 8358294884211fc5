package lock

import (
	"encoding/json"
	"fmt"
	"reflect"

	"chartd.dev/chartd/internal/model"
	"chartd.dev/chartd/internal/ref"
	"chartd.dev/chartd/lock/store"
)

// replayed is what the journal says is there.
type replayed struct{ records }

// checkJournal replays the journal and compares what comes out with what is
// there.
func (c *checker) checkJournal() error {
	said := replayed{newRecords()}
	n := uint64(0)
	err := each(c, bucketJournal, func(k string, line Line) error {
		n++
		if k != number(n) || line.Seq != n {
			c.problem("journal line %d has the key %q and says %d", n, k, line.Seq)
		}
		if line.Result != "ok" {
			return nil
		}
		if err := said.apply(line); err != nil {
			return fmt.Errorf("%w: read journal line %d: %v", store.ErrDamaged, line.Seq, err)
		}
		return nil
	})
	if err != nil {
		return err
	}
	c.out.Journal = int(n)
	for chart, v := range c.charts {
		c.charts[chart] = recorded(v)
	}
	for key, s := range c.summaries {
		c.summaries[key] = s.recorded()
	}
	compare(c, "chart version", said.charts, c.charts)
	compare(c, "binding", said.bindings, c.bindings)
	compare(c, "pin", said.pins, c.pins)
	compare(c, "environment", said.envs, c.envs)
	compare(c, "report", said.reports, c.reports)
	compare(c, "halt", said.halts, c.halts)
	compare(c, "list of approvals", said.approvals, c.approvals)
	compare(c, "summary", said.summaries, c.summaries)
	return nil
}

// recorded is what the journal must reproduce of a chart version: not its
// bindings, which have lines of their own, nor the last failure to bind.
func recorded(v ChartVersion) ChartVersion {
	v.Default, v.Bindings, v.Unbound, v.BindAgain = ref.BindingID{}, nil, "", false
	return v
}

// apply plays one line by its verb.
func (h replayed) apply(line Line) error {
	var at struct {
		Reason     string     `json:"reason"`
		Provenance ref.Digest `json:"provenance"`
	}
	switch line.Verb {
	case verbPublish, verbImport:
		var p Published
		if err := json.Unmarshal(line.Detail, &p); err != nil {
			return err
		}
		h.publish(p)
		return nil
	case verbImportSet:
		var set importSet
		err := json.Unmarshal(line.Detail, &set)
		for _, p := range set.Versions {
			h.publish(p)
		}
		return err
	case verbBind:
		var b Binding
		err := json.Unmarshal(line.Detail, &b)
		h.bindings[b.ID] = b
		return err
	case verbPin, verbPinSet, verbAdopt, verbEnvironment:
		return h.applyPins(line)
	case verbReport, verbPolicy, verbHalt, verbResolve, verbApprove:
		return h.applyGate(line)
	case verbRevoke:
		var id ref.BindingID
		if err := id.UnmarshalText([]byte(line.Object)); err != nil {
			return err
		}
		err := json.Unmarshal(line.Detail, &at)
		b := h.bindings[id]
		b.State, b.Why = model.Revoked, at.Reason
		h.bindings[id] = b
		return err
	case verbYank, verbPurge, verbProvenance:
		var chart ref.ChartVersion
		if err := chart.UnmarshalText([]byte(line.Object)); err != nil {
			return err
		}
		err := json.Unmarshal(line.Detail, &at)
		v := h.charts[chart]
		switch line.Verb {
		case verbYank:
			v.State, v.Why = model.Yanked, at.Reason
		case verbPurge:
			v.State, v.Why = model.Purged, at.Reason
		default:
			v.Provenance = at.Provenance
		}
		h.charts[chart] = v
		return err
	}
	return nil
}

func (h replayed) publish(p Published) {
	h.charts[p.Chart.Chart] = recorded(p.Chart)
	if p.Binding != nil {
		h.bindings[p.Binding.ID] = *p.Binding
	}
}

func (h replayed) applyPins(line Line) error {
	var pins []Pin
	var err error
	switch line.Verb {
	case verbPin:
		pins = make([]Pin, 1)
		err = json.Unmarshal(line.Detail, &pins[0])
	case verbPinSet:
		var set PinSet
		err = json.Unmarshal(line.Detail, &set)
		pins = set.Pins
	case verbAdopt:
		var a adoption
		err = json.Unmarshal(line.Detail, &a)
		pins = []Pin{a.Pin}
		h.bindings[a.Binding.ID] = a.Binding
		h.envs[a.Environment.Env] = a.Environment
		if a.Report != nil {
			defer h.applyReport(reported{Report: *a.Report})
		}
	case verbEnvironment:
		var e Environment
		err = json.Unmarshal(line.Detail, &e)
		h.envs[e.Env] = e
	}
	for _, p := range pins {
		h.pins[p.Env.String()+"#"+fmt.Sprint(p.Revision)] = p
		e := h.envs[p.Env]
		e.pinned(p)
		h.envs[p.Env] = e
	}
	return err
}

// compare reports each object that the journal and the lock file do not agree
// on.
func compare[K comparable, V any](c *checker, what string, said, there map[K]V) {
	for key, want := range said {
		if is, ok := there[key]; !ok {
			c.problem("the journal made the %s %v, which is not there", what, key)
		} else if !reflect.DeepEqual(is, want) {
			c.problem("the %s %v is not as the journal says", what, key)
		}
	}
	for key := range there {
		if _, ok := said[key]; !ok {
			c.problem("the %s %v is there and the journal does not say so", what, key)
		}
	}
}
