package setup

import (
	"slices"

	"chartd.dev/chartd/internal/advice"
	"chartd.dev/chartd/internal/api"
	"chartd.dev/chartd/internal/deploy/config"
	"chartd.dev/chartd/internal/ref"
)

// Summary is what was found and used, what was not, and what is to be done.
type Summary struct {
	Hubs    []string         `json:"hubs"`
	Files   []string         `json:"files"`    // with a site
	LeftOut []config.LeftOut `json:"left_out"` // not used, and why
	Todo    []string         `json:"todo"`
}

// summarize sums up the proposal as it is by now.
func (s *Setup) summarize() {
	sum := &s.Summary
	sum.Hubs, sum.Files, sum.Todo = []string{}, []string{}, []string{}
	if sum.LeftOut == nil {
		sum.LeftOut = []config.LeftOut{}
	}
	add := func(list *[]string, name string) {
		if !slices.Contains(*list, name) {
			*list = append(*list, name)
		}
	}
	envs := []ref.Env{}
	for _, e := range s.Environments {
		envs = append(envs, e.Env)
	}
	for _, env := range envs {
		add(&sum.Hubs, env.Hub())
		for _, at := range s.conf.SitesOf(env) {
			add(&sum.Files, at.File)
		}
	}
	slices.Sort(sum.Hubs)
	slices.Sort(sum.Files)
	if len(sum.LeftOut) > 0 {
		sum.Todo = append(sum.Todo, "look at what was left out: what is deployed has to be named in "+config.Name+", or marked by a comment")
	}
	switch {
	case s.Done:
		sum.Todo = append(sum.Todo, s.Next())
	case s.client == nil:
		sum.Todo = append(sum.Todo, "log in to the server, then "+string(advice.Init))
	default:
		sum.Todo = append(sum.Todo, string(advice.Init)+` --adopt "…", which takes what the files say today as the first pins`)
	}
}

// Strict refuses a proposal from which anything was left out.
func (s *Setup) Strict() error {
	if n := len(s.Summary.LeftOut); n > 0 {
		return api.Errorf(api.CodeDrift, "--strict: %d of what was found here is left out, the first is %s: %s; nothing was changed", n, s.Summary.LeftOut[0].What, s.Summary.LeftOut[0].Why)
	}
	return nil
}
