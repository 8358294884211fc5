package lock

import (
	"errors"
	"time"

	"chartd.dev/chartd/lock/store"
)

// ErrCredential says that the token of an operation ended after its request was
// let in.
var ErrCredential = errors.New("credential no longer holds")

// stillHolds refuses an operation whose token has ended by now. A request may
// be under way for minutes, and what the journal says must hold: nothing by a
// token stands behind the line that revoked it.
func (c *change) stillHolds() error {
	id := c.op.Actor.TokenID
	if id == "" {
		return nil
	}
	tok, err := get[Token](c, bucketTokens, id)
	switch {
	case errors.Is(err, store.ErrNoKey):
		return nil // tokens are never removed: it is not one of this lock file
	case err != nil:
		return err
	case tok.Revoked:
		return fail(ErrCredential, "token %q (%s) was revoked while its request was under way: nothing was written", tok.Name, tok.ID)
	case !tok.Expires.IsZero() && !c.now.Before(tok.Expires):
		return fail(ErrCredential, "token %q (%s) expired at %s while its request was under way: nothing was written", tok.Name, tok.ID, tok.Expires.UTC().Format(time.RFC3339))
	}
	return nil
}
