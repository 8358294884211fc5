package main

import (
	"cmp"
	"context"
	"strings"

	"github.com/spf13/cobra"

	"chartd.dev/chartd/internal/client"
	"chartd.dev/chartd/internal/ref"
)

// args wants between min and max arguments; a max below zero is no bound.
func args(min, max int) cobra.PositionalArgs {
	return func(c *cobra.Command, got []string) error {
		switch {
		case len(got) < min:
			return usage("%s: too few arguments: want %s", verbOf(c), c.UseLine())
		case max >= 0 && len(got) > max:
			return usage("%s: argument %q is one too many: want %s", verbOf(c), got[max], c.UseLine())
		}
		return nil
	}
}

// verbOf is a command as an error names it, which has chartctl before it.
func verbOf(c *cobra.Command) string {
	return strings.TrimPrefix(c.CommandPath(), c.Root().Name()+" ")
}

func subcommands(c *cobra.Command) string {
	var names []string
	for _, sub := range c.Commands() {
		names = append(names, sub.Name())
	}
	return strings.Join(names, ", ")
}

// verb is what a command does once it has a client.
type verb func(ctx context.Context, c *client.Client, args []string) error

// with makes the client and runs v.
func (a *app) with(v verb) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		c, err := a.client()
		if err != nil {
			return err
		}
		return v(cmd.Context(), c, args)
	}
}

// printing is what a command does that asks for one thing and prints it: as
// JSON, as YAML, or in lines.
func printing[T any](a *app, ask func(context.Context, *client.Client, []string) (T, error), lines func(*writer, T)) func(*cobra.Command, []string) error {
	return a.with(func(ctx context.Context, c *client.Client, args []string) error {
		v, err := ask(ctx, c, args)
		if err != nil {
			return err
		}
		return a.print(v, func(w *writer) {
			w.server = c.Server()
			lines(w, v)
		})
	})
}

// listing makes c print what the server has of a kind.
func listing[T any](a *app, c *cobra.Command, list func(*client.Client, context.Context) (T, error), lines func(*writer, T)) *cobra.Command {
	c.Args = args(0, 0)
	c.RunE = printing(a, func(ctx context.Context, c *client.Client, _ []string) (T, error) { return list(c, ctx) }, lines)
	return c
}

// ofEnv makes c a command about one environment.
func ofEnv[T any](a *app, c *cobra.Command, ask func(*client.Client, context.Context, ref.Env) (T, error), lines func(*writer, T)) *cobra.Command {
	c.Args, c.ValidArgsFunction = args(1, 1), a.completeEnvs
	c.RunE = printing(a, func(ctx context.Context, c *client.Client, args []string) (v T, err error) {
		env, err := parseEnv(args[0])
		if err == nil {
			v, err = ask(c, ctx, env)
		}
		return v, err
	}, lines)
	return c
}

// withReason makes c a command that does something to one thing, and wants to
// know why: kept says what becomes of the reason.
type withReason[K, T any] struct {
	command *cobra.Command
	parse   func(string) (K, error)
	kept    string
	usage   string // of --reason; "" is the usual one
	do      func(c *client.Client, ctx context.Context, what K, reason string) (T, error)
	lines   func(*writer, T)
}

func (r withReason[K, T]) of(a *app) *cobra.Command {
	var reason string
	c := r.command
	c.Flags().StringVar(&reason, "reason", "", cmp.Or(r.usage, "why (required)"))
	c.Args = args(1, 1)
	c.RunE = printing(a, func(ctx context.Context, cl *client.Client, args []string) (v T, err error) {
		what, err := r.parse(args[0])
		if err != nil {
			return v, err
		}
		if reason == "" {
			return v, usage("%s %v: --reason is missing: %s", c.Name(), what, r.kept)
		}
		return r.do(cl, ctx, what, reason)
	}, r.lines)
	return c
}

// positive refuses a limit that lists nothing.
func positive(limit int) error {
	if limit < 1 {
		return usage("limit %d is not a positive number", limit)
	}
	return nil
}

// group is a command that only holds others.
func group(c *cobra.Command, sub ...*cobra.Command) *cobra.Command {
	c.RunE = func(cmd *cobra.Command, got []string) error {
		if len(got) > 0 {
			return usage("%s has no command %q: it has %s; see %s --help", verbOf(cmd), got[0], subcommands(cmd), cmd.CommandPath())
		}
		return usage("%s wants a command: %s; see %s --help", verbOf(cmd), subcommands(cmd), cmd.CommandPath())
	}
	c.Args = cobra.ArbitraryArgs
	c.AddCommand(sub...)
	return c
}
