package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"chartd.dev/chartd/internal/api"
	"chartd.dev/chartd/internal/client"
)

const (
	eventPage = 500
	eventWait = 25 * time.Second
)

type eventFlags struct {
	follow bool
	after  uint64
	limit  int
	kinds  []string
}

func (a *app) events() *cobra.Command {
	var f eventFlags
	c := &cobra.Command{
		Use:   "events",
		Short: "List what happened, or follow what happens",
		Long: `Events are ` + strings.Join(api.EventKinds, ", ") + `:
the lines of the journal that concern everybody who may read, without tokens and
addresses. With --follow it goes on until it is interrupted, starting after
--after or, without it, with what happens from now on. -o json then writes one
object a line, and -o yaml one document an event.`,
		Example: `  chartctl events --follow
  chartctl events --after 1200 --limit 100
  chartctl events --follow --kind halted --kind refused -o json`,
		Args: args(0, 0),
	}
	c.Flags().BoolVar(&f.follow, "follow", false, "go on with what happens")
	c.Flags().Uint64Var(&f.after, "after", 0, "only events after this journal line")
	c.Flags().IntVar(&f.limit, "limit", 100, "without --follow: at most so many")
	c.Flags().StringArrayVar(&f.kinds, "kind", nil, "only events of this kind (repeatable)")
	c.RunE = a.with(func(ctx context.Context, cl *client.Client, _ []string) error {
		for _, k := range f.kinds {
			if !slices.Contains(api.EventKinds, k) {
				return usage("%q is no kind of event: choose among %s", k, strings.Join(api.EventKinds, ", "))
			}
		}
		if err := positive(f.limit); err != nil {
			return err
		}
		if !f.follow {
			return a.listEvents(ctx, cl, f)
		}
		if !c.Flags().Changed("after") {
			var err error
			if f.after, err = cl.EventsEnd(ctx); err != nil {
				return err
			}
		}
		return a.followEvents(ctx, cl, f)
	})
	return c
}

func (f eventFlags) wants(e api.Event) bool {
	return len(f.kinds) == 0 || slices.Contains(f.kinds, e.Kind)
}

// listEvents reads forward until there are enough or no more.
func (a *app) listEvents(ctx context.Context, c *client.Client, f eventFlags) error {
	out := api.Events{Events: []api.Event{}, Next: f.after}
	for len(out.Events) < f.limit {
		from := out.Next
		got, err := c.Events(ctx, from, eventPage, 0)
		if err != nil {
			return err
		}
		for _, e := range got.Events {
			if !f.wants(e) {
				continue
			}
			// A line is one page at least: the next one starts behind it.
			if len(out.Events) >= f.limit && e.Seq != out.Next {
				break
			}
			out.Events, out.Next = append(out.Events, e), e.Seq
		}
		if len(out.Events) >= f.limit {
			break
		}
		if out.Next = got.Next; got.Next == from {
			break
		}
	}
	return a.print(out, func(w *writer) {
		for _, e := range out.Events {
			w.line("%s", eventLine(e))
		}
	})
}

// followEvents writes each event as it comes. An interruption is the way to
// end it and no error.
func (a *app) followEvents(ctx context.Context, c *client.Client, f eventFlags) error {
	for after := f.after; ; {
		got, err := c.Events(ctx, after, eventPage, eventWait)
		if ctx.Err() != nil {
			return nil
		}
		if err != nil {
			return err
		}
		for _, e := range got.Events {
			if f.wants(e) {
				if err := a.writeEvent(e); err != nil {
					return err
				}
			}
		}
		after = got.Next
	}
}

func (a *app) writeEvent(e api.Event) error {
	var b []byte
	var err error
	switch a.output {
	case "json":
		b, err = json.Marshal(e)
		b = append(b, '\n')
	case "yaml":
		b, err = toYAML(e)
		b = append([]byte("---\n"), b...)
	default:
		var buf bytes.Buffer
		fmt.Fprintln(&buf, clean(eventLine(e)))
		b = buf.Bytes()
	}
	if err != nil {
		return err
	}
	if _, err := a.out.Write(b); err != nil {
		return localIO("write output: %v", err)
	}
	return nil
}

// eventLine is an event on one line.
func eventLine(e api.Event) string {
	s := fmt.Sprintf("%-6d %s  %-9s  %s", e.Seq, when(e.At), e.Kind, e.Object)
	switch e.Kind {
	case api.EventPinned:
		s += fmt.Sprintf("  %s@%s (%s)", e.Name, e.Version, e.PinKind)
	case api.EventReported, api.EventBound:
		s += "  " + e.State
	case api.EventTagMoved:
		s += fmt.Sprintf("  %s is now %s", short(e.Before), short(e.Digest))
	case api.EventHalted, api.EventResolved:
		s += "  " + e.Halt
		if e.Scope != "" {
			s += " (" + string(e.Scope) + ")"
		}
	}
	if len(e.Marks) > 0 {
		s += "  [" + strings.Join(e.Marks, ", ") + "]"
	}
	s += "  by " + e.By
	if e.Reason != "" {
		s += ": " + e.Reason
	}
	return s
}
