package policy

import (
	"cmp"
	"fmt"
	"strings"

	"chartd.dev/chartd/internal/api"
	"chartd.dev/chartd/internal/model"
)

// Field is one thing that a policy asks for, "" where it does not.
type Field struct{ Name, Text string }

// Fields are what a policy asks for, in words.
func Fields(p api.Policy) []Field {
	approvals, deadline := "", ""
	if p.Approvals > 0 {
		approvals = fmt.Sprint(p.Approvals)
	}
	if p.Deadline != "" {
		deadline = fmt.Sprintf("%s, then %s", p.Deadline, cmp.Or(p.Overdue, model.OverdueUnknown))
	}
	out := []Field{{"accepts", model.Join(p.Accept, ", ")}, {"upstream", strings.Join(p.Upstream, ", ")}, {"soak", p.Soak}, {"approvals", approvals}}
	for _, f := range p.Freeze {
		s := fmt.Sprintf("%s for %s (%s)", f.Cron, f.For, f.Zone)
		if f.Reason != "" {
			s += ": " + f.Reason
		}
		out = append(out, Field{"freeze", s})
	}
	return append(out, Field{"failure halts", string(p.Halt)}, Field{"deadline", deadline}, Field{"seal", string(p.Seal)})
}
