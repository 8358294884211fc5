package gatetest

import (
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"chartd.dev/chartd/internal/ref"
	"chartd.dev/chartd/lock"
)

// Journal is what the lock file wrote down, read without the lock file.
type Journal struct {
	Lines   []lock.Line
	Numbers map[ref.BindingID]int
}

// ClientName is the name under which a client acts, as ClientNumber reads it.
func ClientName(id int) string { return fmt.Sprint("client-", id) }

// ClientNumber reads the name of a client; false for anybody else.
func ClientNumber(name string) (int, bool) {
	digits, ok := strings.CutPrefix(name, "client-")
	id, err := strconv.Atoi(digits)
	return id, ok && err == nil
}

// EnvNumber is the number of an environment's name, -1 for none.
func EnvNumber(name string) int { return slices.Index(EnvNames[:], name) }

var verbs = []string{"pin", "pinset", "report", "halt", "resolve", "approve", "policy"}

// Broken plays the journal alone on the world and lists the pins that broke
// the gate in force when they were written, and those that were refused
// without need. Beats leave no lines, so that the soak is not looked at. Lines
// that no client left belong to the world at the start.
func (j Journal) Broken(w World) (out []string, err error) {
	pins := map[string]int{} // environment#revision → binding
	for _, l := range j.Lines {
		id, ok := ClientNumber(l.By.Name)
		if !ok || !slices.Contains(verbs, l.Verb) {
			continue
		}
		moves, err := j.moves(l, id)
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", l.Seq, err)
		}
		for _, p := range moves {
			rule := w.rule(p, false)
			if rule != "" && l.Result == "ok" {
				out = append(out, fmt.Sprintf("line %d: %s %s is against %q", l.Seq, p.Kind, EnvNames[p.Env], rule))
			}
			if rule == "" && l.Result == "refused" && !strings.Contains(string(l.Detail), "and held it for") {
				out = append(out, fmt.Sprintf("line %d: nothing is against %s %s: %s", l.Seq, p.Kind, EnvNames[p.Env], l.Detail))
			}
		}
		if l.Result != "ok" {
			continue
		}
		for _, p := range moves {
			w.pin(p)
			pins[fmt.Sprint(p.Env, "#", p.Base+1)] = p.Binding
		}
		if err := j.play(&w, l, id, pins); err != nil {
			return nil, fmt.Errorf("line %d: %w", l.Seq, err)
		}
	}
	return out, nil
}

// moves are the pins that a line made, or the one that it refused: of a set
// the line does not say which one that was.
func (j Journal) moves(l lock.Line, id int) (out []Pin, err error) {
	var d struct {
		lock.Pin
		Pins  []lock.Pin
		Asked struct {
			lock.NewPin
			Pins []lock.NewPin
		}
	}
	if l.Verb != "pin" && l.Verb != "pinset" {
		return nil, nil
	}
	if err := json.Unmarshal(l.Detail, &d); err != nil {
		return nil, err
	}
	if l.Result == "refused" {
		if l.Verb == "pin" {
			out = append(out, j.pin(id, d.Asked.NewPin))
		}
		return out, nil
	}
	for _, p := range append(d.Pins, d.Pin) {
		if p.Revision == 0 {
			continue
		}
		from, _, _ := strings.Cut(p.From, "#")
		out = append(out, j.pin(id, lock.NewPin{
			Env: p.Env, Base: p.Revision - 1, Binding: p.Binding, Kind: p.Kind, From: from, Downgrade: p.Downgrade, BreakGlass: p.BreakGlass,
		}))
	}
	return out, nil
}

func (j Journal) pin(id int, np lock.NewPin) Pin {
	return Pin{
		Env: EnvNumber(np.Env.String()), Base: int(np.Base), Binding: j.Numbers[np.Binding], Kind: np.Kind,
		From: max(EnvNumber(np.From), 0), Downgrade: np.Downgrade != "", Glass: np.BreakGlass != "", Client: id,
	}
}

// play does what a line about anything but pins says.
func (j Journal) play(w *World, l lock.Line, id int, pins map[string]int) error {
	e := EnvNumber(l.Object)
	switch l.Verb {
	case "report":
		var d reported
		if err := json.Unmarshal(l.Detail, &d); err != nil {
			return err
		}
		h, _ := w.report(e, int(d.Report.Revision), pins[fmt.Sprint(e, "#", d.Report.Revision)], d.Report.State)
		if h != nil && h.id == newHalt {
			h.id = d.raised()
		}
	case "halt", "resolve":
		var h lock.Halt
		if err := json.Unmarshal(l.Detail, &h); err != nil {
			return err
		}
		if l.Verb == "halt" {
			w.hand(e, int(h.Seq))
		} else {
			w.resolve(int(h.Seq))
		}
	case "approve":
		var a lock.Approval
		if err := json.Unmarshal(l.Detail, &a); err != nil {
			return err
		}
		w.Envs[e].approved[j.Numbers[a.Binding]][id] = true
	case "policy":
		var d struct{ New lock.Policy }
		if err := json.Unmarshal(l.Detail, &d); err != nil {
			return err
		}
		w.Envs[e].Soak, w.Envs[e].Approvals = int(time.Duration(d.New.Soak).Seconds()), d.New.Approvals
	}
	return nil
}

// reported is the detail of a report's line.
type reported struct {
	Report lock.Report
	Halt   *lock.Halt
}

func (r reported) raised() int {
	if r.Halt == nil {
		return newHalt
	}
	return int(r.Halt.Seq)
}

// HaltNumber is the number in a halt's name, 0 for none.
func HaltNumber(id string) int {
	n, _ := strconv.Atoi(strings.TrimPrefix(id, "halt-"))
	return n
}
