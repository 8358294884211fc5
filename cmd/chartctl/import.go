package main

import (
	"cmp"
	"context"
	"fmt"
	"runtime/debug"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"chartd.dev/chartd/internal/api"
	"chartd.dev/chartd/internal/client"
	"chartd.dev/chartd/internal/imports"
)

func (a *app) importing() *cobra.Command {
	var o imports.Options
	var keepGoing bool
	c := &cobra.Command{
		Use:   "import DIR|URL",
		Short: "Take over an existing chart repository",
		Long: `Import takes every package of a repository: a directory of packages, a checkout
of a pages branch, a ChartMuseum store, or the URL of anything that serves an
index.yaml. Packages are read in parallel and committed in the order in which
they were published: by the index's created date, else by the newest file in the
archive, then by name. Those without any date come first, marked order unknown.
Dates and provenance files are kept.

It can be broken off and started again: what the server has is skipped. A
directory is read without network; with --fetch, packages that only the index
names are fetched from the URLs there. Credentials for a URL go in it
(https://USER:PASSWORD@HOST/) and to no other host. Nothing outside of a
directory is read by a symbolic link in it: such a package counts as unreadable.

At the end it reports what it found wrong. Findings that lose nothing (a wrong
digest in the index, a file missing from it, an entry without a file, the same
package twice) leave exit 0. A package that could not be imported (unreadable,
refused, or in conflict with what is published) makes it exit 8 after all others
were imported, or 0 with --keep-going. A repository without any package is an
error too (exit 8).`,
		Example: `  chartctl import ./gh-pages
  chartctl import ./charts --index index.yaml --dry-run
  chartctl import https://hub.jupyter.org/helm-chart/ --bind -o json`,
		Args: args(1, 1),
	}
	f := c.Flags()
	f.StringVar(&o.Index, "index", "", "file or URL of the index, where it lies elsewhere")
	f.BoolVar(&o.Fetch, "fetch", false, "fetch what a directory's index names and the directory lacks")
	f.BoolVar(&o.DryRun, "dry-run", false, "read and compare, change nothing")
	f.BoolVar(&o.Bind, "bind", false, "then bind every version that has no binding (scope bind)")
	f.IntVar(&o.Jobs, "jobs", 4, "packages read, or bound, at once")
	f.BoolVar(&keepGoing, "keep-going", false, "exit 0 even if packages could not be imported")
	c.RunE = a.with(func(ctx context.Context, c *client.Client, args []string) error {
		if o.Jobs < 1 || o.Jobs > 64 {
			return usage("jobs %d is not between 1 and 64", o.Jobs)
		}
		o.Location, o.UserAgent = args[0], "chartctl/"+buildVersion()
		return a.doImport(ctx, c, o, keepGoing)
	})
	return c
}

func (a *app) doImport(ctx context.Context, c *client.Client, o imports.Options, keepGoing bool) error {
	var bar *progress
	phase := ""
	o.Progress = func(p imports.Progress) {
		if p.Phase != phase {
			if bar != nil {
				bar.end()
			}
			phase, bar = p.Phase, a.progress(p.Phase)
		}
		bar.show(p.Done, p.Total, p.Current)
	}
	// Little lives longer than a package takes: collecting it less often costs
	// some megabytes and saves a tenth of the time.
	debug.SetGCPercent(400)
	report, err := imports.Run(ctx, c, o)
	if bar != nil {
		bar.end()
	}
	if err != nil {
		if report.Imported > 0 {
			a.note("%s imported before the error; start the import again to go on", plural(report.Imported, "package"))
		}
		return err
	}
	if err := a.print(report, func(w *writer) { reportSheet(w, report) }); err != nil {
		return err
	}
	if report.Lost > 0 && !keepGoing {
		return &api.Error{Code: api.CodeRefused, Message: fmt.Sprintf("%s of %d could not be imported", plural(report.Lost, "package"), report.Packages)}
	}
	return nil
}

// mostShown is how many findings of one kind a table lists.
const mostShown = 10

func reportSheet(w *writer, r *imports.Report) {
	w.field("source", r.Source)
	w.field("packages", fmt.Sprintf("%d, and %s in the index", r.Packages, entries(r.Index)))
	imported := fmt.Sprint(r.Imported)
	if r.DryRun {
		imported += " (dry run: nothing was changed)"
	}
	w.field("imported", imported)
	w.field("existed", fmt.Sprint(r.Existed))
	if r.Bound > 0 {
		w.field("bound", fmt.Sprint(r.Bound))
	}
	w.field("not imported", fmt.Sprint(r.Lost))
	groups := map[imports.Kind][]imports.Finding{}
	for _, f := range r.Findings {
		groups[f.Kind] = append(groups[f.Kind], f)
	}
	for _, f := range r.Findings {
		if list := groups[f.Kind]; list != nil {
			findingLines(w, list)
			delete(groups, f.Kind)
		}
	}
}

// findingLines lists the findings of one kind; a message that all share is
// said once.
func findingLines(w *writer, list []imports.Finding) {
	shared := !slices.ContainsFunc(list, func(f imports.Finding) bool { return f.Message != list[0].Message })
	if shared {
		w.line("%s: %d: %s", list[0].Kind, len(list), list[0].Message)
	} else {
		w.line("%s: %d", list[0].Kind, len(list))
	}
	for i, f := range list {
		if i == mostShown {
			w.line("  … and %d more: see -o json", len(list)-mostShown)
			return
		}
		what := cmp.Or(f.Chart, f.File)
		if f.Chart != "" && f.File != "" && !strings.HasSuffix(f.File, strings.Replace(f.Chart, "@", "-", 1)+".tgz") {
			what += " (" + f.File + ")"
		}
		w.line("  %s", what)
		if !shared {
			w.line("    %s", f.Message)
		}
	}
}

func entries(n int) string {
	if n == 1 {
		return "1 entry"
	}
	return fmt.Sprintf("%d entries", n)
}
