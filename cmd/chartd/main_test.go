package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"chartd.dev/chartd/storage"
)

// output is standard error of a server that tests read while it runs.
type output struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.String()
}

func noEnv(string) string { return "" }

// chartd runs a command to its end.
func chartd(t *testing.T, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	code = run(t.Context(), args, noEnv, &out, &errs)
	return code, out.String(), errs.String()
}

// running is a server in this process.
type running struct {
	t    *testing.T
	url  string
	dir  string
	stop context.CancelFunc
	code chan int
	log  *output
}

func start(t *testing.T, dir string, args ...string) *running {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	r := &running{t: t, dir: dir, stop: stop, code: make(chan int, 1), log: &output{}}
	addr := filepath.Join(t.TempDir(), "addr")
	args = append([]string{"serve", "--listen", "127.0.0.1:0", "--data", dir, "--addr-file", addr, "--log-format", "json"}, args...)
	go func() { r.code <- run(ctx, args, noEnv, io.Discard, r.log) }()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for {
		select {
		case code := <-r.code:
			t.Fatalf("ended with %d: %s", code, r.log)
		case <-tick.C:
		}
		if b, err := os.ReadFile(addr); err == nil {
			r.url = strings.TrimSpace(string(b))
			return r
		}
	}
}

// end stops the server and returns its exit code.
func (r *running) end() int {
	r.t.Helper()
	r.stop()
	select {
	case code := <-r.code:
		return code
	case <-time.After(40 * time.Second):
		r.t.Fatalf("the server does not stop: %s", r.log)
		return -1
	}
}

func (r *running) admin() string {
	r.t.Helper()
	b, err := os.ReadFile(filepath.Join(r.dir, adminFile))
	if err != nil {
		r.t.Fatal(err)
	}
	return strings.TrimSpace(string(b))
}

func (r *running) do(method, path, token string, body io.Reader) (int, string) {
	r.t.Helper()
	req, err := http.NewRequestWithContext(r.t.Context(), method, r.url+path, body)
	if err != nil {
		r.t.Fatal(err)
	}
	if token != "" {
		req.Header.Set("Authorization", "Basic "+base64.StdEncoding.EncodeToString([]byte("x:"+token)))
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		r.t.Fatal(err)
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		r.t.Fatal(err)
	}
	return resp.StatusCode, string(data)
}

func chart(t *testing.T, name, version string) []byte {
	t.Helper()
	var buf bytes.Buffer
	z := gzip.NewWriter(&buf)
	w := tar.NewWriter(z)
	text := fmt.Sprintf("apiVersion: v2\nname: %s\nversion: %s\n", name, version)
	if err := w.WriteHeader(&tar.Header{Name: name + "/Chart.yaml", Mode: 0o644, Size: int64(len(text)), Typeflag: tar.TypeReg}); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(w, text); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

func TestFirstStartMakesTheAdminTokenOnce(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	r := start(t, dir)
	token := r.admin()
	fi, err := os.Stat(filepath.Join(dir, adminFile))
	if err != nil || fi.Mode().Perm() != 0o600 {
		t.Errorf("%v, mode %v", err, fi.Mode())
	}
	if log := r.log.String(); !strings.Contains(log, adminFile) || strings.Contains(log, token) {
		t.Errorf("the log must name the file and not the token: %s", log)
	}
	if code, _ := r.do("GET", "/api/v1/tokens", token, nil); code != 200 {
		t.Errorf("tokens: %d", code)
	}
	if code := r.end(); code != 0 {
		t.Errorf("exit %d: %s", code, r.log)
	}
	r = start(t, dir)
	if r.admin() != token || strings.Contains(r.log.String(), "made the token") {
		t.Error("the second start makes a token again")
	}
	if code := r.end(); code != 0 {
		t.Errorf("exit %d: %s", code, r.log)
	}
}

func TestDataDirectoryHasOneHolder(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	r := start(t, dir)
	begin := time.Now()
	code, _, errs := chartd(t, "serve", "--listen", "127.0.0.1:0", "--data", dir)
	if code != exitFailed || !strings.Contains(errs, fmt.Sprint(os.Getpid())) || time.Since(begin) > 5*time.Second {
		t.Errorf("second server: exit %d after %v: %s", code, time.Since(begin), errs)
	}
	code, out, errs := chartd(t, "token", "create", "ci", "--scope", "publish:*", "--data", dir)
	if code != exitFailed || out != "" || !strings.Contains(errs, "chartctl token create") {
		t.Errorf("offline token: exit %d %q: %s", code, out, errs)
	}
	r.end()
	code, out, errs = chartd(t, "token", "create", "ci", "--scope", "publish:*", "--data", dir)
	if code != 0 || !strings.HasPrefix(out, "chartd_") {
		t.Fatalf("offline token: exit %d: %s", code, errs)
	}
	r = start(t, dir)
	defer r.end()
	if code, body := r.do("POST", "/api/charts", strings.TrimSpace(out), bytes.NewReader(chart(t, "demo", "1.0.0"))); code != 201 {
		t.Errorf("publish with it: %d %s", code, body)
	}
}

func TestBackupOnlineAndOfflineRestoresTheSame(t *testing.T) {
	temp := t.TempDir()
	dir := filepath.Join(temp, "data")
	r := start(t, dir)
	for _, v := range []string{"1.0.0", "1.1.0"} {
		if code, body := r.do("POST", "/api/charts", r.admin(), bytes.NewReader(chart(t, "demo", v))); code != 201 {
			t.Fatalf("%d %s", code, body)
		}
	}
	_, index := r.do("GET", "/index.yaml", "", nil)
	online, offline := filepath.Join(temp, "online.tar"), filepath.Join(temp, "offline.tar")
	if code, out, errs := chartd(t, "fsck", "--data", dir); code != 0 || !strings.Contains(out, "2 chart versions") {
		t.Errorf("online fsck: %d %s %s", code, out, errs)
	}
	if code, _, errs := chartd(t, "backup", "--data", dir, "-o", online); code != 0 {
		t.Fatalf("online backup: %s", errs)
	}
	r.end()
	if code, _, errs := chartd(t, "backup", "--data", dir, "-o", offline); code != 0 {
		t.Fatalf("offline backup: %s", errs)
	}
	if code, out, errs := chartd(t, "fsck", "--data", dir); code != 0 || !strings.Contains(out, "2 chart versions") {
		t.Errorf("offline fsck: %d %s %s", code, out, errs)
	}
	for i, file := range []string{online, offline} {
		target := filepath.Join(temp, fmt.Sprintf("restored%d", i))
		if code, _, errs := chartd(t, "restore", file, "--data", dir); code != exitFailed || !strings.Contains(errs, "not empty") {
			t.Errorf("restore over data: %d %s", code, errs)
		}
		if code, out, errs := chartd(t, "restore", file, "--data", target); code != 0 || !strings.Contains(out, "2 chart versions") {
			t.Fatalf("restore: %d %s %s", code, out, errs)
		}
		again := start(t, target)
		if _, got := again.do("GET", "/index.yaml", "", nil); got != index {
			t.Errorf("the restored index differs:\n%s\n%s", got, index)
		}
		again.end()
	}
}

func TestRestoreRefusesADamagedBackup(t *testing.T) {
	temp := t.TempDir()
	dir := filepath.Join(temp, "data")
	r := start(t, dir)
	if code, body := r.do("POST", "/api/charts", r.admin(), bytes.NewReader(chart(t, "demo", "1.0.0"))); code != 201 {
		t.Fatalf("%d %s", code, body)
	}
	r.end()
	file := filepath.Join(temp, "backup.tar")
	if code, _, errs := chartd(t, "backup", "--data", dir, "-o", file); code != 0 {
		t.Fatal(errs)
	}
	whole, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	flipped := bytes.Clone(whole)
	flipped[bytes.Index(flipped, []byte("\x1f\x8b"))+20] ^= 1 // inside the package
	for name, data := range map[string][]byte{"cut": whole[:len(whole)/2], "end missing": whole[:len(whole)-3*512], "empty": {}, "flipped": flipped, "text": []byte("no backup")} {
		if err := os.WriteFile(file, data, 0o600); err != nil {
			t.Fatal(err)
		}
		target := filepath.Join(temp, "target")
		if code, out, errs := chartd(t, "restore", file, "--data", target); code != exitFailed || out != "" {
			t.Errorf("%s: exit %d %s %s", name, code, out, errs)
		}
		if _, err := os.Stat(target); !os.IsNotExist(err) {
			t.Errorf("%s: something is at the target: %v", name, err)
		}
	}
	left, err := filepath.Glob(filepath.Join(temp, ".target*"))
	if err != nil || len(left) > 0 {
		t.Errorf("left behind: %q %v", left, err)
	}
}

// A stop lets an upload in flight finish, and it is there afterwards.
func TestStopFinishesUploads(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	r := start(t, dir)
	data := chart(t, "demo", "1.0.0")
	body, send := io.Pipe()
	type answer struct {
		code int
		body string
	}
	token := r.admin()
	got := make(chan answer, 1)
	go func() {
		code, text := r.do("POST", "/api/charts", token, body)
		got <- answer{code, text}
	}()
	// The pipe has no buffer: when this returns the request is on its way.
	if _, err := send.Write(data[:10]); err != nil {
		t.Fatal(err)
	}
	for !strings.Contains(r.metrics(), "chartd_uploads_in_flight 1") {
		if t.Context().Err() != nil {
			t.Fatal("the upload never began")
		}
	}
	r.stop()
	for !strings.Contains(r.log.String(), `"msg":"stopping"`) {
		if t.Context().Err() != nil {
			t.Fatal("the server never stopped")
		}
	}
	if _, err := send.Write(data[10:]); err != nil {
		t.Fatal(err)
	}
	if err := send.Close(); err != nil {
		t.Fatal(err)
	}
	if a := <-got; a.code != 201 {
		t.Errorf("%d %s", a.code, a.body)
	}
	if code := r.end(); code != 0 {
		t.Errorf("exit %d: %s", code, r.log)
	}
	if code, out, errs := chartd(t, "fsck", "--data", dir); code != 0 || !strings.Contains(out, "1 chart versions") {
		t.Errorf("fsck: %d %s %s", code, out, errs)
	}
}

// metrics reads the listener that the log names.
func (r *running) metrics() string {
	r.t.Helper()
	_, rest, ok := strings.Cut(r.log.String(), `"msg":"serving metrics","url":"`)
	if !ok {
		r.t.Fatalf("no metrics listener: %s", r.log)
	}
	url, _, _ := strings.Cut(rest, `"`)
	resp, err := http.Get(url)
	if err != nil {
		r.t.Fatal(err)
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err != nil {
		r.t.Fatal(err)
	}
	return string(data)
}

func TestAnonymousReadsDependOnTheListener(t *testing.T) {
	for _, c := range []struct {
		args []string
		want int
	}{{nil, 200}, {[]string{"--base-path", "/org/r"}, 401}, {[]string{"--allow-anonymous-read=false"}, 401}, {[]string{"--base-path", "/org/r", "--allow-anonymous-read"}, 200}} {
		r := start(t, filepath.Join(t.TempDir(), "data"), c.args...)
		if code, body := r.do("GET", "/index.yaml", "", nil); code != c.want {
			t.Errorf("%q: %d %s", c.args, code, body)
		}
		r.end()
	}
}

func TestUsageErrors(t *testing.T) {
	for _, args := range [][]string{
		{"--nope"}, {"serve", "extra"}, {"nope"}, {"restore"}, {"token", "create"}, {"token", "create", "x", "--data", t.TempDir()},
		{"token", "create", "x", "--scope", "root", "--data", t.TempDir()}, {"token", "create", "x", "--scope", "read", "--ttl", "soon"},
		{"backup", "--data", t.TempDir()}, {"serve", "--max-upload", "x"}, {"serve", "--registry-mirror", "x", "--data", t.TempDir(), "--listen", "127.0.0.1:0"},
		{"serve", "--config", "/nonexistent.yaml"},
	} {
		if code, _, errs := chartd(t, args...); code != exitUsage || errs == "" {
			t.Errorf("%q: exit %d: %s", args, code, errs)
		}
	}
	for _, cmd := range []string{"fsck", "backup"} {
		dir := t.TempDir()
		code, _, errs := chartd(t, cmd, "--data", dir, "-o", "-")
		if cmd == "fsck" {
			code, _, errs = chartd(t, cmd, "--data", dir)
		}
		if left, err := os.ReadDir(dir); code != exitFailed || err != nil || len(left) > 0 {
			t.Errorf("%s of an empty directory: exit %d, %d files: %s", cmd, code, len(left), errs)
		}
	}
	if code, out, _ := chartd(t, "version"); code != 0 || strings.TrimSpace(out) == "" {
		t.Errorf("version: %d %q", code, out)
	}
}

// A broken store ends the process with an error, after its answers.
func TestBrokenStoreEndsTheProcess(t *testing.T) {
	srv := &http.Server{}
	log := newLog(Config{LogFormat: "text"}, io.Discard)
	cause := fmt.Errorf("%w: %w", errBroken, storage.ErrBroken)
	if err := finish(cause, srv, time.Minute, log); !errors.Is(err, storage.ErrBroken) {
		t.Errorf("%v, want the store's error", err)
	}
	if err := finish(context.Canceled, &http.Server{}, time.Minute, log); err != nil {
		t.Errorf("an ordinary stop: %v", err)
	}
}
