package move_test

import (
	"bytes"
	"context"
	"io"
	"io/fs"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"chartd.dev/chartd/internal/e2e/rig"
	"chartd.dev/chartd/internal/ref"
	"chartd.dev/chartd/internal/testtools"
)

// desk is a deploy repo with a server, and with a proxy between them.
type desk struct {
	*rig.Bench
	dir     string
	proxy   *httptest.Server
	next    http.Handler
	wrapped atomic.Pointer[http.HandlerFunc] // see before
	down    atomic.Bool
	// noPins hangs up on what asks for a pin, and on nothing else.
	noPins atomic.Bool
	onPin  pinHandler // of the first one only
	first  sync.Once
	mu     sync.Mutex
	cmd    *exec.Cmd // that runs now
}

type pinHandler func(d *desk, w http.ResponseWriter, r *http.Request)

var deskFiles = map[string]string{
	".chartctl.yaml": `version: 1
server: URL
sites:
  data8:
    - {kind: dependency, file: data8/requirements.yaml, name: jupyterhub}
    - {kind: image, file: data8/values.yaml, path: hub.image, role: hub}
  stat20:
    - {kind: dependency, file: stat20/requirements.yaml, name: jupyterhub}
environments:
  data8/prod: {chart: jupyterhub, sites: [data8]}
  stat20/prod: {chart: jupyterhub, sites: [stat20]}
`,
	"data8/requirements.yaml":  "dependencies:\n- name: jupyterhub\n  version: 0.9.0\n  repository: URL\n",
	"data8/values.yaml":        "hub: {image: {name: quay.io/example/hub, tag: 0.9.0}}\n",
	"stat20/requirements.yaml": "dependencies:\n- {name: jupyterhub, version: 0.9.0, repository: URL}\n",
}

func newDesk(t *testing.T, onPin pinHandler) *desk {
	t.Helper()
	d := &desk{Bench: rig.New(t), dir: t.TempDir(), onPin: onPin}
	for _, v := range []string{"1.0.0", "1.1.0"} {
		d.HubImage(v)
		d.Publish(rig.Hub{Version: v})
	}
	d.Bench.Ctl(0, "env", "create", "data8/prod", "--chart", "jupyterhub")
	d.Bench.Ctl(0, "env", "create", "stat20/prod", "--chart", "jupyterhub")
	target, err := url.Parse(d.Server.URL)
	if err != nil {
		t.Fatal(err)
	}
	d.next = httputil.NewSingleHostReverseProxy(target)
	d.proxy = httptest.NewServer(d)
	t.Cleanup(d.proxy.Close)
	for name, text := range deskFiles {
		path := filepath.Join(d.dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(strings.ReplaceAll(text, "URL", d.proxy.URL)), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	for _, args := range [][]string{{"init", "-q", "-b", "main"}, {"add", "-A"}, {"-c", "user.name=A", "-c", "user.email=a@example.edu", "commit", "-q", "-m", "start"}} {
		if r, err := rig.Run(t.Context(), d.dir, nil, "git", args...); err != nil || r.Code != 0 {
			t.Fatalf("git %v: %v\n%s", args, err, r.Text())
		}
	}
	return d
}

func (d *desk) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	pin := r.Method == http.MethodPost && (strings.HasSuffix(r.URL.Path, "/pins") || strings.HasSuffix(r.URL.Path, "/pinsets"))
	if d.down.Load() || pin && d.noPins.Load() {
		hangUp(w)
		return
	}
	if pin && d.onPin != nil {
		done := false
		d.first.Do(func() { d.onPin(d, w, r); done = true })
		if done {
			return
		}
	}
	if h := d.wrapped.Load(); h != nil {
		(*h)(w, r)
		return
	}
	d.next.ServeHTTP(w, r)
}

// before has h answer from now on, in place of the server behind it.
func (d *desk) before(h http.HandlerFunc) { d.wrapped.Store(&h) }

// hangUp ends the connection without an answer.
func hangUp(w http.ResponseWriter) {
	if conn, _, err := w.(http.Hijacker).Hijack(); err == nil {
		conn.Close()
	}
}

// pass lets the server do what is asked, and keeps the answer back.
func (d *desk) pass(r *http.Request) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		d.Errorf("read the request: %v", err)
	}
	again := r.Clone(context.WithoutCancel(r.Context()))
	again.Body = io.NopCloser(bytes.NewReader(body))
	rec := httptest.NewRecorder()
	d.next.ServeHTTP(rec, again)
	if rec.Code/100 != 2 {
		d.Errorf("the pin that was to pass: %d %s", rec.Code, rec.Body)
	}
}

// run runs chartctl in the repo.
func (d *desk) run(args ...string) rig.Result {
	d.Helper()
	cmd := exec.Command(testtools.Chartctl(d), args...)
	var out, errs bytes.Buffer
	cmd.Dir, cmd.Stdout, cmd.Stderr = d.dir, &out, &errs
	cmd.Env = append(os.Environ(), "CHARTCTL_SERVER="+d.proxy.URL, "CHARTCTL_TOKEN="+d.Server.Token, "HOME="+d.dir+".home", "XDG_CONFIG_HOME=")
	d.mu.Lock()
	d.cmd = cmd
	err := cmd.Start()
	d.mu.Unlock()
	if err != nil {
		d.Fatal(err)
	}
	_ = cmd.Wait() // the exit code says it
	return rig.Result{Out: out.String(), Err: errs.String(), Code: cmd.ProcessState.ExitCode()}
}

// want runs chartctl and wants an exit code and words in what it says.
func (d *desk) want(code int, words string, args ...string) {
	d.Helper()
	if r := d.run(args...); r.Code != code || !strings.Contains(r.Text(), words) {
		d.Fatalf("chartctl %s: exit %d, want %d and %q in\n%s", strings.Join(args, " "), r.Code, code, words, r.Text())
	}
}

// strike signals chartctl while it waits for the answer, and lets it go on.
func (d *desk) strike(r *http.Request, s os.Signal) {
	// Only behind the body does the server notice that the client went away.
	if _, err := io.Copy(io.Discard, r.Body); err != nil {
		d.Errorf("read the request: %v", err)
	}
	d.signal(s)
	<-r.Context().Done()
}

func (d *desk) signal(s os.Signal) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if err := d.cmd.Process.Signal(s); err != nil {
		d.Errorf("signal: %v", err)
	}
}

// files are those of the working tree.
func (d *desk) files() map[string]string {
	d.Helper()
	out := map[string]string{}
	err := filepath.WalkDir(d.dir, func(path string, e fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case e.IsDir() && e.Name() == ".git":
			return fs.SkipDir
		case e.IsDir():
			return nil
		}
		b, err := os.ReadFile(path)
		out[strings.TrimPrefix(path, d.dir+"/")] = string(b)
		return err
	})
	if err != nil {
		d.Fatal(err)
	}
	return out
}

// staged reports whether a file waits for the outcome of a pin.
func staged(name string) bool { return strings.Contains(name, ".chartctl-") }

// moved checks that everything is at the version, or nothing is.
func (d *desk) moved(before map[string]string, version string) {
	d.Helper()
	now := d.files()
	maps.DeleteFunc(now, func(name, _ string) bool { return staged(name) })
	status := d.Bench.Ctl(0, "history", "data8/prod").Out
	if version == "" {
		if !maps.Equal(before, now) {
			d.Fatalf("files differ from before:\n%v", now)
		}
		if strings.Contains(status, "@1.") {
			d.Fatalf("something is pinned:\n%s", status)
		}
		return
	}
	for file, want := range map[string]string{
		"data8/requirements.yaml": "version: " + version + "\n", "data8/values.yaml": "tag: " + version + "@sha256:",
		"chartd.lock": "data8/prod chart: jupyterhub " + version + " ",
	} {
		if !strings.Contains(strings.ReplaceAll(now[file], `"`, ""), want) {
			d.Fatalf("%s lacks %q:\n%s", file, want, now[file])
		}
	}
	if !strings.Contains(status, "jupyterhub@"+version) || strings.Contains(status, "\n2 ") {
		d.Fatalf("not pinned, or more than once:\n%s", status)
	}
}

// repeatGets loses the answer to the pin, and has something between client and
// server answer each repetition.
func repeatGets(status int) pinHandler {
	return func(d *desk, w http.ResponseWriter, r *http.Request) {
		d.pass(r)
		d.before(func(w http.ResponseWriter, r *http.Request) {
			if r.Method == http.MethodPost && strings.HasSuffix(r.URL.Path, "/pins") {
				http.Error(w, "default backend", status)
				return
			}
			d.next.ServeHTTP(w, r)
		})
		hangUp(w)
	}
}

func (d *desk) edit(file, old, now string) {
	path := filepath.Join(d.dir, file)
	b, err := os.ReadFile(path)
	if err == nil {
		err = os.WriteFile(path, bytes.Replace(b, []byte(old), []byte(now), 1), 0o644)
	}
	if err != nil {
		d.Errorf("edit: %v", err)
	}
}

func mustEnv(t *testing.T, s string) ref.Env {
	t.Helper()
	e, err := ref.ParseEnv(s)
	if err != nil {
		t.Fatal(err)
	}
	return e
}
