// Command etcdload makes compare-and-swap transactions on an etcd server, each
// client on its own key, and prints how many a second: what the benchmarks
// compare pins with.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"sync"
	"sync/atomic"
	"time"

	clientv3 "go.etcd.io/etcd/client/v3"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "etcdload:", err)
		os.Exit(1)
	}
}

func run() error {
	endpoint := flag.String("endpoint", "", "URL of the server")
	clients := flag.Int("clients", 64, "how many at a time")
	d := flag.Duration("for", 5*time.Second, "how long")
	flag.Parse()
	ctx := context.Background()
	var done atomic.Int64
	var wg sync.WaitGroup
	errs := make([]error, *clients)
	c, err := clientv3.New(clientv3.Config{Endpoints: []string{*endpoint}, DialTimeout: 10 * time.Second})
	if err != nil {
		return err
	}
	defer c.Close()
	start := time.Now()
	for i := range *clients {
		wg.Go(func() { errs[i] = swap(ctx, c, fmt.Sprintf("env-%d", i), start.Add(*d), &done) })
	}
	wg.Wait()
	took := time.Since(start)
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	fmt.Printf("%.0f\n", float64(done.Load())/took.Seconds())
	return nil
}

// swap replaces a value of a pin's size as long as nobody else did.
func swap(ctx context.Context, c *clientv3.Client, key string, end time.Time, done *atomic.Int64) error {
	value := string(make([]byte, 500))
	revision := int64(0)
	if r, err := c.Get(ctx, key); err != nil {
		return err
	} else if len(r.Kvs) > 0 {
		revision = r.Kvs[0].ModRevision
	}
	for time.Now().Before(end) {
		r, err := c.Txn(ctx).If(clientv3.Compare(clientv3.ModRevision(key), "=", revision)).Then(clientv3.OpPut(key, value)).Commit()
		if err != nil {
			return err
		}
		if !r.Succeeded {
			return fmt.Errorf("%s was changed by somebody else", key)
		}
		revision = r.Header.Revision
		done.Add(1)
	}
	return nil
}
