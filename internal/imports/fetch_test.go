package imports

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"chartd.dev/chartd/internal/api"
	"chartd.dev/chartd/internal/archive"
)

// site answers from a map and keeps what it was asked.
type site struct {
	*httptest.Server
	mu    sync.Mutex
	asked []string // path and user of each request
	pages map[string]http.HandlerFunc
}

func newSite(t *testing.T, pages map[string]http.HandlerFunc) *site {
	s := &site{pages: pages}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		user, _, _ := r.BasicAuth()
		s.mu.Lock()
		s.asked = append(s.asked, user+"@"+r.URL.RequestURI())
		s.mu.Unlock()
		if page := s.pages[r.URL.Path]; page != nil {
			page(w, r)
			return
		}
		http.NotFound(w, r)
	}))
	t.Cleanup(s.Close)
	return s
}

func text(s string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte(s)) }
}

func (s *site) with(t *testing.T, user string) *url.URL {
	u, err := url.Parse(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	u.User = url.UserPassword(user, "secret")
	return u
}

func (s *site) requests() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return strings.Join(s.asked, " ")
}

// Credentials of the repository go to its origin only, wherever its index or
// a redirect points; what a redirect elsewhere came back from gets them again.
func TestCredentialsStayHome(t *testing.T) {
	ctx := context.Background()
	other := newSite(t, map[string]http.HandlerFunc{"/a.tgz": text("A")})
	home := newSite(t, map[string]http.HandlerFunc{
		"/b.tgz": text("B"),
		"/away": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, other.URL+"/a.tgz", http.StatusFound)
		},
		"/file": func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, "file:///etc/passwd", http.StatusFound)
		},
	})
	home.pages["/index.yaml"] = text(`{"entries":{"hub":[
		{"version":"1.0.0","urls":["b.tgz"]},{"version":"1.1.0","urls":["` + other.URL + `/a.tgz"]},
		{"version":"1.2.0","urls":["away"]},{"version":"1.3.0","urls":["file:///etc/passwd"]},
		{"version":"1.4.0","urls":["file"]},{"version":"1.5.0"},{"version":"1.0.0","urls":["b.tgz"]}]}}`)
	o := Options{Location: home.with(t, "ann").String() + "/?token=1", Limits: archive.DefaultLimits()}
	src, err := open(ctx, o)
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(src.name, "secret") {
		t.Errorf("the source's name %q shows the password", src.name)
	}
	var got []string
	for _, c := range src.packages {
		b, err := c.read(ctx)
		if err != nil {
			got = append(got, "error")
			continue
		}
		got = append(got, string(b))
	}
	if want := "B A A error B"; strings.Join(got, " ") != want {
		t.Errorf("read %q, want %q", got, want)
	}
	if want := "@/a.tgz @/a.tgz"; other.requests() != want {
		t.Errorf("the other host was asked %q, want %q", other.requests(), want)
	}
	if want := "ann@/index.yaml?token=1 ann@/b.tgz?token=1 ann@/away?token=1"; !strings.HasPrefix(home.requests(), want) {
		t.Errorf("the repository was asked %q, want %q", home.requests(), want)
	}
	kinds := map[Kind]int{}
	for _, f := range src.findings {
		kinds[f.Kind]++
	}
	if kinds[NoFile] != 2 || kinds[Duplicate] != 1 {
		t.Errorf("findings are %+v", src.findings)
	}
}

func TestFetchIsBounded(t *testing.T) {
	s := newSite(t, map[string]http.HandlerFunc{"/x": text("12345")})
	u, _ := url.Parse(s.URL + "/x")
	f := newFetcher(Options{}, u)
	if b, err := f.get(context.Background(), u, 5); err != nil || string(b) != "12345" {
		t.Errorf("exactly the bound: %q, %v", b, err)
	}
	if _, err := f.get(context.Background(), u, 4); !errors.Is(err, errTooLarge) {
		t.Errorf("one more: %v", err)
	}
}

func TestFetchTriesAgain(t *testing.T) {
	n := 0
	s := newSite(t, map[string]http.HandlerFunc{"/x": func(w http.ResponseWriter, _ *http.Request) {
		if n++; n < 3 {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		w.Write([]byte("ok"))
	}})
	u, _ := url.Parse(s.URL + "/x")
	if b, err := newFetcher(Options{Backoff: time.Millisecond}, u).get(context.Background(), u, 10); err != nil || string(b) != "ok" {
		t.Errorf("got %q, %v", b, err)
	}
}

func TestNoRepository(t *testing.T) {
	s := newSite(t, nil)
	for location, code := range map[string]api.Code{
		s.URL:                 api.CodeNotFound,
		"http://127.0.0.1:1/": api.CodeUnavailable,
		t.TempDir() + "/none": api.CodeLocalIO,
	} {
		_, err := open(context.Background(), Options{Location: location, Limits: archive.DefaultLimits(), Backoff: time.Millisecond})
		var e *api.Error
		if !errors.As(err, &e) || e.Code != code {
			t.Errorf("open %q: %v, want code %q", location, err, code)
		}
	}
}
