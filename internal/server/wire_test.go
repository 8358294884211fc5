package server

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"
	"time"

	"chartd.dev/chartd/internal/api"
	"chartd.dev/chartd/internal/ref"
)

// A package on disk is sent whole and in parts over a real connection, and not
// at all once its file is damaged, whether it was read before or not.
func TestPackageFromDisk(t *testing.T) {
	d := onDisk(t, 0)
	s := listen(t, d.server)
	want := hubPackage(t, "1.0.0")
	ask := func(set string) (int, []byte) {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.URL+"/charts/jupyterhub-1.0.0.tgz", nil)
		if err != nil {
			t.Fatal(err)
		}
		if set != "" {
			r.Header.Set("Range", set)
		}
		resp, err := s.Client().Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return resp.StatusCode, body
	}
	for range 3 {
		for set, part := range map[string][]byte{
			"": want, "bytes=0-0": want[:1], "bytes=100-": want[100:], "bytes=-7": want[len(want)-7:], "bytes=511-40000": want[511:40001],
		} {
			status := http.StatusPartialContent
			if set == "" {
				status = http.StatusOK
			}
			if got, body := ask(set); got != status || !bytes.Equal(body, part) {
				t.Errorf("range %q: %d with %d bytes, want %d with %d", set, got, len(body), status, len(part))
			}
		}
	}
	hex := ref.DigestOf(want).Hex()
	damaged := bytes.Clone(want)
	damaged[len(damaged)-1] ^= 1
	if err := os.WriteFile(filepath.Join(d.blobs, "sha256", hex[:2], hex), damaged, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, set := range []string{"", "bytes=0-0"} {
		if got, body := ask(set); got != http.StatusInternalServerError || !bytes.Contains(body, []byte(api.CodeBlobMissing)) {
			t.Errorf("damaged, range %q: %d %q", set, got, body)
		}
	}
}

// listen serves a handler over real connections.
func listen(t testing.TB, h http.Handler) *httptest.Server {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	return s
}

// Headers that are set without being canonicalised are canonical.
func TestHeadersAreCanonical(t *testing.T) {
	d := onDisk(t, 1)
	for name, path := range d.reads(t) {
		for _, header := range []http.Header{{}, {"Range": {"bytes=0-1"}}, {"Range": {"bytes=9999999-"}}, {"Accept-Encoding": {"gzip"}}, {"If-None-Match": {"*"}}} {
			r := httptest.NewRequestWithContext(t.Context(), http.MethodGet, path, nil)
			r.Header = header
			w := httptest.NewRecorder()
			d.server.ServeHTTP(w, r)
			for h := range w.Header() {
				if h != http.CanonicalHeaderKey(h) {
					t.Errorf("%s: header %q", name, h)
				}
			}
		}
	}
}

// A status has one series however many requests come at once.
func TestAnswersAreAllCounted(t *testing.T) {
	g := newRig(t)
	done := make(chan bool)
	for range 8 {
		go func() {
			for i := range 100 {
				g.do(request{method: []string{"GET", "HEAD", "BREW"}[i%3], path: "/info"})
				g.do(request{path: fmt.Sprintf("/api/v1/charts/none%d", i%2)})
			}
			done <- true
		}()
	}
	for range 8 {
		<-done
	}
	families, err := g.server.metrics.Registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	total := 0.0
	for _, f := range families {
		if f.GetName() == "chartd_http_requests_total" {
			for _, m := range f.GetMetric() {
				total += m.GetCounter().GetValue()
			}
		}
	}
	if total != 1600 {
		t.Errorf("%v requests were counted of 1600", total)
	}
}

// Whoever announces too much is told so, and need not send it first.
func TestTooLargeABodyIsAnsweredUnsent(t *testing.T) {
	g := newRig(t)
	s := listen(t, g.server)
	for _, expect := range []string{"", "Expect: 100-continue\r\n"} {
		c, err := net.Dial("tcp", s.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		if err := c.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(c, "POST /api/charts HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer "+g.admin+"\r\n"+expect+"Content-Length: 999999999\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		resp, err := http.ReadResponse(bufio.NewReader(c), nil)
		if err != nil {
			t.Fatalf("%q: %v", expect, err)
		}
		if resp.StatusCode != http.StatusRequestEntityTooLarge || !resp.Close {
			t.Errorf("%q: %s, closed %v", expect, resp.Status, resp.Close)
		}
		resp.Body.Close()
		c.Close()
	}
}
