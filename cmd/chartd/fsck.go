package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"chartd.dev/chartd/internal/durable"
	"chartd.dev/chartd/lock/boltstore"
	"chartd.dev/chartd/repo"
	"github.com/spf13/cobra"
)

func newFsck(getenv func(string) string) *cobra.Command {
	var o fsckOptions
	cmd := &cobra.Command{
		Use: "fsck", Short: "Check everything that is stored", Args: noArgs,
		Long: "Check everything that is stored: the database, every file against its digest, the\nindex against Helm's own reader. Where a server holds the directory, it does the\ncheck and goes on serving.",
	}
	flags := configFlags(cmd.Flags(), "data")
	cmd.Flags().StringVar(&o.tokenFile, "token-file", "", "token for the running server (default: DIR/admin.token)")
	cmd.Flags().BoolVar(&o.discardLog, "discard-log", false, "where the lock database's log is damaged or lost and there is no backup, keep its\nupdates up to the damage and give up those after it; no server may run")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		c, err := configOf(cmd, flags, getenv)
		if err != nil {
			return err
		}
		o.dir = c.Data
		o.warn = func(w string) { _, _ = fmt.Fprintln(cmd.ErrOrStderr(), "chartd:", w) }
		rep, err := fsck(cmd.Context(), o)
		if err != nil {
			return err
		}
		for _, p := range rep.Problems {
			if _, err := fmt.Fprintln(cmd.OutOrStdout(), p); err != nil {
				return err
			}
		}
		if _, err := fmt.Fprintf(cmd.OutOrStdout(), "checked %d chart versions, %d bindings, %d environments, %d pins, %d files\n",
			rep.Charts, rep.Bindings, rep.Environments, rep.Pins, rep.Blobs); err != nil {
			return err
		}
		if n := len(rep.Problems); n > 0 {
			return fmt.Errorf("%d problems found in %q", n, c.Data)
		}
		return nil
	}
	return cmd
}

type fsckOptions struct {
	dir, tokenFile string
	discardLog     bool
	warn           func(string)
}

func fsck(ctx context.Context, o fsckOptions) (rep repo.Report, err error) {
	d, err := openDataWith(ctx, o.dir, false, boltstore.Options{DiscardLog: o.discardLog, OnWarning: o.warn})
	if errors.Is(err, durable.ErrLocked) && !o.discardLog {
		err = online(ctx, question{o.dir, o.tokenFile, "/api/v1/fsck", err}, func(body io.Reader) error {
			return json.NewDecoder(body).Decode(&rep)
		})
		return rep, err
	}
	if err != nil {
		return rep, err
	}
	defer func() { err = errors.Join(err, d.Close()) }()
	rep, err = check(ctx, d)
	if len(rep.Problems) > 0 {
		err = nil // they are the report
	}
	return rep, err
}
