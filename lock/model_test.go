package lock_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"chartd.dev/chartd/internal/model"
	"chartd.dev/chartd/internal/ref"
	"chartd.dev/chartd/lock"
	"chartd.dev/chartd/lock/memstore"
)

// shadow is the lock file as a few maps: written without a look at the code.
type shadow struct {
	versions map[string]string   // name@version → package digest and state
	bindings map[string]string   // ID → state
	pins     map[string][]string // environment → binding of each revision
}

func newShadow() shadow {
	return shadow{map[string]string{}, map[string]string{}, map[string][]string{}}
}

// machine runs random operations on a lock file and the model of it.
type machine struct {
	r      *rig
	shadow shadow
	index  map[uint64]map[string]string // generation → the index at that time
	shown  map[string]string            // the index, kept up by its changes
	gen    uint64
	keys   int
}

var (
	someVersions = []string{"1.0.0", "1.1.0", "2.0.0"}
	someEnvs     = []string{"data8/dev", "data8/prod", "eecs/prod"}
	someLayers   = []string{"", "a", "b"}
)

func (m *machine) op(t *rapid.T) lock.Op {
	op := alice
	if rapid.Bool().Draw(t, "keyed") {
		m.keys++
		op.Key = fmt.Sprint("key-", m.keys)
	}
	return op
}

// step does one thing and holds it against the journal: one line where
// something changed or a pin was refused, none otherwise.
func (m *machine) step(t *rapid.T, do func() error) {
	const bookkeeping = "journal keys keytimes meta"
	before, lines := m.r.dump(bookkeeping), len(m.r.lines())
	err := do()
	changed, added := m.r.dump(bookkeeping) != before, m.r.lines()[lines:]
	switch {
	case changed && (len(added) != 1 || added[0].Result != "ok"):
		t.Fatalf("a change left the lines %+v", added)
	case !changed && len(added) > 0 && (len(added) != 1 || added[0].Result != "refused" || !errors.Is(err, lock.ErrGate) && !errors.Is(err, lock.ErrStale)):
		t.Fatalf("no change and %v left the lines %+v", err, added)
	case err != nil && changed:
		t.Fatalf("failed with %v and changed something", err)
	}
	m.follow(t)
}

// follow applies the changes of the index since the last step.
func (m *machine) follow(t *rapid.T) {
	c, err := apply(m.shown, m.r, m.gen)
	if err != nil {
		t.Fatal(err)
	}
	m.gen = c.Generation
	m.index[m.gen] = maps.Clone(m.shown)
}

// apply brings an index to the newest generation.
func apply(index map[string]string, r *rig, gen uint64) (lock.IndexChange, error) {
	return r.IndexSince(r.ctx, gen, func() {}, func(l lock.IndexLine) error {
		index[l.Chart.Chart.String()] = string(must(json.Marshal(l)))
		return nil
	})
}

func (m *machine) publish(t *rapid.T) {
	v := rapid.SampledFrom(someVersions).Draw(t, "version")
	content := rapid.SampledFrom([]string{"", "", "other"}).Draw(t, "content")
	bound := rapid.Bool().Draw(t, "bound") && content == ""
	nv := version(hub(v), content)
	if bound {
		nb := binding(v, candidate(v, own(v)))
		nv.Binding = &nb
	}
	_, there := m.shadow.versions[hub(v).String()]
	same := m.shadow.versions[hub(v).String()] == nv.Version.Package.String()+" "
	m.step(t, func() error {
		out, err := m.r.Publish(m.r.ctx, m.op(t), nv)
		if (err == nil) != (!there || same) || err == nil && out.Existed != there {
			t.Fatalf("publish %s: %+v, %v", v, out, err)
		}
		if !there {
			m.shadow.versions[hub(v).String()] = nv.Version.Package.String() + " "
			if bound {
				m.shadow.bindings[out.Binding.ID.String()] = "verified"
			}
		}
		return err
	})
}

func (m *machine) state(v string) (pkg, state string) {
	_, _ = fmt.Sscanf(m.shadow.versions[hub(v).String()], "%s %s", &pkg, &state)
	return pkg, state
}

// drawBinding is a binding of the version to an image built on either
// version's hub image.
func (m *machine) drawBinding(t *rapid.T) (v string, nb lock.NewBinding, proven bool) {
	v = rapid.SampledFrom(someVersions).Draw(t, "version")
	on := rapid.SampledFrom(append([]string{v, v}, someVersions...)).Draw(t, "on")
	i := own(on)
	if layer := rapid.SampledFrom(someLayers).Draw(t, "layer"); layer != "" {
		i = built(on, layer)
	}
	c := candidate(v, i)
	c.Tag = rapid.SampledFrom([]string{"latest", "t1", ""}).Draw(t, "tag")
	nb = binding(v, c)
	if pkg, _ := m.state(v); pkg == digest("package "+hub(v).String()+"other").String() {
		nb.Package = digest("package " + hub(v).String() + "other")
	}
	return v, nb, on == v
}

func (m *machine) bind(t *rapid.T) {
	v, nb, proven := m.drawBinding(t)
	pkg, state := m.state(v)
	id := nb.ID().String()
	ok := pkg != "" && state == "" && proven && m.shadow.bindings[id] != "revoked"
	m.step(t, func() error {
		b, existed, err := m.r.Bind(m.r.ctx, m.op(t), nb)
		if (err == nil) != ok || ok && existed != (m.shadow.bindings[id] != "") {
			t.Fatalf("bind %s: %+v, %v, %v", v, b, existed, err)
		}
		if ok {
			m.shadow.bindings[id] = "verified"
		}
		return err
	})
}

func (m *machine) adopt(t *rapid.T) {
	v, nb, proven := m.drawBinding(t)
	e := rapid.SampledFrom(someEnvs).Draw(t, "env")
	pkg, state := m.state(v)
	id := nb.ID().String()
	ok := pkg != "" && state != "purged" && m.shadow.bindings[id] != "revoked" && len(m.shadow.pins[e]) == 0
	m.step(t, func() error {
		p, err := m.r.AdoptPin(m.r.ctx, m.op(t), lock.NewAdoption{Env: env(e), Chart: "jupyterhub", Binding: nb, Reason: "it runs"})
		if (err == nil) != ok {
			t.Fatalf("adopt %s: %+v, %v", e, p, err)
		}
		if ok {
			m.shadow.pins[e] = []string{id}
			if proven {
				m.shadow.bindings[id] = "verified"
			} else if m.shadow.bindings[id] == "" {
				m.shadow.bindings[id] = "unverified"
			}
		}
		return err
	})
}

func (m *machine) revoke(t *rapid.T) {
	if len(m.shadow.bindings) == 0 {
		t.Skip("nothing is bound")
	}
	id := rapid.SampledFrom(slices.Sorted(maps.Keys(m.shadow.bindings))).Draw(t, "binding")
	m.step(t, func() error {
		_, err := m.r.Revoke(m.r.ctx, m.op(t), must(ref.ParseBindingID(id)), "CVE")
		m.shadow.bindings[id] = "revoked"
		return err
	})
}

func (m *machine) retire(t *rapid.T) {
	v := rapid.SampledFrom(someVersions).Draw(t, "version")
	pkg, state := m.state(v)
	purge := rapid.Bool().Draw(t, "purge")
	m.step(t, func() error {
		if purge {
			_, err := m.r.Purge(m.r.ctx, m.op(t), hub(v), "secret")
			if (err == nil) != (pkg != "") {
				t.Fatalf("purge %s: %v", v, err)
			}
			state = "purged"
		} else {
			_, err := m.r.Yank(m.r.ctx, m.op(t), hub(v), "broken")
			if (err == nil) != (pkg != "" && state != "purged") {
				t.Fatalf("yank %s: %v", v, err)
			}
			if state == "" {
				state = "yanked"
			}
		}
		if pkg != "" {
			m.shadow.versions[hub(v).String()] = pkg + " " + state
		}
		return nil
	})
}

// drawPin also says what the gate answers, by the model: the chart's state,
// the binding's, the base.
func (m *machine) drawPin(t *rapid.T, e string) (np lock.NewPin, ok bool) {
	id := rapid.SampledFrom(slices.Sorted(maps.Keys(m.shadow.bindings))).Draw(t, "binding")
	at := uint64(len(m.shadow.pins[e]))
	np = lock.NewPin{Env: env(e), Base: at, Binding: must(ref.ParseBindingID(id)), Downgrade: "any way"}
	if rapid.IntRange(0, 4).Draw(t, "stale") == 0 {
		np.Base++
	}
	b := must(m.r.Binding(m.r.ctx, np.Binding))
	_, state := m.state(b.Chart.Version())
	ok = np.Base == at && m.shadow.bindings[id] == "verified"
	if at > 0 && rapid.Bool().Draw(t, "rollback") {
		rev := rapid.Uint64Range(1, at).Draw(t, "revision")
		np.Kind, np.From = model.Rollback, fmt.Sprint(rev)
		return np, ok && m.shadow.pins[e][rev-1] == id && state == "" // nothing ever passed
	}
	return np, ok && state == ""
}

func (m *machine) pin(t *rapid.T) {
	e := rapid.SampledFrom(someEnvs).Draw(t, "env")
	if len(m.shadow.bindings) == 0 || m.missing(e) {
		t.Skip("nothing to pin")
	}
	np, ok := m.drawPin(t, e)
	m.step(t, func() error {
		p, err := m.r.MakePin(m.r.ctx, m.op(t), np)
		if (err == nil) != ok {
			t.Fatalf("pin %+v: %+v, %v", np, p, err)
		}
		if ok {
			m.shadow.pins[e] = append(m.shadow.pins[e], np.Binding.String())
		}
		return err
	})
}

func (m *machine) pinSet(t *rapid.T) {
	if len(m.shadow.bindings) == 0 {
		t.Skip("nothing to pin")
	}
	set, all := lock.NewPinSet{Kind: model.Bump, Downgrade: "any way"}, true
	for _, e := range someEnvs {
		if m.missing(e) {
			continue
		}
		np, ok := m.drawPin(t, e)
		if np.Kind == model.Rollback {
			t.Skip("a set is of one kind")
		}
		set.Pins, all = append(set.Pins, np), all && ok
	}
	if len(set.Pins) == 0 {
		t.Skip("no environment")
	}
	m.step(t, func() error {
		_, err := m.r.MakePinSet(m.r.ctx, m.op(t), set)
		if (err == nil) != all {
			t.Fatalf("pin set %+v: %v", set, err)
		}
		for _, np := range set.Pins {
			if all {
				m.shadow.pins[np.Env.String()] = append(m.shadow.pins[np.Env.String()], np.Binding.String())
			}
		}
		return err
	})
}

func (m *machine) missing(e string) bool {
	_, err := m.r.Environment(m.r.ctx, env(e))
	return errors.Is(err, lock.ErrNotFound)
}

func (m *machine) create(t *rapid.T) {
	e := rapid.SampledFrom(someEnvs).Draw(t, "env")
	missing := m.missing(e)
	m.step(t, func() error {
		_, err := m.r.CreateEnvironment(m.r.ctx, m.op(t), lock.NewEnvironment{Env: env(e), Chart: "jupyterhub"})
		if (err == nil) != missing {
			t.Fatalf("create %s: %v", e, err)
		}
		return err
	})
}

func (m *machine) clock(t *rapid.T) {
	m.r.pass(time.Duration(rapid.IntRange(-3600, 7200).Draw(t, "seconds")) * time.Second)
}

// stored is what the lock file's own reads say.
func (m *machine) stored(t *rapid.T) shadow {
	out := newShadow()
	all, _, err := m.r.AllVersions(m.r.ctx, "", 1000)
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range all {
		out.versions[v.Chart.String()] = v.Package.String() + " " + string(v.State)
		for _, b := range must(m.r.BindingsOf(m.r.ctx, v.Chart)) {
			out.bindings[b.ID.String()] = string(b.State)
		}
	}
	for _, e := range must(m.r.Environments(m.r.ctx)) {
		pins, _, err := m.r.Pins(m.r.ctx, e.Env, 0, 1000)
		if err != nil {
			t.Fatal(err)
		}
		slices.Reverse(pins)
		for _, p := range pins {
			out.pins[e.Env.String()] = append(out.pins[e.Env.String()], p.Binding.String())
		}
	}
	return out
}

// replayed is what a reader of the journal alone comes to.
func replayed(lines []lock.Line) shadow {
	out := newShadow()
	pin := func(p lock.Pin) {
		out.pins[p.Env.String()] = append(out.pins[p.Env.String()], p.Binding.String())
	}
	for _, l := range lines {
		var d struct {
			lock.PinSet
			Chart   json.RawMessage  `json:"chart"`
			Binding json.RawMessage  `json:"binding"`
			Pin     *lock.Pin        `json:"pin"`
			State   model.ChartState `json:"state"`
			ID      string           `json:"id"`
		}
		var v lock.ChartVersion
		var b lock.Binding
		_ = json.Unmarshal(l.Detail, &d)
		_ = json.Unmarshal(d.Chart, &v)
		_ = json.Unmarshal(d.Binding, &b)
		if l.Result != "ok" {
			continue
		}
		if !b.ID.IsZero() {
			out.bindings[b.ID.String()] = string(b.State)
		}
		switch l.Verb {
		case "publish":
			out.versions[l.Object] = v.Package.String() + " "
		case "yank", "purge":
			state := map[string]string{"yank": "yanked", "purge": "purged"}[l.Verb]
			out.versions[l.Object] = out.versions[l.Object][:len(digest("").String())] + " " + state
		case "bind":
			out.bindings[d.ID] = string(d.State)
		case "revoke":
			out.bindings[l.Object] = "revoked"
		case "adopt":
			pin(*d.Pin)
		case "pin":
			var p lock.Pin
			_ = json.Unmarshal(l.Detail, &p)
			pin(p)
		case "pinset":
			var set lock.PinSet
			_ = json.Unmarshal(l.Detail, &set)
			for _, p := range set.Pins {
				pin(p)
			}
		}
	}
	return out
}

func TestRandomOperations(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := &machine{
			r: open(t, memstore.New()), shadow: newShadow(),
			index: map[uint64]map[string]string{0: {}}, shown: map[string]string{},
		}
		t.Repeat(map[string]func(*rapid.T){
			"publish": m.publish, "bind": m.bind, "revoke": m.revoke, "retire": m.retire, "adopt": m.adopt,
			"pin": m.pin, "pin again": m.pin, "pin set": m.pinSet, "create": m.create, "clock": m.clock,
		})
		if diff := cmp.Diff(m.shadow, m.stored(t), cmp.AllowUnexported(shadow{})); diff != "" {
			t.Errorf("the lock file is not what the model says (-model +lock file):\n%s", diff)
		}
		if diff := cmp.Diff(m.shadow, replayed(m.r.lines()), cmp.AllowUnexported(shadow{})); diff != "" {
			t.Errorf("the journal does not reproduce it (-model +journal):\n%s", diff)
		}
		full := map[string]string{}
		must(apply(full, m.r, 0))
		for gen, then := range m.index {
			must(apply(then, m.r, gen))
			if diff := cmp.Diff(full, then); diff != "" {
				t.Errorf("the changes since generation %d do not lead to the index:\n%s", gen, diff)
			}
		}
		for _, p := range m.r.problems() {
			t.Errorf("check: %s", p)
		}
	})
}
