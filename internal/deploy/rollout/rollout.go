// Package rollout runs the command that deploys the pin of an environment, and
// reports to the server how it went. The command gets the whole pair of one
// revision; it does not run where the checkout differs from the pin, or where
// its start could not be reported. It has passed only if it ended by itself
// with 0, and that is said only once the server knows it.
package rollout

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"chartd.dev/chartd/internal/advice"

	"chartd.dev/chartd/internal/api"
	"chartd.dev/chartd/internal/client"
	"chartd.dev/chartd/internal/deploy"
	"chartd.dev/chartd/internal/deploy/verify"
	"chartd.dev/chartd/internal/model"
	"chartd.dev/chartd/internal/ref"
)

// Plan says what is to be deployed, and how.
type Plan struct {
	Env    ref.Env
	Repo   *deploy.Repo // that names the environment; nil: the server's pin alone
	Stage  string       // of the checkout, where branches are stages
	Dir    string       // in which the command runs; "" is the present one
	Values string       // the file with the images, which stays; "" is a temporary one

	Command []string // none: Helm is run
	Helm    Helm
	Look    Look
}

// Helm is how Helm installs the package where no command is given.
type Helm struct {
	Program            string
	Release, Namespace string // "" is HUB-STAGE
	Values, Args       []string
}

// Prepare checks the pin and the checkout, and fetches what the command gets,
// which is to be dropped in any case. Its notes are to be shown, with an error
// too.
func (p Plan) Prepare(ctx context.Context, c *client.Client) (*Handed, error) {
	h := &Handed{server: c.Server()}
	e, err := c.Environment(ctx, p.Env)
	if err != nil {
		return h, err
	}
	if e.Pin == nil || e.Binding == nil {
		return h, &api.Error{Code: api.CodeNotFound, Message: fmt.Sprintf("%s is not pinned, so there is nothing to deploy", p.Env), Want: "pin it with " + advice.Bump.With(model.Facts{Env: p.Env})}
	}
	h.Pin, h.Binding = *e.Pin, *e.Binding
	prefix := ""
	if p.Repo != nil {
		conf, _ := p.Repo.Config().Environment(p.Env)
		if conf.Wrapper != "" {
			prefix = cmp.Or(conf.Prefix, e.Pin.Name)
		}
		if conf.Wrapper != "" && len(p.Command) == 0 {
			return h, wrapped(p.Env, conf.Wrapper)
		}
		if err := p.fresh(ctx, c, e, h); err != nil {
			return h, err
		}
	}
	if e.ChartState != model.Listed {
		h.note("%s@%s was %s after it was pinned", e.Pin.Name, e.Pin.Version, e.ChartState)
	}
	if e.Binding.State == model.Revoked {
		h.note("the pair of %s revision %d was revoked after it was pinned: %s", e.Env, e.Revision, e.Binding.Reason)
	}
	values := p.Values
	if values != "" && !filepath.IsAbs(values) {
		if values, err = filepath.Abs(filepath.Join(p.Dir, values)); err != nil {
			return h, api.Errorf(api.CodeLocalIO, "find the values file: %v", err)
		}
	}
	if err := h.hand(ctx, c, prefix, values); err != nil {
		return h, err
	}
	return h, p.look(ctx, c, h)
}

// fresh refuses a checkout that differs from the pin: it may deploy what
// nobody has pinned, as the submodule did that nobody had updated.
func (p Plan) fresh(ctx context.Context, c *client.Client, e api.Environment, h *Handed) error {
	if p.Stage != "" && p.Stage != e.Env.Stage() {
		return &api.Error{Code: api.CodeDrift, Message: fmt.Sprintf("this checkout is of stage %q, and %s is not: nothing was run", p.Stage, e.Env),
			Want: fmt.Sprintf("check out the branch of %q", e.Env.Stage())}
	}
	v, err := verify.Pinned(ctx, p.Repo, c, e)
	for _, n := range v.Notes {
		h.note("%s", n)
	}
	for _, f := range v.Findings {
		h.Notes = append(h.Notes, f.String())
	}
	return err
}

// wrapped refuses to install the package alone where a wrapper is deployed.
func wrapped(env ref.Env, wrapper string) error {
	return api.Errorf(api.CodeUsage, `deploy %s: it is deployed by the wrapper chart %q, not by the package alone: give the command, such as -- sh -c 'helm upgrade --install %s %s -n %s -f "$CHARTCTL_VALUES"'`,
		env, wrapper, hubStage(env), wrapper, hubStage(env))
}

// hubStage names what an environment is in a cluster, as hubploy does.
func hubStage(e ref.Env) string { return e.Hub() + "-" + e.Stage() }

// argv is the command, or the helm that installs the downloaded package. Its
// values files come before ours, so that an image left behind in one does not
// win.
func (p Plan) argv(h *Handed) []string {
	if len(p.Command) > 0 {
		return p.Command
	}
	name := hubStage(h.Pin.Env)
	argv := []string{p.Helm.Program, "upgrade", "--install", cmp.Or(p.Helm.Release, name), h.Package, "--namespace", cmp.Or(p.Helm.Namespace, name)}
	values := p.Helm.Values
	if h.Values != "" {
		values = append(values[:len(values):len(values)], h.Values)
	}
	for _, v := range values {
		argv = append(argv, "-f", v)
	}
	return append(argv, p.Helm.Args...)
}

// Cmd makes the command without starting it; its input and output are to be
// set.
func (p Plan) Cmd(h *Handed) (*exec.Cmd, error) {
	argv := p.argv(h)
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Dir, cmd.Env = p.Dir, h.environ(os.Environ())
	err := cmd.Err
	if path := cmd.Path; err == nil && strings.ContainsRune(path, filepath.Separator) {
		if !filepath.IsAbs(path) {
			path, err = filepath.Abs(filepath.Join(p.Dir, path))
		}
		if err == nil {
			_, err = exec.LookPath(path)
		}
	}
	if err != nil {
		cause := err
		if e := (*exec.Error)(nil); errors.As(err, &e) {
			cause = e.Err
		}
		return nil, api.Errorf(api.CodeUsage, "deploy %s: command %q can't be run: %v", h.Pin.Env, argv[0], cause)
	}
	return cmd, nil
}
