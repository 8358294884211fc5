package imports_test

import (
	"bytes"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"chartd.dev/chartd/internal/client"
	"chartd.dev/chartd/internal/e2e/rig"
	"chartd.dev/chartd/internal/imports"
)

// write puts packages of the small hub chart and other files into a directory.
func write(t *testing.T, b *rig.Bench, versions int, more map[string][]byte) string {
	t.Helper()
	dir := t.TempDir()
	for n := range versions {
		pkg, err := rig.Hub{Version: fmt.Sprintf("1.%d.0", n)}.Package(b.Root)
		if err != nil {
			t.Fatal(err)
		}
		if more == nil {
			more = map[string][]byte{}
		}
		more[fmt.Sprintf("jupyterhub-1.%d.0.tgz", n)] = pkg
	}
	for name, data := range more {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// behind is the bench's server behind a handler.
func behind(t *testing.T, b *rig.Bench, handle func(next http.Handler, w http.ResponseWriter, r *http.Request)) *client.Client {
	t.Helper()
	target, err := url.Parse(b.Server.URL)
	if err != nil {
		t.Fatal(err)
	}
	proxy := httputil.NewSingleHostReverseProxy(target)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { handle(proxy, w, r) }))
	t.Cleanup(s.Close)
	c, err := client.New(client.Options{Server: s.URL, Token: b.Server.Token})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// A server that takes one package to a request gets them so, with the same
// outcome.
func TestImportToAnOlderServer(t *testing.T) {
	b := rig.New(t)
	dir := write(t, b, 5, map[string][]byte{"jupyterhub-1.2.0.tgz.prov": []byte("stale")})
	single := 0
	c := behind(t, b, func(next http.Handler, w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/api/v1/imports":
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(http.StatusNotFound)
			fmt.Fprint(w, `{"error":"nothing is at \"/api/v1/imports\"","code":"not_found"}`)
			return
		case "/api/v1/import":
			single++
		}
		next.ServeHTTP(w, r)
	})
	r, err := imports.Run(t.Context(), c, imports.Options{Location: dir})
	if err != nil || r.Imported != 5 || single != 6 || len(r.Findings) != 6 || r.Findings[0].Kind != imports.Provenance {
		t.Errorf("%d requests: %+v, %v", single, r, err)
	}
	if got := charts(t, b.Client); len(got) != 5 || got[0].Version != "1.0.0" || got[4].Version != "1.4.0" {
		t.Errorf("imported are %+v", got)
	}
}

// An answer that is lost is asked for again, and nothing is imported twice.
func TestImportWhoseAnswerIsLost(t *testing.T) {
	b := rig.New(t)
	dir := write(t, b, 5, nil)
	sent := 0
	c := behind(t, b, func(next http.Handler, w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/api/v1/imports" {
			next.ServeHTTP(w, r)
			return
		}
		if sent++; sent == 1 {
			next.ServeHTTP(httptest.NewRecorder(), r)
			panic(http.ErrAbortHandler)
		}
		next.ServeHTTP(w, r)
	})
	r, err := imports.Run(t.Context(), c, imports.Options{Location: dir})
	if err != nil || r.Imported+r.Existed != 5 || sent != 2 {
		t.Errorf("%d requests: %+v, %v", sent, r, err)
	}
	if got := charts(t, b.Client); len(got) != 5 {
		t.Errorf("imported are %+v", got)
	}
}

// A package that nobody could install is named as such, with what is wrong with
// it, and does not go before the one that it hides.
func TestImportOfWhatNobodyCanInstall(t *testing.T) {
	b := rig.New(t)
	good, err := rig.Hub{Version: "1.0.0"}.Package(b.Root)
	if err != nil {
		t.Fatal(err)
	}
	cut := bytes.Clone(good[:len(good)-4]) // who it is can be read
	dir := write(t, b, 3, map[string][]byte{"a-first.tgz": cut, "broken.tgz": []byte("broken")})
	r, err := imports.Run(t.Context(), b.Client, imports.Options{Location: dir})
	if err != nil || r.Imported != 3 || r.Lost != 2 {
		t.Fatalf("%+v, %v", r, err)
	}
	for _, f := range r.Findings[:2] {
		if f.Kind != imports.Unreadable || !strings.Contains(f.Message, "malformed") || f.Got.IsZero() {
			t.Errorf("%+v", f)
		}
	}
	if got := charts(t, b.Client); got[0].Version != "1.0.0" {
		t.Errorf("the first is %s", got[0].Version)
	}
}
