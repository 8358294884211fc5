package lock

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"chartd.dev/chartd/internal/model"
	"chartd.dev/chartd/internal/ref"
	"chartd.dev/chartd/lock/kept"
	"chartd.dev/chartd/lock/store"
)

// MaxChecks is the most checks that one report carries.
const MaxChecks = 64

// ReportCheck is one thing that was looked at.
type ReportCheck struct {
	Name   string `json:"name"`
	OK     bool   `json:"ok"`
	Detail string `json:"detail,omitempty"`
}

// NewReport says how the deployment of one revision went. Who says so is the
// principal of the operation.
type NewReport struct {
	Env      ref.Env
	Revision uint64
	State    model.Verdict
	Checks   []ReportCheck
	URL      string // where the evidence can be read
	Note     string
	Exit     *int // of the command that deployed
}

// Report is about one revision only, numbered from 1 for each.
type Report struct {
	Format   int           `json:"format"`
	Env      ref.Env       `json:"env"`
	Revision uint64        `json:"revision"`
	N        uint64        `json:"n"`
	Binding  ref.BindingID `json:"binding"`
	State    model.Verdict `json:"state"`
	Checks   []ReportCheck `json:"checks,omitempty"`
	URL      string        `json:"url,omitempty"`
	Note     string        `json:"note,omitempty"`
	Exit     *int          `json:"exit,omitempty"`
	// Superseded says that the revision was not the current one any more: the
	// report is kept and satisfies nothing.
	Superseded bool      `json:"superseded,omitempty"`
	Halt       string    `json:"halt,omitempty"`  // that it raised
	Ended      []string  `json:"ended,omitempty"` // halts that it ended
	By         string    `json:"by"`
	At         time.Time `json:"at"`
	Seq        uint64    `json:"seq"` // journal sequence
}

// check holds the report against the rules that need no transaction.
func (nr NewReport) check() error {
	switch nr.State {
	case model.Started, model.Passed, model.Failed:
	default:
		return fail(ErrInvalid, "a report cannot be %q: choose started, passed or failed", nr.State)
	}
	if err := checkReason(nr.Note); err != nil {
		return err
	}
	if nr.URL != "" {
		u, err := url.Parse(nr.URL)
		if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || len(nr.URL) > maxReason {
			return fail(ErrInvalid, "the evidence of a report is an address that starts with https:// or http://, not %.80q", nr.URL)
		}
	}
	if len(nr.Checks) > MaxChecks {
		return fail(ErrInvalid, "a report carries at most %d checks, this one has %d", MaxChecks, len(nr.Checks))
	}
	seen := map[string]bool{}
	for _, k := range nr.Checks {
		if k.Name == "" || len(k.Name) > 100 || strings.ContainsAny(k.Name, "\r\n\t\x00") || seen[k.Name] {
			return fail(ErrInvalid, "a check needs a name of its own of at most 100 bytes, not %.120q", k.Name)
		}
		seen[k.Name] = true
		if err := checkReason(k.Detail); err != nil {
			return err
		}
	}
	return nr.checkPassed()
}

// checkPassed refuses a report that contradicts itself.
func (nr NewReport) checkPassed() error {
	if nr.State != model.Passed {
		return nil
	}
	for _, k := range nr.Checks {
		if !k.OK {
			return fail(ErrRefused, "%s revision %d cannot have passed while the check %q failed: report it as failed", nr.Env, nr.Revision, k.Name)
		}
	}
	if nr.Exit != nil && *nr.Exit != 0 {
		return fail(ErrRefused, "%s revision %d cannot have passed while its command exited with %d: report it as failed", nr.Env, nr.Revision, *nr.Exit)
	}
	return nil
}

func reportsOf(env ref.Env, revision uint64) string { return pinKey(env, revision) + "\x00" }

func reportKey(r Report) string { return reportsOf(r.Env, r.Revision) + number(r.N) }

// label names the report in messages.
func (r Report) label() string { return fmt.Sprintf("%s#%d/%d", r.Env, r.Revision, r.N) }

// AddReport records how a revision went.
func (l *Lockfile) AddReport(ctx context.Context, op Op, nr NewReport) (Report, error) {
	if err := nr.check(); err != nil {
		return Report{}, err
	}
	return run(ctx, l, op, func(c *change) (Report, error) {
		e, err := getEnvironment(c, nr.Env)
		if err != nil {
			return Report{}, err
		}
		p, err := getPin(c, e.Env, nr.Revision)
		if err != nil {
			return Report{}, err
		}
		d, err := c.addReport(&e, p, nr)
		if err != nil {
			return Report{}, err
		}
		err = c.journal(verbReport, e.Env.String(), d)
		if d.Halt != nil || len(d.Ended) > 0 {
			err = errors.Join(err, put(c, bucketEnvironments, e.Env.String(), e))
		}
		return d.Report, err
	})
}

// reported is the detail of a report's journal line.
type reported struct {
	Report Report `json:"report"`
	Halt   *Halt  `json:"halt,omitempty"`
	Ended  []Halt `json:"ended,omitempty"`
}

// addReport writes the report with all that follows from it, but for e, which
// the caller writes.
func (c *change) addReport(e *Environment, p Pin, nr NewReport) (reported, error) {
	r, err := c.newReport(*e, p, nr)
	if err != nil {
		return reported{}, err
	}
	d := reported{Report: r}
	switch {
	case r.State == model.Failed:
		d.Halt, err = c.haltFor(e, r)
	case r.State == model.Passed && !r.Superseded:
		d.Ended, err = c.endFor(e, p)
	}
	if err != nil {
		return d, err
	}
	if d.Halt != nil {
		d.Report.Halt = d.Halt.ID
	}
	for _, h := range d.Ended {
		d.Report.Ended = append(d.Report.Ended, h.ID)
	}
	if err := put(c, bucketReports, reportKey(d.Report), d.Report); err != nil || r.State == model.Started {
		return d, err
	}
	return d, c.summarise(d.Report)
}

func (c *change) summarise(r Report) error {
	s, err := getSummary(c, r.Env, r.Binding)
	if err != nil {
		return err
	}
	sum, err := counted(c)
	if err != nil {
		return err
	}
	after := s.after(r, sum)
	if after == s {
		return nil
	}
	return putSummary(c, after)
}

// haltFor raises the halt of a failed report. A late failure halts only if its
// binding is still pinned in scope.
func (c *change) haltFor(e *Environment, r Report) (*Halt, error) {
	scope := e.Policy.HaltScope()
	if r.Superseded {
		if still, err := pinnedIn(c, scope, e.Env, r.Binding); err != nil || !still {
			return nil, err
		}
	}
	h, err := c.raise(e, Halt{
		Scope: scope, Revision: r.Revision, Binding: r.Binding, Report: r.N, Cause: model.CauseReport, Reason: r.Note,
	})
	return &h, err
}

// pinnedIn reports whether any environment in the scope is pinned to the
// binding now.
func pinnedIn(t store.Tx, scope model.Scope, env ref.Env, id ref.BindingID) (bool, error) {
	o := store.ScanOptions{Prefix: env.Hub() + "/"}
	switch scope {
	case model.ScopeEverything:
		o.Prefix = ""
	case model.ScopeEnvironment:
		o.Prefix = env.String()
	}
	all, err := list[Environment](t, bucketEnvironments, o)
	if err != nil {
		return false, err
	}
	for _, e := range all {
		if e.Revision == 0 || scope == model.ScopeEnvironment && e.Env != env {
			continue
		}
		p, err := getPin(t, e.Env, e.Revision)
		if err != nil || p.Binding == id {
			return err == nil, err
		}
	}
	return false, nil
}

// endFor ends the halts that a passed report about the current pin ends.
func (c *change) endFor(e *Environment, p Pin) ([]Halt, error) {
	var ended []Halt
	for _, seq := range slices.Clone(e.Halts) {
		h, err := getHalt(c, seq)
		if err != nil {
			return nil, err
		}
		if !h.endsBy(p) {
			continue
		}
		if h, err = c.end(e, h, HaltEnd{Revision: p.Revision}); err != nil {
			return nil, err
		}
		ended = append(ended, h)
	}
	return ended, nil
}

func (c *change) newReport(e Environment, p Pin, nr NewReport) (Report, error) {
	n, err := lastReport(c, e.Env, nr.Revision)
	if err != nil {
		return Report{}, err
	}
	seq, err := c.seq()
	return Report{
		Format: FormatVersion, Env: e.Env, Revision: p.Revision, N: n.N + 1, Binding: p.Binding,
		State: nr.State, Checks: nr.Checks, URL: nr.URL, Note: nr.Note, Exit: nr.Exit,
		Superseded: p.Revision != e.Revision, By: c.op.Actor.Name, At: c.now, Seq: seq,
	}, err
}

// lastReport is the newest report about a revision; zero if there is none.
func lastReport(t store.Tx, env ref.Env, revision uint64) (Report, error) {
	var last Report
	err := t.Scan(bucketReports, store.ScanOptions{Prefix: reportsOf(env, revision), Reverse: true}, func(k string, raw []byte) error {
		if err := kept.Decode(bucketReports, k, raw, &last); err != nil {
			return err
		}
		return store.ErrStop
	})
	return last, err
}

// Reports returns the reports about one revision, oldest first.
func (l *Lockfile) Reports(ctx context.Context, env ref.Env, revision uint64) ([]Report, error) {
	return view(ctx, l, func(t store.Tx) ([]Report, error) {
		if _, err := getEnvironment(t, env); err != nil {
			return nil, err
		}
		if _, err := getPin(t, env, revision); err != nil {
			return nil, err
		}
		return list[Report](t, bucketReports, store.ScanOptions{Prefix: reportsOf(env, revision)})
	})
}
