// Command chartctl publishes charts, binds them to images and pins the pairs
// to environments, against a chartd server.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"runtime/debug"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"

	"chartd.dev/chartd/internal/api"
	"chartd.dev/chartd/internal/deploy/rollout"
)

// version is set by the linker for releases.
var version string

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	a := &app{in: os.Stdin, out: os.Stdout, err: os.Stderr, getenv: os.Getenv, now: time.Now}
	code := a.run(ctx, os.Args[1:])
	stop()
	os.Exit(code)
}

// app is one run of the command: its surroundings and its global flags.
type app struct {
	in       io.Reader
	out, err io.Writer
	getenv   func(string) string
	now      func() time.Time

	server, tokenFile, output string
	noColor                   bool
}

// run executes one command line and returns the exit code. The one error
// sentence goes to standard error.
func (a *app) run(ctx context.Context, args []string) int {
	root := a.root()
	root.SetArgs(args)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return api.ExitOK
	}
	var e *api.Error
	var ran *rollout.ExitError
	switch {
	case errors.As(err, &ran):
		fmt.Fprintf(a.err, "chartctl: %s\n", clean(ran.Message))
		return ran.Code
	case errors.As(err, &e):
	case errors.Is(err, context.Canceled):
		e = &api.Error{Code: api.CodeInternal, Message: "interrupted"}
	case strings.HasPrefix(err.Error(), "unknown command"):
		name, _ := strconv.QuotedPrefix(strings.TrimPrefix(err.Error(), "unknown command "))
		name, _ = strconv.Unquote(name)
		e = unknownCommand(root, name)
	default:
		e = &api.Error{Code: api.CodeInternal, Message: err.Error()}
	}
	fmt.Fprintf(a.err, "chartctl: %s\n", clean(advise(e).Error()))
	return e.Code.Exit()
}

// usage is an error of the command line.
func usage(format string, args ...any) *api.Error {
	return api.Errorf(api.CodeUsage, format, args...)
}

func localIO(format string, args ...any) *api.Error {
	return api.Errorf(api.CodeLocalIO, format, args...)
}

const rootHelp = `chartctl talks to a chartd server: it publishes Helm chart packages, binds each
chart version to the container images that belong to it, and pins such a pair,
always whole, to an environment (a hub's stage, such as data8/prod).

Which server, and as whom, in this order:
  --server URL       CHARTCTL_SERVER   the server of the last "chartctl login"
  --token-file FILE  CHARTCTL_TOKEN    the token stored by "chartctl login"

Exit codes:
  0  fine                                    6  lost a race, or exists with other content
  1  internal error                          7  the files differ from what is pinned
  2  wrong usage                             8  bad input, refused package, digest mismatch
  3  not found                               9  not logged in, or not allowed
  4  refused by the gate; it says why       10  server or registry unreachable; try again
  5  halted                                 11  local file or disk error`

func (a *app) root() *cobra.Command {
	root := &cobra.Command{
		Use:   "chartctl",
		Short: "Publish Helm charts, bind them to their images, pin the pairs to environments",
		Long:  rootHelp,
		Example: `  chartctl login https://charts.example.edu
  chartctl publish ./jupyterhub-3.3.7.tgz
  chartctl env create data8/staging --chart jupyterhub
  chartctl bump data8/staging --latest
  chartctl promote data8/staging data8/prod`,
		SilenceUsage:  true,
		SilenceErrors: true,
		Version:       buildVersion(),
		PersistentPreRunE: func(*cobra.Command, []string) error {
			switch a.output {
			case "table", "json", "yaml":
				return nil
			}
			return usage("output format %q is none of table, json, yaml", a.output)
		},
	}
	root.SetIn(a.in)
	root.SetOut(a.out)
	root.SetErr(a.err)
	root.SetVersionTemplate("chartctl {{.Version}}\n")
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error {
		return usage("%v%s; see %s --help", err, unknownFlag(c, err), c.CommandPath())
	})
	f := root.PersistentFlags()
	f.StringVar(&a.server, "server", "", "address of the server (env CHARTCTL_SERVER)")
	f.StringVar(&a.tokenFile, "token-file", "", "file that holds the token (the token itself: env CHARTCTL_TOKEN)")
	f.StringVarP(&a.output, "output", "o", "table", "output format: table, json or yaml")
	f.BoolVar(&a.noColor, "no-color", false, "no colour on a terminal (also: env NO_COLOR)")
	root.AddGroup(
		&cobra.Group{ID: "charts", Title: "Charts and bindings:"},
		&cobra.Group{ID: "envs", Title: "Environments and pins:"},
		&cobra.Group{ID: "gate", Title: "Reports and the gate:"},
		&cobra.Group{ID: "access", Title: "Server and access:"},
	)
	group := func(id string, commands ...*cobra.Command) {
		for _, c := range commands {
			c.GroupID = id
			root.AddCommand(c)
		}
	}
	group("charts", a.publish(), a.importing(), a.charts(), a.show(), a.bind(), a.revoke(), a.yank(), a.purge())
	group("envs", a.initRepo(), a.env(), a.bump(), a.promote(), a.rollback(), a.apply(), a.recover(), a.lock(), a.deploy(), a.verify(), a.history(), a.status())
	group("gate", a.report(), a.halt(), a.halts(), a.resolve(), a.approve(), a.gate(), a.why(), a.checklist(), a.diff(), a.events())
	group("access", a.login(), a.whoami(), a.token(), a.webhook(), a.journal(), a.versionCommand())
	root.InitDefaultHelpCmd()
	helpOfKnown(root)
	return root
}

// helpOfKnown has "help" refuse a command that there is not.
func helpOfKnown(root *cobra.Command) {
	for _, c := range root.Commands() {
		if c.Name() != "help" {
			continue
		}
		c.Args = func(_ *cobra.Command, got []string) error {
			if found, _, err := root.Find(got); len(got) > 0 && (err != nil || found == root) {
				return unknownCommand(root, got[0])
			}
			return nil
		}
	}
}

func (a *app) versionCommand() *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "Print the version of chartctl", Example: "  chartctl version",
		Args: args(0, 0),
		RunE: func(*cobra.Command, []string) error {
			_, err := fmt.Fprintln(a.out, "chartctl "+buildVersion())
			return err
		},
	}
}

func buildVersion() string {
	if version != "" {
		return version
	}
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" {
		return info.Main.Version
	}
	return "(devel)"
}
