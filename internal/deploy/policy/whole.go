package policy

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"chartd.dev/chartd/internal/api"
	"chartd.dev/chartd/internal/model"
	"chartd.dev/chartd/internal/ref"
)

// whole fills in what a policy leaves out, so that two that mean the
// same are equal.
func whole(env ref.Env, p api.Policy) api.Policy {
	accept := p.Accept
	if len(accept) == 0 {
		accept = []model.Evidence{model.ChartValues, model.BaseLayers}
	}
	p.Accept = slices.SortedFunc(slices.Values(accept), func(x, y model.Evidence) int { return cmp.Compare(x.Rank(), y.Rank()) })
	var upstream []string
	for _, u := range p.Upstream {
		if !strings.Contains(u, "/") {
			u = env.Hub() + "/" + u
		}
		upstream = append(upstream, u)
	}
	slices.Sort(upstream)
	p.Upstream = upstream
	p.Soak, p.Deadline = plainDuration(p.Soak), plainDuration(p.Deadline)
	p.Freeze = slices.Clone(p.Freeze)
	for i := range p.Freeze {
		p.Freeze[i].For = plainDuration(p.Freeze[i].For)
	}
	p.Halt, p.Overdue = cmp.Or(p.Halt, model.ScopeHub), cmp.Or(p.Overdue, model.OverdueUnknown)
	return p
}

// plainDuration writes a duration as the server does, and none as "".
func plainDuration(s string) string {
	d, err := time.ParseDuration(s)
	if err != nil || d == 0 {
		return ""
	}
	s = d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// Changes lists the fields in which the policy now of an environment asks for
// something else than the old one.
func Changes(env ref.Env, old, now api.Policy) []api.PolicyChange {
	out := []api.PolicyChange{}
	was, is := joined(whole(env, old)), joined(whole(env, now))
	for _, f := range []string{"accepts", "upstream", "soak", "approvals", "freeze", "failure halts", "deadline"} {
		if was[f] != is[f] {
			out = append(out, api.PolicyChange{Field: f, Old: was[f], New: is[f]})
		}
	}
	return out
}

func joined(p api.Policy) map[string]string {
	out := map[string]string{}
	for _, f := range Fields(p) {
		if out[f.Name] != "" {
			f.Text = out[f.Name] + "; " + f.Text
		}
		out[f.Name] = f.Text
	}
	return out
}

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
	return append(out, Field{"failure halts", string(p.Halt)}, Field{"deadline", deadline})
}
