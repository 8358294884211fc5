package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"chartd.dev/chartd/internal/api"
	"chartd.dev/chartd/internal/client"
)

func (a *app) history() *cobra.Command {
	var limit int
	var before string
	c := &cobra.Command{
		Use:     "history HUB/STAGE",
		Short:   "List an environment's pins, newest first",
		Example: "  chartctl history data8/prod\n  chartctl history data8/prod --limit 100 --before 17",
		Args:    args(1, 1),
	}
	c.Flags().IntVar(&limit, "limit", 20, "at most so many")
	c.Flags().StringVar(&before, "before", "", "only those before this revision")
	c.RunE = a.with(func(ctx context.Context, c *client.Client, args []string) error {
		env, err := parseEnv(args[0])
		if err != nil {
			return err
		}
		if limit < 1 {
			return usage("limit %d is not a positive number", limit)
		}
		var n uint64
		if before != "" {
			if n, err = parseRevision(before); err != nil {
				return err
			}
		}
		pins, err := pinPages(ctx, func(before uint64, limit int) (api.Pins, error) { return c.Pins(ctx, env, before, limit) }, n, limit)
		if err != nil {
			return err
		}
		return a.print(pins, func(w *writer) {
			pinTable(w, pins.Pins)
			if pins.Next > 0 {
				w.line("older ones: chartctl history %s --before %d", env, pins.Pins[len(pins.Pins)-1].Revision)
			}
		})
	})
	c.ValidArgsFunction = a.completeEnvs
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
	rows := [][]string{}
	for _, p := range pins {
		image := "-"
		if len(p.Images) > 0 {
			image = mainImage(p.Images)
		}
		rows = append(rows, []string{fmt.Sprint(p.Revision), p.Name + "@" + p.Version, image, pinKind(p), p.By, when(p.At), first(p.Reason, "-")})
	}
	w.table([]string{"REV", "CHART", "IMAGE", "KIND", "BY", "WHEN", "REASON"}, rows)
}
