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
	etcd, err := b.startEtcdLoad(ctx)
	if err != nil {
		progress("  etcd is not beside it: %v", err)
	} else {
		defer etcd.server.stop()
	}
	var own, theirs, ratios []float64
	for range 3 {
		n, err := rate(clients, 4*time.Second, func(i int) func() error { return pinners[i].one })
		if err != nil {
			return err
		}
		own = append(own, n)
		if etcd == nil {
			continue
		}
		m, err := etcd.rate(ctx, clients)
		if err != nil {
			return err
		}
		theirs, ratios = append(theirs, m), append(ratios, n/m)
	}
	many, ratio, beside := median(own), unknown, "no etcd beside it"
	if etcd != nil {
		alone, err := etcd.rate(ctx, 1)
		if err != nil {
			return err
		}
		ratio = median(ratios)
		beside = fmt.Sprintf("%.2f × etcd's transactions (%.0f/s with 64 clients, %.0f/s with one), the middle of three turns", ratio, median(theirs), alone)
	}
	b.add(result{what: "durable pins, 64 clients on 64 environments, gate included", measured: fmt.Sprintf("%.0f/s", many),
		beside: beside + b.besideDisk(),
		bounds: []bound{atLeast(many, 10_000, "/s"), atLeast(ratio, 1.3, "× etcd")}})
	return b.onePin(pinners[0])
}

// onePin measures one client alone beside the plain database, alternating, so
// that both see the same machine.
func (b *bench) onePin(p *pinner) error {
	transaction, stop, err := boltTransactions(b.dir)
	if err != nil {
		return err
	}
	defer stop()
	var pins, plain []time.Duration
	for range 600 {
		start := time.Now()
		if err := transaction(); err != nil {
			return err
		}
		middle := time.Now()
		if err := p.one(); err != nil {
			return err
		}
		plain, pins = append(plain, middle.Sub(start)), append(pins, time.Since(middle))
	}
	one, alone := median(pins), median(plain)
	b.add(result{what: "a pin by one client alone, median", measured: fmt.Sprintf("%.2f ms", ms(one)),
		beside: fmt.Sprintf("one bbolt transaction with its sync %.2f ms", ms(alone)) + b.besideDisk(),
		bounds: []bound{atMost(ms(one), 1.5*ms(alone)+0.3, "ms, which is 1.5 × bbolt + 0.3 ms")}})
	return nil
}

// measureHistory compares 1,000 pins of history with many.
func measureHistory(ctx context.Context, b *bench) error {
	sizes := []int{1_000, 10_000, 100_000}
	if b.large {
		sizes = append(sizes, 1_000_000)
	}
	var base map[string]time.Duration
	for _, n := range sizes {
		s, err := b.start(ctx, spec{Versions: 100, Environments: 4, Pins: n})
		if err != nil {
			return err
		}
		p, err := newPinner(ctx, s, 0)
		if err != nil {
			return err
		}
		took := map[string]time.Duration{}
		var shown, against []string
		var bounds []bound
		for _, part := range []struct {
			name string
			do   func() error
		}{
			{"status", func() error { return p.get("/api/v1/environments") }},
			{"history", func() error { return p.get(p.path + "?limit=20") }},
			{"pin", p.one},
		} {
			all, err := times(300, part.do)
			if err != nil {
				return err
			}
			took[part.name] = median(all)
			if base[part.name] == 0 {
				continue
			}
			times := ratio(took[part.name], base[part.name])
			shown = append(shown, fmt.Sprintf("%s %.2f ms", part.name, ms(took[part.name])))
			against = append(against, fmt.Sprintf("%.2f", times))
			bounds = append(bounds, atMost(times, 1.5, "× "+part.name+" with 1,000"))
		}
		b.stop(s)
		b.points = append(b.points, point{panelTime, "a pin, by pins of history", n, ms(took["pin"])})
		if base == nil {
			base = took
			continue
		}
		b.add(result{what: thousands(n) + " pins of history, medians", measured: strings.Join(shown, ", "),
			beside: strings.Join(against, ", ") + " × the same with 1,000", bounds: bounds})
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
// etcdLoad is an etcd with a program that makes compare-and-swap transactions,
// each client on its own key.
type etcdLoad struct {
	server  *peer
	dir     string
	program string
}

func (b *bench) startEtcdLoad(ctx context.Context) (*etcdLoad, error) {
	l := &etcdLoad{dir: b.dir, program: filepath.Join(b.dir, "bin", "etcdload")}
	build := []string{"build", "-C", "internal/tools/etcdload", "-o", l.program, "."}
	if r, err := rig.Run(ctx, b.root, nil, "go", build...); err != nil || r.Code != 0 {
		return nil, fmt.Errorf("build etcdload: %v %s", err, r.Text())
	}
	var err error
	l.server, err = startEtcd(ctx, b.dir)
	return l, err
}

// rate is how many transactions so many clients make in a second.
func (l *etcdLoad) rate(ctx context.Context, clients int) (perSecond float64, err error) {
	r, err := rig.Run(ctx, l.dir, nil, l.program, "-endpoint", l.server.url, "-clients", fmt.Sprint(clients), "-for", "4s")
	if err != nil || r.Code != 0 {
		return 0, fmt.Errorf("etcdload: %v %s", err, r.Text())
	}
	if _, err := fmt.Sscan(r.Out, &perSecond); err != nil {
		return 0, fmt.Errorf("etcdload printed %q", r.Out)
	}
	return perSecond, nil
}
