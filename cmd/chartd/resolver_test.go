package main

import (
	"errors"
	"net"
	"strings"
	"testing"

	"chartd.dev/chartd/internal/ref"
	"chartd.dev/chartd/internal/resolve"
	"chartd.dev/chartd/repo"
)

// A registry that does not answer is said once, as both packages know it.
func TestUnavailableRegistryIsSaidOnce(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	host := l.Addr().String()
	if err := l.Close(); err != nil { // nobody is there any more
		t.Fatal(err)
	}
	r, err := newResolver(Config{Registries: []string{host}, Insecure: []string{host}, DockerConfig: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	name, err := ref.ParseReference(host + "/a/b:1")
	if err != nil {
		t.Fatal(err)
	}
	_, err = r.Resolve(t.Context(), name)
	if !errors.Is(err, repo.ErrUnavailable) || !errors.Is(err, resolve.ErrUnavailable) {
		t.Fatalf("%v, want both packages' ErrUnavailable", err)
	}
	if n := strings.Count(err.Error(), "unavailable"); n != 1 {
		t.Errorf("said %d times: %v", n, err)
	}
}
