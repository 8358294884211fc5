package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"unicode"

	"chartd.dev/chartd/internal/api"
	"chartd.dev/chartd/internal/client"
	"chartd.dev/chartd/internal/deploy"
	"chartd.dev/chartd/internal/ref"
)

// proposal is a change of files that pins nothing: a dry run, or one that is
// to be reviewed.
type proposal struct {
	Pinned   bool              `json:"pinned"` // always false
	Written  bool              `json:"written"`
	Files    []string          `json:"files"`
	Diff     string            `json:"diff"`
	Verdicts []api.GateVerdict `json:"verdicts"`
}

func proposalOf(p *deploy.Plan) proposal {
	out := proposal{Files: []string{}, Verdicts: []api.GateVerdict{}}
	if p != nil {
		out.Files, out.Diff = append(out.Files, p.Paths()...), p.Diff()
	}
	return out
}

// verdicts asks the gate about each move that is still to be made.
func verdicts(ctx context.Context, c *client.Client, j job) ([]api.GateVerdict, error) {
	out := []api.GateVerdict{}
	for _, m := range j.todo() {
		one := j
		one.moves = []move{m}
		v, err := c.CheckPin(ctx, one.one(""))
		if err != nil {
			return nil, err
		}
		out = append(out, v)
	}
	return out, nil
}

// refusedBy is the first refusal as the error that the pin would be.
func refusedBy(list []api.GateVerdict) error {
	for _, v := range list {
		switch {
		case v.Pass:
		case v.Refusal != nil:
			return v.Refusal
		default:
			return &api.Error{Code: api.CodeGate, Message: fmt.Sprintf("the gate refuses %s@%s for %s", v.Name, v.Version, v.Env)}
		}
	}
	return nil
}

func (p proposal) lines(w *writer) {
	w.verbatim(p.Diff)
	for _, v := range p.Verdicts {
		word := "passes"
		if !v.Pass {
			word = "is refused"
		}
		w.line("gate: %s to %s@%s %s", v.Env, v.Name, v.Version, word)
	}
}

// verbatim writes text of several lines, without the control sequences that a
// file may hold.
func (w *writer) verbatim(s string) {
	w.buf.WriteString(strings.Map(func(r rune) rune {
		if r == '\n' || r == '\r' || r == '\t' || unicode.IsPrint(r) {
			return r
		}
		return '\uFFFD'
	}, s))
}

// dryRun shows what would change and what the gate says to it. The exit code
// is that of the pin.
func (a *app) dryRun(ctx context.Context, s scope, j job, p *deploy.Plan) error {
	a.noteAlready(j)
	out := proposalOf(p)
	var err error
	if out.Verdicts, err = verdicts(ctx, s.client, j); err != nil {
		return err
	}
	if err := a.print(out, out.lines); err != nil {
		return err
	}
	return refusedBy(out.Verdicts)
}

// review writes the files if the gate would let the pin pass, and leaves the
// pin to chartctl apply.
func (a *app) review(ctx context.Context, s scope, j job, p *deploy.Plan) error {
	a.noteAlready(j)
	out := proposalOf(p)
	var err error
	if out.Verdicts, err = verdicts(ctx, s.client, j); err != nil {
		return err
	}
	if err := refusedBy(out.Verdicts); err != nil {
		return err
	}
	if err := a.writeOnly(ctx, s.co, j, p); err != nil {
		return err
	}
	out.Written = true
	a.note("nothing is pinned yet (flow: review): chartctl apply%s pins it after the merge", j.said())
	return a.print(out, out.lines)
}

// said are the flags of the job that no file holds, so apply needs them again.
func (j job) said() string {
	var out string
	if j.downgrade != "" {
		out += fmt.Sprintf(" --downgrade %q", j.downgrade)
	}
	if j.breakGlass != "" {
		out += fmt.Sprintf(" --break-glass %q", j.breakGlass)
	}
	return out
}

// writeOnly changes files to which no pin belongs.
func (a *app) writeOnly(ctx context.Context, co *checkout, j job, p *deploy.Plan) error {
	if _, err := a.pinAndWrite(ctx, co, job{}, intent{Format: intentFormat}, p); err != nil {
		return err
	}
	if err := a.wrote(ctx, co, j, p); err != nil {
		return halfwayCommit(nil, err)
	}
	return nil
}

// boundTo is the newest binding of a version to the images; a dry run makes none.
func boundTo(ctx context.Context, c *client.Client, ch api.Chart, images map[ref.Role]string) (api.Binding, error) {
	v, err := ref.ParseImported(ch.Name, ch.Version)
	if err != nil {
		return api.Binding{}, err
	}
	list, err := c.Bindings(ctx, v)
	if err != nil {
		return api.Binding{}, err
	}
	for i := len(list.Bindings) - 1; i >= 0; i-- {
		if has, err := hasImages(list.Bindings[i], images); err != nil || has {
			return list.Bindings[i], err
		}
	}
	return api.Binding{}, &api.Error{Code: api.CodeNotFound, Message: fmt.Sprintf("%s is not bound to%s yet, and a dry run binds nothing: without a binding neither the digest for the diff is known nor the gate's verdict", v, strings.ReplaceAll(imageFlags(images), " --image", "")),
		Want: fmt.Sprintf("bind it first, which pins nothing and changes no file, then try again: chartctl bind %s%s", v, imageFlags(images))}
}

func imageFlags(images map[ref.Role]string) string {
	var out string
	for _, role := range slices.Sorted(maps.Keys(images)) {
		out += fmt.Sprintf(" --image %s=%s", role, images[role])
	}
	return out
}
