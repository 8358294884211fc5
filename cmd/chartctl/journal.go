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
	c.RunE = a.with(func(ctx context.Context, cl *client.Client, _ []string) error {
		forward := c.Flags().Changed("after") || c.Flags().Changed("limit")
		var out api.Journal
		var err error
		switch {
		case forward && c.Flags().Changed("last"):
			return usage("journal: --last counts from the end, --after and --limit from the beginning: give one or the other")
		case limit < 1:
			return usage("limit %d is not a positive number", limit)
		case last < 1 || last > mostLast:
			return usage("last %d is not between 1 and %d", last, mostLast)
		case forward:
			out, err = journalFrom(ctx, cl.Journal, after, limit)
		default:
			out, err = journalEnd(ctx, cl.Journal, last)
		}
		if err != nil {
			return err
		}
		return a.print(out, func(w *writer) { journalTable(w, out) })
	})
	return c
}

func journalTable(w *writer, j api.Journal) {
	rows := [][]string{}
	for _, l := range j.Lines {
		rows = append(rows, []string{fmt.Sprint(l.Seq), when(l.At), l.By, l.Verb, l.Object, l.Result})
	}
	w.table([]string{"SEQ", "WHEN", "BY", "VERB", "OBJECT", "RESULT"}, rows)
	if j.Next > 0 {
		w.line("more: chartctl journal --after %d", j.Next)
	}
}

// journalPages asks for one page of lines after a sequence number.
type journalPages func(ctx context.Context, after uint64, limit int) (api.Journal, error)

// journalFrom reads up to limit lines after a sequence number.
func journalFrom(ctx context.Context, page journalPages, after uint64, limit int) (api.Journal, error) {
	out := api.Journal{Lines: []api.Line{}}
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

// journalEnd reads the newest n lines. The server pages forward only, so the
// end is searched for: the number of questions grows with the logarithm of the
// journal's length. Lines are numbered without gaps.
func journalEnd(ctx context.Context, page journalPages, n int) (api.Journal, error) {
	follows := func(after uint64) (bool, error) {
		got, err := page(ctx, after, 1)
		return len(got.Lines) > 0, err
	}
	// A line follows low, or the journal is empty; none follows high.
	low, high := uint64(0), uint64(n)
	for {
		more, err := follows(high)
		if err != nil {
			return api.Journal{}, err
		}
		if !more {
			break
		}
		low, high = high, 2*high
	}
	for low+1 < high {
		middle := low + (high-low)/2
		more, err := follows(middle)
		switch {
		case err != nil:
			return api.Journal{}, err
		case more:
			low = middle
		default:
			high = middle
		}
	}
	from := uint64(0)
	if high > uint64(n) {
		from = high - uint64(n)
	}
	out := api.Journal{Lines: []api.Line{}}
	for {
		got, err := page(ctx, from, journalPage)
		if err != nil {
			return out, err
		}
		// Lines that came meanwhile push the oldest out.
		out.Lines = append(out.Lines, got.Lines...)
		out.Lines = out.Lines[max(0, len(out.Lines)-n):]
		if got.Next == 0 || got.Next == from {
			return out, nil
		}
		from = got.Next
	}
}
