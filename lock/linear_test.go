package lock_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"testing"
	"time"

	"github.com/anishathalye/porcupine"

	"chartd.dev/chartd/internal/ref"
	"chartd.dev/chartd/lock"
	"chartd.dev/chartd/lock/memstore"
	"chartd.dev/chartd/lock/store"
)

// pinInput is a pin, or a read of the environment where the base is -1.
type pinInput struct {
	env     string
	base    int
	binding ref.BindingID
}

// pinOutput is the environment as the answer shows it.
type pinOutput struct {
	ok       bool // pinned; of a read always false
	revision int
	binding  ref.BindingID
}

// register is what an environment is to its clients: a revision and a binding,
// moved by compare-and-swap.
var register = porcupine.Model{
	Partition: func(all []porcupine.Operation) [][]porcupine.Operation {
		parts := map[string][]porcupine.Operation{}
		for _, o := range all {
			e := o.Input.(pinInput).env
			parts[e] = append(parts[e], o)
		}
		var out [][]porcupine.Operation
		for _, p := range parts {
			out = append(out, p)
		}
		return out
	},
	Init: func() any { return pinOutput{} },
	Step: func(state, input, output any) (bool, any) {
		s, in, out := state.(pinOutput), input.(pinInput), output.(pinOutput)
		if in.base == s.revision {
			next := pinOutput{true, s.revision + 1, in.binding}
			return out == next, pinOutput{false, next.revision, next.binding}
		}
		return out == s, s
	},
	DescribeOperation: func(in, out any) string { return fmt.Sprintf("%+v → %+v", in, out) },
}

// history lets clients pin and read a few environments at once and returns
// what they were asked and told.
func history(t *testing.T, r *rig, envs []string, bindings []lock.Binding, seed uint64) []porcupine.Operation {
	const clients, each = 8, 40
	began := time.Now()
	all := make([][]porcupine.Operation, clients)
	var wait sync.WaitGroup
	for client := range clients {
		wait.Go(func() {
			random := rand.New(rand.NewPCG(seed, uint64(client)))
			known := map[string]int{}
			for range each {
				in := pinInput{env: envs[random.IntN(len(envs))], base: -1, binding: bindings[random.IntN(len(bindings))].ID}
				if random.IntN(4) > 0 {
					in.base = known[in.env]
				}
				called := time.Since(began)
				out, err := ask(r, client, in)
				if err != nil {
					t.Errorf("client %d: %+v: %v", client, in, err)
					return
				}
				known[in.env] = out.revision
				all[client] = append(all[client], porcupine.Operation{
					ClientId: client, Input: in, Output: out, Call: int64(called), Return: int64(time.Since(began)),
				})
			}
		})
	}
	wait.Wait()
	var out []porcupine.Operation
	for _, a := range all {
		out = append(out, a...)
	}
	return out
}

func ask(r *rig, client int, in pinInput) (pinOutput, error) {
	if in.base < 0 {
		s, err := r.Environment(r.ctx, env(in.env))
		if err != nil || s.Pin == nil {
			return pinOutput{}, err
		}
		if uint64(s.Pin.Revision) != s.Revision || s.Binding.ID != s.Pin.Binding {
			return pinOutput{}, fmt.Errorf("a mixed state: %+v", s)
		}
		return pinOutput{revision: int(s.Revision), binding: s.Binding.ID}, nil
	}
	op := lock.Op{Actor: lock.Actor{Name: fmt.Sprint("client-", client)}}
	p, err := r.MakePin(r.ctx, op, lock.NewPin{Env: env(in.env), Base: uint64(in.base), Binding: in.binding, Downgrade: "any"})
	var stale *lock.StaleError
	if errors.As(err, &stale) {
		out := pinOutput{revision: int(stale.Revision)}
		if stale.Current != nil {
			out.binding = stale.Current.Binding
		}
		return out, nil
	}
	return pinOutput{err == nil, int(p.Revision), p.Binding}, err
}

func TestPinsAreLinearizable(t *testing.T) {
	for name, c := range map[string]struct {
		store     func() store.Store
		histories int
	}{
		"memory": {func() store.Store { return memstore.New() }, 200},
		"bolt":   {func() store.Store { return bolt(t) }, 20},
	} {
		t.Run(name, func(t *testing.T) {
			if testing.Short() {
				c.histories /= 10
			}
			var r *rig
			var bindings []lock.Binding
			for i := range c.histories {
				if i%10 == 0 { // a small store is a fast one
					r = checkedOn(t, c.store())
					bindings = []lock.Binding{r.publish("1.0.0"), r.publish("2.0.0"), r.publish("3.0.0")}
				}
				var envs []string
				for j := range 1 + i%3 {
					envs = append(envs, fmt.Sprintf("hub%d/s%d", i, j))
					r.create(envs[j])
				}
				h := history(t, r, envs, bindings, uint64(i))
				if !porcupine.CheckOperations(register, h) {
					t.Fatalf("history %d is not linearizable", i)
				}
			}
		})
	}
}

// The checker itself must see what a store without compare-and-swap does.
func TestLostPinIsNotLinearizable(t *testing.T) {
	one, two := ref.BindingIDOf(digest("one"), nil), ref.BindingIDOf(digest("two"), nil)
	ops := []porcupine.Operation{
		{ClientId: 0, Input: pinInput{"data8/prod", 0, one}, Output: pinOutput{true, 1, one}, Call: 0, Return: 2},
		{ClientId: 1, Input: pinInput{"data8/prod", 0, two}, Output: pinOutput{true, 1, two}, Call: 1, Return: 3},
	}
	if porcupine.CheckOperations(register, ops) {
		t.Error("two pins of revision 1 pass")
	}
	ops[1].Output = pinOutput{false, 1, one}
	if !porcupine.CheckOperations(register, ops) {
		t.Error("a winner and a loser do not pass")
	}
}
