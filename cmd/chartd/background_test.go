package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"chartd.dev/chartd/internal/api"
	"chartd.dev/chartd/internal/events"
	"chartd.dev/chartd/internal/model"
	"chartd.dev/chartd/internal/ref"
	"chartd.dev/chartd/internal/registrytest"
	"chartd.dev/chartd/lock"
	"chartd.dev/chartd/lock/memstore"
)

var quiet = slog.New(slog.NewTextHandler(io.Discard, nil))

// taken is what a webhook's receiver took.
type taken struct {
	event     api.Event
	signature string
	signed    string // what it must be
}

// A webhook is served by the real server, which another process follows up on.
func TestWebhooksOutliveTheServer(t *testing.T) {
	got := make(chan taken, 100)
	var secret string // set before the first event
	open := make(chan bool, 1)
	open <- true
	receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		is := <-open
		open <- is
		if err != nil || !is {
			w.WriteHeader(http.StatusBadGateway)
			return
		}
		var e api.Event
		if err := json.Unmarshal(body, &e); err != nil {
			t.Errorf("body %s: %v", body, err)
		}
		got <- taken{e, r.Header.Get(events.HeaderSignature), events.Sign(secret, r.Header.Get(events.HeaderTimestamp), body)}
	}))
	t.Cleanup(receiver.Close)
	u, err := url.Parse(receiver.URL)
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(t.TempDir(), "data")
	r := start(t, dir, "--allow-webhook", u.Host)
	code, body := r.do("POST", "/api/v1/webhooks", r.admin(), strings.NewReader(`{"url":"`+receiver.URL+`/hook","kinds":["published"]}`))
	var made api.WebhookSecret
	if err := json.Unmarshal([]byte(body), &made); err != nil || code != 201 || made.Secret == "" {
		t.Fatalf("%d %s: %v", code, body, err)
	}
	secret = made.Secret
	publish := func(r *running, version string) {
		t.Helper()
		if code, body := r.do("POST", "/api/charts", r.admin(), bytes.NewReader(chart(t, "demo", version))); code != 201 {
			t.Fatalf("%d %s", code, body)
		}
	}
	take := func(version string) {
		t.Helper()
		if g := <-got; g.event.Version != version || g.event.Kind != api.EventPublished || g.event.By != "admin" || g.signature != g.signed {
			t.Errorf("took %+v, want %s", g, version)
		}
	}
	publish(r, "1.0.0")
	take("1.0.0")
	<-open
	open <- false
	publish(r, "1.1.0")
	publish(r, "1.2.0")
	if code := r.end(); code != 0 {
		t.Fatalf("exit %d: %s", code, r.log)
	}
	<-open
	open <- true
	r = start(t, dir, "--allow-webhook", u.Host)
	take("1.1.0")
	take("1.2.0")
	if _, list := r.do("GET", "/api/v1/webhooks", r.admin(), nil); strings.Contains(list, secret) || !strings.Contains(list, made.ID) {
		t.Errorf("the list: %s", list)
	}
	if code := r.end(); code != 0 || strings.Contains(r.log.String(), secret) {
		t.Errorf("exit %d: %s", code, r.log)
	}
}

// world is a lock file with one environment.
type world struct {
	*lock.Lockfile
	env  ref.Env
	pair lock.Binding
}

var op = lock.Op{Actor: lock.Actor{Name: "test"}}

func must[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

// newWorld pins a chart with the image behind a tag, or without one.
func newWorld(t *testing.T, image *lock.Image, name ref.Reference) world {
	t.Helper()
	w := world{Lockfile: must(lock.Open(t.Context(), memstore.New(), time.Now)), env: must(ref.ParseEnv("data8/staging"))}
	d := ref.DigestOf([]byte("package"))
	c := must(ref.ParseImported("hub", "1.0.0"))
	nb := lock.NewBinding{Chart: c, Package: d}
	if image != nil {
		nb.Images = []lock.Candidate{{Role: "hub", Required: true, Image: *image, Tag: name.Tag, Own: image, OwnRef: name}}
	}
	p := must(w.Publish(t.Context(), op, lock.NewVersion{Version: lock.ChartVersion{Chart: c, Package: d, Content: d, Size: 1}, Binding: &nb}))
	w.pair = *p.Binding
	must(w.CreateEnvironment(t.Context(), op, lock.NewEnvironment{Env: w.env, Chart: "hub"}))
	must(w.MakePin(t.Context(), op, lock.NewPin{Env: w.env, Binding: w.pair.ID}))
	return w
}

func TestBeatsCountASoakWhileTheServerRuns(t *testing.T) {
	w := newWorld(t, nil, ref.Reference{})
	must(w.AddReport(t.Context(), op, lock.NewReport{Env: w.env, Revision: 1, State: model.Passed}))
	done := make(chan struct{})
	ctx, cancel := context.WithCancel(t.Context())
	go func() { defer close(done); beats{w.Lockfile, quiet}.run(ctx, time.Millisecond) }()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for held := lock.Duration(0); held == 0; <-tick.C {
		held = must(w.SummaryOf(t.Context(), w.env, w.pair.ID)).Held
	}
	cancel()
	<-done
	before := must(w.SummaryOf(t.Context(), w.env, w.pair.ID))
	if after := must(w.SummaryOf(t.Context(), w.env, w.pair.ID)); after != before {
		t.Errorf("time is counted after the end: %+v, then %+v", before, after)
	}
	if held := time.Duration(before.Held); held > time.Minute {
		t.Errorf("%s were counted in a moment", held)
	}
}

func TestMovedTagsAreFound(t *testing.T) {
	registry := registrytest.New(t)
	host := registry.Addr
	push := func(seed string) {
		t.Helper()
		must(registrytest.Make(seed, "hub").Push(t.Context(), host+"/my/hub:1"))
	}
	push("first")
	r := must(newResolver(Config{Registries: []string{host}, Insecure: []string{host}, DockerConfig: t.TempDir()}))
	name := must(ref.ParseReference(host + "/my/hub:1"))
	image := must(r.Resolve(t.Context(), name))
	w := newWorld(t, &image, name)
	told := 0
	c := tagChecker{w.Lockfile, r, quiet, time.Millisecond, func() { told++ }}
	check := func(wantMoved int) {
		t.Helper()
		if err := c.check(t.Context()); err != nil {
			t.Fatal(err)
		}
		if st := must(w.Environment(t.Context(), w.env)); len(st.Binding.Moved) != min(wantMoved, 1) || told != wantMoved {
			t.Errorf("moved: %q, told %d times, want %d", st.Binding.Moved, told, wantMoved)
		}
	}
	check(0)
	push("second")
	check(1)
	check(1)
	lines, _, err := w.Journal(t.Context(), 0, 100)
	if err != nil || lines[len(lines)-1].Verb != "tag" || lines[len(lines)-1].By.Name != "chartd" {
		t.Errorf("the journal ends with %+v, %v", lines[len(lines)-1], err)
	}
	list, _, err := events.NewFeed(w.Lockfile).After(t.Context(), lines[len(lines)-2].Seq, 1)
	if err != nil || len(list) != 1 || list[0].Kind != api.EventTagMoved || list[0].Before != image.Image.Digest {
		t.Errorf("events %+v, %v", list, err)
	}
	if rep, err := w.Check(t.Context()); err != nil || len(rep.Problems) > 0 {
		t.Errorf("check: %q, %v", rep.Problems, err)
	}
}
