package gatelinear

import (
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/anishathalye/porcupine"

	"chartd.dev/chartd/lock"
	"chartd.dev/chartd/lock/gatetest"
)

// place gives each operation the line that it left in the journal. A pin that
// was refused by a server that died before it said so was asked again: the
// first line is an operation whose answer was lost.
func (g *game) place(all [gatetest.Clients][]porcupine.Operation) (out []porcupine.Operation, err error) {
	for _, l := range g.lines() {
		id, ok := gatetest.ClientNumber(l.By.Name)
		if !ok {
			continue
		}
		n, err := operation(l, id)
		if err != nil {
			return nil, fmt.Errorf("line %d: %w: %s", l.Seq, err, l.Detail)
		}
		o := &all[id][n]
		in := o.Input.(gatetest.Ask)
		if in.Line != 0 {
			lost := *o
			lost.Output = gatetest.Told{Lost: true, Rule: "?"}
			out = append(out, lost)
		}
		in.Line = l.Seq
		o.Input = in
	}
	for _, ops := range all {
		out = append(out, ops...)
	}
	return out, nil
}

// operation reads the number of the operation that left the line.
func operation(l lock.Line, id int) (int, error) {
	switch {
	case l.Verb == "policy":
		var d struct {
			New struct{ Deadline lock.Duration }
		}
		err := json.Unmarshal(l.Detail, &d)
		return int((time.Duration(d.New.Deadline)-markedDeadline)/time.Second) - 1 - id*each, err
	case l.Verb == "report":
		var d struct{ Report struct{ Note string } }
		err := json.Unmarshal(l.Detail, &d)
		return number(d.Report.Note, err)
	case l.Verb == "resolve":
		var d struct{ Ended struct{ Reason string } }
		err := json.Unmarshal(l.Detail, &d)
		return number(d.Ended.Reason, err)
	case l.Result == "refused":
		var d struct{ Asked struct{ Reason string } }
		err := json.Unmarshal(l.Detail, &d)
		return number(d.Asked.Reason, err)
	case l.Verb == "pinset":
		var d struct{ Pins [2]struct{ Reason string } }
		err := json.Unmarshal(l.Detail, &d)
		return number(d.Pins[0].Reason, err)
	}
	var d struct{ Reason string }
	err := json.Unmarshal(l.Detail, &d)
	return number(d.Reason, err)
}

func number(text string, err error) (int, error) {
	digits, ok := strings.CutPrefix(text, "op-")
	if err != nil || !ok {
		return 0, fmt.Errorf("%q names no operation (%v)", text, err)
	}
	return strconv.Atoi(digits)
}
