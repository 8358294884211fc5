package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"time"
)

// measureStart starts on a repository until the first full index is read,
// three times each.
func measureStart(ctx context.Context, b *bench) error {
	for _, n := range b.sizes() {
		data, err := b.data.copyOf(ctx, versions(n))
		if err != nil {
			return err
		}
		for _, how := range []string{"after a stop", "after a crash that left no snapshot"} {
			var all []time.Duration
			var size int64
			for range 3 {
				if how != "after a stop" {
					if err := os.Remove(filepath.Join(data, "index.snapshot")); err != nil && !errors.Is(err, os.ErrNotExist) {
						return err
					}
				}
				var took time.Duration
				if took, size, err = b.startOnce(ctx, data); err != nil {
					return err
				}
				all = append(all, took)
			}
			took, bounds := median(all), []bound(nil)
			if how == "after a stop" {
				b.points = append(b.points, point{panelTime, "start until the first index", n, ms(took)})
				if limit := map[int]float64{100_000: 0.5, 1_000_000: 5}[n]; limit > 0 {
					bounds = []bound{atMost(took.Seconds(), limit, "s")}
				}
			}
			b.add(result{what: fmt.Sprintf("start until the first full index, %s versions, %s", thousands(n), how), measured: fmt.Sprintf("%.2f s", took.Seconds()),
				beside: fmt.Sprintf("index of %.1f MB", float64(size)/1e6), bounds: bounds})
		}
		if err := os.RemoveAll(filepath.Dir(data)); err != nil {
			return err
		}
	}
	return nil
}

func (b *bench) startOnce(ctx context.Context, data string) (took time.Duration, size int64, err error) {
	begin := time.Now()
	s, err := b.serve(ctx, data)
	if err != nil {
		return 0, 0, err
	}
	defer b.leave(s)
	c, err := dial(s.URL)
	if err != nil {
		return 0, 0, err
	}
	defer c.Close()
	status, _, size, err := c.ask(http.MethodGet, "/index.yaml", nil, nil)
	if err == nil && status != http.StatusOK {
		err = fmt.Errorf("first index: status %d", status)
	}
	return time.Since(begin), size, err
}
