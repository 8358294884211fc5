package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
)

// imported is what an import took on both sides.
type imported struct {
	perSecond float64
	ctl       float64 // MB of chartctl
	server    resident
}

// measureImport imports the real packages where they lie beside the project,
// and synthetic ones in two numbers, which show whether memory follows them.
func measureImport(ctx context.Context, b *bench) error {
	if shared := os.Getenv("CHARTD_SHARED"); shared != "" {
		dir := filepath.Join(shared, "data", "charts")
		list, err := filepath.Glob(filepath.Join(dir, "*.tgz"))
		if err != nil {
			return err
		}
		if err := b.importOf(ctx, dir, len(list), "real"); err != nil {
			return err
		}
	}
	few, err := b.synthetic(ctx, 2_000)
	if err != nil {
		return err
	}
	many, err := b.synthetic(ctx, 10_000)
	if err != nil {
		return err
	}
	grows := (many.ctl + many.server.own) / (few.ctl + few.server.own)
	b.add(result{what: "import of 10,000 small packages", measured: fmt.Sprintf("%.0f/s; chartd %.0f MB, chartctl %.0f MB", many.perSecond, many.server.own, many.ctl),
		beside: fmt.Sprintf("memory %.2f × that with 2,000 packages (%.0f and %.0f MB; %.0f/s)", grows, few.server.own, few.ctl, few.perSecond),
		bounds: []bound{atMost(many.server.own, 250, "MB in chartd"), atMost(many.ctl, 250, "MB in chartctl")}})
	return nil
}

// importOf imports n packages three times, into a new repository each.
func (b *bench) importOf(ctx context.Context, dir string, n int, kind string) error {
	var rates, ctl, own, peak []float64
	for range 3 {
		got, err := b.importOnce(ctx, dir, n)
		if err != nil {
			return err
		}
		rates, ctl = append(rates, got.perSecond), append(ctl, got.ctl)
		own, peak = append(own, got.server.own), append(peak, got.server.peak)
	}
	b.add(result{what: fmt.Sprintf("import of %d %s packages, images already known", n, kind), measured: fmt.Sprintf("%.0f/s", median(rates)),
		beside: fmt.Sprintf("chartd %.0f MB (%v), chartctl %.0f MB", median(own), resident{peak: median(peak)}, median(ctl)),
		bounds: []bound{atLeast(median(rates), 1_000, "/s"), atMost(median(own), 250, "MB in chartd"), atMost(median(ctl), 250, "MB in chartctl")}})
	return nil
}

func (b *bench) synthetic(ctx context.Context, n int) (imported, error) {
	dir := filepath.Join(b.dir, fmt.Sprintf("packages-%d", n))
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return imported{}, err
	}
	if err := writePackages(dir, n); err != nil {
		return imported{}, err
	}
	return b.importOnce(ctx, dir, n)
}

func (b *bench) importOnce(ctx context.Context, dir string, n int) (imported, error) {
	home, err := os.MkdirTemp(b.dir, "import-")
	if err != nil {
		return imported{}, err
	}
	s, err := b.serve(ctx, filepath.Join(home, "data"))
	if err != nil {
		return imported{}, err
	}
	// Kept until the end: ext4 makes files slowly where many were just removed.
	defer b.leave(s)
	stop := watch(s.Pid())
	c, err := b.once([]string{"CHARTCTL_SERVER=" + s.URL, "CHARTCTL_TOKEN=" + s.Token}, b.chartctl, "import", dir)
	return imported{float64(n) / c.wall.Seconds(), c.peak, stop()}, err
}
