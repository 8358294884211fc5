package rollout

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"chartd.dev/chartd/internal/api"
	"chartd.dev/chartd/internal/client"
	"chartd.dev/chartd/internal/deploy"
	"chartd.dev/chartd/internal/deploy/rendered"
	"chartd.dev/chartd/internal/deploy/verify"
)

// Look says how what Helm renders is looked at before the command runs.
type Look struct {
	Skip    bool
	Program string // "" is helm of the path
}

// look refuses a deployment in which Helm renders another image than the pinned
// one. Where that cannot be known it says so, here and in the report.
func (p Plan) look(ctx context.Context, c *client.Client, h *Handed) error {
	switch {
	case p.Look.Skip:
		return h.unseen("what Helm renders was not looked at: --no-render")
	case p.Repo == nil && len(p.Command) > 0:
		return nil // nobody knows what the command renders
	}
	program, err := rendered.Find(p.Look.Program)
	if err != nil {
		return h.unseen("what Helm renders was not looked at: %v", err)
	}
	set := rendered.Settings{Program: program}
	s := rendered.Subject{Env: h.Pin.Env, Pair: deploy.EntryOf(h.Pin.Env.String(), h.Binding, c.Server()), Binding: &h.Binding}
	if len(p.Command) == 0 {
		s.Package, s.Release, s.Namespace, s.Args = h.Package, p.Helm.Release, p.Helm.Namespace, p.valueArgs(p.Helm.Args)
		for _, file := range p.Helm.Values {
			set.Values = append(set.Values, p.at(file))
		}
	}
	if h.Values != "" && (len(p.Command) == 0 || p.takesValues()) {
		s.Last = []string{h.Values}
	}
	return p.judge(ctx, c, h, set, s)
}

// judge renders, and refuses what is not the pin.
func (p Plan) judge(ctx context.Context, c *client.Client, h *Handed, set rendered.Settings, s rendered.Subject) error {
	r, err := rendered.New(set, p.Repo, c)
	if api.CodeOf(err) == api.CodeLocalIO { // a values file that is not there: Helm says it again
		return h.unseen("what Helm renders was not looked at: %v", err)
	}
	if err != nil {
		return err
	}
	defer r.Close()
	err = r.Look(ctx, s)
	verdict, _ := r.Verdict()
	for _, n := range verdict.Notes {
		h.note("%s", n)
	}
	if api.CodeOf(err) == api.CodeUsage { // that helm cannot be run
		return h.unseen("what Helm renders was not looked at: %v", err)
	}
	if err != nil {
		return err
	}
	var found []verify.Finding
	for _, f := range verdict.Findings {
		if f.Found == rendered.NotRendered { // Helm says it once more, if it concerns it
			_ = h.unseen("%s", f.Message)
			continue
		}
		found = append(found, f)
		h.Notes = append(h.Notes, f.String())
	}
	if len(found) > 0 {
		return api.Errorf(api.CodeDrift, "%s between what Helm renders and the pin of %s: nothing was run", verify.Count(found), s.Env)
	}
	return nil
}

// unseen keeps for the report why nobody knows what Helm renders.
func (h *Handed) unseen(format string, a ...any) error {
	h.Unseen = fmt.Sprintf(format, a...)
	h.note("%s", h.Unseen)
	return nil
}

// at is a path as the command finds it, for any directory.
func (p Plan) at(file string) string {
	if filepath.IsAbs(file) {
		return file
	}
	if at, err := filepath.Abs(filepath.Join(p.Dir, file)); err == nil {
		return at
	}
	return file
}

// takesValues: the command gives Helm our images last, as far as its arguments
// or its script say so.
func (p Plan) takesValues() bool {
	said := func(text []byte) bool {
		return bytes.Contains(text, []byte("CHARTCTL_VALUES")) || bytes.Contains(text, []byte("CHARTCTL_IMAGE_"))
	}
	if p.Values != "" || slices.ContainsFunc(p.Command, func(a string) bool { return said([]byte(a)) }) {
		return true
	}
	for _, a := range p.Command[:min(2, len(p.Command))] {
		info, err := os.Stat(p.at(a))
		if err != nil || !info.Mode().IsRegular() || info.Size() > 1<<20 {
			continue
		}
		if text, err := os.ReadFile(p.at(a)); err == nil && said(text) {
			return true
		}
	}
	return false
}

// valueFlags are Helm's that say what is rendered.
var valueFlags = []string{"--set", "--set-string", "--set-file", "--set-json", "--set-literal", "--values", "-f", "--api-versions", "-a", "--kube-version"}

// valueArgs are those of Helm's arguments that say what is rendered, each with
// its value, and files as another directory finds them.
func (p Plan) valueArgs(all []string) (out []string) {
	for i := 0; i < len(all); i++ {
		name, text, joined := strings.Cut(all[i], "=")
		if name == "--skip-schema-validation" {
			out = append(out, all[i])
		}
		if !slices.Contains(valueFlags, name) || !joined && i+1 == len(all) {
			continue
		}
		if !joined {
			i++
			text = all[i]
		}
		switch name {
		case "-f", "--values":
			text = p.at(text)
		case "--set-file":
			if key, file, ok := strings.Cut(text, "="); ok {
				text = key + "=" + p.at(file)
			}
		}
		out = append(out, name, text)
	}
	return out
}
