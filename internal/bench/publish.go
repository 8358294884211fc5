package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"path/filepath"
	"sync"
	"sync/atomic"
	"time"

	"chartd.dev/chartd/internal/e2e/rig"
)

// publisher publishes new versions over one connection.
type publisher struct {
	*conn
	token, chart string
	n            int
}

func newPublisher(s *rig.Server, chart string) (*publisher, error) {
	c, err := dial(s.URL)
	return &publisher{conn: c, token: s.Token, chart: chart}, err
}

// one publishes the next version and returns its path below /api/charts.
func (p *publisher) one() (string, error) {
	p.n++
	version := fmt.Sprintf("9.%d.%d", p.n/1000, p.n%1000)
	pkg, err := makePackage(p.chart, version, rand.New(rand.NewPCG(someSeed, uint64(p.n))))
	if err != nil {
		return "", err
	}
	status, _, _, err := p.ask(http.MethodPost, "/api/charts", map[string]string{"Authorization": "Bearer " + p.token}, pkg)
	if err == nil && status != http.StatusCreated {
		err = fmt.Errorf("publish %s@%s: status %d", p.chart, version, status)
	}
	return p.chart + "/" + version, err
}

// visible publishes, and waits until the index has a new entity tag and the
// version's line.
func (p *publisher) visible(before string) (took time.Duration, etag string, err error) {
	start := time.Now()
	path, err := p.one()
	if err != nil {
		return 0, "", err
	}
	_, etag, _, err = p.ask(http.MethodHead, "/index.yaml", nil, nil)
	if err != nil {
		return 0, "", err
	}
	status, _, _, err := p.ask(http.MethodGet, "/api/charts/"+path, nil, nil)
	took = time.Since(start)
	if err == nil && (etag == before || status != http.StatusOK) {
		err = fmt.Errorf("%s was answered and is not in the index: entity tag %s, status %d", path, etag, status)
	}
	return took, etag, err
}

func measurePublish(ctx context.Context, b *bench) error {
	medians := map[int]time.Duration{}
	for _, n := range b.sizes() {
		s, err := b.start(ctx, spec{Versions: n})
		if err != nil {
			return err
		}
		p, err := newPublisher(s, "chart-50")
		if err != nil {
			return err
		}
		var all []time.Duration
		etag := ""
		for range 200 {
			var took time.Duration
			if took, etag, err = p.visible(etag); err != nil {
				return err
			}
			all = append(all, took)
		}
		medians[n] = median(all)
		b.points = append(b.points, point{"publish until visible", n, ms(medians[n])})
		goal, beside := "≤ 10 ms, ≤ 1.5 × 1,000", fmt.Sprintf("%.2f × 1,000 versions; p99 %.1f ms", float64(medians[n])/float64(medians[1_000]), ms(quantile(all, 0.99)))
		if n > 100_000 {
			goal = "≤ 20 ms"
		}
		b.add(fmt.Sprintf("publish until the index shows it, %s versions, median", thousands(n)), goal, beside, "%.1f ms", ms(medians[n]))
		_, own, peak := memory(s.Pid())
		goal = map[int]string{100_000: "≤ 250 MB", 1_000_000: "≤ 2,000 MB"}[n]
		if goal != "" {
			b.add(fmt.Sprintf("memory after %d publishes, %s versions", len(all), thousands(n)), goal, fmt.Sprintf("%.0f MB at most, mapped database file included", peak), "%.0f MB of its own", own)
		}
		b.stop(s)
	}
	return nil
}

func thousands(n int) string {
	if n >= 1_000_000 {
		return fmt.Sprintf("%d,%03d,%03d", n/1_000_000, n/1000%1000, n%1000)
	}
	return fmt.Sprintf("%d,%03d", n/1000, n%1000)
}

// measureSustained publishes from 8 connections while 2 read the index.
func measureSustained(ctx context.Context, b *bench) error {
	s, err := b.start(ctx, spec{Versions: 100_000})
	if err != nil {
		return err
	}
	defer b.stop(s)
	alone, _, err := readIndex(s, 2*time.Second, nil)
	if err != nil {
		return err
	}
	stop := make(chan struct{})
	var published atomic.Int64
	var wg sync.WaitGroup
	failed := make(chan error, 8)
	start := time.Now()
	for w := range 8 {
		p, err := newPublisher(s, fmt.Sprintf("chart-%02d", 10*w))
		if err != nil {
			return err
		}
		wg.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				if _, err := p.one(); err != nil {
					failed <- err
					return
				}
				published.Add(1)
			}
		})
	}
	busy, read, err := readIndex(s, 10*time.Second, failed)
	took := time.Since(start)
	close(stop)
	wg.Wait()
	if err != nil {
		return err
	}
	b.add("publishes from 8 clients while the index is read, 100,000 versions", "≥ 300/s",
		fmt.Sprintf("index read %d times meanwhile (gzip), median %.0f ms, alone %.0f ms", read, ms(busy), ms(alone)),
		"%.0f/s", float64(published.Load())/took.Seconds())
	_, own, peak := memory(s.Pid())
	b.add("memory, publishing and serving, 100,000 versions", "≤ 250 MB", fmt.Sprintf("%.0f MB at most, mapped database file included", peak), "%.0f MB of its own", own)
	return nil
}

// readIndex reads the compressed index again and again for a while.
func readIndex(s *rig.Server, d time.Duration, failed chan error) (time.Duration, int, error) {
	c, err := dial(s.URL)
	if err != nil {
		return 0, 0, err
	}
	defer c.Close()
	var all []time.Duration
	for end := time.Now().Add(d); time.Now().Before(end); {
		start := time.Now()
		status, _, _, err := c.ask(http.MethodGet, "/index.yaml", map[string]string{"Accept-Encoding": "gzip"}, nil)
		if err != nil || status != http.StatusOK {
			return 0, 0, fmt.Errorf("read the index: status %d, %v", status, err)
		}
		all = append(all, time.Since(start))
		select {
		case err := <-failed:
			return 0, 0, err
		default:
		}
	}
	return median(all), len(all), nil
}

// measureStart starts on a repository until the first full index is read.
func measureStart(ctx context.Context, b *bench) error {
	for _, n := range b.sizes() {
		for _, how := range []string{"after a stop", "after a crash that left no snapshot"} {
			data, err := b.data.copyOf(ctx, spec{Versions: n})
			if err != nil {
				return err
			}
			if how != "after a stop" {
				if _, err := rig.Run(ctx, data, nil, "rm", "-f", filepath.Join(data, "index.snapshot")); err != nil {
					return err
				}
			}
			begin := time.Now()
			s, err := b.serve(ctx, data)
			if err != nil {
				return err
			}
			c, err := dial(s.URL)
			if err != nil {
				return err
			}
			status, _, size, err := c.ask(http.MethodGet, "/index.yaml", nil, nil)
			took := time.Since(begin)
			if err != nil || status != http.StatusOK {
				return fmt.Errorf("first index: status %d, %v", status, err)
			}
			goal := map[int]string{100_000: "≤ 0.5 s", 1_000_000: "≤ 5 s"}[n]
			if how == "after a stop" {
				b.points = append(b.points, point{"start until the first index", n, ms(took)})
			} else {
				goal = ""
			}
			b.add(fmt.Sprintf("start until the first full index, %s versions, %s", thousands(n), how), goal, fmt.Sprintf("index of %.1f MB", float64(size)/1e6), "%.2f s", took.Seconds())
			b.stop(s)
		}
	}
	return nil
}
