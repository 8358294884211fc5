package move

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"chartd.dev/chartd/internal/advice"
	"chartd.dev/chartd/internal/api"
	"chartd.dev/chartd/internal/deploy"
	"chartd.dev/chartd/internal/deploy/fileset"
	"chartd.dev/chartd/internal/model"
	"chartd.dev/chartd/internal/ref"
)

// intent is what the journal of a change keeps about its pin, so that whoever
// finds it can find out what became of it.
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

// FilesOnly is the note for the journal of a change that pins nothing.
func FilesOnly(server string) json.RawMessage {
	return move{}.intent(server).encode()
}

// Pins reports whether a change that was left unfinished has a pin to settle.
func Pins(tx *fileset.Tx) (bool, error) {
	n, err := readIntent(tx)
	return n.Key != "", err
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

// What became of an unfinished change.
const (
	Finished  = "finished"
	Discarded = "discarded"
	Nothing   = "nothing" // there was none
)

// Recovered is what became of an unfinished change.
type Recovered struct {
	State string    `json:"state"`
	Files []string  `json:"files,omitempty"`
	Pins  []api.Pin `json:"pins,omitempty"`
}

func (r Recovered) said() string {
	files := strings.Join(r.Files, ", ")
	switch {
	case r.State == Discarded:
		return fmt.Sprintf("recovered: nothing had been pinned, so the changes to %s were discarded", files)
	case len(r.Pins) > 0:
		return fmt.Sprintf("recovered: %s, so the files were finished: %s", made(r.Pins), files)
	}
	return "recovered: the files were finished: " + files
}

// made says which revisions were made.
func made(pins []api.Pin) string {
	var out []string
	for _, p := range pins {
		out = append(out, fmt.Sprintf("%s is pinned as revision %d", p.Env, p.Revision))
	}
	return strings.Join(out, ", ")
}

// Recover finishes or discards what an interrupted command left in the deploy
// repo. With discard, files whose pin was made are dropped too.
func Recover(ctx context.Context, at Place, discard bool) (Recovered, error) {
	co, err := Find(ctx, at, true)
	if err != nil {
		return Recovered{}, err
	}
	defer co.Leave()
	if err := co.Connect(); err != nil {
		return Recovered{}, err
	}
	if err := co.lock(ctx); err != nil {
		return Recovered{}, err
	}
	return co.recover(ctx, discard)
}

func (co *Checkout) recover(ctx context.Context, discard bool) (Recovered, error) {
	out := Recovered{State: Nothing}
	tx, err := co.Repo.Root().Pending()
	if err != nil || tx == nil {
		return out, deploy.Coded(err)
	}
	for _, c := range tx.Changes() {
		out.Files = append(out.Files, c.Path)
	}
	n, err := readIntent(tx)
	if err != nil {
		return out, err
	}
	if n.Key != "" {
		if n.Server != co.Client.Server() {
			return out, usage("an earlier change of this checkout is unfinished, and it was pinned at %s, not at %s: run %s", n.Server, co.Client.Server(), advice.RecoverAt.With(model.Facts{Server: n.Server}))
		}
		if out.Pins, err = settle(ctx, co.Client, n); err != nil {
			return out, n.unsettled(true, err)
		}
	}
	if discard || n.Key != "" && len(out.Pins) == 0 {
		out.State = Discarded
		return out, deploy.Coded(tx.Abort())
	}
	out.State = Finished
	if err := tx.Finish(); err != nil {
		return out, halfway(out.Pins, err)
	}
	return out, nil
}

// halfway is the error where files could not be written after the pin.
func halfway(pins []api.Pin, err error) error {
	state := "nothing is left to pin"
	if len(pins) > 0 {
		state = made(pins)
	}
	if errors.Is(err, fileset.ErrChanged) {
		return &api.Error{Code: api.CodeLocalIO, Message: fmt.Sprintf("%s, but %v", state, err),
			Want: fmt.Sprintf("put that file back and run %s, or give up the prepared files with %s", advice.Recover, advice.RecoverDiscard)}
	}
	return &api.Error{Code: api.CodeLocalIO, Message: fmt.Sprintf("%s, but the files are not all written: %v", state, err), Want: "run " + string(advice.Recover)}
}
