package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"path/filepath"

	"chartd.dev/chartd/internal/api"
	"chartd.dev/chartd/internal/deploy"
	"chartd.dev/chartd/internal/deploy/gitrepo"
	"chartd.dev/chartd/internal/deploy/site"
	"chartd.dev/chartd/internal/ref"
)

// planEnvironments finds out what is to be done for each environment. Nothing
// is changed.
func (s *setup) planEnvironments(ctx context.Context) error {
	byStage := map[string]*site.Files{}
	for _, env := range s.conf.Envs() {
		of, _ := s.conf.Environment(env)
		e := initEnv{Env: env, Chart: of.Chart, Action: "create"}
		now, err := s.client.Environment(ctx, env)
		switch {
		case api.CodeOf(err) == api.CodeNotFound:
		case err != nil:
			return err
		case now.Chart != of.Chart:
			return &api.Error{Code: api.CodeExists, Message: fmt.Sprintf("%s is on the server for chart %q, and here it is for %q", env, now.Chart, of.Chart)}
		default:
			e.Action = "keep"
			e.pinned(now)
		}
		s.planPolicy(&e, now)
		if s.flags.adopt != "" && e.Revision == 0 {
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
		s.out.Environments = append(s.out.Environments, e)
	}
	return nil
}

func (e *initEnv) pinned(now api.Environment) {
	if now.Pin == nil {
		return
	}
	e.Version, e.Revision, e.binding = now.Pin.Version, now.Pin.Revision, now.Binding
	if now.Binding != nil {
		e.State, e.Reason = string(now.Binding.State), now.Binding.Reason
	}
}

// filesOf are the files of a stage: those of the checkout, or of its branch.
// Nil says that they are not to be had here.
func (s *setup) filesOf(ctx context.Context, stage string) (*site.Files, error) {
	if !s.conf.ByBranch() || stage == s.stage {
		return s.files, nil
	}
	branch, _ := s.conf.Branch(stage)
	if s.git == nil {
		s.out.Notes = append(s.out.Notes, fmt.Sprintf("no git here, so what runs on stage %q is not known: its environments are not adopted (--branch says which stage these files are of)", stage))
		return nil, nil
	}
	dir, err := filepath.EvalSymlinks(s.root.Dir())
	if err == nil {
		dir, err = filepath.Rel(s.git.Root(), dir)
	}
	if err != nil || !filepath.IsLocal(dir) {
		return nil, localIO("%q does not lie in the git checkout %q", s.root.Dir(), s.git.Root())
	}
	for _, rev := range []string{"refs/heads/" + branch, "refs/remotes/origin/" + branch} {
		show := func(name string) ([]byte, error) { return s.git.Show(ctx, rev, path.Join(filepath.ToSlash(dir), name)) }
		if _, err := show("."); errors.Is(err, gitrepo.ErrRevision) {
			continue
		} else if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, deploy.Coded(err)
		}
		return site.NewFiles(show), nil
	}
	s.out.Notes = append(s.out.Notes, fmt.Sprintf("there is no branch %q here, so the environments of stage %q are not adopted", branch, stage))
	return nil, nil
}

// planAdoption reads what the files say of an environment.
func (s *setup) planAdoption(ctx context.Context, e *initEnv, files *site.Files) error {
	sites := s.conf.SitesOf(e.Env)
	version, err := versionIn(files, sites)
	if err != nil {
		return deploy.Coded(err)
	}
	if version == "" {
		return usage("%s cannot be adopted: no site of it says which version of chart %q runs", e.Env, e.Chart)
	}
	ch, err := s.client.Chart(ctx, e.Chart, version)
	if api.CodeOf(err) == api.CodeNotFound {
		return &api.Error{Code: api.CodeNotFound, Message: fmt.Sprintf("%s runs %s@%s, which is not published on %s", e.Env, e.Chart, version, s.client.Server()), Want: "import it first with chartctl import"}
	}
	if err != nil {
		return err
	}
	e.Action, e.Version, e.Images = "adopt", version, map[string]string{}
	for _, i := range ch.Images {
		if !i.Required {
			continue
		}
		text, err := imageIn(e.Env, files, sites, i)
		if err != nil {
			return err
		}
		if text != "" {
			e.Images[string(i.Role)] = text
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
				return "", usage("%s:%d names the versions %q and there is no lock file of Helm beside it: write the one that runs", at.File, v.Line, v.Version)
			}
		}
		if version != "" && version != found {
			return "", usage("%s:%d names version %q, and another site %q: make them equal first", at.File, v.Line, found, version)
		}
		version = found
	}
	return version, nil
}

// planPolicy compares with the policy that the file names. It is set where
// nobody has used or set another one: init never takes a rule away.
func (s *setup) planPolicy(e *initEnv, now api.Environment) {
	if _, ok := s.conf.Policy(e.Env); !ok {
		return
	}
	fresh := now.Revision == 0 && len(policyChanges(wholePolicy(e.Env, now.Policy), wholePolicy(e.Env, api.Policy{}))) == 0
	now.Env = e.Env
	setting := settingOf(s.conf, now)
	switch {
	case setting.Action != "set":
	case fresh:
		e.Policy = &setting
	default:
		s.out.Notes = append(s.out.Notes, fmt.Sprintf("the policy of %s on %s is not that of .chartctl.yaml: chartctl env set --from-repo --dry-run shows how", e.Env, s.client.Server()))
	}
}

// setUpServer creates, sets policies and adopts. What exists is taken as it is, so that a
// second run goes on where the first one stopped.
func (s *setup) setUpServer(ctx context.Context) error {
	if err := s.create(ctx); err != nil {
		return err
	}
	for i := range s.out.Environments {
		e := &s.out.Environments[i]
		if e.Action != "adopt" {
			continue
		}
		q := api.AdoptRequest{Version: e.Version, Reason: s.flags.adopt, Images: map[ref.Role]string{}}
		for role, image := range e.Images {
			q.Images[ref.Role(role)] = image
		}
		if _, err := s.client.Adopt(ctx, e.Env, q); err != nil {
			return s.stopped(i, err)
		}
		now, err := s.client.Environment(ctx, e.Env)
		if err != nil {
			return s.stopped(i, err)
		}
		e.pinned(now)
		e.adopted = true
	}
	return nil
}

// create makes the environments, and then their policies: an upstream stage
// has to be there.
func (s *setup) create(ctx context.Context) error {
	policies := map[ref.Env]policySetting{}
	var envs []ref.Env
	for i, e := range s.out.Environments {
		if e.Policy != nil {
			policies[e.Env] = *e.Policy
			envs = append(envs, e.Env)
		}
		if e.Action == "keep" {
			continue
		}
		_, err := s.client.CreateEnvironment(ctx, api.CreateEnvironment{Env: e.Env, Chart: e.Chart})
		if err != nil && api.CodeOf(err) != api.CodeExists {
			return s.stopped(i, err)
		}
	}
	var list []policySetting
	for _, env := range upstreamFirst(s.conf, envs) {
		list = append(list, policies[env])
	}
	return setPolicies(ctx, s.client, list)
}

// stopped says how far the server was set up.
func (s *setup) stopped(done int, err error) error {
	told := &api.Error{Code: api.CodeOf(err)}
	if told.Code == "" {
		return err
	}
	told.Message = fmt.Sprintf("%s: %v; %d of %d environments are set up and no file is changed", s.out.Environments[done].Env, err, done, len(s.out.Environments))
	told.Want = "run chartctl init again once that is mended"
	return told
}
