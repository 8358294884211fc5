package config

import (
	"fmt"
	"maps"
	"slices"

	"chartd.dev/chartd/internal/api"
	"chartd.dev/chartd/internal/deploy/site"
	"chartd.dev/chartd/internal/ref"
)

// Name is the name of the file, at the top of the deploy repo.
const Name = ".chartctl.yaml"

// MaxSize bounds the file, in bytes.
const MaxSize = 4 << 20

// Flow is when a bump makes its pin.
type Flow string

// The flows: at the bump itself, or by "chartctl apply" after the merge.
const (
	Pin    Flow = "pin"
	Review Flow = "review"
)

// Config is what .chartctl.yaml says.
type Config struct {
	Server       string
	Flow         Flow
	Branches     map[string]string      // branch to stage; empty where keys are HUB/STAGE
	Sites        map[string][]site.Site // by the name of the set
	Environments map[string]Environment // by key: HUB/STAGE, or HUB where the branch says the stage
	Policies     map[string]api.Policy  // by stage, or HUB/STAGE, which comes first; nil if there are none
}

// Environment is one pair that the repo deploys, on every branch of a
// branch-per-environment repo.
type Environment struct {
	Key     string // HUB/STAGE, or HUB where the branch says the stage
	Chart   string
	Sites   []string // names of site sets
	Wrapper string   // directory of the chart that is deployed, where that is not Chart itself
	Prefix  string   // key of the chart's values in the wrapper's
	KeptBy  string   // HelmRepository: it is installed from there, and needs no sites
}

// HelmRepository says that an environment is installed from its own Helm
// repository on the server, which has both halves of the pair.
const HelmRepository = "helm-repository"

// SaysVersion reports whether one of the sites says the version of the chart.
func SaysVersion(sites []site.Site) bool {
	return slices.ContainsFunc(sites, func(s site.Site) bool {
		return s.Kind == site.Dependency || s.Kind == site.Marker && s.Path == "chart.version"
	})
}

// ByBranch reports whether the branch says which stage is meant.
func (c Config) ByBranch() bool { return len(c.Branches) > 0 }

// Stage is the stage that a branch deploys.
func (c Config) Stage(branch string) (string, bool) {
	s, ok := c.Branches[branch]
	return s, ok
}

// Branch is the first branch, by name, that deploys a stage.
func (c Config) Branch(stage string) (string, bool) {
	for _, b := range slices.Sorted(maps.Keys(c.Branches)) {
		if c.Branches[b] == stage {
			return b, true
		}
	}
	return "", false
}

// Stages lists the stages of a branch-per-environment repo, sorted.
func (c Config) Stages() []string {
	out := slices.Sorted(maps.Values(c.Branches))
	return slices.Compact(out)
}

// Keys lists the keys of the environments, sorted.
func (c Config) Keys() []string { return slices.Sorted(maps.Keys(c.Environments)) }

// Envs lists the environments of the repo, of every branch, sorted.
func (c Config) Envs() []ref.Env {
	var out []ref.Env
	for _, key := range c.Keys() {
		if !c.ByBranch() {
			if env, err := ref.ParseEnv(key); err == nil {
				out = append(out, env)
			}
			continue
		}
		for _, stage := range c.Stages() {
			if env, err := ref.ParseEnv(key + "/" + stage); err == nil {
				out = append(out, env)
			}
		}
	}
	return out
}

// Key is what chartd.lock calls an environment.
func (c Config) Key(env ref.Env) string {
	if c.ByBranch() {
		return env.Hub()
	}
	return env.String()
}

// Environment is what the file says of an environment.
func (c Config) Environment(env ref.Env) (Environment, bool) {
	if c.ByBranch() {
		if _, ok := c.Branch(env.Stage()); !ok {
			return Environment{}, false
		}
	}
	e, ok := c.Environments[c.Key(env)]
	return e, ok
}

// SitesOf lists the sites of an environment, each once.
func (c Config) SitesOf(env ref.Env) []site.Site {
	e, ok := c.Environment(env)
	if !ok {
		return nil
	}
	return c.sites(e)
}

func (c Config) sites(e Environment) []site.Site {
	var out []site.Site
	for _, name := range e.Sites {
		for _, s := range c.Sites[name] {
			if !slices.ContainsFunc(out, s.Same) {
				out = append(out, s)
			}
		}
	}
	return out
}

// Group lists the environments of the same stage that share a site with env,
// by way of others too, and env itself; sorted. Without branches the stage
// does not matter.
func (c Config) Group(env ref.Env) []ref.Env {
	if _, ok := c.Environment(env); !ok {
		return nil
	}
	var out []ref.Env
	for _, key := range c.group(c.Key(env)) {
		text := key
		if c.ByBranch() {
			text += "/" + env.Stage()
		}
		if e, err := ref.ParseEnv(text); err == nil {
			out = append(out, e)
		}
	}
	return out
}

// Groups lists the keys of all groups, sorted; most hold one key.
func (c Config) Groups() [][]string {
	var out [][]string
	seen := map[string]bool{}
	for _, key := range c.Keys() {
		if seen[key] {
			continue
		}
		group := c.group(key)
		for _, one := range group {
			seen[one] = true
		}
		out = append(out, group)
	}
	return out
}

// group is the closure of "has a site in common" over the keys.
func (c Config) group(key string) []string {
	byPlace := map[site.Site][]string{}
	places := map[string][]site.Site{}
	for key, e := range c.Environments {
		for _, s := range c.sites(e) {
			s.Role, s.Count = "", 0 // the same place, whatever is said of it
			byPlace[s] = append(byPlace[s], key)
			places[key] = append(places[key], s)
		}
	}
	seen := map[string]bool{key: true}
	for todo := []string{key}; len(todo) > 0; todo = todo[1:] {
		for _, s := range places[todo[0]] {
			for _, other := range byPlace[s] {
				if !seen[other] {
					seen[other] = true
					todo = append(todo, other)
				}
			}
		}
	}
	return slices.Sorted(maps.Keys(seen))
}

// SyntaxError is a line of .chartctl.yaml that is not as it has to be.
type SyntaxError struct {
	Line int
	Text string
}

// Error returns FILE:LINE and one sentence.
func (e *SyntaxError) Error() string { return fmt.Sprintf("%s:%d: %s", Name, e.Line, e.Text) }
