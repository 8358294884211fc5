package gatelinear

import (
	"context"
	"math/rand/v2"
	"net/url"
	"os"
	"path/filepath"
	"testing"
	"time"

	"chartd.dev/chartd/internal/api"
	"chartd.dev/chartd/internal/client"
	"chartd.dev/chartd/internal/e2e/rig"
	"chartd.dev/chartd/internal/model"
	"chartd.dev/chartd/internal/ref"
	"chartd.dev/chartd/internal/registrytest"
	"chartd.dev/chartd/internal/testtools"
	"chartd.dev/chartd/lock"
	"chartd.dev/chartd/lock/gatetest"
)

// field is a data directory as every history finds it: the world's bindings
// and environments, and a token for each client.
type field struct {
	binary string
	data   string
	// Of the world, by number.
	envs     [gatetest.Envs]ref.Env
	bindings [gatetest.Bindings]ref.BindingID
	numbers  map[ref.BindingID]int
	tokens   [gatetest.Clients]string
}

// newField publishes versions 1.0.0 and 2.0.0 with their own images, binds
// 1.0.0 to a later build on its own one, and 1.5.0 to an image on somebody's
// word.
func newField(t *testing.T) *field {
	t.Helper()
	f := &field{binary: testtools.Chartd(t), data: filepath.Join(t.TempDir(), "data"), numbers: map[ref.BindingID]int{}}
	registry, err := rig.StartRegistry(t.Context(), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer registry.Stop()
	s, err := rig.Start(t.Context(), rig.ServerConfig{Binary: f.binary, Data: f.data, Args: registry.Flags()})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Kill()
	c, err := s.Client()
	if err == nil {
		err = f.fill(t.Context(), c, registry)
	}
	if err == nil {
		err = s.Stop()
	}
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func (f *field) fill(ctx context.Context, c *client.Client, registry *rig.Registry) error {
	own := registrytest.Make("debian", "hub 1.0.0")
	for name, image := range map[string]registrytest.Image{
		"example/hub:1.0.0": own, "example/hub:2.0.0": registrytest.Make("debian", "hub 2.0.0"),
		"campus/hub:rebuilt": registrytest.From(own, "users"), "campus/hub:word": registrytest.Make("word"),
	} {
		if _, err := image.Push(ctx, registry.Addr+"/"+name); err != nil {
			return err
		}
	}
	root, err := testtools.Root()
	if err != nil {
		return err
	}
	for _, version := range []string{"1.0.0", "1.5.0", "2.0.0"} {
		pkg, err := rig.Hub{Version: version}.Package(root)
		if err != nil {
			return err
		}
		if _, err := c.Publish(ctx, client.PublishRequest{Package: pkg}); err != nil {
			return err
		}
	}
	for _, b := range []struct {
		number         int
		version, image string
		declare        bool
	}{{0, "1.0.0", "", false}, {1, "2.0.0", "", false}, {3, "1.5.0", "campus/hub:word", true}, {2, "1.0.0", "campus/hub:rebuilt", false}} {
		if err := f.bind(ctx, c, b.number, b.version, b.image, b.declare); err != nil {
			return err
		}
	}
	return f.people(ctx, c)
}

func (f *field) bind(ctx context.Context, c *client.Client, number int, version, image string, declare bool) error {
	v, err := ref.ParseChartVersion("jupyterhub", version)
	if err != nil {
		return err
	}
	q := api.BindRequest{Declare: declare}
	if image != "" {
		q.Images = map[ref.Role]string{"hub": "quay.io/" + image}
	}
	if declare {
		q.Reason = "it runs"
	}
	b, _, err := c.Bind(ctx, v, q)
	f.bindings[number], f.numbers[b.ID] = b.ID, number
	return err
}

// people makes the environments and the tokens.
func (f *field) people(ctx context.Context, c *client.Client) (err error) {
	for i, name := range gatetest.EnvNames {
		if f.envs[i], err = ref.ParseEnv(name); err != nil {
			return err
		}
		if _, err := c.CreateEnvironment(ctx, api.CreateEnvironment{Env: f.envs[i], Chart: "jupyterhub"}); err != nil {
			return err
		}
	}
	scopes := []string{"read", "pin:*", "report:*", "approve:*", "override:*", "break-glass:*", "env"}
	for id := range f.tokens {
		t, err := c.CreateToken(ctx, api.TokenRequest{Name: gatetest.ClientName(id), Scopes: scopes})
		if err != nil {
			return err
		}
		f.tokens[id] = t.Secret
	}
	return nil
}

// policy is that of an environment of the world. The deadline, which nobody
// will reach, tells the policies of one history apart.
func (f *field) policy(e gatetest.Env, env, mark int) api.Policy {
	p := api.Policy{
		Accept: []model.Evidence{model.ChartValues, model.BaseLayers, model.Declared}, Halt: e.Scope, Approvals: e.Approvals,
		Soak: (time.Duration(e.Soak) * time.Second).String(), Deadline: (markedDeadline + time.Duration(mark)*time.Second).String(),
	}
	if up := gatetest.UpOf[env]; up >= 0 {
		p.Upstream = []string{gatetest.EnvNames[up]}
	}
	return p
}

const markedDeadline = 100 * time.Hour

// game is one history: a server on a copy of the field, which keeps its
// address when it is killed and started again.
type game struct {
	*field
	*testing.T
	data   string
	server *rig.Server
	admin  *client.Client
	start  gatetest.World
	began  time.Time
	killed int64 // when, since it began
}

func (f *field) begin(t *testing.T, seed uint64) *game {
	t.Helper()
	g := &game{field: f, T: t, data: filepath.Join(t.TempDir(), "data"), began: time.Now()}
	if err := os.CopyFS(g.data, os.DirFS(f.data)); err != nil {
		t.Fatal(err)
	}
	if err := os.Chmod(filepath.Join(g.data, "admin.token"), 0o600); err != nil {
		t.Fatal(err)
	}
	g.run()
	random := rand.New(rand.NewPCG(seed, gatetest.Clients))
	for i := range g.start.Envs {
		e := gatetest.Env{Scope: []model.Scope{model.ScopeEnvironment, model.ScopeHub, model.ScopeEverything}[random.IntN(3)], Approvals: random.IntN(2)}
		g.start.Envs[i] = e
		if _, err := g.admin.SetPolicy(t.Context(), f.envs[i], f.policy(e, i, 0), false); err != nil {
			t.Fatal(err)
		}
	}
	lines := g.lines()
	g.start.Line = lines[len(lines)-1].Seq
	return g
}

// run starts the server, at the address where it was before.
func (g *game) run() {
	g.Helper()
	args := []string{"--log-level", "warn"}
	if g.server != nil {
		u, err := url.Parse(g.server.URL)
		if err != nil {
			g.Fatal(err)
		}
		args = append(args, "--listen", u.Host)
	}
	s, err := rig.Start(g.Context(), rig.ServerConfig{Binary: g.binary, Data: g.data, Args: args})
	if err != nil {
		g.Fatal(err)
	}
	g.server = s
	g.Cleanup(s.Kill)
	if g.admin, err = s.Client(); err != nil {
		g.Fatal(err)
	}
}

// lines is the whole journal.
func (g *game) lines() (out []lock.Line) {
	g.Helper()
	for after := uint64(0); ; {
		page, err := g.admin.Journal(context.WithoutCancel(g.Context()), after, 0)
		if err != nil {
			g.Fatal(err)
		}
		for _, l := range page.Lines {
			out = append(out, lock.Line{
				Seq: l.Seq, At: l.At, By: lock.Actor{Name: l.By, TokenID: l.Token, Source: l.Source},
				Verb: l.Verb, Object: l.Object, Result: l.Result, Detail: l.Detail,
			})
		}
		if page.Next == 0 {
			return out
		}
		after = page.Next
	}
}

// end stops the server and checks what it left.
func (g *game) end() {
	g.Helper()
	if err := g.server.Stop(); err != nil {
		g.Error(err)
	}
	r, err := rig.Run(g.Context(), "", nil, g.binary, "fsck", "--data", g.data)
	if err != nil || r.Code != 0 {
		g.Errorf("fsck: %v, exit %d: %s", err, r.Code, r.Text())
	}
}
