package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"chartd.dev/chartd/internal/api"
	"chartd.dev/chartd/internal/client"
	"chartd.dev/chartd/internal/model"
	"chartd.dev/chartd/internal/ref"
)

// deployed is the outcome in JSON and YAML.
type deployed struct {
	Env      ref.Env       `json:"environment"`
	Revision uint64        `json:"revision"`
	Binding  ref.BindingID `json:"binding"`
	Name     string        `json:"name"`
	Version  string        `json:"version"`
	Command  string        `json:"command"` // without its arguments, which may hold secrets
	State    string        `json:"state"`   // "passed", "failed"
	Exit     int           `json:"exit"`
	Seconds  float64       `json:"seconds"`
	Reported bool          `json:"reported"` // the server knows
	Report   uint64        `json:"report,omitempty"`
	// Superseded says that another revision was pinned by then.
	Superseded bool   `json:"superseded,omitempty"`
	URL        string `json:"url,omitempty"`
}

// exitError ends chartctl with the exit code of a command that it ran.
type exitError struct {
	code    int
	message string
}

func (e *exitError) Error() string { return e.message }

// runDeploy reports the start, runs the command and reports how it went. Each
// report is sent under one key until it arrives, so that it counts once.
func (a *app) runDeploy(ctx context.Context, c *client.Client, f deployFlags, h handed) error {
	if !f.wanted {
		f.command = f.helmCommand(h)
	}
	cmd, err := a.prepare(f, h)
	if err != nil {
		return err
	}
	stop, restore := signals()
	defer restore()
	env, revision := h.pin.Env, h.pin.Revision
	program := filepath.Base(f.command[0])
	url := first(f.url, ciRun(a.getenv))
	began, err := c.Report(ctx, env, revision, api.ReportRequest{State: model.Started, URL: url, Note: "deploy runs " + program})
	if err != nil {
		return notStarted(err, program)
	}
	if began.Superseded {
		return &api.Error{Code: api.CodeStale, Message: fmt.Sprintf("%s moved on from revision %d meanwhile; %s was not run", env, revision, program), Want: "deploy again"}
	}
	a.note("%s revision %d: %s@%s, %s", env, revision, h.binding.Name, h.binding.Version, h.binding.ID)
	how, err := supervise(cmd, limits{f.limit, endTime}, stop)
	if err != nil {
		how.Code = max(how.Code, 1)
		how.Stopped = first(how.Stopped, fmt.Sprintf("could not be run: %v", err))
	}
	out := deployed{Env: env, Revision: revision, Binding: h.binding.ID, Name: h.binding.Name, Version: h.binding.Version,
		Command: program, State: "failed", Exit: how.Code, Seconds: how.Took.Round(time.Millisecond).Seconds(), URL: url}
	if how.passed() {
		out.State = "passed"
	}
	rep, failure := deliver(ctx, c, f.deliver, stop, out, how)
	out.Reported, out.Report, out.Superseded = failure == nil, rep.N, rep.Superseded
	return a.conclude(out, how, failure)
}

func notStarted(err error, program string) error {
	var e *api.Error
	if !errors.As(err, &e) {
		return err
	}
	told := *e
	told.Message = fmt.Sprintf("%s was not run, because its start could not be reported: %s", program, e.Message)
	return &told
}

// deliver reports the verdict. It tries until the limit, or a signal, whatever
// has become of the context of the run.
func deliver(ctx context.Context, c *client.Client, limit time.Duration, stop <-chan os.Signal, d deployed, how ended) (api.Report, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), limit)
	defer cancel()
	go func() {
		select {
		case <-stop:
			cancel()
		case <-ctx.Done():
		}
	}()
	note := fmt.Sprintf("%s ended with exit code %d after %v", d.Command, d.Exit, how.Took.Round(time.Second))
	if how.Stopped != "" {
		note += ", " + how.Stopped
	}
	const always = 1 << 20 // the context ends it
	return c.Patient(always).Report(ctx, d.Env, d.Revision, api.ReportRequest{State: model.Verdict(d.State), URL: d.URL, Note: note, Exit: &d.Exit})
}

// conclude tells the outcome and makes the exit code.
func (a *app) conclude(d deployed, how ended, failure error) error {
	if a.output != "table" {
		if err := a.print(d, nil); err != nil {
			return err
		}
	}
	what := fmt.Sprintf("%s revision %d: %s ended with exit code %d after %v", d.Env, d.Revision, d.Command, d.Exit, how.Took.Round(time.Second))
	if how.Stopped != "" {
		what += " (" + how.Stopped + ")"
	}
	if failure != nil {
		return undelivered(d, what, failure)
	}
	if d.Superseded {
		a.note("note: %s was pinned to another revision while %s ran; what ran, and is reported, is revision %d: deploy again", d.Env, d.Command, d.Revision)
	}
	if d.State == "failed" {
		return &exitError{d.Exit, what + "; it is reported failed"}
	}
	a.note("%s; it is reported passed", what)
	return nil
}

func undelivered(d deployed, what string, failure error) error {
	why := failure.Error()
	code := api.CodeUnavailable
	var e *api.Error
	switch {
	case errors.As(failure, &e):
		code = e.Code
	case errors.Is(failure, context.Canceled):
		why = "interrupted"
	}
	message := fmt.Sprintf("%s, and the server does not know: %s; tell it with chartctl report %s --revision %d --%s", what, why, d.Env, d.Revision, d.State)
	if d.State == "failed" {
		return &exitError{d.Exit, message}
	}
	return &api.Error{Code: code, Message: message}
}

// ciRun is the page of the CI run that this is part of.
func ciRun(getenv func(string) string) string {
	if server, repo, id := getenv("GITHUB_SERVER_URL"), getenv("GITHUB_REPOSITORY"), getenv("GITHUB_RUN_ID"); server != "" && repo != "" && id != "" {
		return server + "/" + repo + "/actions/runs/" + id
	}
	return first(getenv("CI_JOB_URL"), getenv("CIRCLE_BUILD_URL"), getenv("BUILD_URL"))
}
