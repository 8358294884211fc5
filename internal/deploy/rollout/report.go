package rollout

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"time"

	"chartd.dev/chartd/internal/advice"

	"chartd.dev/chartd/internal/api"
	"chartd.dev/chartd/internal/client"
	"chartd.dev/chartd/internal/model"
	"chartd.dev/chartd/internal/ref"
)

// Run is a command whose start is reported.
type Run struct {
	client  *client.Client
	cmd     *exec.Cmd
	stop    <-chan os.Signal
	restore func()
	out     Outcome
}

// Outcome is how a command went, and whether the server knows.
type Outcome struct {
	Env      ref.Env       `json:"environment"`
	Revision uint64        `json:"revision"`
	Binding  ref.BindingID `json:"binding"`
	Name     string        `json:"name"`
	Version  string        `json:"version"`
	Command  string        `json:"command"` // without its arguments, which may hold secrets
	State    model.Verdict `json:"state"`   // passed or failed
	Exit     int           `json:"exit"`
	Seconds  float64       `json:"seconds"`
	Reported bool          `json:"reported"` // the server knows
	Report   uint64        `json:"report,omitempty"`
	// Superseded says that another revision was pinned by then.
	Superseded bool   `json:"superseded,omitempty"`
	URL        string `json:"url,omitempty"`
	Unseen     string `json:"not_rendered,omitempty"` // why it was not looked at what Helm renders

	how     ended
	failure error // of the report
}

// Start reports that a command begins, which is run by Finish. From here on the
// signals that end a program go to the command.
func Start(ctx context.Context, c *client.Client, h *Handed, cmd *exec.Cmd, url string) (*Run, error) {
	r := &Run{client: c, cmd: cmd, out: Outcome{Env: h.Pin.Env, Revision: h.Pin.Revision, Binding: h.Binding.ID, Name: h.Binding.Name,
		Version: h.Binding.Version, Command: filepath.Base(cmd.Args[0]), URL: url, Unseen: h.Unseen}}
	r.stop, r.restore = signals()
	began, err := c.Report(ctx, r.out.Env, r.out.Revision, api.ReportRequest{State: model.Started, URL: url, Note: "deploy runs " + r.out.Command})
	if err == nil && began.Superseded {
		err = &api.Error{Code: api.CodeStale, Message: fmt.Sprintf("%s moved on from revision %d meanwhile; %s was not run", r.out.Env, r.out.Revision, r.out.Command), Want: "deploy again"}
	} else if err != nil {
		err = notStarted(err, r.out.Command)
	}
	if err != nil {
		r.restore()
	}
	return r, err
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

// String names what runs.
func (r *Run) String() string {
	return fmt.Sprintf("%s revision %d: %s@%s, %s", r.out.Env, r.out.Revision, r.out.Name, r.out.Version, r.out.Binding)
}

// Finish runs the command, for so long (zero is for ever), and tries to report
// how it went, for as long as deliver says.
func (r *Run) Finish(ctx context.Context, limit, deliver time.Duration) Outcome {
	defer r.restore()
	how, err := supervise(r.cmd, limits{limit, endTime}, r.stop)
	if err != nil {
		how.Code = max(how.Code, 1)
		how.Stopped = cmp.Or(how.Stopped, fmt.Sprintf("could not be run: %v", err))
	}
	out := r.out
	out.how, out.Exit, out.Seconds, out.State = how, how.Code, how.Took.Round(time.Millisecond).Seconds(), model.Failed
	if how.passed() {
		out.State = model.Passed
	}
	rep, err := r.report(ctx, deliver, out)
	out.failure, out.Reported, out.Report, out.Superseded = err, err == nil, rep.N, rep.Superseded
	return out
}

// report sends the verdict under one key until it arrives, so that it counts
// once. It tries until the limit, or a signal, whatever has become of the
// context of the run.
func (r *Run) report(ctx context.Context, limit time.Duration, o Outcome) (api.Report, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), limit)
	defer cancel()
	go func() {
		select {
		case <-r.stop:
			cancel()
		case <-ctx.Done():
		}
	}()
	note := o.ended()
	if o.how.Stopped != "" {
		note += ", " + o.how.Stopped
	}
	if o.Unseen != "" {
		note += "; " + o.Unseen
	}
	const always = 1 << 20 // the context ends it
	return r.client.Patient(always).Report(ctx, o.Env, o.Revision, api.ReportRequest{State: o.State, URL: o.URL, Note: note, Exit: &o.Exit})
}

func (o Outcome) ended() string {
	return fmt.Sprintf("%s ended with exit code %d after %v", o.Command, o.Exit, o.how.Took.Round(time.Second))
}

// String is the outcome in a sentence.
func (o Outcome) String() string {
	what := fmt.Sprintf("%s revision %d: %s", o.Env, o.Revision, o.ended())
	if o.how.Stopped != "" {
		what += " (" + o.how.Stopped + ")"
	}
	if o.failure != nil {
		return fmt.Sprintf("%s, and the server does not know: %s; tell it with %s", what, o.why(), advice.Report.With(model.Facts{Env: o.Env, Revision: o.Revision, Verdict: o.State}))
	}
	return fmt.Sprintf("%s; it is reported %s", what, o.State)
}

func (o Outcome) why() string {
	if api.CodeOf(o.failure) == "" && errors.Is(o.failure, context.Canceled) {
		return "interrupted"
	}
	return o.failure.Error()
}

// Note is what else is to be known, "" for nothing.
func (o Outcome) Note() string {
	if !o.Superseded {
		return ""
	}
	return fmt.Sprintf("%s was pinned to another revision while %s ran; what ran, and is reported, is revision %d: deploy again", o.Env, o.Command, o.Revision)
}

// Err is an *ExitError of a command that failed, and the report's error of one
// that passed without the server's knowing.
func (o Outcome) Err() error {
	switch {
	case o.State != model.Passed:
		return &ExitError{o.Exit, o.String()}
	case o.failure != nil:
		return api.Errorf(cmp.Or(api.CodeOf(o.failure), api.CodeUnavailable), "%s", o)
	}
	return nil
}

// ExitError ends chartctl with the exit code of a command that it ran.
type ExitError struct {
	Code    int
	Message string
}

func (e *ExitError) Error() string { return e.Message }
