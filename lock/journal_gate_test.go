package lock_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"chartd.dev/chartd/lock"
)

// broken plays the journal alone on the world and lists the pins that broke
// the gate in force when they were written, and those that were refused
// without need. Beats leave no lines, so that the soak is not looked at.
func (f *field) broken(w world) (out []string) {
	pins := map[string]int{} // environment#revision → binding
	for _, l := range f.lines() {
		if !slices.Contains([]string{"pin", "pinset", "report", "halt", "resolve", "approve", "policy"}, l.Verb) || l.By.Name == "alice" {
			continue
		}
		for _, p := range f.pinsOf(l) {
			rule := w.rule(p, false)
			if rule != "" && l.Result == "ok" {
				out = append(out, fmt.Sprintf("line %d: %s %s is against %q", l.Seq, p.kind, envNames[p.env], rule))
			}
			if rule == "" && l.Result == "refused" && l.Verb == "pin" && !strings.Contains(string(l.Detail), "and held it for") {
				out = append(out, fmt.Sprintf("line %d: nothing is against %s %s: %s", l.Seq, p.kind, envNames[p.env], l.Detail))
			}
		}
		if l.Result != "ok" {
			continue
		}
		for _, p := range f.pinsOf(l) {
			w.pin(p)
			pins[fmt.Sprint(p.env, "#", p.base+1)] = p.binding
		}
		f.playLine(&w, l, pins)
	}
	return out
}

func envNumber(name string) int { return slices.Index(envNames[:], name) }

func actorNumber(l lock.Line) int {
	return must(strconv.Atoi(strings.TrimPrefix(l.By.Name, "client-")))
}

// pinsOf are the pins that a line made or refused.
func (f *field) pinsOf(l lock.Line) (out []worldPin) {
	var d struct {
		lock.Pin
		Pins  []lock.Pin
		Asked struct {
			lock.NewPin
			Pins []lock.NewPin
		}
	}
	if l.Verb != "pin" && l.Verb != "pinset" {
		return nil
	}
	if err := json.Unmarshal(l.Detail, &d); err != nil {
		f.t.Fatal(err)
	}
	if l.Result == "refused" {
		if l.Verb == "pin" {
			out = append(out, f.asked(l, d.Asked.NewPin))
		}
		return out // of a set the line does not say which one was refused
	}
	for _, p := range append(d.Pins, d.Pin) {
		if p.Revision == 0 {
			continue
		}
		from, _, _ := strings.Cut(p.From, "#")
		out = append(out, f.asked(l, lock.NewPin{
			Env: p.Env, Base: p.Revision - 1, Binding: p.Binding, Kind: p.Kind, From: from, Downgrade: p.Downgrade, BreakGlass: p.BreakGlass,
		}))
	}
	return out
}

func (f *field) asked(l lock.Line, np lock.NewPin) worldPin {
	return worldPin{
		env: envNumber(np.Env.String()), base: int(np.Base), binding: f.number[np.Binding], kind: np.Kind,
		from: max(envNumber(np.From), 0), downgrade: np.Downgrade != "", glass: np.BreakGlass != "", client: actorNumber(l),
	}
}

// playLine does what a line about anything but pins says.
func (f *field) playLine(w *world, l lock.Line, pins map[string]int) {
	e := envNumber(l.Object)
	read := func(v any) {
		if err := json.Unmarshal(l.Detail, v); err != nil {
			f.t.Fatal(err)
		}
	}
	switch l.Verb {
	case "report":
		var d struct {
			Report lock.Report
			Halt   *lock.Halt
		}
		read(&d)
		halt, _ := w.report(e, int(d.Report.Revision), pins[fmt.Sprint(e, "#", d.Report.Revision)], d.Report.State)
		if halt != nil && halt.id == newHalt && d.Halt != nil {
			halt.id = int(d.Halt.Seq)
		}
	case "halt", "resolve":
		var h lock.Halt
		read(&h)
		if l.Verb == "halt" {
			w.hand(e, int(h.Seq))
		} else {
			w.resolve(int(h.Seq))
		}
	case "approve":
		var a lock.Approval
		read(&a)
		w.envs[e].approved[f.number[a.Binding]][actorNumber(l)] = true
	case "policy":
		var d struct{ New lock.Policy }
		read(&d)
		w.envs[e].soak, w.envs[e].approvals = int(time.Duration(d.New.Soak).Seconds()), d.New.Approvals
	}
}
