package repo_test

import (
	"fmt"
	"testing"
	"time"

	"chartd.dev/chartd/lock"
	"chartd.dev/chartd/lock/memstore"
	"chartd.dev/chartd/repo"
	"chartd.dev/chartd/storage"
)

// BenchmarkPublish publishes small new versions, images known, index refreshed
// each time, on the in-memory stores.
func BenchmarkPublish(b *testing.B) {
	for _, n := range []int{1, 1000} {
		b.Run(fmt.Sprintf("after%d", n), func(b *testing.B) {
			g := benchRig(b)
			for i := range n {
				benchPublish(b, g, fmt.Sprintf("0.0.%d", i))
			}
			b.ReportAllocs()
			b.ResetTimer()
			for i := range b.N {
				benchPublish(b, g, fmt.Sprintf("1.0.%d", i))
			}
		})
	}
}

// BenchmarkIndexBody is the cost of the first reader after a publish.
func BenchmarkIndexBody(b *testing.B) {
	g := benchRig(b)
	for i := range 1000 {
		benchPublish(b, g, fmt.Sprintf("0.0.%d", i))
	}
	for _, e := range []repo.Encoding{repo.Identity, repo.Gzip, repo.Zstd} {
		b.Run("encoding"+e.String(), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				fresh, err := repo.Open(ctx, g.Config)
				if err != nil {
					b.Fatal(err)
				}
				x, err := fresh.Index(ctx)
				if err != nil {
					b.Fatal(err)
				}
				body, _, err := x.Body(e)
				if err != nil {
					b.Fatal(err)
				}
				b.SetBytes(body.Size())
			}
		})
	}
}

func benchRig(b *testing.B) *repo.Repository {
	b.Helper()
	l, err := lock.Open(ctx, memstore.New(), time.Now)
	if err != nil {
		b.Fatal(err)
	}
	r, err := repo.Open(ctx, repo.Config{Blobs: storage.NewMemory(), Lock: l})
	if err != nil {
		b.Fatal(err)
	}
	return r
}

func benchPublish(b *testing.B, r *repo.Repository, version string) {
	b.Helper()
	if _, err := r.Publish(ctx, op("publish"), repo.Upload{Package: hub(b, version, version), Import: &repo.Import{}}); err != nil {
		b.Fatal(err)
	}
}
