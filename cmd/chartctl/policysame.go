package main

import (
	"slices"
	"strings"
	"time"

	"chartd.dev/chartd/internal/api"
	"chartd.dev/chartd/internal/model"
	"chartd.dev/chartd/internal/ref"
)

// policyChange is one field; "" is nothing.
type policyChange struct {
	Field string `json:"field"`
	Old   string `json:"old"`
	New   string `json:"new"`
}

// evidenceKinds are in the order in which they are listed, strongest first.
var evidenceKinds = model.ImageEvidence()

// wholePolicy fills in what a policy leaves out, so that two that mean the
// same are equal.
func wholePolicy(env ref.Env, p api.Policy) api.Policy {
	accept := p.Accept
	if len(accept) == 0 {
		accept = evidenceKinds[:2]
	}
	p.Accept = slices.SortedFunc(slices.Values(accept), func(x, y model.Evidence) int {
		return slices.Index(evidenceKinds, x) - slices.Index(evidenceKinds, y)
	})
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
	p.Halt, p.Overdue = first(p.Halt, model.ScopeHub), first(p.Overdue, model.OverdueUnknown)
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

// policyChanges lists the fields in which two whole policies differ.
func policyChanges(old, now api.Policy) []policyChange {
	out := []policyChange{}
	was, is := joinedFields(old), joinedFields(now)
	for _, f := range []string{"accepts", "upstream", "soak", "approvals", "freeze", "failure halts", "deadline"} {
		if was[f] != is[f] {
			out = append(out, policyChange{f, was[f], is[f]})
		}
	}
	return out
}

func joinedFields(p api.Policy) map[string]string {
	out := map[string]string{}
	for _, f := range policyFields(p) {
		if out[f.name] != "" {
			f.value = out[f.name] + "; " + f.value
		}
		out[f.name] = f.value
	}
	return out
}
