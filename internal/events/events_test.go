package events_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"
	"time"

	"chartd.dev/chartd/internal/api"
	"chartd.dev/chartd/internal/events"
	"chartd.dev/chartd/internal/ref"
	"chartd.dev/chartd/lock"
	"chartd.dev/chartd/lock/memstore"
)

// world is a lock file with its feed.
type world struct {
	t    *testing.T
	lock *lock.Lockfile
	feed *events.Feed
}

func newWorld(t *testing.T) world {
	l, err := lock.Open(t.Context(), memstore.New(), time.Now)
	if err != nil {
		t.Fatal(err)
	}
	return world{t, l, events.NewFeed(l)}
}

var op = lock.Op{Actor: lock.Actor{Name: "ci", TokenID: "t1", Source: "192.0.2.7"}}

// publish makes one event, of a chart without images.
func (w world) publish(version string) {
	w.t.Helper()
	chart, err := ref.ParseImported("demo", version)
	if err != nil {
		w.t.Fatal(err)
	}
	d := ref.DigestOf([]byte(version))
	if _, err := w.lock.Publish(w.t.Context(), op, lock.NewVersion{Version: lock.ChartVersion{Chart: chart, Package: d, Content: d, Size: 1}}); err != nil {
		w.t.Fatal(err)
	}
	w.feed.Changed()
}

func (w world) webhook(id, url string, kinds ...string) {
	w.t.Helper()
	if _, err := w.lock.CreateWebhook(w.t.Context(), op, lock.Webhook{ID: id, URL: url, Kinds: kinds, Secret: "secret of " + id}); err != nil {
		w.t.Fatal(err)
	}
	w.feed.Changed()
}

// deliver runs a deliverer until the returned function is called, which waits
// for its end.
func (w world) deliver() (stop func()) {
	ctx, cancel := context.WithCancel(w.t.Context())
	d := &events.Deliverer{Feed: w.feed, Lock: w.lock, Transport: http.DefaultTransport, Log: slog.New(slog.NewTextHandler(io.Discard, nil)), Now: time.Now, Backoff: time.Millisecond}
	done := make(chan struct{})
	go func() { defer close(done); d.Run(ctx) }()
	stop = sync.OnceFunc(func() { cancel(); <-done })
	w.t.Cleanup(stop)
	return stop
}

// receiver takes deliveries, and refuses where refuse says so.
type receiver struct {
	*httptest.Server
	t      *testing.T
	secret string
	got    chan string // what was taken, "SEQ.N OBJECT"
	mu     sync.Mutex
	refuse func(delivery string) bool
	seen   []string // all deliveries, those refused too
}

func newReceiver(t *testing.T, id string) *receiver {
	r := &receiver{t: t, secret: "secret of " + id, got: make(chan string, 1000), refuse: func(string) bool { return false }}
	r.Server = httptest.NewServer(r)
	t.Cleanup(r.Close)
	return r
}

func (r *receiver) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	body, err := io.ReadAll(req.Body)
	if err != nil {
		return // the sender was stopped in the middle
	}
	h := req.Header
	if sign := events.Sign(r.secret, h.Get(events.HeaderTimestamp), body); h.Get(events.HeaderSignature) != sign {
		r.t.Errorf("signature %q, want %q", h.Get(events.HeaderSignature), sign)
	}
	var e api.Event
	if err := json.Unmarshal(body, &e); err != nil || h.Get(events.HeaderEvent) != e.Kind || h.Get(events.HeaderDelivery) != fmt.Sprintf("%d.%d", e.Seq, e.N) {
		r.t.Errorf("delivery %v with the body %s: %v", h, body, err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.seen = append(r.seen, h.Get(events.HeaderDelivery))
	if r.refuse(h.Get(events.HeaderDelivery)) {
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	r.got <- h.Get(events.HeaderDelivery) + " " + e.Object
}

func (r *receiver) refusing(refuse func(string) bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.refuse = refuse
}

func (r *receiver) deliveries() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.seen)
}

// take waits for the next deliveries.
func (r *receiver) take(want ...string) {
	r.t.Helper()
	for _, w := range want {
		if got := <-r.got; got != w {
			r.t.Errorf("took %q, want %q", got, w)
		}
	}
}

func TestDeliveriesAreInOrderSignedAndTriedAgain(t *testing.T) {
	w := newWorld(t)
	r := newReceiver(t, "a")
	w.publish("0.9.0") // before the webhook: not sent
	w.webhook("a", r.URL)
	w.deliver()
	tries := 0
	r.refusing(func(delivery string) bool { tries++; return delivery == "3.1" && tries < 5 })
	for i := range 3 {
		w.publish(fmt.Sprintf("1.%d.0", i))
	}
	r.take("3.1 demo@1.0.0", "4.1 demo@1.1.0", "5.1 demo@1.2.0")
	if want := []string{"3.1", "3.1", "3.1", "3.1", "3.1", "4.1", "5.1"}; !slices.Equal(r.deliveries(), want) {
		t.Errorf("deliveries %q, want %q", r.deliveries(), want)
	}
}

func TestAnotherDelivererGoesOnWhereOneStopped(t *testing.T) {
	w := newWorld(t)
	r := newReceiver(t, "a")
	w.webhook("a", r.URL)
	stop := w.deliver()
	w.publish("1.0.0")
	r.take("2.1 demo@1.0.0")
	stop()
	w.publish("1.1.0")
	w.publish("1.2.0")
	// At least once: what was under way when the first one stopped may come
	// again, and nothing is left out.
	w.deliver()
	got := <-r.got
	if got == "2.1 demo@1.0.0" {
		got = <-r.got
	}
	if got != "3.1 demo@1.1.0" {
		t.Errorf("after the restart: %q", got)
	}
	r.take("4.1 demo@1.2.0")
}

func TestADeadReceiverHoldsUpNobody(t *testing.T) {
	w := newWorld(t)
	dead, alive := newReceiver(t, "dead"), newReceiver(t, "alive")
	w.webhook("dead", dead.URL)
	w.webhook("alive", alive.URL)
	dead.Close()
	stop := w.deliver()
	w.publish("1.0.0")
	w.publish("1.1.0")
	alive.take("3.1 demo@1.0.0", "4.1 demo@1.1.0")
	stop()
	list, err := w.lock.Webhooks(t.Context())
	if err != nil || len(list) != 2 {
		t.Fatalf("%v, %v", list, err)
	}
	if done := list[0].Cursor; list[0].ID != "alive" || done.Failed != 0 || done.Error != "" {
		t.Errorf("the living one: %+v", list[0])
	}
	if list[1].Cursor.Seq > 2 {
		t.Errorf("the dead one is taken to have had events: %+v", list[1])
	}
}

func TestAWebhookGetsItsKindsUntilItIsDeleted(t *testing.T) {
	w := newWorld(t)
	none, all := newReceiver(t, "none"), newReceiver(t, "all")
	w.webhook("none", none.URL, api.EventHalted)
	w.webhook("all", all.URL)
	w.deliver()
	w.publish("1.0.0")
	all.take("3.1 demo@1.0.0")
	if err := w.lock.DeleteWebhook(t.Context(), op, "all"); err != nil {
		t.Fatal(err)
	}
	last := newReceiver(t, "last")
	w.webhook("last", last.URL)
	w.publish("1.1.0")
	last.take("6.1 demo@1.1.0")
	if got := none.deliveries(); len(got) > 0 {
		t.Errorf("a webhook for halts got %q", got)
	}
}

// Who wants little is not led through the whole journal at each start.
func TestThePlaceMovesOverWhatIsNotWanted(t *testing.T) {
	w := newWorld(t)
	r := newReceiver(t, "a")
	w.webhook("a", r.URL, api.EventHalted)
	for i := range 1100 {
		if _, err := w.lock.CreateWebhook(t.Context(), op, lock.Webhook{ID: "x", URL: r.URL}); err != nil {
			t.Fatal(i, err)
		}
		if err := w.lock.DeleteWebhook(t.Context(), op, "x"); err != nil {
			t.Fatal(i, err)
		}
	}
	w.deliver()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for done := uint64(0); done < 1000; <-tick.C {
		list, err := w.lock.Webhooks(t.Context())
		if err != nil || len(list) != 1 {
			t.Fatalf("%v, %v", list, err)
		}
		done = list[0].Cursor.Seq
	}
	if got := r.deliveries(); len(got) > 0 {
		t.Errorf("it got %q", got)
	}
}

func TestWaitEndsWithTheEventTheTimeOrTheCaller(t *testing.T) {
	w := newWorld(t)
	type result struct {
		list []api.Event
		next uint64
	}
	got := make(chan result)
	go func() {
		list, next, err := w.feed.Wait(t.Context(), 0, 10, time.Hour)
		if err != nil {
			t.Error(err)
		}
		got <- result{list, next}
	}()
	w.publish("1.0.0")
	if r := <-got; len(r.list) != 1 || r.next != 1 || r.list[0].Kind != api.EventPublished || r.list[0].By != "ci" {
		t.Errorf("waited for %+v", r)
	}
	list, next, err := w.feed.Wait(t.Context(), 1, 10, time.Millisecond)
	if err != nil || len(list) != 0 || next != 1 {
		t.Errorf("after the time: %v %d %v", list, next, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if list, _, err := w.feed.Wait(ctx, 0, 10, time.Hour); err != nil && len(list) != 0 {
		t.Errorf("a caller that left: %v %v", list, err)
	}
	if raw, err := json.Marshal(list); err != nil || string(raw) != "[]" {
		t.Errorf("no events are %s, %v", raw, err)
	}
}
