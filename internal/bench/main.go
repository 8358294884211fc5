// Command bench measures chartd: it makes synthetic repositories, starts the
// real programs, and prints what each goal's row costs, beside what else could
// be started for comparison. Ratios are of one run; figures of different runs
// differ by what else the machine does.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strings"
	"time"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func progress(format string, args ...any) {
	fmt.Fprintf(os.Stderr, "%s "+format+"\n", append([]any{time.Now().Format("15:04:05")}, args...)...)
}

func run() error {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	only := flag.String("only", "", "rows to measure, separated by commas: "+strings.Join(names(), ", ")+"; all of them by default, which takes ten minutes")
	large := flag.Bool("large", false, "with 1,000,000 versions and pins too (ten minutes more, 20 GB of disk)")
	out := flag.String("o", "", "also write the table and the plot to this directory")
	into := flag.String("make", "", "measure nothing: make a repository in this new data directory")
	var s spec
	flag.IntVar(&s.Versions, "versions", 1_000, "with -make: chart versions")
	flag.IntVar(&s.Environments, "environments", 1, "with -make: environments, each pinned")
	flag.IntVar(&s.Pins, "pins", 1, "with -make: pins of the first environment")
	flag.Parse()
	measured, err := choose(*only)
	if err != nil {
		return err
	}
	if err := checkFlags(*into != ""); err != nil {
		return err
	}
	if *into != "" {
		return synthesize(ctx, *into, s)
	}
	dir, err := os.MkdirTemp("", "chartd-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	b := &bench{dir: dir, large: *large, data: cached{dir: dir, made: map[spec]string{}}}
	if err := b.build(ctx); err != nil {
		return err
	}
	defer b.stopAll()
	for _, r := range measured {
		progress("%s", r.name)
		if err := r.measure(ctx, b); err != nil {
			return fmt.Errorf("%s: %w", r.name, err)
		}
	}
	b.print(os.Stdout)
	if *out != "" {
		return b.write(*out)
	}
	return nil
}

func names() []string {
	var out []string
	for _, r := range rows() {
		out = append(out, r.name)
	}
	return out
}

// choose returns the rows of these names, all of them if there are none.
func choose(only string) ([]row, error) {
	if only == "" {
		return rows(), nil
	}
	var out []row
	for name := range strings.SplitSeq(only, ",") {
		i := slices.Index(names(), name)
		if i < 0 {
			return nil, fmt.Errorf("-only %s: there is no row %q, only %s", only, name, strings.Join(names(), ", "))
		}
		out = append(out, rows()[i])
	}
	return out, nil
}

// checkFlags refuses what would be passed over.
func checkFlags(makes bool) (err error) {
	if flag.NArg() > 0 {
		return fmt.Errorf("%q is no flag", flag.Arg(0))
	}
	of := map[string]bool{"make": true, "versions": true, "environments": true, "pins": true}
	flag.Visit(func(f *flag.Flag) {
		if of[f.Name] != makes {
			err = fmt.Errorf("-%s is for -make", f.Name)
			if makes {
				err = fmt.Errorf("-%s does not go with -make", f.Name)
			}
		}
	})
	return err
}
