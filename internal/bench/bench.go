package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"chartd.dev/chartd/internal/e2e/rig"
	"chartd.dev/chartd/internal/testtools"
)

// result is one line of the table.
type result struct {
	what, goal, measured, beside string
}

// point is a figure at a size, for the plot.
type point struct {
	series string
	size   int
	value  float64 // milliseconds
}

type bench struct {
	dir              string
	large            bool
	data             cached
	root             string // of the module
	chartd, chartctl string
	results          []result
	points           []point
	servers          []*rig.Server
}

type row struct {
	name    string
	measure func(context.Context, *bench) error
}

func rows() []row {
	return []row{
		{"publish", measurePublish},
		{"sustained", measureSustained},
		{"start", measureStart},
		{"pins", measurePins},
		{"history", measureHistory},
		{"import", measureImport},
		{"reads", measureReads},
		{"helm", measureHelm},
		{"cli", measureCLI},
	}
}

func (b *bench) build(ctx context.Context) error {
	bin := filepath.Join(b.dir, "bin")
	root, err := testtools.Root()
	if err != nil {
		return err
	}
	args := []string{"build", "-trimpath", "-ldflags=-s -w", "-o", bin + "/", "./cmd/chartd", "./cmd/chartctl"}
	if r, err := rig.Run(ctx, root, []string{"CGO_ENABLED=0"}, "go", args...); err != nil || r.Code != 0 {
		return fmt.Errorf("build: %v %s", err, r.Text())
	}
	b.root = root
	b.chartd, b.chartctl = filepath.Join(bin, "chartd"), filepath.Join(bin, "chartctl")
	return nil
}

// sizes are the numbers of versions that growth is measured at.
func (b *bench) sizes() []int {
	if b.large {
		return []int{1_000, 100_000, 1_000_000}
	}
	return []int{1_000, 100_000}
}

// start serves a copy of a repository; cpus, where given, binds the process.
func (b *bench) start(ctx context.Context, s spec, flags ...string) (*rig.Server, error) {
	data, err := b.data.copyOf(ctx, s)
	if err != nil {
		return nil, err
	}
	return b.serve(ctx, data, flags...)
}

func (b *bench) serve(ctx context.Context, data string, flags ...string) (*rig.Server, error) {
	srv, err := rig.Start(ctx, rig.ServerConfig{Binary: b.chartd, Data: data, Args: append([]string{"--log-level", "warn"}, flags...)})
	if err == nil {
		b.servers = append(b.servers, srv)
	}
	return srv, err
}

// stop ends a server and removes its copy.
func (b *bench) stop(s *rig.Server) {
	if err := s.Stop(); err != nil {
		progress("stop: %v", err)
	}
	_ = os.RemoveAll(filepath.Dir(s.Data))
	b.servers = slices.DeleteFunc(b.servers, func(x *rig.Server) bool { return x == s })
}

func (b *bench) stopAll() {
	for _, s := range b.servers {
		s.Kill()
	}
}

func (b *bench) add(what, goal, beside, format string, args ...any) {
	r := result{what, goal, fmt.Sprintf(format, args...), beside}
	progress("  %s: %s (goal %s) %s", r.what, r.measured, r.goal, r.beside)
	b.results = append(b.results, r)
}

func (b *bench) print(w io.Writer) {
	fmt.Fprintf(w, "| what | goal | measured | beside it, same run |\n|---|---|---|---|\n")
	for _, r := range b.results {
		fmt.Fprintf(w, "| %s | %s | %s | %s |\n", r.what, r.goal, r.measured, r.beside)
	}
}

func (b *bench) write(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	var t bytes.Buffer
	b.print(&t)
	if err := os.WriteFile(filepath.Join(dir, "performance-table.md"), t.Bytes(), 0o644); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(dir, "performance.svg"), plot(b.points), 0o644)
}

func median(d []time.Duration) time.Duration {
	s := slices.Sorted(slices.Values(d))
	return s[len(s)/2]
}

func quantile(d []time.Duration, q float64) time.Duration {
	s := slices.Sorted(slices.Values(d))
	return s[min(int(q*float64(len(s))), len(s)-1)]
}

func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// memory of a process in MB: resident now, its own part of it, and the peak.
func memory(pid int) (now, own, peak float64) {
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, 0, 0
	}
	for _, line := range strings.Split(string(raw), "\n") {
		f := strings.Fields(line)
		if len(f) < 2 {
			continue
		}
		kb, _ := strconv.ParseFloat(f[1], 64)
		switch f[0] {
		case "VmRSS:":
			now = kb / 1024
		case "RssAnon:":
			own = kb / 1024
		case "VmHWM:":
			peak = kb / 1024
		}
	}
	return now, own, peak
}
