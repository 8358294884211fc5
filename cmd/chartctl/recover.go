package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"chartd.dev/chartd/internal/api"
	"chartd.dev/chartd/internal/client"
	"chartd.dev/chartd/internal/deploy/fileset"
	"chartd.dev/chartd/internal/ref"
)

// intent is what the journal of a change keeps about its pin, so that whoever
// finds it can ask what became of it.
type intent struct {
	Format  int             `json:"format"`
	Server  string          `json:"server"`
	Key     string          `json:"key,omitempty"` // of the request; "" where nothing is pinned
	Envs    []ref.Env       `json:"environments"`  // that the request pins
	Request json.RawMessage `json:"request,omitempty"`
}

const intentFormat = 1

func (n intent) encode() json.RawMessage {
	b, err := json.Marshal(n)
	if err != nil {
		panic(err) // made of strings
	}
	return b
}

func readIntent(tx *fileset.Tx) (intent, error) {
	var n intent
	err := json.Unmarshal(tx.Note(), &n)
	if err == nil && n.Format != intentFormat {
		err = fmt.Errorf("it has format %d, and this chartctl knows format %d", n.Format, intentFormat)
	}
	if err == nil && n.Key != "" && len(n.Envs) == 0 {
		err = errors.New("it names no environment")
	}
	if err != nil {
		return n, localIO("the journal of an earlier change cannot be read (%v): use the chartctl that wrote it", err)
	}
	return n, nil
}

// settleTimeout bounds the question what became of a pin.
const settleTimeout = 20 * time.Second

// settle returns the pins that the key made. With none, it has made sure that
// there never will be one.
func settle(ctx context.Context, c *client.Client, n intent) ([]api.Pin, error) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), settleTimeout)
	defer cancel()
	var out []api.Pin
	for i, env := range n.Envs {
		p, err := c.PinByKey(ctx, env, n.Key)
		if i == 0 && code(err) == api.CodeNotFound {
			var f api.Fence
			if f, err = c.FencePin(ctx, env, n.Key); err == nil && f.Pin == nil {
				return nil, nil
			}
			if f.Pin != nil {
				p = *f.Pin
			}
		}
		if err != nil {
			return nil, err
		}
		out = append(out, p)
	}
	return out, nil
}

// code is the code of an error of the API, empty for any other.
func code(err error) api.Code { return api.CodeOf(err) }

// recovered is what became of an unfinished change.
type recovered struct {
	State string    `json:"state"` // "finished", "discarded", "nothing"
	Files []string  `json:"files,omitempty"`
	Pins  []api.Pin `json:"pins,omitempty"`
}

func (r recovered) tell(a *app) {
	switch {
	case r.State == "discarded":
		a.note("recovered: nothing had been pinned, so the changes to %s were discarded", strings.Join(r.Files, ", "))
	case len(r.Pins) > 0:
		a.note("recovered: %s, so the files were finished: %s", madePins(r.Pins), strings.Join(r.Files, ", "))
	default:
		a.note("recovered: the files were finished: %s", strings.Join(r.Files, ", "))
	}
}

// madePins says which revisions were made.
func madePins(pins []api.Pin) string {
	var out []string
	for _, p := range pins {
		out = append(out, fmt.Sprintf("%s is pinned as revision %d", p.Env, p.Revision))
	}
	return strings.Join(out, ", ")
}

// recoverPending finishes or discards what an earlier command left; its state
// is empty if there is nothing. With discard, files whose pin was made are
// dropped too.
func (a *app) recoverPending(ctx context.Context, co *checkout, discard bool) (recovered, error) {
	var out recovered
	tx, err := co.repo.Root().Pending()
	if err != nil || tx == nil {
		return out, repoError(err)
	}
	for _, c := range tx.Changes() {
		out.Files = append(out.Files, c.Path)
	}
	n, err := readIntent(tx)
	if err != nil {
		return out, err
	}
	if n.Key != "" {
		if n.Server != co.client.Server() {
			return out, usage("an earlier change of this checkout is unfinished, and it was pinned at %s, not at %s: run chartctl recover --server %s", n.Server, co.client.Server(), n.Server)
		}
		if out.Pins, err = settle(ctx, co.client, n); err != nil {
			return out, unsettled(n, err)
		}
	}
	if discard || n.Key != "" && len(out.Pins) == 0 {
		out.State = "discarded"
		return out, repoError(tx.Abort())
	}
	out.State = "finished"
	if err := tx.Finish(); err != nil {
		return out, halfway(out.Pins, err)
	}
	return out, nil
}

// unsettled is the error where the server does not say what became of a pin.
func unsettled(n intent, err error) error {
	told := &api.Error{Code: api.CodeUnavailable, Want: "run chartctl recover once it answers"}
	if c := code(err); c != "" {
		told.Code = c
	}
	told.Message = fmt.Sprintf("whether %s was pinned is not known, and the files are kept ready: %v", n.Envs[0], err)
	return told
}

// halfway is the error where files could not be written after the pin.
func halfway(pins []api.Pin, err error) error {
	state := "nothing is left to pin"
	if len(pins) > 0 {
		state = madePins(pins)
	}
	if errors.Is(err, fileset.ErrChanged) {
		return &api.Error{Code: api.CodeLocalIO, Message: fmt.Sprintf("%s, but %v", state, err),
			Want: "put that file back and run chartctl recover, or give up the prepared files with chartctl recover --discard"}
	}
	return &api.Error{Code: api.CodeLocalIO, Message: fmt.Sprintf("%s, but the files are not all written: %v", state, err), Want: "run chartctl recover"}
}

func (a *app) recover() *cobra.Command {
	var f fileFlags
	var discard bool
	c := &cobra.Command{
		Use:   "recover",
		Short: "Finish or discard what an interrupted command left in the deploy repo",
		Long: `A command that pins and writes files can be interrupted between the two. Recover
asks the server what became of the pin: if it was made, the files are finished;
if not, the server is told to refuse it from now on, and the files stay as they
were. If the server can't be reached, nothing changes (exit 10). Every command
that changes the deploy repo does the same before it starts.

--discard gives up the files even if the pin was made, where one of them was
edited meanwhile; a bump to the same version writes them again.`,
		Example: "  chartctl recover\n  chartctl recover -C ~/hubs",
		Args:    args(0, 0),
	}
	c.Flags().StringVarP(&f.dir, "directory", "C", "", "work in the deploy repo of this directory")
	c.Flags().BoolVar(&discard, "discard", false, "give up the files, whatever became of the pin")
	c.RunE = func(cmd *cobra.Command, _ []string) error { return a.doRecover(cmd.Context(), f, discard) }
	return c
}

func (a *app) doRecover(ctx context.Context, f fileFlags, discard bool) error {
	f.dir = first(f.dir, ".")
	co, err := a.find(ctx, f)
	if err != nil {
		return err
	}
	defer co.leave()
	if co.client, err = a.clientAt(co.repo.Config().Server); err != nil {
		return err
	}
	if err := co.lock(ctx); err != nil {
		return err
	}
	done, err := a.recoverPending(ctx, co, discard)
	if err != nil {
		return err
	}
	if done.State == "" {
		done.State = "nothing"
	}
	return a.print(done, func(w *writer) {
		switch done.State {
		case "nothing":
			w.line("nothing to recover")
		default:
			w.line("%s: %s", done.State, strings.Join(done.Files, ", "))
			for _, p := range done.Pins {
				w.line("%s is pinned as revision %d", p.Env, p.Revision)
			}
		}
	})
}
