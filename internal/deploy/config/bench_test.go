package config_test

import (
	"io/fs"
	"testing"

	"chartd.dev/chartd/internal/deploy/config"
	"chartd.dev/chartd/internal/deploy/site"
	"chartd.dev/chartd/internal/testtools"
)

// BenchmarkRealRepo finds the sites of the real repo, and reads every one.
func BenchmarkRealRepo(b *testing.B) {
	repo := treeOf(b, testtools.Shared(b, "data", "deploy-repo"))
	p, err := config.Discover(repo.search())
	if err != nil {
		b.Fatal(err)
	}
	b.Run("discover", func(b *testing.B) {
		for b.Loop() {
			if _, err := config.Discover(repo.search()); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("parse", func(b *testing.B) {
		doc := p.Config.Bytes()
		for b.Loop() {
			if _, err := config.Parse(doc); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("read", func(b *testing.B) {
		for b.Loop() {
			files := site.NewFiles(func(name string) ([]byte, error) {
				text, ok := repo[name]
				if !ok {
					return nil, fs.ErrNotExist
				}
				return []byte(text), nil
			})
			for _, env := range p.Config.Envs() {
				for _, s := range p.Config.SitesOf(env) {
					if _, err := files.Value(s); err != nil {
						b.Fatal(err)
					}
				}
			}
		}
	})
}
