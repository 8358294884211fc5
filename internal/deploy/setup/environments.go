package setup

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"

	"chartd.dev/chartd/internal/advice"

	"chartd.dev/chartd/internal/api"
	"chartd.dev/chartd/internal/deploy"
	"chartd.dev/chartd/internal/deploy/gitrepo"
	"chartd.dev/chartd/internal/deploy/policy"
	"chartd.dev/chartd/internal/deploy/site"
	"chartd.dev/chartd/internal/ref"
)

// planEnvironments finds out what is to be done for each environment. Nothing
// is changed.
func (s *Setup) planEnvironments(ctx context.Context) error {
	byStage := map[string]*site.Files{}
	for _, env := range s.conf.Envs() {
		of, _ := s.conf.Environment(env)
		e := Environment{Env: env, Chart: of.Chart, Action: "create"}
		if s.client == nil {
			s.Environments = append(s.Environments, e)
			continue
		}
		now, err := s.client.Environment(ctx, env)
		switch {
		case err != nil && s.lost(err):
			s.Environments = append(s.Environments, e)
			continue
		case api.CodeOf(err) == api.CodeNotFound:
		case err != nil:
			return err
		case now.Chart != of.Chart:
			return &api.Error{Code: api.CodeExists, Message: fmt.Sprintf("%s is on the server for chart %q, and here it is for %q", env, now.Chart, of.Chart)}
		default:
			e.Action = "keep"
			e.pinned(now)
		}
		if err := s.planPolicy(ctx, &e, now); err != nil {
			return err
		}
		if s.ask.Adopt != "" && e.Revision == 0 {
			files, ok := byStage[env.Stage()]
			if !ok {
				if files, err = s.filesOf(ctx, env.Stage()); err != nil {
					return err
				}
				byStage[env.Stage()] = files
			}
			if files != nil {
				if err := s.planAdoption(ctx, &e, files); err != nil {
					return err
				}
			}
		}
		s.Environments = append(s.Environments, e)
	}
	return nil
}

func (e *Environment) pinned(now api.Environment) {
	if now.Pin == nil {
		return
	}
	e.Version, e.Revision, e.binding = now.Pin.Version, now.Pin.Revision, now.Binding
	if now.Binding != nil {
		e.State, e.Reason = now.Binding.State, now.Binding.Reason
	}
}

// filesOf are the files of a stage: those of the checkout, or of its branch.
// Nil says that they are not to be had here.
func (s *Setup) filesOf(ctx context.Context, stage string) (*site.Files, error) {
	if !s.conf.ByBranch() || stage == s.stage {
		return s.files, nil
	}
	branch, _ := s.conf.Branch(stage)
	if s.repo.Git() == nil {
		s.Notes = append(s.Notes, fmt.Sprintf("no git here, so what runs on stage %q is not known: its environments are not adopted (--branch says which stage these files are of)", stage))
		return nil, nil
	}
	dir, err := s.repo.GitPath(".")
	if err != nil {
		return nil, api.Errorf(api.CodeLocalIO, "%v", err)
	}
	for _, rev := range []string{"refs/heads/" + branch, "refs/remotes/origin/" + branch} {
		show := func(name string) ([]byte, error) { return s.repo.Git().Show(ctx, rev, path.Join(dir, name)) }
		if _, err := show("."); errors.Is(err, gitrepo.ErrRevision) {
			continue
		} else if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, deploy.Coded(err)
		}
		return site.NewFiles(show), nil
	}
	s.Notes = append(s.Notes, fmt.Sprintf("there is no branch %q here, so the environments of stage %q are not adopted", branch, stage))
	return nil, nil
}

// planAdoption reads what the files say of an environment.
func (s *Setup) planAdoption(ctx context.Context, e *Environment, files *site.Files) error {
	sites := s.conf.SitesOf(e.Env)
	version, err := versionIn(files, sites)
	if err != nil {
		return deploy.Coded(err)
	}
	if version == "" {
		return api.Errorf(api.CodeUsage, "%s cannot be adopted: no site of it says which version of chart %q runs", e.Env, e.Chart)
	}
	ch, err := runs(ctx, s.client, e.Env, e.Chart, version)
	if err != nil {
		return err
	}
	e.Action, e.Version, e.Images = "adopt", version, map[ref.Role]string{}
	for _, i := range ch.Images {
		if !i.Required {
			continue
		}
		text, err := imageIn(e.Env, files, sites, i)
		if err != nil {
			return err
		}
		if text != "" {
			e.Images[i.Role] = text
		}
	}
	return nil
}

// versionIn is the one version that the sites name; a range stands for what
// Helm's lock file says.
func versionIn(files *site.Files, sites []site.Site) (string, error) {
	version := ""
	for _, at := range sites {
		if at.Kind != site.Dependency && (at.Kind != site.Marker || at.Path != "chart.version") {
			continue
		}
		v, err := files.Value(at)
		if err != nil {
			return "", err
		}
		found := v.Version
		if _, err := ref.ParseImported("x", found); err != nil {
			found = ""
			for _, name := range []string{"Chart.lock", "requirements.lock"} {
				lock := site.Site{Kind: site.HelmLock, File: path.Join(path.Dir(at.File), name), Name: at.Name}
				if l, err := files.Value(lock); err == nil {
					found = l.Version
				}
			}
			if found == "" {
				return "", api.Errorf(api.CodeUsage, "%s:%d names the versions %q and there is no lock file of Helm beside it: write the one that runs", at.File, v.Line, v.Version)
			}
		}
		if version != "" && version != found {
			return "", api.Errorf(api.CodeUsage, "%s:%d names version %q, and another site %q: make them equal first", at.File, v.Line, found, version)
		}
		version = found
	}
	return version, nil
}

// planPolicy compares with the policy that the file names. It is set where
// nobody has used or set another one: init never takes a rule away.
func (s *Setup) planPolicy(ctx context.Context, e *Environment, now api.Environment) error {
	p, ok := s.conf.Policy(e.Env)
	if !ok {
		return nil
	}
	setting, fresh := policy.New(e.Env, p), true
	var err error
	if e.Action == "keep" {
		if setting, err = policy.Of(ctx, s.client, s.conf, e.Env); err == nil {
			fresh, err = policy.Fresh(ctx, s.client, e.Env)
		}
		fresh = fresh && now.Revision == 0
	}
	switch {
	case err != nil:
		return err
	case setting.Action != "set":
	case fresh:
		e.Policy = &setting
	default:
		s.Notes = append(s.Notes, fmt.Sprintf("the policy of %s on %s is not that of .chartctl.yaml: %s shows how", e.Env, s.client.Server(), advice.EnvSetDryRun))
	}
	return nil
}

// setUpServer creates, sets policies and adopts. What exists is taken as it is, so that a
// second run goes on where the first one stopped.
func (s *Setup) setUpServer(ctx context.Context) error {
	if err := s.create(ctx); err != nil {
		return err
	}
	for i := range s.Environments {
		e := &s.Environments[i]
		if e.Action != "adopt" {
			continue
		}
		q := api.AdoptRequest{Version: e.Version, Reason: s.ask.Adopt, Images: e.Images}
		if _, err := s.client.Adopt(ctx, e.Env, q); err != nil {
			return s.stopped(i, err)
		}
		now, err := s.client.Environment(ctx, e.Env)
		if err != nil {
			return s.stopped(i, err)
		}
		e.pinned(now)
		e.Adopted = true
	}
	return nil
}

// create makes the environments, and then their policies: an upstream stage
// has to be there.
func (s *Setup) create(ctx context.Context) error {
	var policies []policy.Setting
	for i, e := range s.Environments {
		if e.Policy != nil {
			policies = append(policies, *e.Policy)
		}
		if e.Action == "keep" {
			continue
		}
		_, err := s.client.CreateEnvironment(ctx, api.CreateEnvironment{Env: e.Env, Chart: e.Chart})
		if err != nil && api.CodeOf(err) != api.CodeExists {
			return s.stopped(i, err)
		}
	}
	return policy.Set(ctx, s.client, s.conf, policies)
}

// stopped says how far the server was set up.
func (s *Setup) stopped(done int, err error) error {
	told := &api.Error{Code: api.CodeOf(err)}
	if told.Code == "" {
		return err
	}
	told.Message = fmt.Sprintf("%s: %v; %d of %d environments are set up and no file is changed", s.Environments[done].Env, err, done, len(s.Environments))
	told.Want = fmt.Sprintf("run %s again once that is mended", advice.Init)
	return told
}
