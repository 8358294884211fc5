// Package setup makes a checkout the deploy repo of a server: it finds the
// environments and the sites in it, plans the configuration, what is to be made
// on the server and which lines change, and does that. Nothing is changed before
// Do. The server comes first there: what is done already, a second run finds
// done.
package setup

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"chartd.dev/chartd/internal/advice"

	"chartd.dev/chartd/internal/api"
	"chartd.dev/chartd/internal/client"
	"chartd.dev/chartd/internal/deploy"
	config "chartd.dev/chartd/internal/deploy/config"
	"chartd.dev/chartd/internal/deploy/fileset"
	"chartd.dev/chartd/internal/deploy/lockfile"
	"chartd.dev/chartd/internal/deploy/policy"
	"chartd.dev/chartd/internal/deploy/site"
	"chartd.dev/chartd/internal/model"
	"chartd.dev/chartd/internal/ref"
)

// Request says what is asked for.
type Request struct {
	Dir    string // "" is the top of the git checkout
	Chart  string // that is pinned; "" is found
	Flow   config.Flow
	Adopt  string // why what the files say is adopted; "" is not
	Branch string // that the files are for; "" is the one checked out
	DryRun bool
	Dial   func(server string) (*client.Client, error) // "" is the server of the last login
}

// Setup is one run.
type Setup struct {
	Proposal
	Said []string // what was done on the way, for a person

	ask    Request
	client *client.Client
	repo   *deploy.Repo
	unlock func()

	conf    config.Config // as it is, or is to be
	stage   string        // of the checkout, where branches are stages
	ignored bool          // git leaves the lock file out
	files   *site.Files
	changes []fileset.Change
}

// Proposal is what is to be done, and then what was.
type Proposal struct {
	Directory    string            `json:"directory"`
	Config       string            `json:"config"` // of .chartctl.yaml
	Evidence     []config.Evidence `json:"evidence"`
	Notes        []string          `json:"notes"`
	Summary      Summary           `json:"summary"`
	Environments []Environment     `json:"environments"`
	Diff         string            `json:"diff"`
	Done         bool              `json:"done"`
}

// Environment is one environment: what is to be done, and then what was.
type Environment struct {
	Env      ref.Env             `json:"environment"`
	Chart    string              `json:"chart"`
	Action   string              `json:"action"` // create, adopt, keep
	Version  string              `json:"version,omitempty"`
	Images   map[ref.Role]string `json:"images,omitempty"`
	Revision uint64              `json:"revision,omitempty"`
	State    model.BindingState  `json:"state,omitempty"` // of the pinned binding
	Reason   string              `json:"reason,omitempty"`
	Policy   *policy.Setting     `json:"policy,omitempty"` // set where the file names one and the server has none yet

	binding *api.Binding
	Adopted bool `json:"-"` // by this run
}

// Plan finds out what is to be done.
func (s *Setup) Plan(ctx context.Context) error {
	if err := s.propose(ctx); err != nil {
		return coded(err)
	}
	if err := s.pointAtServer(); err != nil {
		return deploy.Coded(err)
	}
	if err := s.planEnvironments(ctx); err != nil {
		return err
	}
	ignored, err := s.repo.LockIgnored(ctx)
	if err != nil {
		return deploy.Coded(err)
	}
	if s.ignored = ignored != ""; s.ignored {
		s.Notes = append(s.Notes, ignored)
	}
	s.Diff = deploy.Diff(s.changes)
	s.summarize()
	return nil
}

// Do does what was planned.
func (s *Setup) Do(ctx context.Context) error {
	if err := s.writable(); err != nil {
		return err
	}
	if err := s.setUpServer(ctx); err != nil {
		return err
	}
	if err := s.writeFiles(); err != nil {
		return err
	}
	s.Done = true
	s.summarize()
	return nil
}

// Files are those that change.
func (s *Setup) Files() []string {
	var out []string
	for _, c := range s.changes {
		out = append(out, c.Path)
	}
	return out
}

// Next is the command that comes after it, and why.
func (s *Setup) Next() string {
	commit := "commit the files"
	if s.ignored {
		commit = "git add -f " + lockfile.Name + ", which git ignores, and " + commit
	}
	for _, e := range s.Environments {
		if e.Revision == 0 {
			return commit + ", then " + advice.FirstBump.With(model.Facts{Env: e.Env, Group: s.grouped()})
		}
	}
	return commit + ", then " + string(advice.Verify) + s.elsewhere()
}

// elsewhere names the branches that are stages too: each has a lock file of
// its own, and a merge would promote.
func (s *Setup) elsewhere() string {
	var others []string
	for _, branch := range slices.Sorted(maps.Keys(s.conf.Branches)) {
		if s.conf.Branches[branch] != s.stage {
			others = append(others, branch)
		}
	}
	if s.stage == "" || len(others) == 0 {
		return ""
	}
	return fmt.Sprintf("; then %s on the branch %s too", advice.Init, strings.Join(others, ", and on "))
}

// grouped reports whether environments share sites.
func (s *Setup) grouped() bool {
	return slices.ContainsFunc(s.conf.Groups(), func(g []string) bool { return len(g) > 1 })
}
