package move_test

import (
	"bytes"
	"context"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"chartd.dev/chartd/internal/api"
	"chartd.dev/chartd/internal/durable/durabletest"
	"chartd.dev/chartd/internal/e2e/rig"
	"chartd.dev/chartd/internal/testtools"
)

// Whatever becomes of the request, its answer or the process: after the next
// command all is old without a pin, or all is new with it.
func TestOneAct(t *testing.T) {
	if testing.Short() {
		t.Skip("starts many processes")
	}
	bump := []string{"bump", "data8/prod", "--version", "1.0.0"}
	lose := func(d *desk, w http.ResponseWriter, r *http.Request) { hangUp(w) }
	loseAll := func(d *desk, w http.ResponseWriter, r *http.Request) { d.down.Store(true); hangUp(w) }
	for name, c := range map[string]struct {
		onPin pinHandler
		code  int
		words string
		done  string                         // version after the bump; "" for nothing
		then  func(d *desk) (version string) // what recovers, and what comes of it
	}{
		"all is well":       {nil, 0, "wrote chartd.lock, data8/requirements.yaml, data8/values.yaml", "1.0.0", nil},
		"request lost once": {lose, 0, "revision 1", "1.0.0", nil},
		"answer lost":       {func(d *desk, w http.ResponseWriter, r *http.Request) { d.pass(r); hangUp(w) }, 0, "revision 1", "1.0.0", nil},
		"answer lost, server gone": {func(d *desk, w http.ResponseWriter, r *http.Request) { d.pass(r); loseAll(d, w, r) },
			api.ExitUnavailable, "run chartctl recover once it answers", "?", func(d *desk) string {
				d.want(api.ExitUnavailable, "is not known", "recover")
				d.down.Store(false)
				d.want(api.ExitStale, "chartctl recover", "bump", "stat20/prod", "--version", "1.0.0", "--dry-run")
				d.want(0, "data8/prod is pinned as revision 1", "recover")
				return "1.0.0"
			}},
		"request lost, server gone": {loseAll, api.ExitUnavailable, "the files are kept ready", "", func(d *desk) string {
			d.down.Store(false)
			d.want(0, "discarded: chartd.lock, data8/requirements.yaml, data8/values.yaml", "recover")
			return ""
		}},
		"the next command recovers": {loseAll, api.ExitUnavailable, "is not known", "", func(d *desk) string {
			d.down.Store(false)
			d.want(0, "recovered: nothing had been pinned", bump...)
			return "1.0.0"
		}},
		"refused": {func(d *desk, w http.ResponseWriter, r *http.Request) {
			w.WriteHeader(http.StatusForbidden)
			_, _ = io.WriteString(w, `{"error": "not allowed", "code": "forbidden"}`)
		}, api.ExitAuth, "not allowed", "", nil},
		"answer lost, then a proxy's 404":    {repeatGets(http.StatusNotFound), 0, "revision 1", "1.0.0", nil},
		"answer lost, then a proxy's 409":    {repeatGets(http.StatusConflict), 0, "revision 1", "1.0.0", nil},
		"answer lost, then too many of them": {repeatGets(http.StatusTooManyRequests), 0, "revision 1", "1.0.0", nil},
		"a proxy refuses": {func(d *desk, w http.ResponseWriter, r *http.Request) { http.Error(w, "no", http.StatusNotFound) },
			api.ExitNotFound, "nothing was pinned, and no file is changed", "", nil},
		"interrupted before": {func(d *desk, w http.ResponseWriter, r *http.Request) { d.strike(r, os.Interrupt) },
			api.ExitInternal, "interrupted", "", nil},
		"interrupted after": {func(d *desk, w http.ResponseWriter, r *http.Request) {
			d.pass(r)
			d.strike(r, os.Interrupt)
		}, 0, "revision 1", "1.0.0", nil},
		"killed before": {func(d *desk, w http.ResponseWriter, r *http.Request) { d.strike(r, syscall.SIGKILL) },
			-1, "", "", func(d *desk) string { d.want(0, "discarded", "recover"); return "" }},
		"killed after": {func(d *desk, w http.ResponseWriter, r *http.Request) {
			d.pass(r)
			d.strike(r, syscall.SIGKILL)
		}, -1, "", "?", func(d *desk) string { d.want(0, "finished", "recover"); return "1.0.0" }},
		"file edited meanwhile": {func(d *desk, w http.ResponseWriter, r *http.Request) {
			d.edit("data8/values.yaml", "tag: 0.9.0", "tag: mine")
			d.next.ServeHTTP(w, r)
		}, api.ExitLocalIO, "data8/prod is pinned as revision 1, but", "?", func(d *desk) string {
			d.want(api.ExitLocalIO, "put that file back", "recover")
			d.edit("data8/values.yaml", "tag: mine", "tag: 0.9.0")
			d.want(0, "finished", "recover")
			return "1.0.0"
		}},
		"given up": {func(d *desk, w http.ResponseWriter, r *http.Request) {
			d.edit("data8/values.yaml", "tag: 0.9.0", "tag: mine")
			d.next.ServeHTTP(w, r)
		}, api.ExitLocalIO, "recover --discard", "?", func(d *desk) string {
			d.want(0, "discarded", "recover", "--discard")
			d.want(0, "wrote", append(bump, "--allow-dirty")...)
			return "1.0.0"
		}},
	} {
		t.Run(name, func(t *testing.T) {
			d := newDesk(t, c.onPin)
			before := d.files()
			d.want(c.code, c.words, bump...)
			if c.done != "?" {
				d.moved(before, c.done)
			}
			if c.then != nil {
				d.moved(before, c.then(d))
			}
			d.want(0, "nothing to recover", "recover")
			for name := range d.files() {
				if staged(name) {
					t.Errorf("%s is left over", name)
				}
			}
		})
	}
}

// A directory that takes no file: nothing is pinned, and the message says so.
func TestNoPlaceForFiles(t *testing.T) {
	d := newDesk(t, nil)
	before := d.files()
	full := filepath.Join(d.dir, "data8")
	durabletest.Mount(t, full, "size=8k")
	for _, name := range []string{"data8/requirements.yaml", "data8/values.yaml"} {
		if err := os.WriteFile(filepath.Join(d.dir, name), []byte(before[name]), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	d.want(api.ExitLocalIO, "nothing was pinned, and no file is changed", "bump", "data8/prod", "--version", "1.0.0")
	d.moved(before, "")
	d.want(0, "nothing to recover", "recover")
}

// Somebody pins first: nothing is written.
func TestStaleWithFiles(t *testing.T) {
	d := newDesk(t, func(d *desk, w http.ResponseWriter, r *http.Request) {
		d.Bench.Ctl(0, "bump", "data8/prod", "--version", "1.1.0")
		d.next.ServeHTTP(w, r)
	})
	before := d.files()
	d.want(api.ExitStale, "data8/prod moved meanwhile", "bump", "data8/prod", "--version", "1.0.0")
	if now := d.files(); !maps.Equal(before, now) {
		t.Errorf("files changed: %v", now)
	}
	d.want(0, "nothing to recover", "recover")
}

// A request that was given up stays without effect, even if it arrives later.
func TestLateRequest(t *testing.T) {
	kept := make(chan *http.Request, 1)
	d := newDesk(t, func(d *desk, w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			d.Errorf("read the request: %v", err)
		}
		late := r.Clone(context.Background())
		late.Body = io.NopCloser(bytes.NewReader(body))
		kept <- late
		d.down.Store(true)
		hangUp(w)
	})
	d.want(api.ExitUnavailable, "is not known", "bump", "data8/prod", "--version", "1.0.0")
	d.down.Store(false)
	d.want(0, "discarded", "recover")
	rec := httptest.NewRecorder()
	d.next.ServeHTTP(rec, <-kept)
	if rec.Code != http.StatusUnprocessableEntity || !strings.Contains(rec.Body.String(), "fenced") {
		t.Errorf("the late request: %d %s", rec.Code, rec.Body)
	}
}

// It is the same where no file waits: what is said of a lost pin stays true.
func TestLateRequestWithoutFiles(t *testing.T) {
	kept := make(chan *http.Request, 1)
	d := newDesk(t, func(d *desk, w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			d.Errorf("read the request: %v", err)
		}
		late := r.Clone(context.Background())
		late.Body = io.NopCloser(bytes.NewReader(body))
		kept <- late
		d.noPins.Store(true)
		hangUp(w)
	})
	d.want(api.ExitUnavailable, "nothing was pinned", "bump", "data8/prod", "--version", "1.0.0", "--no-files")
	rec := httptest.NewRecorder()
	d.next.ServeHTTP(rec, <-kept)
	if rec.Code != http.StatusUnprocessableEntity || !strings.Contains(rec.Body.String(), "fenced") {
		t.Errorf("the late request: %d %s", rec.Code, rec.Body)
	}
	d.moved(d.files(), "")
}

// Two at once in one checkout: both edits are there, or one lost and says so.
func TestTwoAtOnce(t *testing.T) {
	d := newDesk(t, nil)
	env := []string{"CHARTCTL_SERVER=" + d.proxy.URL, "CHARTCTL_TOKEN=" + d.Server.Token, "HOME=" + d.dir + ".home", "XDG_CONFIG_HOME="}
	hubs := []string{"data8", "stat20"}
	results := make([]rig.Result, len(hubs))
	var wg sync.WaitGroup
	for i, hub := range hubs {
		wg.Go(func() {
			r, err := rig.Run(t.Context(), d.dir, env, testtools.Chartctl(t), "bump", hub+"/prod", "--version", "1.0.0", "--allow-dirty")
			if err != nil {
				t.Error(err)
			}
			results[i] = r
		})
	}
	wg.Wait()
	lock := d.files()["chartd.lock"]
	for i, hub := range hubs {
		_, err := d.Client.Revision(t.Context(), mustEnv(t, hub+"/prod"), 1)
		in := strings.Contains(lock, hub+"/prod chart: jupyterhub 1.0.0 ")
		if won := results[i].Code == 0; won != in || won != (err == nil) || !won && results[i].Code != api.ExitStale {
			t.Errorf("%s: exit %d, in the lock: %v, pin: %v\n%s", hub, results[i].Code, in, err, results[i].Text())
		}
	}
	if !strings.Contains(lock, "chart:") {
		t.Errorf("both lost: %s", lock)
	}
}
