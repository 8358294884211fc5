package main

import (
	"context"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"chartd.dev/chartd/internal/api"
	"chartd.dev/chartd/internal/client"
	"chartd.dev/chartd/internal/deploy/rollout"
	"chartd.dev/chartd/internal/model"
	"chartd.dev/chartd/internal/ref"
)

type reportFlags struct {
	revision                string
	started, passed, failed bool
	checks                  []string
	url, note               string
	probe                   string
	retries                 int
	deadline                time.Duration
}

func (a *app) report() *cobra.Command {
	var f reportFlags
	c := &cobra.Command{
		Use:   "report HUB/STAGE --revision N (--started | --passed | --failed | --probe URL)",
		Short: "Say how the deployment of a revision went",
		Long: `A report is about one revision. Passed is what a promotion to the next stage
waits for; failed halts the scope that the environment's policy names, at once,
until a rollback or a fix has passed there or somebody resolves the halt.
"chartctl deploy" reports by itself.

--probe asks a URL, such as a hub's /hub/health, until it answers with a status
of 200 to 299, at most --retries times more and no longer than --deadline, and
reports passed or failed by that. It follows no redirect: a login page would
pass for health. After a probe that failed the exit code is 5.`,
		Example: `  chartctl report data8/staging --revision 17 --started
  chartctl report data8/staging --revision 17 --passed --check login=ok --url https://ci.example.edu/1234
  chartctl report data8/staging --revision 17 --failed --check login=ok --check spawn=fail
  chartctl report data8/staging --revision 17 --probe https://staging.data8.example.edu/hub/health`,
		Args: args(1, 1),
	}
	c.Flags().StringVar(&f.revision, "revision", "", "the revision that was deployed (required)")
	c.Flags().BoolVar(&f.started, "started", false, "the deployment has begun")
	c.Flags().BoolVar(&f.passed, "passed", false, "it works")
	c.Flags().BoolVar(&f.failed, "failed", false, "it does not: halts the policy's scope")
	c.Flags().StringArrayVar(&f.checks, "check", nil, "what was looked at: NAME=ok or NAME=fail (repeatable)")
	c.Flags().StringVar(&f.url, "url", "", "where the evidence is, such as a CI run")
	c.Flags().StringVar(&f.note, "note", "", "one sentence more")
	c.Flags().StringVar(&f.probe, "probe", "", "URL that answers 200 to 299 when all is well")
	c.Flags().IntVar(&f.retries, "retries", 10, "with --probe: tries after the first one")
	c.Flags().DurationVar(&f.deadline, "deadline", 5*time.Minute, "with --probe: longest time for all tries")
	c.RunE = a.with(func(ctx context.Context, c *client.Client, args []string) error {
		env, err := parseEnv(args[0])
		if err != nil {
			return err
		}
		rep, err := f.report(ctx, c, env)
		if err != nil {
			return err
		}
		if err := a.print(rep, func(w *writer) { reportLines(w, rep) }); err != nil {
			return err
		}
		if f.probe != "" && rep.State == model.Failed {
			return api.Errorf(api.CodeHalted, "%s revision %d was reported failed: %s", env, rep.Revision, failedChecks(rep.Checks))
		}
		return nil
	})
	c.ValidArgsFunction = a.completeEnvs
	return c
}

func (f reportFlags) report(ctx context.Context, c *client.Client, env ref.Env) (api.Report, error) {
	if f.revision == "" {
		return api.Report{}, usage("report %s: of which revision? give --revision N; chartctl status shows the one pinned now", env)
	}
	revision, err := parseRevision(f.revision)
	if err != nil {
		return api.Report{}, err
	}
	r, err := f.request(env)
	if err != nil {
		return api.Report{}, err
	}
	if f.probe != "" {
		// The revision is looked up first: a mistyped one must not cost the
		// whole deadline.
		if _, err := c.Revision(ctx, env, revision); err != nil {
			return api.Report{}, err
		}
		check, err := rollout.Probe(ctx, rollout.Probing{URL: f.probe, Retries: f.retries, Deadline: f.deadline})
		if err != nil {
			return api.Report{}, err
		}
		if r.Checks = append(r.Checks, check); !check.OK {
			r.State = model.Failed
		}
	}
	return c.Report(ctx, env, revision, r)
}

// request is the report as the flags have it; of a probe it is the report for
// the case that all is well.
func (f reportFlags) request(env ref.Env) (api.ReportRequest, error) {
	r := api.ReportRequest{URL: f.url, Note: f.note}
	given := 0
	for _, s := range []struct {
		is    bool
		state model.Verdict
	}{{f.started, model.Started}, {f.passed, model.Passed}, {f.failed, model.Failed}, {f.probe != "", model.Passed}} {
		if s.is {
			r.State = s.state
			given++
		}
	}
	if given != 1 {
		return r, usage("report %s: give one of --started, --passed, --failed and --probe URL", env)
	}
	for _, s := range f.checks {
		name, result, ok := strings.Cut(s, "=")
		if !ok || name == "" || result != "ok" && result != "fail" {
			return r, usage("check %q: want NAME=ok or NAME=fail", s)
		}
		r.Checks = append(r.Checks, api.Check{Name: name, OK: result == "ok"})
	}
	if bad := failedChecks(r.Checks); bad != "" && r.State == model.Passed {
		if f.passed {
			return r, usage("report %s: it can't have passed with %s: give --failed", env, bad)
		}
		r.State = model.Failed
	}
	return r, nil
}

func failedChecks(checks []api.Check) string {
	var out []string
	for _, c := range checks {
		if !c.OK && c.Detail != "" {
			out = append(out, c.Name+"=fail ("+c.Detail+")")
		} else if !c.OK {
			out = append(out, c.Name+"=fail")
		}
	}
	return strings.Join(out, ", ")
}

func reportLines(w *writer, r api.Report) {
	w.line("%s revision %d is reported %s (report %d)", r.Env, r.Revision, r.State, r.N)
	for _, c := range r.Checks {
		result := "ok"
		if !c.OK {
			result = "fail"
		}
		w.line("  %-12s %s", c.Name, strings.TrimSpace(result+"  "+c.Detail))
	}
	if r.Halt != "" {
		w.line("  it halts: %s; see chartctl halts", r.Halt)
	}
	for _, h := range r.Ended {
		w.line("  it ends %s", h)
	}
	if r.Superseded {
		w.line("  it is not the revision pinned now: the report is kept and satisfies nothing")
	}
}
