package main

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"time"

	"chartd.dev/chartd/internal/e2e/rig"
	"chartd.dev/chartd/internal/testtools"
)

// point is a figure at a size, for the plot.
type point struct {
	panel, series string
	size          int
	value         float64 // in the panel's unit
}

type bench struct {
	dir              string
	large            bool
	data             cached
	root             string // of the module
	chartd, chartctl string
	launch, bare     string
	results          []result
	points           []point
	servers          []*rig.Server
	fsync            time.Duration // one append of a plain loop, once measured
}

type row struct {
	name    string
	measure func(context.Context, *bench) error
}

func rows() []row {
	return []row{
		{"disk", measureDisk},
		{"publish", measurePublish},
		{"sustained", measureSustained},
		{"start", measureStart},
		{"pins", measurePins},
		{"history", measureHistory},
		{"import", measureImport},
		{"reads", measureReads},
		{"environments", measureEnvironments},
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
	args := []string{"build", "-trimpath", "-ldflags=-s -w", "-o", bin + "/", "./cmd/chartd", "./cmd/chartctl", "./internal/bench/launch", "./internal/bench/bare"}
	if r, err := rig.Run(ctx, root, []string{"CGO_ENABLED=0"}, "go", args...); err != nil || r.Code != 0 {
		return fmt.Errorf("build: %v %s", err, r.Text())
	}
	b.root = root
	for program, name := range map[*string]string{&b.chartd: "chartd", &b.chartctl: "chartctl", &b.launch: "launch", &b.bare: "bare"} {
		*program = filepath.Join(bin, name)
	}
	return nil
}

// sizes are the numbers of versions that growth is measured at.
func (b *bench) sizes() []int {
	if b.large {
		return []int{1_000, 10_000, 100_000, 1_000_000}
	}
	return []int{1_000, 10_000, 100_000}
}

// versions is the one repository of a size that all rows share: making it is
// what takes long.
func versions(n int) spec { return spec{Versions: n, Environments: 1} }

// start serves a copy of a repository.
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
	b.leave(s)
	_ = os.RemoveAll(filepath.Dir(s.Data))
}

// leave ends a server and keeps its data.
func (b *bench) leave(s *rig.Server) {
	if err := s.Stop(); err != nil {
		progress("stop: %v", err)
	}
	b.servers = slices.DeleteFunc(b.servers, func(x *rig.Server) bool { return x == s })
}

func (b *bench) stopAll() {
	for _, s := range b.servers {
		s.Kill()
	}
}

func median[T cmp.Ordered](all []T) T {
	s := slices.Sorted(slices.Values(all))
	return s[len(s)/2]
}

func quantile(d []time.Duration, q float64) time.Duration {
	s := slices.Sorted(slices.Values(d))
	return s[min(int(q*float64(len(s))), len(s)-1)]
}

func ms(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// ratio is 1.23 for the table.
func ratio(a, b time.Duration) float64 { return float64(a) / float64(b) }
