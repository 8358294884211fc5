package main

import (
	"context"
	"fmt"

	"github.com/spf13/cobra"

	"chartd.dev/chartd/internal/api"
	"chartd.dev/chartd/internal/client"
)

func (a *app) approve() *cobra.Command {
	var t target
	var reason string
	c := &cobra.Command{
		Use:   "approve HUB/STAGE (--version V | --binding B | --from HUB/STAGE)",
		Short: "Approve a pair, to be pinned by somebody else",
		Long: `An approval is about one pair in one environment and holds until that pair is
pinned there. It counts only for a pin by another token. With --version it is
the binding that bump would take, with --from the pair of that environment now;
the answer names it.`,
		Example: `  chartctl approve data8/prod --from data8/staging --reason "tested by the class"
  chartctl approve data8/prod --binding b1:AbCd…`,
		Args: args(1, 1),
	}
	c.Flags().StringVar(&t.version, "version", "", "chart version")
	c.Flags().StringVar(&t.binding, "binding", "", "exactly this binding")
	c.Flags().StringVar(&t.from, "from", "", "HUB/STAGE whose pair it is now")
	c.Flags().StringVar(&reason, "reason", "", "why; kept with the approval")
	c.RunE = a.with(func(ctx context.Context, c *client.Client, args []string) error {
		env, err := parseEnv(args[0])
		if err != nil {
			return err
		}
		q, err := t.question(env)
		if err != nil {
			return err
		}
		e, err := c.Environment(ctx, env)
		if err != nil {
			return err
		}
		v, err := q.Ask(ctx, c)
		if err != nil {
			return err
		}
		got, err := c.Approve(ctx, env, api.ApprovalRequest{Binding: v.Binding, Reason: reason})
		if err != nil {
			return err
		}
		return a.print(got, func(w *writer) {
			w.line("%s approved %s@%s for %s", got.By, v.Name, v.Version, got.Env)
			w.line("  binding      %s", got.Binding)
			for _, i := range v.Pair.Images {
				w.line("  %-12s %s", i.Role, i)
			}
			if n := e.Policy.Approvals; n == 0 {
				w.line("  note: the policy of %s asks for no approval", got.Env)
			} else {
				w.line("  the policy asks for %s", fmt.Sprintf("%d, by others than the one who pins", n))
			}
		})
	})
	c.ValidArgsFunction = a.completeEnvs
	return c
}
