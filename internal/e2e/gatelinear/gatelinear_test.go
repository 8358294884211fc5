// Package gatelinear plays histories of the gate on the real server, which is
// killed in the middle of them. Test support only.
package gatelinear

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"chartd.dev/chartd/internal/testtools"
	"chartd.dev/chartd/lock/gatetest"
)

const each = 40 // operations of a client

// day is a soak that no history is long enough for.
const day = 24 * 60 * 60

// kills is how many histories a run plays: more where CHARTD_GATE_KILLS says
// so.
func kills(t *testing.T) int {
	if s := os.Getenv("CHARTD_GATE_KILLS"); s != "" {
		n, err := strconv.Atoi(s)
		if err != nil {
			t.Fatalf("CHARTD_GATE_KILLS is %q: want a number", s)
		}
		return n
	}
	if testing.Short() {
		return 3
	}
	return 20
}

// Eight clients move the environments of a server that is killed and started
// again meanwhile: what they are told is one history of the world, and the
// journal has no pin that breaks the gate in force.
func TestGateSurvivesKills(t *testing.T) {
	f := newField(t)
	count, underWay := map[string]int{}, 0
	for i := range kills(t) {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			g := f.begin(t, uint64(i))
			ops, err := g.play(uint64(i))
			if err != nil {
				t.Fatal(err)
			}
			if wrong := g.judge(ops); wrong != "" {
				t.Error(wrong)
			}
			g.end()
			underWay += g.underWay(ops)
			for _, o := range ops {
				in, out := o.Input.(gatetest.Ask), o.Output.(gatetest.Told)
				count[in.Verb+" "+string(in.Pin.Kind)+" "+out.Rule]++
			}
		})
	}
	if underWay == 0 {
		t.Error("no operation was under way when the server was killed")
	}
	t.Logf("%d operations were under way at a kill; the clients were told %v", underWay, count)
}

// A judge that finds nothing proves nothing: a pin that was acknowledged and is
// not in the journal, and those that nobody approved, are found.
func TestWrongHistoriesAreFound(t *testing.T) {
	f := newField(t)
	last := ""
	for seed := uint64(1); seed <= 10; seed++ {
		g := f.begin(t, seed)
		ops, err := g.play(seed)
		if err != nil {
			t.Fatal(err)
		}
		if wrong := g.judge(ops); wrong != "" {
			t.Fatal(wrong)
		}
		lost := slices.Clone(ops)
		i := slices.IndexFunc(lost, func(o porcupine.Operation) bool {
			in, out := o.Input.(gatetest.Ask), o.Output.(gatetest.Told)
			return in.Verb == "pin" && out.Rule == "" && in.Line != 0
		})
		if i < 0 {
			continue // a halt came before every pin
		}
		in := lost[i].Input.(gatetest.Ask)
		in.Line = 0
		lost[i].Input = in
		if g.judge(lost) == "" {
			t.Errorf("nobody misses the line of %+v", in)
		}
		for env := range g.start.Envs {
			g.start.Envs[env].Approvals = gatetest.Clients
		}
		// Where only fixes came through, there is nothing to find.
		if last = g.judge(ops); strings.Contains(last, "approvals") {
			return
		}
	}
	t.Errorf("pins without approvals are found to be: %q", last)
}

// A server that answers before it commits is found: what it acknowledged is
// lost in a kill.
func TestEarlyAnswersAreFound(t *testing.T) {
	f := newField(t)
	f.binary = testtools.ChartdTagged(t, "chartd_seeded")
	for i := range 20 {
		g := f.begin(t, uint64(i))
		ops, err := g.play(uint64(i))
		if err != nil {
			t.Logf("history %d: %v", i, err)
			continue
		}
		if wrong := g.judge(ops); wrong != "" {
			t.Logf("history %d: %s", i, wrong)
			return
		}
	}
	t.Error("20 histories are fine")
}

// play lets the clients ask at once, with a kill in between, and returns what
// each was told.
func (g *game) play(seed uint64) ([]porcupine.Operation, error) {
	var all [gatetest.Clients][]porcupine.Operation
	var failed [gatetest.Clients]error
	var answered, hands atomic.Int64
	enough, ended := make(chan struct{}), make(chan struct{})
	random := rand.New(rand.NewPCG(seed, 1000))
	after := int64(gatetest.Clients * each / 5 * (1 + random.IntN(3)))
	var wait sync.WaitGroup
	for id := range all {
		p, err := g.player(gatetest.Client{
			ID: id, Random: rand.New(rand.NewPCG(seed, uint64(id))), Hands: &hands, Soaks: []int{0, 0, 0, day},
		})
		if err != nil {
			return nil, err
		}
		wait.Go(func() {
			var err error
			for n := 0; err == nil && n < each; n++ {
				var o porcupine.Operation
				o, err = g.one(p, n)
				all[id] = append(all[id], o)
				if answered.Add(1) == after {
					close(enough)
				}
			}
			if err != nil {
				failed[id] = fmt.Errorf("client %d, operation %d: %w", id, len(all[id]), err)
			}
		})
	}
	go func() { wait.Wait(); close(ended) }()
	select {
	case <-enough:
		g.killed = int64(time.Since(g.began))
		g.server.Kill()
		g.run()
	case <-ended:
	}
	<-ended
	if err := errors.Join(failed[:]...); err != nil {
		return nil, err
	}
	return g.place(all)
}

func (g *game) one(p *player, n int) (o porcupine.Operation, err error) {
	in, err := p.Ask()
	if err != nil {
		return o, err
	}
	o = porcupine.Operation{ClientId: p.ID, Input: in, Call: int64(time.Since(g.began))}
	o.Output, err = p.do(in, n)
	o.Return = int64(time.Since(g.began))
	return o, err
}

// underWay counts the operations that the kill found unanswered.
func (g *game) underWay(ops []porcupine.Operation) (n int) {
	for _, o := range ops {
		if o.Call < g.killed && g.killed < o.Return {
			n++
		}
	}
	return n
}

// judge holds the history and the journal against the world, and says what is
// wrong; "" if nothing is.
func (g *game) judge(ops []porcupine.Operation) string {
	g.Helper()
	broken, err := gatetest.Journal{Lines: g.lines(), Numbers: g.numbers}.Broken(g.start)
	if err != nil {
		g.Fatal(err)
	}
	if len(broken) > 0 {
		return fmt.Sprintf("the journal breaks the gate: %q", broken)
	}
	if !porcupine.CheckOperations(gatetest.Model(g.start), ops) {
		return "what the clients were told is no history of the world"
	}
	return ""
}
