package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	bolt "go.etcd.io/bbolt"

	"chartd.dev/chartd/internal/e2e/rig"
)

// pinner pins one environment again and again.
type pinner struct {
	*conn
	path, token string
	base        uint64
	body        []byte
	run         string
}

func newPinner(ctx context.Context, s *rig.Server, i int) (*pinner, error) {
	env, err := environment(i)
	if err != nil {
		return nil, err
	}
	c, err := s.Client()
	if err != nil {
		return nil, err
	}
	e, err := c.Environment(ctx, env)
	if err != nil {
		return nil, err
	}
	body, err := json.Marshal(map[string]any{"binding": e.Pin.Binding, "reason": "bench"})
	if err != nil {
		return nil, err
	}
	conn, err := dial(s.URL)
	return &pinner{conn: conn, path: "/api/v1/environments/" + env.String() + "/pins", token: s.Token,
		base: e.Revision, body: body, run: fmt.Sprintf("%d-%d", time.Now().UnixNano(), i)}, err
}

func (p *pinner) one() error {
	status, _, _, err := p.ask(http.MethodPost, p.path, map[string]string{
		"Authorization": "Bearer " + p.token, "Content-Type": "application/json",
		"If-Match": fmt.Sprintf(`"%d"`, p.base), "Idempotency-Key": fmt.Sprintf("%s-%d", p.run, p.base),
	}, p.body)
	if err == nil && status != http.StatusCreated {
		err = fmt.Errorf("pin %s at base %d: status %d", p.path, p.base, status)
	}
	p.base++
	return err
}

// rate runs one in n goroutines, each with its own state, for a while.
func rate(n int, d time.Duration, one func(i int) func() error) (perSecond float64, err error) {
	var done atomic.Int64
	var wg sync.WaitGroup
	errs := make([]error, n)
	start := time.Now()
	for i := range n {
		do := one(i)
		wg.Go(func() {
			for time.Since(start) < d {
				if errs[i] = do(); errs[i] != nil {
					return
				}
				done.Add(1)
			}
		})
	}
	wg.Wait()
	took := time.Since(start)
	for _, e := range errs {
		if e != nil {
			return 0, e
		}
	}
	return float64(done.Load()) / took.Seconds(), nil
}

func measurePins(ctx context.Context, b *bench) error {
	const clients = 64
	s, err := b.start(ctx, spec{Versions: 1_000, Environments: clients})
	if err != nil {
		return err
	}
	defer b.stop(s)
	pinners := make([]*pinner, clients)
	for i := range pinners {
		if pinners[i], err = newPinner(ctx, s, i); err != nil {
			return err
		}
	}
	many, err := rate(clients, 5*time.Second, func(i int) func() error { return pinners[i].one })
	if err != nil {
		return err
	}
	etcd, etcdOne, err := etcdRates(ctx, b, clients)
	if err != nil {
		progress("  etcd is not beside it: %v", err)
	}
	beside := "etcd not found"
	if etcd > 0 {
		beside = fmt.Sprintf("%.2f × etcd's transactions (%.0f/s)", many/etcd, etcd)
	}
	b.add("durable pins, 64 clients on 64 environments", "≥ 10,000/s, ≥ 1.3 × etcd", beside, "%.0f/s", many)

	// Alternating, so that both see the same machine.
	disk, stop, err := boltTransactions(b.dir)
	if err != nil {
		return err
	}
	defer stop()
	var pins, transactions []time.Duration
	for range 600 {
		start := time.Now()
		if err := disk(); err != nil {
			return err
		}
		middle := time.Now()
		if err := pinners[0].one(); err != nil {
			return err
		}
		transactions, pins = append(transactions, middle.Sub(start)), append(pins, time.Since(middle))
	}
	one, alone := median(pins), median(transactions)
	beside = fmt.Sprintf("one bbolt transaction %.2f ms, so the goal is %.2f ms", ms(alone), 1.5*ms(alone)+0.3)
	if etcdOne > 0 {
		beside += fmt.Sprintf("; one etcd client makes %.0f/s", etcdOne)
	}
	b.add("a pin by one client alone, median", "≤ 1.5 × a bbolt transaction + 0.3 ms", beside, "%.2f ms", ms(one))
	return nil
}

// boltTransactions writes a small value in a synced transaction of its own.
func boltTransactions(dir string) (one func() error, stop func(), err error) {
	db, err := bolt.Open(filepath.Join(dir, "plain.db"), 0o600, nil)
	if err != nil {
		return nil, nil, err
	}
	n := 0
	one = func() error {
		n++
		return db.Update(func(tx *bolt.Tx) error {
			k, err := tx.CreateBucketIfNotExists([]byte("pins"))
			if err != nil {
				return err
			}
			return k.Put(fmt.Appendf(nil, "%016d", n), make([]byte, 500))
		})
	}
	return one, func() { _ = db.Close() }, nil
}

// measureHistory compares 1,000 pins of history with many.
func measureHistory(ctx context.Context, b *bench) error {
	sizes := []int{1_000, 100_000}
	if b.large {
		sizes = append(sizes, 1_000_000)
	}
	type figures struct{ status, history, pin time.Duration }
	var base figures
	for _, n := range sizes {
		s, err := b.start(ctx, spec{Versions: 100, Environments: 4, Pins: n})
		if err != nil {
			return err
		}
		p, err := newPinner(ctx, s, 0)
		if err != nil {
			return err
		}
		f := figures{}
		for _, part := range []struct {
			into *time.Duration
			do   func() error
		}{
			{&f.status, func() error { return p.get("/api/v1/environments") }},
			{&f.history, func() error { return p.get(p.path + "?limit=20") }},
			{&f.pin, p.one},
		} {
			var all []time.Duration
			for range 300 {
				start := time.Now()
				if err := part.do(); err != nil {
					return err
				}
				all = append(all, time.Since(start))
			}
			*part.into = median(all)
		}
		if base.pin == 0 {
			base = f
		}
		b.points = append(b.points, point{"a pin, by length of history", n, ms(f.pin)})
		ratio := func(a, b time.Duration) string { return fmt.Sprintf("%.2f", float64(a)/float64(b)) }
		b.add("status, history and pin with "+thousands(n)+" pins of history", "≤ 1.5 × 1,000",
			strings.Join([]string{ratio(f.status, base.status), ratio(f.history, base.history), ratio(f.pin, base.pin)}, ", ")+" × 1,000 pins",
			"%.2f, %.2f and %.2f ms", ms(f.status), ms(f.history), ms(f.pin))
		b.stop(s)
	}
	return nil
}

func (p *pinner) get(path string) error {
	status, _, _, err := p.ask(http.MethodGet, path, map[string]string{"Authorization": "Bearer " + p.token}, nil)
	if err == nil && status != http.StatusOK {
		err = fmt.Errorf("GET %s: status %d", path, status)
	}
	return err
}

// etcdRates are compare-and-swap transactions per second, with many clients
// and with one, each on its own key.
func etcdRates(ctx context.Context, b *bench, clients int) (many, one float64, err error) {
	server, err := startEtcd(ctx, b.dir)
	if err != nil {
		return 0, 0, err
	}
	defer server.stop()
	load := filepath.Join(b.dir, "bin", "etcdload")
	build := []string{"build", "-C", "internal/tools/etcdload", "-o", load, "."}
	if r, err := rig.Run(ctx, b.root, nil, "go", build...); err != nil || r.Code != 0 {
		return 0, 0, fmt.Errorf("build etcdload: %v %s", err, r.Text())
	}
	for _, c := range []struct {
		n    int
		into *float64
	}{{clients, &many}, {1, &one}} {
		r, err := rig.Run(ctx, b.dir, nil, load, "-endpoint", server.url, "-clients", fmt.Sprint(c.n), "-for", "5s")
		if err != nil || r.Code != 0 {
			return 0, 0, fmt.Errorf("etcdload: %v %s", err, r.Text())
		}
		if _, err := fmt.Sscan(r.Out, c.into); err != nil {
			return 0, 0, fmt.Errorf("etcdload printed %q", r.Out)
		}
	}
	return many, one, nil
}
