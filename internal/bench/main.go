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
	only := flag.String("only", "", "rows to measure, separated by commas; all of them by default")
	large := flag.Bool("large", false, "with 1,000,000 versions and pins too (several minutes, 6 GB of disk)")
	out := flag.String("o", "", "also write the table and the plot to this directory")
	into := flag.String("make", "", "measure nothing: make a repository in this new data directory")
	var s spec
	flag.IntVar(&s.Versions, "versions", 1_000, "with -make: chart versions")
	flag.IntVar(&s.Environments, "environments", 1, "with -make: environments, each pinned")
	flag.IntVar(&s.Pins, "pins", 1, "with -make: pins of the first environment")
	flag.Parse()
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
	for _, r := range rows() {
		if *only != "" && !strings.Contains(","+*only+",", ","+r.name+",") {
			continue
		}
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
