package main

import (
	"cmp"
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"chartd.dev/chartd/internal/api"
	"chartd.dev/chartd/internal/client"
	"chartd.dev/chartd/internal/ref"
)

func (a *app) history() *cobra.Command {
	var limit int
	var before string
	c := ofEnv(a, &cobra.Command{
		Use:     "history HUB/STAGE",
		Short:   "List an environment's pins, newest first",
		Example: "  chartctl history data8/prod\n  chartctl history data8/prod --limit 100 --before 17",
	}, func(c *client.Client, ctx context.Context, env ref.Env) (api.Pins, error) {
		err := positive(limit)
		var n uint64
		if err == nil && before != "" {
			n, err = parseRevision(before)
		}
		if err != nil {
			return api.Pins{}, err
		}
		return pinPages(ctx, func(before uint64, limit int) (api.Pins, error) { return c.Pins(ctx, env, before, limit) }, n, limit)
	}, func(w *writer, pins api.Pins) {
		pinTable(w, pins.Pins)
		if pins.Next > 0 {
			last := pins.Pins[len(pins.Pins)-1]
			w.line("older ones: chartctl history %s --before %d", last.Env, last.Revision)
		}
	})
	c.Flags().IntVar(&limit, "limit", 20, "at most so many")
	c.Flags().StringVar(&before, "before", "", "only those before this revision")
	return c
}

// pinPages reads pages until limit pins are there or no more follow.
func pinPages(ctx context.Context, page func(before uint64, limit int) (api.Pins, error), before uint64, limit int) (api.Pins, error) {
	out := api.Pins{Pins: []api.Pin{}}
	for {
		got, err := page(before, limit-len(out.Pins))
		if err != nil {
			return out, err
		}
		out.Pins = append(out.Pins, got.Pins...)
		out.Next = got.Next
		if got.Next == 0 || len(got.Pins) == 0 || len(out.Pins) >= limit || ctx.Err() != nil {
			return out, ctx.Err()
		}
		before = got.Next
	}
}

func pinTable(w *writer, pins []api.Pin) {
	tableOf(w, []string{"REV", "CHART", "IMAGE", "KIND", "BY", "WHEN", "REASON"}, pins, func(p api.Pin) []string {
		return []string{fmt.Sprint(p.Revision), p.Name + "@" + p.Version, mainImage(p.Images), pinKind(p), p.By, when(p.At), cmp.Or(p.Reason, "-")}
	})
}
