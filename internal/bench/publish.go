package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net/http"
	"slices"
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
	version := fmt.Sprintf("9000.%d.%d", p.n/1000, p.n%1000)
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
	var base time.Duration
	for _, n := range b.sizes() {
		s, err := b.start(ctx, versions(n))
		if err != nil {
			return err
		}
		stop := watch(s.Pid())
		all, err := publishes(s, 200)
		if err != nil {
			return err
		}
		took := median(all)
		if base == 0 {
			base = took
		}
		// A server that publishes also serves what it published.
		for _, encoding := range []string{"identity", "gzip", "zstd"} {
			if _, err := fetch(s.URL+"/index.yaml", encoding); err != nil {
				return err
			}
		}
		held := stop()
		b.stop(s)
		b.points = append(b.points, point{panelTime, "publish until visible", n, ms(took)}, point{panelMemory, "memory", n, held.own})
		bounds, most := []bound(nil), []bound(nil)
		switch n {
		case 100_000:
			bounds = []bound{atMost(ms(took), 10, "ms"), atMost(ratio(took, base), 1.5, "× 1,000 versions")}
			most = []bound{atMost(held.own, 250, "MB")}
		case 1_000_000:
			bounds, most = []bound{atMost(ms(took), 20, "ms")}, []bound{atMost(held.own, 2_000, "MB")}
		}
		b.add(result{what: fmt.Sprintf("publish until the index shows it, %s versions, median", thousands(n)), measured: fmt.Sprintf("%.1f ms", ms(took)),
			beside: fmt.Sprintf("%.2f × 1,000 versions; p99 %.1f ms", ratio(took, base), ms(quantile(all, 0.99))) + b.besideDisk(), bounds: bounds})
		b.add(result{what: fmt.Sprintf("memory, %s versions: %d publishes, the index in each encoding", thousands(n), len(all)), measured: fmt.Sprintf("%.0f MB", held.own),
			beside: held.String(), bounds: most})
	}
	return nil
}

func publishes(s *rig.Server, n int) ([]time.Duration, error) {
	p, err := newPublisher(s, "chart-50")
	if err != nil {
		return nil, err
	}
	defer p.Close()
	var all []time.Duration
	etag := ""
	for range n {
		var took time.Duration
		if took, etag, err = p.visible(etag); err != nil {
			return nil, err
		}
		all = append(all, took)
	}
	return all, nil
}

// measureSustained publishes from 8 connections while 2 read the index.
func measureSustained(ctx context.Context, b *bench) error {
	s, err := b.start(ctx, versions(100_000))
	if err != nil {
		return err
	}
	defer b.stop(s)
	watched := watch(s.Pid())
	alone, err := readIndex(s, 2*time.Second, nil)
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
	busy, err := readIndex(s, 10*time.Second, failed)
	took := time.Since(start)
	close(stop)
	wg.Wait()
	if err != nil {
		return err
	}
	perSecond, held := float64(published.Load())/took.Seconds(), watched()
	b.add(result{what: "publishes from 8 clients while the index is read, 100,000 versions", measured: fmt.Sprintf("%.0f/s", perSecond),
		beside: fmt.Sprintf("index read %d times meanwhile (gzip), median %.0f ms, longest %.0f ms; alone %.0f ms", len(busy), ms(median(busy)), ms(slices.Max(busy)), ms(median(alone))),
		bounds: []bound{atLeast(perSecond, 300, "/s")}})
	b.add(result{what: "memory, publishing and serving, 100,000 versions", measured: fmt.Sprintf("%.0f MB", held.own), beside: held.String(),
		bounds: []bound{atMost(held.own, 250, "MB")}})
	return nil
}

// readIndex reads the compressed index again and again for a while.
func readIndex(s *rig.Server, d time.Duration, failed chan error) ([]time.Duration, error) {
	c, err := dial(s.URL)
	if err != nil {
		return nil, err
	}
	defer c.Close()
	var all []time.Duration
	for end := time.Now().Add(d); time.Now().Before(end); {
		start := time.Now()
		status, _, _, err := c.ask(http.MethodGet, "/index.yaml", map[string]string{"Accept-Encoding": "gzip"}, nil)
		if err != nil || status != http.StatusOK {
			return nil, fmt.Errorf("read the index: status %d, %v", status, err)
		}
		all = append(all, time.Since(start))
		select {
		case err := <-failed:
			return nil, err
		default:
		}
	}
	return all, nil
}
