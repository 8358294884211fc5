// Command chartd is a Helm chart repository that also keeps which chart and
// which image run in which environment.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"

	"github.com/spf13/cobra"
)

// version is set by the linker for a release.
var version = ""

// Exit codes: 0 fine, 1 failed, 2 wrong usage.
const (
	exitFailed = 1
	exitUsage  = 2
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	code := run(ctx, os.Args[1:], os.Getenv, os.Stdout, os.Stderr)
	stop()
	os.Exit(code)
}

// run is the whole program.
func run(ctx context.Context, args []string, getenv func(string) string, stdout, stderr io.Writer) int {
	root := newRoot(getenv)
	root.SetArgs(args)
	root.SetOut(stdout)
	root.SetErr(stderr)
	err := root.ExecuteContext(ctx)
	switch {
	case err == nil:
		return 0
	case errors.Is(err, errUsage):
		fmt.Fprintf(stderr, "chartd: %v\n", err)
		return exitUsage
	}
	fmt.Fprintf(stderr, "chartd: %v\n", err)
	return exitFailed
}

func newRoot(getenv func(string) string) *cobra.Command {
	serve := newServe(getenv, "serve")
	root := newServe(getenv, "chartd")
	root.Short = "A Helm chart repository, and which chart and image run where"
	root.Long = root.Short + ".\n\nWithout a command it serves, as \"chartd serve\" does."
	root.SilenceErrors, root.SilenceUsage = true, true
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return fmt.Errorf("%w: %w", errUsage, err) })
	root.AddCommand(serve, newConfig(getenv), newFsck(getenv), newBackup(getenv), newRestore(getenv), newToken(getenv), newRender(), newVersion())
	return root
}

// noArgs is cobra.NoArgs with our usage error.
func noArgs(_ *cobra.Command, args []string) error {
	if len(args) > 0 {
		return fmt.Errorf("%w: unexpected argument %q, see chartd --help", errUsage, args[0])
	}
	return nil
}

func oneArg(what string) cobra.PositionalArgs {
	return func(_ *cobra.Command, args []string) error {
		if len(args) != 1 {
			return fmt.Errorf("%w: want one argument, %s, and not %d", errUsage, what, len(args))
		}
		return nil
	}
}

func newVersion() *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "Print the version", Args: noArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			_, err := fmt.Fprintln(cmd.OutOrStdout(), buildVersion())
			return err
		},
	}
}

func buildVersion() string {
	if version != "" {
		return version
	}
	if bi, ok := debug.ReadBuildInfo(); ok && bi.Main.Version != "" && bi.Main.Version != "(devel)" {
		return bi.Main.Version
	}
	return "devel"
}

func newConfig(getenv func(string) string) *cobra.Command {
	cmd := &cobra.Command{Use: "config", Short: "Print the configuration that the flags, the environment and the file make", Args: noArgs}
	flags := configFlags(cmd.Flags())
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		c, err := configOf(cmd, flags, getenv)
		if err != nil {
			return err
		}
		return c.print(cmd.OutOrStdout())
	}
	return cmd
}

func configOf(cmd *cobra.Command, flags map[string]*given, getenv func(string) string) (Config, error) {
	file, err := cmd.Flags().GetString("config")
	if err != nil {
		return Config{}, err
	}
	return loadConfig(flags, file, getenv)
}
