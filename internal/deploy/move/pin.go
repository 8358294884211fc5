package move

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"chartd.dev/chartd/internal/advice"
	"chartd.dev/chartd/internal/api"
	"chartd.dev/chartd/internal/client"
	"chartd.dev/chartd/internal/model"
)

// pin asks for the pins of a move under the key of n, and settles what became
// of them where the answer was lost. With an error nothing is pinned, and never
// will be under that key, if that is known; else the error says that it isn't.
func (m move) pin(ctx context.Context, c *client.Client, n intent, files bool) (res api.PinSetResult, known bool, err error) {
	res, err = m.send(ctx, c, n.Key)
	if err == nil || client.Refused(err) {
		return res, true, m.explain(err)
	}
	pins, unknown := settle(ctx, c, n)
	switch {
	case unknown != nil:
		return res, false, n.unsettled(files, err)
	case len(pins) == 0:
		return res, true, nothingPinned(err, files)
	}
	return api.PinSetResult{Set: pins[0].Set, Pins: pins}, true, nil
}

func (m move) send(ctx context.Context, c *client.Client, key string) (api.PinSetResult, error) {
	switch {
	case len(m.todo()) == 0:
		return api.PinSetResult{}, nil
	case len(m.Steps) == 1:
		p, err := c.Pin(ctx, m.call(m.Steps[0], key))
		return api.PinSetResult{Pins: []api.Pin{p}}, err
	}
	return c.PinSet(ctx, m.set(), key)
}

// settleTimeout bounds the question what became of a pin.
const settleTimeout = 20 * time.Second

// settle returns the pins that the key made. With none, it has made sure that
// there never will be one.
func settle(ctx context.Context, c *client.Client, n intent) ([]api.Pin, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), settleTimeout)
	defer cancel()
	first, err := c.FencePin(ctx, n.Envs[0], n.Key)
	if err != nil || first.Pin == nil {
		return nil, err
	}
	out := []api.Pin{*first.Pin}
	for _, env := range n.Envs[1:] {
		p, err := c.PinByKey(ctx, env, n.Key)
		if err != nil {
			return nil, err
		}
		out = append(out, p)
	}
	return out, nil
}

// unsettled is the error where the server does not say what became of a pin.
func (n intent) unsettled(files bool, err error) error {
	told := &api.Error{Code: cmp.Or(api.CodeOf(err), api.CodeUnavailable)}
	if files {
		told.Message = fmt.Sprintf("whether %s was pinned is not known, and the files are kept ready: %v", n.Envs[0], err)
		told.Want = fmt.Sprintf("run %s once it answers", advice.Recover)
		return told
	}
	told.Message = fmt.Sprintf("whether %s was pinned is not known: %v", n.Envs[0], err)
	told.Want = "look with " + advice.History.With(model.Facts{Env: n.Envs[0]})
	return told
}

// nothingPinned is what a request came to whose answer was lost.
func nothingPinned(lost error, files bool) error {
	var e *api.Error
	if !errors.As(lost, &e) {
		return lost
	}
	told := *e
	told.Message += "; nothing was pinned"
	if files {
		told.Message += ", and no file is changed"
	}
	return &told
}

// explain tells who won, where a pin lost a race.
func (m move) explain(err error) error {
	var e *api.Error
	if !errors.As(err, &e) || e.Code != api.CodeStale {
		return err
	}
	told := *e
	told.Want = ""
	switch {
	case e.Current != nil:
		p := e.Current
		told.Message = fmt.Sprintf("%s moved meanwhile: %s pinned revision %d (%s@%s, %s) first; look at it, then try again",
			p.Env, p.By, p.Revision, p.Name, p.Version, p.Kind)
	case len(m.Steps) == 1 && e.Revision > 0:
		told.Message = fmt.Sprintf("%s moved meanwhile from revision %d to %d; look at it, then try again", m.Steps[0].Env, m.Steps[0].Base, e.Revision)
	}
	return &told
}
