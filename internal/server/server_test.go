package server

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"chartd.dev/chartd/internal/api"
	"chartd.dev/chartd/internal/auth"
	"chartd.dev/chartd/internal/indextest"
	"chartd.dev/chartd/lock"
	"chartd.dev/chartd/lock/memstore"
	"chartd.dev/chartd/lock/store"
	"chartd.dev/chartd/repo"
	"chartd.dev/chartd/storage"
)

// rig is a server on the in-memory stores.
type rig struct {
	t      *testing.T
	blobs  *storage.Memory
	store  *countedStore
	lock   *lock.Lockfile
	repo   *repo.Repository
	server *Server
	log    *logBuffer
	broken chan error
	admin  string
	ahead  atomic.Int64 // of the lock file's clock, in nanoseconds
}

// countedStore counts the transactions that read, and what they read. before is
// called once, before the next one that writes.
type countedStore struct {
	*memstore.Store
	views, reads atomic.Int64
	before       atomic.Pointer[func()]
}

func (s *countedStore) Update(ctx context.Context, fn func(store.Txn) error) error {
	if f := s.before.Swap(nil); f != nil {
		(*f)()
	}
	return s.Store.Update(ctx, fn)
}

func (s *countedStore) View(ctx context.Context, fn func(store.Tx) error) error {
	s.views.Add(1)
	return s.Store.View(ctx, func(t store.Tx) error { return fn(countedTx{t, s}) })
}

type countedTx struct {
	store.Tx
	s *countedStore
}

func (t countedTx) Get(bucket, key string) ([]byte, error) {
	t.s.reads.Add(1)
	return t.Tx.Get(bucket, key)
}

func (t countedTx) Scan(bucket string, o store.ScanOptions, fn func(string, []byte) error) error {
	t.s.reads.Add(1) // the end of the scan is looked at too
	return t.Tx.Scan(bucket, o, func(k string, v []byte) error {
		t.s.reads.Add(1)
		return fn(k, v)
	})
}

func newRig(t *testing.T, change ...func(*Config)) *rig {
	t.Helper()
	g := &rig{t: t, blobs: storage.NewMemory(), store: &countedStore{Store: memstore.New()}, log: &logBuffer{}, broken: make(chan error, 16)}
	var err error
	now := func() time.Time { return time.Now().Add(time.Duration(g.ahead.Load())) }
	if g.lock, err = lock.Open(t.Context(), g.store, now); err != nil {
		t.Fatal(err)
	}
	c := Config{
		Lock: g.lock, Log: slog.New(slog.NewJSONHandler(g.log, nil)), Now: time.Now, Version: "test",
		MaxUpload: 1 << 20, UploadSlots: 4, UploadWait: 5 * time.Second,
		Backup: func(_ context.Context, w io.Writer) error { _, err := io.WriteString(w, "backup"); return err },
		Broken: func(err error) { g.broken <- err },
	}
	for _, f := range change {
		f(&c)
	}
	if g.repo, err = repo.Open(t.Context(), repo.Config{Blobs: g.blobs, Lock: g.lock, ContextPath: c.BasePath, Now: time.Now}); err != nil {
		t.Fatal(err)
	}
	c.Repo = g.repo
	c.Auth = auth.NewAuthenticator(g.lock, time.Now)
	if g.server, err = New(c); err != nil {
		t.Fatal(err)
	}
	var scopes []string
	for _, s := range auth.AllScopes() {
		scopes = append(scopes, s.String())
	}
	g.admin = g.token("admin", scopes...)
	t.Cleanup(func() {
		c.Auth.Close()
		g.store.SetFault(nil)
		g.blobs.SetFault(nil)
		rep, err := g.repo.Check(context.WithoutCancel(t.Context()), repo.CheckOptions{Blobs: true})
		if err != nil || len(rep.Problems) > 0 {
			t.Errorf("check at the end: %v, %q", err, rep.Problems)
		}
		g.readIndex()
	})
	return g
}

func TestMain(m *testing.M) { os.Exit(indextest.Run(m)) }

// readIndex has every reader read what the test left in the index.
func (g *rig) readIndex() {
	x, err := g.repo.Index(context.WithoutCancel(g.t.Context()))
	if err != nil {
		g.t.Error(err)
		return
	}
	body, _, err := x.Body(repo.Identity)
	if err != nil {
		g.t.Error(err)
		return
	}
	indextest.Read(g.t, body.Bytes())
}

func (g *rig) token(name string, scopes ...string) string {
	g.t.Helper()
	tok, secret, err := auth.New(auth.Request{Name: name, Scopes: scopes, Now: time.Now()})
	if err == nil {
		err = g.lock.CreateToken(g.t.Context(), lock.Op{Actor: lock.Actor{Name: "test"}}, tok)
	}
	if err != nil {
		g.t.Fatal(err)
	}
	return secret.Reveal()
}

// request is one call; zero fields are left out.
type request struct {
	method, path, token string
	header              map[string]string
	body                []byte
	json                any
}

func (g *rig) do(r request) *httptest.ResponseRecorder {
	g.t.Helper()
	if r.method == "" {
		r.method = http.MethodGet
	}
	if r.json != nil {
		var err error
		if r.body, err = json.Marshal(r.json); err != nil {
			g.t.Fatal(err)
		}
	}
	req := httptest.NewRequestWithContext(g.t.Context(), r.method, r.path, bytes.NewReader(r.body))
	if r.json != nil {
		req.Header.Set("Content-Type", "application/json")
	}
	if r.token != "" {
		req.Header.Set("Authorization", "Bearer "+r.token)
	}
	for k, v := range r.header {
		req.Header.Set(k, v)
	}
	w := httptest.NewRecorder()
	g.server.ServeHTTP(w, req)
	if has := w.Header().Get("X-Content-Type-Options") == "nosniff" && w.Header().Get("Content-Security-Policy") != "" &&
		w.Header().Get("Referrer-Policy") == "no-referrer"; has == (w.Code == http.StatusNotModified) {
		g.t.Errorf("%s %s: %d with %v; what browsers are told belongs to all answers but 304", r.method, r.path, w.Code, w.Header())
	}
	return w
}

// want does a request and checks its status; an error answer must have the
// one shape.
func (g *rig) want(status int, r request) *httptest.ResponseRecorder {
	g.t.Helper()
	w := g.do(r)
	if w.Code != status {
		g.t.Fatalf("%s %s: %d %s, want %d", r.method, r.path, w.Code, w.Body, status)
	}
	if status >= 400 && r.method != http.MethodHead {
		e := decodeAs[api.Error](g.t, w)
		if e.Message == "" || e.Code == "" || e.RequestID == "" {
			g.t.Fatalf("%s %s: error body %s", r.method, r.path, w.Body)
		}
	}
	return w
}

func decodeAs[T any](t *testing.T, w *httptest.ResponseRecorder) T {
	t.Helper()
	var v T
	d := json.NewDecoder(bytes.NewReader(w.Body.Bytes()))
	d.DisallowUnknownFields()
	if err := d.Decode(&v); err != nil {
		t.Fatalf("decode %T: %v", v, err)
	}
	return v
}

// pack makes a chart package that names no image. Other extra text makes other
// content.
func pack(t *testing.T, name, version, extra string) []byte {
	t.Helper()
	return packFiles(t, name,
		[2]string{"Chart.yaml", fmt.Sprintf("apiVersion: v2\nname: %s\nversion: %s\nappVersion: \"1.0\"\ndescription: a test\n", name, version)},
		[2]string{"values.yaml", "note: \"" + extra + "\"\n"},
		[2]string{"templates/note.yaml", "kind: ConfigMap\n"})
}

// packFiles packs files of a chart, each a name and a text.
func packFiles(t testing.TB, chart string, files ...[2]string) []byte {
	t.Helper()
	var buf bytes.Buffer
	z := gzip.NewWriter(&buf)
	w := tar.NewWriter(z)
	for _, f := range files {
		h := &tar.Header{Name: chart + "/" + f[0], Mode: 0o644, Size: int64(len(f[1])), Typeflag: tar.TypeReg, ModTime: time.Unix(1700000000, 0)}
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, f[1]); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

type field struct {
	name string
	data []byte
}

// form makes a multipart body and its content type.
func form(t *testing.T, fields ...field) ([]byte, map[string]string) {
	t.Helper()
	var buf bytes.Buffer
	w := multipart.NewWriter(&buf)
	for _, f := range fields {
		part, err := w.CreateFormFile(f.name, "../../"+f.name)
		if err == nil {
			_, err = part.Write(f.data)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes(), map[string]string{"Content-Type": w.FormDataContentType()}
}

func (g *rig) publish(name, version, extra string) {
	g.t.Helper()
	g.want(http.StatusCreated, request{method: "POST", path: "/api/charts", token: g.admin, body: pack(g.t, name, version, extra)})
}

// logBuffer is a log that tests read.
type logBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

func (l *logBuffer) lines() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Split(strings.TrimSpace(l.buf.String()), "\n")
}
