package main

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"chartd.dev/chartd/internal/api"
	"chartd.dev/chartd/internal/e2e/rig"
	"chartd.dev/chartd/internal/ref"
	"chartd.dev/chartd/internal/testtools"
)

// deployable is a bench whose data8/prod is pinned to 1.0.0.
func deployable(t *testing.T) *rig.Bench {
	t.Helper()
	b := rig.New(t)
	for _, v := range []string{"1.0.0", "1.1.0"} {
		b.HubImage(v)
		b.Publish(rig.Hub{Version: v})
	}
	b.Ctl(0, "env", "create", "data8/prod", "--chart", "jupyterhub")
	b.Ctl(0, "bump", "data8/prod", "--version", "1.0.0")
	return b
}

// ctl runs chartctl in dir against a server, which may be a proxy's address.
func ctl(b *rig.Bench, dir, server string, args ...string) rig.Result {
	b.Helper()
	env := []string{"CHARTCTL_SERVER=" + server, "CHARTCTL_TOKEN=" + b.Server.Token, "HOME=" + dir, "XDG_CONFIG_HOME="}
	r, err := rig.Run(b.Context(), dir, env, testtools.Chartctl(b), args...)
	if err != nil {
		b.Fatal(err)
	}
	return r
}

// reported are the states that were reported of data8/prod, in order.
func reported(b *rig.Bench, revision uint64) []string {
	b.Helper()
	env, err := ref.ParseEnv("data8/prod")
	if err != nil {
		b.Fatal(err)
	}
	all, err := b.Client.Reports(b.Context(), env, revision)
	if err != nil {
		b.Fatal(err)
	}
	states := []string{}
	for _, r := range all.Reports {
		states = append(states, string(r.State))
	}
	return states
}

func wantReports(b *rig.Bench, revision uint64, want ...string) {
	b.Helper()
	if got := reported(b, revision); !slices.Equal(got, want) {
		b.Errorf("revision %d was reported %q, want %q", revision, got, want)
	}
}

// reportProxy is a proxy in front of chartd that lets handle answer in place of
// it where something is reported: n is 0 for a start and counts verdicts. It returns the proxy's address and the keys
// that verdicts came with.
func reportProxy(t *testing.T, b *rig.Bench, handle func(n int, w http.ResponseWriter, forward http.HandlerFunc, r *http.Request)) (string, func() []string) {
	t.Helper()
	target, err := url.Parse(b.Server.URL)
	if err != nil {
		t.Fatal(err)
	}
	proxy := httputil.NewSingleHostReverseProxy(target)
	var mu sync.Mutex
	var keys []string
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method != http.MethodPost || !strings.HasSuffix(r.URL.Path, "/reports") {
			proxy.ServeHTTP(w, r)
			return
		}
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		mu.Lock()
		n := 0
		if !bytes.Contains(body, []byte(`"started"`)) {
			keys = append(keys, r.Header.Get("Idempotency-Key"))
			n = len(keys)
		}
		mu.Unlock()
		handle(n, w, proxy.ServeHTTP, r)
	}))
	t.Cleanup(s.Close)
	return s.URL, func() []string { mu.Lock(); defer mu.Unlock(); return slices.Clone(keys) }
}

func busy(w http.ResponseWriter) { http.Error(w, "", http.StatusServiceUnavailable) }

func hangUpOn(w http.ResponseWriter) {
	if conn, _, err := w.(http.Hijacker).Hijack(); err == nil {
		conn.Close()
	}
}

// A verdict whose delivery fails, or whose answer is lost, is sent again under
// its key until it arrives, and counts once.
func TestDeployDeliversTheVerdict(t *testing.T) {
	b := deployable(t)
	server, keys := reportProxy(t, b, func(n int, w http.ResponseWriter, forward http.HandlerFunc, r *http.Request) {
		switch n {
		case 1, 2, 3, 4: // as often as a client tries elsewhere
			busy(w)
		case 5:
			forward(httptest.NewRecorder(), r)
			hangUpOn(w)
		default:
			forward(w, r)
		}
	})
	if r := ctl(b, t.TempDir(), server, "deploy", "data8/prod", "--", "true"); r.Code != 0 {
		t.Errorf("exit %d\n%s", r.Code, r.Text())
	}
	got := keys()
	if len(got) != 6 || got[0] == "" || len(slices.Compact(got)) != 1 {
		t.Errorf("the verdict came with the keys %q, want one key six times", keys())
	}
	wantReports(b, 1, "started", "passed")
}

// If nobody takes the verdict, deploy does not say that all is well.
func TestDeployWithoutAVerdictIsNoSuccess(t *testing.T) {
	b := deployable(t)
	server, _ := reportProxy(t, b, func(n int, w http.ResponseWriter, forward http.HandlerFunc, r *http.Request) {
		if n > 0 {
			busy(w)
			return
		}
		forward(w, r)
	})
	for command, want := range map[string]struct {
		code int
		text string
	}{
		"exit 0": {api.ExitUnavailable, "tell it with chartctl report data8/prod --revision 1 --passed"},
		"exit 3": {3, "tell it with chartctl report data8/prod --revision 1 --failed"},
	} {
		r := ctl(b, t.TempDir(), server, "deploy", "data8/prod", "--report-timeout", "1s", "--", "sh", "-c", command)
		if r.Code != want.code || !strings.Contains(r.Err, want.text) {
			t.Errorf("%s: exit %d, want %d with %q\n%s", command, r.Code, want.code, want.text, r.Text())
		}
	}
	wantReports(b, 1, "started", "started")
}

// A pin that comes between the reading and the start wins: nothing runs.
func TestDeployOfAPinThatMoves(t *testing.T) {
	b := deployable(t)
	var once sync.Once
	server, _ := reportProxy(t, b, func(_ int, w http.ResponseWriter, forward http.HandlerFunc, r *http.Request) {
		once.Do(func() { b.Ctl(0, "bump", "data8/prod", "--version", "1.1.0") })
		forward(w, r)
	})
	dir := t.TempDir()
	r := ctl(b, dir, server, "deploy", "data8/prod", "--", "touch", "ran")
	if r.Code != api.ExitStale || !strings.Contains(r.Err, "moved on from revision 1 meanwhile; touch was not run") {
		t.Errorf("exit %d, want %d\n%s", r.Code, api.ExitStale, r.Text())
	}
	if _, err := os.Stat(filepath.Join(dir, "ran")); err == nil {
		t.Error("the command ran")
	}
	wantReports(b, 1, "started")
	wantReports(b, 2)
}

// A signal reaches what the command has started, and a command that takes it
// in peace has still not passed.
func TestDeployPassesSignalsOn(t *testing.T) {
	b := deployable(t)
	for name, test := range map[string]struct {
		signal syscall.Signal
		script string
		code   int
	}{
		"exits 0":   {syscall.SIGTERM, "trap 'echo stopped; exit 0' TERM", 143},
		"own code":  {syscall.SIGINT, "trap 'echo stopped; exit 9' INT", 9},
		"hangs up":  {syscall.SIGHUP, "trap 'echo stopped; exit 0' HUP", 129},
		"untouched": {syscall.SIGTERM, "echo stopped", 143},
	} {
		t.Run(name, func(t *testing.T) {
			if test.signal == syscall.SIGHUP && signal.Ignored(syscall.SIGHUP) {
				t.Skip("whoever runs this test ignores SIGHUP (nohup), and a shell then can't trap it")
			}
			dir := t.TempDir()
			fifo := filepath.Join(dir, "ready")
			if err := syscall.Mkfifo(fifo, 0o600); err != nil {
				t.Fatal(err)
			}
			script := test.script + "\necho $PPID > ready\nwhile :; do sleep 0.1; done"
			go func() {
				pid, err := os.ReadFile(fifo)
				n := 0
				for _, c := range strings.TrimSpace(string(pid)) {
					n = n*10 + int(c-'0')
				}
				if err == nil && n > 1 {
					syscall.Kill(n, test.signal)
				}
			}()
			r := ctl(b, dir, b.Server.URL, "deploy", "data8/prod", "--", "bash", "-c", script)
			if r.Code != test.code || !strings.Contains(r.Out, "stopped") || !strings.Contains(r.Err, "it is reported failed") {
				t.Errorf("exit %d, want %d\n%s", r.Code, test.code, r.Text())
			}
		})
	}
	for i, state := range reported(b, 1) {
		if want := []string{"started", "failed"}[i%2]; state != want {
			t.Errorf("report %d is %q, want %q", i+1, state, want)
		}
	}
}

// If chartctl is killed there is no verdict, and the command goes on.
func TestDeployKilledLeavesNoVerdict(t *testing.T) {
	b := deployable(t)
	dir := t.TempDir()
	r := ctl(b, dir, b.Server.URL, "deploy", "data8/prod", "--", "sh", "-c", "kill -9 $PPID; echo goes on")
	if r.Code != -1 || !strings.Contains(r.Out, "goes on") {
		t.Errorf("exit %d\n%s", r.Code, r.Text())
	}
	wantReports(b, 1, "started")
}

func TestCIRun(t *testing.T) {
	for want, vars := range map[string]map[string]string{
		"":                                       {"GITHUB_SERVER_URL": "https://g", "GITHUB_RUN_ID": "1"},
		"https://g/o/r/actions/runs/1":           {"GITHUB_SERVER_URL": "https://g", "GITHUB_REPOSITORY": "o/r", "GITHUB_RUN_ID": "1", "CI_JOB_URL": "x"},
		"https://gitlab.example.edu/-/jobs/2":    {"CI_JOB_URL": "https://gitlab.example.edu/-/jobs/2"},
		"https://circleci.example.edu/gh/o/r/33": {"CIRCLE_BUILD_URL": "https://circleci.example.edu/gh/o/r/33"},
		"https://jenkins.example.edu/job/hubs/4": {"BUILD_URL": "https://jenkins.example.edu/job/hubs/4"},
	} {
		if got := ciRun(func(name string) string { return vars[name] }); got != want {
			t.Errorf("%v: %q, want %q", vars, got, want)
		}
	}
}
