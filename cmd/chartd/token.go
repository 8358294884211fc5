package main

import (
	"errors"
	"fmt"
	"time"

	"github.com/spf13/cobra"

	"chartd.dev/chartd/internal/advice"
	"chartd.dev/chartd/internal/auth"
	"chartd.dev/chartd/internal/durable"
	"chartd.dev/chartd/internal/model"
	"chartd.dev/chartd/lock"
)

func newToken(getenv func(string) string) *cobra.Command {
	cmd := &cobra.Command{
		Use: "token", Short: "Make tokens without a running server", Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error { return cmd.Help() },
	}
	cmd.AddCommand(newTokenCreate(getenv))
	return cmd
}

func newTokenCreate(getenv func(string) string) *cobra.Command {
	var scopes []string
	var ttl string
	cmd := &cobra.Command{
		Use: "create NAME", Short: "Make a token and print it, once", Args: oneArg("the token's NAME"),
		Example: "  chartd token create ci --scope 'publish:payments-*' --scope 'bind:payments-*' --data /var/lib/chartd",
	}
	flags := configFlags(cmd.Flags(), "data")
	cmd.Flags().StringArrayVar(&scopes, "scope", nil, "what the token may do, such as publish:jupyterhub or pin:data8/* (repeatable)")
	cmd.Flags().StringVar(&ttl, "ttl", "", "lifetime, such as 720h or 30d; 0 for a token that does not expire (default 90d)")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		c, err := configOf(cmd, flags, getenv)
		if err != nil {
			return err
		}
		life, err := auth.ParseTTL(ttl)
		if err != nil {
			return fmt.Errorf("%w: %w", errUsage, err)
		}
		t, secret, err := auth.New(auth.Request{Name: args[0], Scopes: scopes, TTL: life, By: "chartd token create", Now: time.Now()})
		if err != nil {
			return fmt.Errorf("%w: %w", errUsage, err)
		}
		d, err := openData(cmd.Context(), c.Data, true)
		if errors.Is(err, durable.ErrLocked) {
			return fmt.Errorf("%w, or ask it with: %s", err, advice.TokenCreate.With(model.Facts{Name: args[0]}))
		}
		if err != nil {
			return err
		}
		op := lock.Op{Actor: lock.Actor{Name: "chartd"}, Route: "token create"}
		if err := errors.Join(d.lock.CreateToken(cmd.Context(), op, t), d.Close()); err != nil {
			return err
		}
		_, err = fmt.Fprintln(cmd.OutOrStdout(), secret.Reveal())
		return err
	}
	return cmd
}
