package move_test

import (
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"strings"
	"sync"
	"testing"

	"chartd.dev/chartd/internal/api"
	"chartd.dev/chartd/internal/e2e/rig"
)

// between is a proxy in front of chartd that runs a function before it
// forwards the first pin, or drops the answer of it.
func between(t *testing.T, b *rig.Bench, before func(), drop bool) string {
	target, err := url.Parse(b.Server.URL)
	if err != nil {
		t.Fatal(err)
	}
	var once sync.Once
	proxy := httputil.NewSingleHostReverseProxy(target)
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodPost || !strings.HasSuffix(r.URL.Path, "/pins") {
			proxy.ServeHTTP(w, r)
			return
		}
		once.Do(func() {
			if before != nil {
				before()
			}
		})
		if !drop {
			proxy.ServeHTTP(w, r)
			return
		}
		proxy.ServeHTTP(httptest.NewRecorder(), r)
		conn, _, err := w.(http.Hijacker).Hijack()
		if err == nil {
			conn.Close()
		}
	}))
	t.Cleanup(s.Close)
	return s.URL
}

func pinned(t *testing.T) *rig.Bench {
	b := rig.New(t)
	for _, v := range []string{"1.0.0", "1.1.0", "1.2.0"} {
		b.HubImage(v)
		b.Publish(rig.Hub{Version: v})
	}
	b.Ctl(0, "env", "create", "data8/prod", "--chart", "jupyterhub")
	b.Ctl(0, "bump", "data8/prod", "--version", "1.0.0")
	return b
}

// Who loses a race is told who won, and nothing is overwritten.
func TestLostRace(t *testing.T) {
	b := pinned(t)
	url := between(t, b, func() { b.Ctl(0, "bump", "data8/prod", "--version", "1.1.0") }, false)
	r := b.Ctl(api.ExitStale, "bump", "data8/prod", "--version", "1.2.0", "--server", url)
	for _, want := range []string{"data8/prod moved meanwhile", "revision 2", "jupyterhub@1.1.0"} {
		if !strings.Contains(r.Err, want) {
			t.Errorf("message %q lacks %q", r.Err, want)
		}
	}
	if r := b.Ctl(0, "history", "data8/prod"); strings.Contains(r.Out, "1.2.0") {
		t.Errorf("the loser's pin is there:\n%s", r.Out)
	}
}

// A pin whose answer is lost every time is asked for by its key, and was made
// exactly once.
func TestLostAnswer(t *testing.T) {
	b := pinned(t)
	url := between(t, b, nil, true)
	r := b.Ctl(0, "bump", "data8/prod", "--version", "1.2.0", "--server", url)
	if !strings.Contains(r.Out, "revision 2: jupyterhub@1.2.0") {
		t.Errorf("answer is %q", r.Out)
	}
	pins := b.Ctl(0, "history", "data8/prod")
	if strings.Contains(pins.Out, "\n3 ") || strings.Count(pins.Out, "1.2.0 ") == 0 {
		t.Errorf("history is\n%s", pins.Out)
	}
}
