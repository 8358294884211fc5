// Package gatelinear plays histories of the gate on the real server, which is
// killed in the middle of them. Test support only.
package gatelinear

import (
	"encoding/json"
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

	"chartd.dev/chartd/lock"
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
			ops := g.play(uint64(i))
			if g.Failed() {
				return
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
	g := newField(t).begin(t, 1)
	ops := g.play(1)
	if g.Failed() {
		return
	}
	if wrong := g.judge(ops); wrong != "" {
		t.Fatal(wrong)
	}
	lost := slices.Clone(ops)
	i := slices.IndexFunc(lost, func(o porcupine.Operation) bool {
		in, out := o.Input.(gatetest.Ask), o.Output.(gatetest.Told)
		return in.Verb == "pin" && out.Rule == "" && in.Line != 0
	})
	in := lost[i].Input.(gatetest.Ask)
	in.Line = 0
	lost[i].Input = in
	if g.judge(lost) == "" {
		t.Errorf("nobody misses the line of %+v", in)
	}
	for env := range g.start.Envs {
		g.start.Envs[env].Approvals = gatetest.Clients
	}
	if wrong := g.judge(ops); !strings.Contains(wrong, "approvals") {
		t.Errorf("pins without approvals are found to be: %q", wrong)
	}
}

// play lets the clients ask at once, with a kill in between, and returns what
// each was told.
func (g *game) play(seed uint64) []porcupine.Operation {
	var all [gatetest.Clients][]porcupine.Operation
	var answered, hands atomic.Int64
	enough, ended := make(chan struct{}), make(chan struct{})
	random := rand.New(rand.NewPCG(seed, 1000))
	after := int64(gatetest.Clients * each / 5 * (1 + random.IntN(3)))
	var wait sync.WaitGroup
	for id := range all {
		wait.Go(func() {
			p, err := g.player(gatetest.Client{
				ID: id, Random: rand.New(rand.NewPCG(seed, uint64(id))), Hands: &hands, Soaks: []int{0, 0, 0, day},
			})
			for n := 0; err == nil && n < each; n++ {
				var o porcupine.Operation
				o, err = g.one(p, n)
				all[id] = append(all[id], o)
				if answered.Add(1) == after {
					close(enough)
				}
			}
			if err != nil {
				g.Errorf("client %d, operation %d: %v", id, len(all[id]), err)
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
	if g.Failed() {
		return nil
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

// place gives each operation the line that it left in the journal. A pin that
// was refused by a server that died before it said so was asked again: the
// first line is an operation whose answer was lost.
func (g *game) place(all [gatetest.Clients][]porcupine.Operation) (out []porcupine.Operation) {
	for _, l := range g.lines() {
		id, ok := gatetest.ClientNumber(l.By.Name)
		if !ok {
			continue
		}
		n, err := operation(l, id)
		if err != nil || n >= each {
			g.Fatalf("line %d is of operation %d (%v): %s", l.Seq, n, err, l.Detail)
		}
		o := &all[id][n]
		in := o.Input.(gatetest.Ask)
		if in.Line != 0 {
			lost := *o
			lost.Output = gatetest.Told{Lost: true, Rule: "?"}
			out = append(out, lost)
		}
		in.Line = l.Seq
		o.Input = in
	}
	for _, ops := range all {
		out = append(out, ops...)
	}
	return out
}

// operation reads the number of the operation that left the line.
func operation(l lock.Line, id int) (int, error) {
	switch {
	case l.Verb == "policy":
		var d struct {
			New struct{ Deadline lock.Duration }
		}
		err := json.Unmarshal(l.Detail, &d)
		return int((time.Duration(d.New.Deadline)-markedDeadline)/time.Second) - 1 - id*each, err
	case l.Verb == "report":
		var d struct{ Report struct{ Note string } }
		err := json.Unmarshal(l.Detail, &d)
		return number(d.Report.Note, err)
	case l.Verb == "resolve":
		var d struct{ Ended struct{ Reason string } }
		err := json.Unmarshal(l.Detail, &d)
		return number(d.Ended.Reason, err)
	case l.Result == "refused":
		var d struct{ Asked struct{ Reason string } }
		err := json.Unmarshal(l.Detail, &d)
		return number(d.Asked.Reason, err)
	case l.Verb == "pinset":
		var d struct{ Pins [2]struct{ Reason string } }
		err := json.Unmarshal(l.Detail, &d)
		return number(d.Pins[0].Reason, err)
	}
	var d struct{ Reason string }
	err := json.Unmarshal(l.Detail, &d)
	return number(d.Reason, err)
}

func number(text string, err error) (int, error) {
	digits, ok := strings.CutPrefix(text, "op-")
	if err != nil || !ok {
		return 0, fmt.Errorf("%q names no operation (%v)", text, err)
	}
	return strconv.Atoi(digits)
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
