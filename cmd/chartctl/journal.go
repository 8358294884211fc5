package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"chartd.dev/chartd/internal/api"
	"chartd.dev/chartd/internal/client"
)

const (
	journalPage = 1000      // the most lines that the server gives at once
	mostLast    = 1_000_000 // they are all held in memory
)

func (a *app) journal() *cobra.Command {
	var after uint64
	var limit, last int
	c := &cobra.Command{
		Use:   "journal",
		Short: "List what was changed, and what was refused, by whom",
		Long: `One line for each change and for each refused pin. Alone it lists the last 50,
the newest at the bottom; --last N lists more or fewer. With --after or --limit
it reads forward instead, oldest first, from the first line or from the one after
--after, for those who copy the journal elsewhere. It wants the scope audit.`,
		Example: `  chartctl journal
  chartctl journal --last 500
  chartctl journal --after 1200 --limit 1000 -o json`,
		Args: args(0, 0),
	}
	c.Flags().Uint64Var(&after, "after", 0, "read forward: only lines after this sequence number")
	c.Flags().IntVar(&limit, "limit", 100, "read forward: at most so many")
	c.Flags().IntVar(&last, "last", 50, "the newest so many, shown oldest first")
	c.RunE = printing(a, func(ctx context.Context, cl *client.Client, _ []string) (api.Journal, error) {
		forward := c.Flags().Changed("after") || c.Flags().Changed("limit")
		switch {
		case forward && c.Flags().Changed("last"):
			return api.Journal{}, usage("journal: --last counts from the end, --after and --limit from the beginning: give one or the other")
		case last < 1 || last > mostLast:
			return api.Journal{}, usage("last %d is not between 1 and %d", last, mostLast)
		case forward:
			return journalFrom(ctx, cl.Journal, after, limit)
		}
		return journalEnd(ctx, cl.EventsEnd, cl.Journal, last)
	}, journalTable)
	return c
}

func journalTable(w *writer, j api.Journal) {
	tableOf(w, []string{"SEQ", "WHEN", "BY", "VERB", "OBJECT", "RESULT"}, j.Lines, func(l api.Line) []string {
		return []string{fmt.Sprint(l.Seq), when(l.At), l.By, l.Verb, l.Object, l.Result}
	})
	if j.Next > 0 {
		w.line("more: chartctl journal --after %d", j.Next)
	}
}

// journalPages asks for one page of lines after a sequence number.
type journalPages func(ctx context.Context, after uint64, limit int) (api.Journal, error)

// journalFrom reads up to limit lines after a sequence number.
func journalFrom(ctx context.Context, page journalPages, after uint64, limit int) (api.Journal, error) {
	out := api.Journal{Lines: []api.Line{}}
	if err := positive(limit); err != nil {
		return out, err
	}
	for from := after; len(out.Lines) < limit; from = out.Next {
		got, err := page(ctx, from, min(limit-len(out.Lines), journalPage))
		if err != nil {
			return out, err
		}
		out.Lines, out.Next = append(out.Lines, got.Lines...), got.Next
		if got.Next == 0 || got.Next == from {
			break
		}
	}
	return out, nil
}

// journalEnd reads the newest n lines. Those that come meanwhile push the oldest
// out.
func journalEnd(ctx context.Context, end func(context.Context) (uint64, error), page journalPages, n int) (api.Journal, error) {
	out := api.Journal{Lines: []api.Line{}}
	last, err := end(ctx)
	if err != nil {
		return out, err
	}
	// Lines are numbered without gaps.
	for from := last - min(last, uint64(n)); ; {
		got, err := page(ctx, from, journalPage)
		if err != nil {
			return out, err
		}
		out.Lines = append(out.Lines, got.Lines...)
		out.Lines = out.Lines[max(0, len(out.Lines)-n):]
		if got.Next == 0 || got.Next == from {
			return out, nil
		}
		from = got.Next
	}
}
