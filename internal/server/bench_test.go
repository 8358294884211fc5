package server

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"chartd.dev/chartd/internal/auth"
	"chartd.dev/chartd/internal/ref"
	"chartd.dev/chartd/lock"
	"chartd.dev/chartd/lock/boltstore"
	"chartd.dev/chartd/repo"
	"chartd.dev/chartd/storage/dirstore"
	"github.com/gorilla/mux"
)

// oneImage is a registry that has one image under every tag.
type oneImage struct{}

func (oneImage) Resolve(_ context.Context, r ref.Reference) (lock.Image, error) {
	p := lock.Platform{Platform: "linux/amd64", Config: ref.DigestOf([]byte("config")), DiffIDs: []ref.Digest{ref.DigestOf([]byte("layer"))}}
	return lock.Image{
		Image:     ref.Image{Repository: r.Repository, Digest: ref.DigestOf([]byte("manifest " + r.Repository.String()))},
		MediaType: "application/vnd.oci.image.manifest.v1+json", Platforms: []lock.Platform{p},
	}, nil
}

// disk is a server on the stores that chartd has, with a chart of two images
// and environments that are pinned to it.
type disk struct {
	server  *Server
	store   *boltstore.Store
	lock    *lock.Lockfile
	repo    *repo.Repository
	blobs   string
	token   string
	binding string
}

func onDisk(t testing.TB, environments int) *disk {
	t.Helper()
	dir := t.TempDir()
	d := &disk{blobs: filepath.Join(dir, "blobs")}
	var err error
	if d.store, err = boltstore.Open(filepath.Join(dir, "lock.db"), boltstore.Options{}); err != nil {
		t.Fatal(err)
	}
	blobs, err := dirstore.Open(d.blobs)
	if err != nil {
		t.Fatal(err)
	}
	ctx := context.WithoutCancel(t.Context())
	if d.lock, err = lock.Open(ctx, d.store, time.Now); err != nil {
		t.Fatal(err)
	}
	if d.repo, err = repo.Open(ctx, repo.Config{Blobs: blobs, Lock: d.lock, Resolver: oneImage{}}); err != nil {
		t.Fatal(err)
	}
	a := auth.NewAuthenticator(d.lock, time.Now)
	d.server, err = New(Config{
		Repo: d.repo, Lock: d.lock, Auth: a, Log: slog.New(slog.NewJSONHandler(io.Discard, &slog.HandlerOptions{Level: slog.LevelWarn})),
		Now: time.Now, Version: "test", AnonymousRead: true, MaxUpload: 1 << 20, UploadSlots: 4, UploadWait: time.Second,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		a.Close()
		if err := d.store.Close(); err != nil {
			t.Error(err)
		}
	})
	d.fill(t, ctx, environments)
	return d
}

func (d *disk) fill(t testing.TB, ctx context.Context, environments int) {
	t.Helper()
	tok, secret, err := auth.New(auth.Request{Name: "bench", Scopes: []string{"publish:*", "pin:*"}, Now: time.Now()})
	op := lock.Op{Actor: lock.Actor{Name: "bench"}}
	if err == nil {
		err = d.lock.CreateToken(ctx, op, tok)
	}
	if err != nil {
		t.Fatal(err)
	}
	d.token = secret.Reveal()
	out, err := d.repo.Publish(ctx, op, repo.Upload{Package: hubPackage(t, "1.0.0"), RequireBinding: true})
	if err != nil {
		t.Fatal(err)
	}
	d.binding = out.Binding.ID.String()
	for i := range environments {
		env, err := ref.ParseEnv(fmt.Sprintf("hub%02d/prod", i))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := d.lock.CreateEnvironment(ctx, op, lock.NewEnvironment{Env: env, Chart: "jupyterhub"}); err != nil {
			t.Fatal(err)
		}
		if _, err := d.lock.MakePin(ctx, op, lock.NewPin{Env: env, Binding: out.Binding.ID}); err != nil {
			t.Fatal(err)
		}
	}
}

// hubPackage is a chart of 45 kB that names two images.
func hubPackage(t testing.TB, version string) []byte {
	t.Helper()
	noise := make([]byte, 45<<10)
	state := uint32(1)
	for i := range noise {
		state = state*1664525 + 1013904223
		noise[i] = byte(state >> 24)
	}
	return packFiles(t, "jupyterhub",
		[2]string{"Chart.yaml", "apiVersion: v2\nname: jupyterhub\nversion: " + version + "\nappVersion: \"5\"\ndescription: Many notebooks for many people\n"},
		[2]string{"values.yaml", "hub:\n  image:\n    name: quay.io/jupyterhub/k8s-hub\n    tag: \"" + version + "\"\nproxy:\n  chp:\n    image:\n      name: quay.io/jupyterhub/chp\n      tag: 4.6.2\n"},
		[2]string{"templates/hub.yaml", "image: {{ .Values.hub.image.name }}:{{ .Values.hub.image.tag }}\n"},
		[2]string{"files/noise", string(noise)})
}

// pins pins one environment n times, from a base.
func (d *disk) pins(i int, base, n uint64) error {
	body, err := json.Marshal(map[string]string{"binding": d.binding, "reason": "bench"})
	if err != nil {
		return err
	}
	for rev := base; rev < base+n; rev++ {
		r := httptest.NewRequest(http.MethodPost, fmt.Sprintf("/api/v1/environments/hub%02d/prod/pins", i), bytes.NewReader(body))
		r.Header = http.Header{
			"Authorization": {"Bearer " + d.token}, "Content-Type": {"application/json"},
			"If-Match": {fmt.Sprintf(`"%d"`, rev)}, "Idempotency-Key": {fmt.Sprintf("%d-%d", i, rev)},
		}
		w := httptest.NewRecorder()
		if d.server.ServeHTTP(w, r); w.Code != http.StatusCreated {
			return fmt.Errorf("pin: %d %s", w.Code, w.Body)
		}
	}
	return nil
}

// BenchmarkPins is durable pins by clients on environments of their own,
// without the network.
func BenchmarkPins(b *testing.B) {
	for _, clients := range []int{1, 64} {
		b.Run(fmt.Sprintf("clients=%d", clients), func(b *testing.B) {
			d := onDisk(b, clients)
			each := uint64(b.N/clients + 1)
			commits, used := d.commits(), cpu(b)
			var failed atomic.Pointer[error]
			b.ReportAllocs()
			b.ResetTimer()
			var wait sync.WaitGroup
			for i := range clients {
				wait.Go(func() {
					if err := d.pins(i, 1, each); err != nil {
						failed.Store(&err)
					}
				})
			}
			wait.Wait()
			if err := failed.Load(); err != nil {
				b.Fatal(*err)
			}
			n := float64(each) * float64(clients)
			b.ReportMetric(float64((cpu(b)-used).Microseconds())/n, "cpu-µs/pin")
			b.ReportMetric(n/float64(d.commits()-commits), "pins/commit")
		})
	}
}

// commits is the number of commits that wrote to the journal.
func (d *disk) commits() uint64 {
	n, _ := d.store.Stamp("journal")
	return n
}

// cpu is what the process has used: on a busy machine the clock says little.
func cpu(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// BenchmarkReads is what clients of Helm read, without the network.
func BenchmarkReads(b *testing.B) {
	d := onDisk(b, 1)
	for name, path := range d.reads(b) {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				w := &discard{h: http.Header{}}
				if d.server.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil)); w.status != http.StatusOK {
					b.Fatalf("%s: %d", path, w.status)
				}
			}
		})
	}
}

// reads are the paths of what clients read.
func (d *disk) reads(t testing.TB) map[string]string {
	t.Helper()
	env, err := ref.ParseEnv("hub00/prod")
	if err != nil {
		t.Fatal(err)
	}
	p, err := d.repo.EnvironmentIndex(t.Context(), env)
	if err != nil {
		t.Fatal(err)
	}
	_, rest, ok := strings.Cut(string(p.Body), `"urls":["`)
	sealed, _, ok2 := strings.Cut(rest, `"`)
	if !ok || !ok2 {
		t.Fatalf("no URL in %s", p.Body)
	}
	const base = "/environments/hub00/prod/"
	return map[string]string{
		"environment": base + "index.yaml", "sealed": base + sealed, "revision": base + "revisions/1/index.yaml",
		"overlay": base + "revisions/1/values.yaml", "index": "/index.yaml", "package": "/charts/jupyterhub-1.0.0.tgz",
	}
}

// discard is a ResponseWriter that keeps nothing but the status.
type discard struct {
	h      http.Header
	status int
}

func (d *discard) Header() http.Header         { return d.h }
func (d *discard) WriteHeader(status int)      { d.status = status }
func (d *discard) Write(p []byte) (int, error) { return len(p), nil }

// BenchmarkConnection is what is asked for most, over a connection: of chartd,
// and of net/http with the same router and nothing around it, which is the
// limit.
func BenchmarkConnection(b *testing.B) {
	d := onDisk(b, 1)
	idx, err := d.repo.Index(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	const name = "/charts/jupyterhub-1.0.0.tgz"
	ours, bare := listen(b, d.server), httptest.NewServer(bareServer(b))
	defer bare.Close()
	for _, c := range []struct{ what, path, header string }{
		{"known", "/index.yaml", "If-None-Match: " + idx.ETag(repo.Identity) + "\r\n"},
		{"index", "/index.yaml", "Accept-Encoding: gzip\r\n"},
		{"package", name, ""},
	} {
		for who, s := range map[string]*httptest.Server{"chartd": ours, "bare": bare} {
			b.Run(c.what+"/"+who, func(b *testing.B) {
				conn, err := net.Dial("tcp", s.Listener.Addr().String())
				if err != nil {
					b.Fatal(err)
				}
				defer conn.Close()
				ask := []byte("GET " + c.path + " HTTP/1.1\r\nHost: x\r\n" + c.header + "\r\n")
				buf := make([]byte, 128<<10)
				want := len(askOnce(b, conn, buf, ask, -1))
				used := cpu(b)
				b.ReportAllocs()
				for b.Loop() {
					askOnce(b, conn, buf, ask, want)
				}
				b.ReportMetric(float64((cpu(b)-used).Nanoseconds())/1e3/float64(b.N), "cpu-µs/op")
			})
		}
	}
}

// askOnce reads one answer: want bytes, or with -1 as many as its header says.
func askOnce(b *testing.B, conn net.Conn, buf, ask []byte, want int) []byte {
	if _, err := conn.Write(ask); err != nil {
		b.Fatal(err)
	}
	got := 0
	for want < 0 || got < want {
		n, err := conn.Read(buf[got:])
		if err != nil {
			b.Fatal(err)
		}
		got += n
		if head := bytes.Index(buf[:got], []byte("\r\n\r\n")); want < 0 && head >= 0 {
			want = head + 4
			if _, length, ok := bytes.Cut(buf[:head], []byte("Content-Length: ")); ok {
				var n int
				_, _ = fmt.Sscan(string(length), &n)
				want += n
			}
		}
	}
	return buf[:got]
}

// bareServer answers as chartd does, but for what makes it chartd.
func bareServer(b *testing.B) http.Handler {
	file := filepath.Join(b.TempDir(), "package")
	if err := os.WriteFile(file, hubPackage(b, "1.0.0"), 0o600); err != nil {
		b.Fatal(err)
	}
	index := make([]byte, 600)
	r := mux.NewRouter()
	r.HandleFunc("/index.yaml", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("ETag", `"x"`)
		if r.Header.Get("If-None-Match") != "" {
			w.WriteHeader(http.StatusNotModified)
			return
		}
		w.Header().Set("Content-Length", fmt.Sprint(len(index)))
		_, _ = w.Write(index)
	})
	r.HandleFunc("/charts/{file}", func(w http.ResponseWriter, r *http.Request) {
		f, err := os.Open(file)
		if err != nil {
			b.Error(err)
			return
		}
		defer f.Close()
		info, err := f.Stat()
		if err != nil {
			b.Error(err)
			return
		}
		w.Header().Set("Content-Type", "application/x-tar")
		w.Header().Set("Content-Length", fmt.Sprint(info.Size()))
		_, _ = io.Copy(w, f)
	})
	return r
}
