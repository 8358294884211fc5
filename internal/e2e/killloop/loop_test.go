package killloop

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"sync"
	"testing"
	"time"

	"chartd.dev/chartd/internal/api"
	"chartd.dev/chartd/internal/client"
	"chartd.dev/chartd/internal/e2e/rig"
	"chartd.dev/chartd/internal/ref"
	"chartd.dev/chartd/internal/testtools"
)

const (
	inFlight = 8   // writers at a time
	enough   = 100 // acknowledged writes before the kill may come
)

// loop is one series of kills and what the servers acknowledged in it.
type loop struct {
	t      *testing.T
	binary string
	root   string
	data   string
	log    string

	n              int // versions made, over all rounds
	total, unknown int

	mu      sync.Mutex
	charts  map[string]ref.Digest          // acknowledged version -> package
	tried   map[string]ref.Digest          // sent, answered or not
	pins    map[ref.Env]map[uint64]api.Pin // acknowledged
	flying  map[ref.Env]bool               // a pin was sent and not answered
	binding []ref.BindingID
	acked   int
	enough  chan struct{}
}

func newLoop(t *testing.T, binary string) *loop {
	root, err := testtools.Root()
	if err != nil {
		t.Fatal(err)
	}
	return &loop{t: t, binary: binary, root: root}
}

// fresh begins a new data directory.
func (l *loop) fresh(data string) {
	l.data, l.binding = data, nil
	l.charts, l.tried = map[string]ref.Digest{}, map[string]ref.Digest{}
	l.pins = map[ref.Env]map[uint64]api.Pin{}
}

// keep moves the data directory to where the test's end does not remove it.
func (l *loop) keep() string {
	dir, err := os.MkdirTemp("", "chartd-killed-")
	if err == nil {
		err = os.Rename(l.data, dir+"/data")
	}
	if err != nil {
		return err.Error()
	}
	return dir
}

// round starts the server, checks all that earlier rounds acknowledged, writes
// until the kill, and checks what is on disk. It returns what is wrong.
func (l *loop) round(ctx context.Context) []string {
	s, err := rig.Start(ctx, rig.ServerConfig{Binary: l.binary, Data: l.data, Args: []string{"--log-level", "warn"}})
	if err != nil {
		return []string{"restart: " + err.Error()}
	}
	c, err := s.Client()
	if err != nil {
		s.Kill()
		return []string{err.Error()}
	}
	l.acked, l.enough, l.flying = 0, make(chan struct{}), map[ref.Env]bool{}
	stop, cancel := context.WithCancel(ctx)
	var wg sync.WaitGroup
	failed := make([]error, inFlight)
	for w := range inFlight {
		wg.Go(func() { failed[w] = l.write(stop, c, w) })
	}
	ended := make(chan struct{})
	go func() { wg.Wait(); close(ended) }()
	select {
	case <-ended:
	case <-l.enough:
		// The moment of the kill is what the loop varies.
		<-time.After(time.Duration(rand.IntN(20_000)) * time.Microsecond)
	case <-time.After(2 * time.Minute):
		failed = append(failed, fmt.Errorf("only %d writes in two minutes", l.acked))
	case <-s.Done():
	}
	s.Kill()
	cancel()
	<-ended
	l.log = s.Log()
	l.total += l.acked
	if err := errors.Join(failed...); err != nil {
		return []string{err.Error()}
	}
	return l.check(ctx)
}

// write publishes and pins in turn until the server is gone.
func (l *loop) write(ctx context.Context, c *client.Client, w int) error {
	env, err := ref.ParseEnv(fmt.Sprintf("hub%d/prod", w))
	if err != nil {
		return err
	}
	l.mu.Lock()
	if l.pins[env] == nil {
		l.pins[env] = map[uint64]api.Pin{}
	}
	l.mu.Unlock()
	base, err := l.environment(ctx, c, env)
	for n := 0; err == nil; n++ {
		id, ok := l.pinnable()
		if n%2 == 0 || !ok {
			err = l.publish(ctx, c)
			continue
		}
		err = l.pin(ctx, c, pin{env, base, id})
		if err == nil {
			base++
		}
	}
	// A refusal by a living server is a fault; a broken connection is the kill.
	if e := (*api.Error)(nil); errors.As(err, &e) && e.Status != 0 {
		return fmt.Errorf("writer %d: %w", w, err)
	}
	return nil
}

func (l *loop) environment(ctx context.Context, c *client.Client, env ref.Env) (uint64, error) {
	e, err := c.Environment(ctx, env)
	if err == nil {
		return e.Revision, nil
	}
	if api := (*api.Error)(nil); !errors.As(err, &api) || api.Status != 404 {
		return 0, err
	}
	_, err = c.CreateEnvironment(ctx, api.CreateEnvironment{Env: env, Chart: "plain"})
	return 0, err
}

func (l *loop) publish(ctx context.Context, c *client.Client) error {
	l.mu.Lock()
	l.n++
	version := fmt.Sprintf("1.0.%d", l.n)
	l.mu.Unlock()
	pkg, err := rig.Hub{Chart: "plain", Version: version}.Package(l.root)
	if err != nil {
		return err
	}
	l.mu.Lock()
	l.tried[version] = ref.DigestOf(pkg)
	l.mu.Unlock()
	out, err := c.Publish(ctx, client.PublishRequest{Package: pkg})
	if err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.charts[version] = ref.DigestOf(pkg)
	if out.Chart.Binding != nil {
		l.binding = append(l.binding, out.Chart.Binding.ID)
	}
	l.ack()
	return nil
}

// pinnable is the newest binding that is some writes old: a server that answers
// too early must fail by losing a write, not by not knowing the last binding
// yet. It never goes back.
func (l *loop) pinnable() (ref.BindingID, bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.binding) <= 2*inFlight {
		return ref.BindingID{}, false
	}
	return l.binding[len(l.binding)-1-2*inFlight], true
}

type pin struct {
	env     ref.Env
	base    uint64
	binding ref.BindingID
}

func (l *loop) pin(ctx context.Context, c *client.Client, p pin) error {
	env := p.env
	l.mu.Lock()
	l.flying[env] = true
	l.mu.Unlock()
	made, err := c.Pin(ctx, client.PinCall{Env: env, Base: p.base, Pin: api.PinRequest{Binding: p.binding, Reason: "kill loop", Downgrade: "published at the same time"}})
	if err != nil {
		return err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	l.pins[env][made.Revision] = made
	l.flying[env] = false
	l.ack()
	return nil
}

// ack counts; the caller holds the lock.
func (l *loop) ack() {
	l.acked++
	if l.acked == enough {
		close(l.enough)
	}
}
