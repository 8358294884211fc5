package gatetest

import (
	"math/rand/v2"
	"sync/atomic"

	"chartd.dev/chartd/internal/model"
)

// Lookup is what a client looks up before it asks, so that much of what it
// asks for passes. Others may have moved on by then.
type Lookup interface {
	Now(env int) (Now, error)
	PinnedTo(env, revision int) (binding int, err error)
	OpenHalts() ([]int, error)
}

// Now is an environment as it was looked up. Halted says that a halt was
// raised there.
type Now struct {
	Revision, Binding int
	Halted            bool
}

// Client asks at random.
type Client struct {
	Lookup
	ID     int
	Random *rand.Rand
	Hands  *atomic.Int64 // halts by hand so far, of all clients
	// Soaks are what a policy may ask for, in seconds.
	Soaks []int
	// Idle is what it does where nobody but the server itself can: let time
	// pass.
	Idle []string
}

func (c *Client) one(n int) bool { return c.Random.IntN(n) == 0 }

// Ask is the next thing to ask.
func (c *Client) Ask() (Ask, error) {
	in := Ask{Client: c.ID, Env: c.Random.IntN(Envs), Binding: c.Random.IntN(Bindings), After: Anywhere}
	s, err := c.Now(in.Env)
	if err != nil {
		return in, err
	}
	switch n := c.Random.IntN(100); {
	case n < 40:
		in.Verb = "pin"
		in.Pin, err = c.pin(in.Env, s, in.Binding)
	case n < 44:
		in.Verb = "set"
		in.Pin, in.More, err = c.set(in.Env, s, in.Binding)
	case n < 64 && s.Revision > 0:
		in.Verb, in.Revision = "report", s.Revision
		if in.Revision > 1 && c.one(6) {
			in.Revision--
		}
		in.Binding, err = c.PinnedTo(in.Env, in.Revision)
		in.State = []model.Verdict{model.Passed, model.Passed, model.Passed, model.Passed, model.Started, model.Failed}[c.Random.IntN(6)]
	case n < 66 && c.Hands.Add(1) <= maxHands:
		in.Verb = "halt"
	case n < 73:
		var open []int
		in.Verb = c.idle(1)
		if open, err = c.OpenHalts(); len(open) > 0 {
			in.Verb, in.Halt = "resolve", open[c.Random.IntN(len(open))]
		}
	case n < 80:
		in.Verb = "approve"
	case n < 82:
		in.Verb, in.Approvals = "policy", c.Random.IntN(2)
		if UpOf[in.Env] >= 0 {
			in.Soak = c.Soaks[c.Random.IntN(len(c.Soaks))]
		}
	case n < 83:
		in.Verb = c.idle(0)
	case n < 93:
		in.Verb = c.idle(1)
	default:
		in.Verb = "read"
	}
	return in, err
}

func (c *Client) idle(i int) string {
	if i < len(c.Idle) {
		return c.Idle[i]
	}
	return "read"
}

func (c *Client) set(e int, s Now, binding int) (one, two Pin, err error) {
	if one, err = c.pin(e, s, binding); err != nil {
		return one, two, err
	}
	one.Kind, one.From = model.Bump, 0
	two = one
	two.Env = (e + 1 + c.Random.IntN(Envs-1)) % Envs
	other, err := c.Now(two.Env)
	two.Base = other.Revision
	return one, two, err
}

func (c *Client) pin(e int, s Now, binding int) (p Pin, err error) {
	p = Pin{Env: e, Base: s.Revision, Binding: binding, Kind: model.Bump, Client: c.ID, Downgrade: c.one(2), Glass: c.one(15)}
	switch n := c.Random.IntN(10); {
	case n < 3 && UpOf[e] >= 0:
		p.Kind, p.From = model.Promote, UpOf[e]
		from, err := c.Now(p.From)
		if err != nil {
			return p, err
		}
		if from.Revision > 0 && !c.one(8) {
			p.Binding = from.Binding
		}
	case n < 6 && s.Revision > 0:
		p.Kind, p.From = model.Rollback, 1+c.Random.IntN(s.Revision)
		p.Binding, err = c.PinnedTo(e, p.From)
	case n < 8 && (s.Halted || c.one(10)):
		p.Kind = model.Fix
	}
	return p, err
}
