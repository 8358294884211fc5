package lock

import (
	"context"
	"errors"
	"time"

	"chartd.dev/chartd/lock/kept"
	"chartd.dev/chartd/lock/store"
)

// CreateToken stores a token. Its ID must be new; so must the name be among
// the tokens that are not revoked, because the name is the "who" of a change.
func (l *Lockfile) CreateToken(ctx context.Context, op Op, tok Token) error {
	tok.Format = FormatVersion
	_, err := run(ctx, l, op, func(c *change) (struct{}, error) {
		var none struct{}
		taken := false
		err := c.Scan(bucketTokens, store.ScanOptions{}, func(k string, raw []byte) error {
			var other Token
			if err := kept.Decode(bucketTokens, k, raw, &other); err != nil {
				return err
			}
			taken = taken || other.ID == tok.ID || other.Name == tok.Name && !other.Revoked
			return nil
		})
		if err != nil {
			return none, err
		}
		if taken {
			return none, fail(ErrExists, "there is a token named %q already: revoke it first or choose another name", tok.Name)
		}
		if tok.Created.IsZero() {
			tok.Created = c.now
		}
		public := tok
		public.Hash = ""
		if err := c.journal(verbToken, tok.Name, public); err != nil {
			return none, err
		}
		return none, put(c, bucketTokens, tok.ID, tok)
	})
	return err
}

// RevokeToken ends a token at once. Revoking it again is fine.
func (l *Lockfile) RevokeToken(ctx context.Context, op Op, id string) error {
	_, err := run(ctx, l, op, func(c *change) (struct{}, error) {
		var none struct{}
		tok, err := get[Token](c, bucketTokens, id)
		if errors.Is(err, store.ErrNoKey) {
			return none, fail(ErrNotFound, "there is no token %q", id)
		}
		if err != nil || tok.Revoked {
			return none, err
		}
		tok.Revoked = true
		if err := c.journal(verbTokenRevoke, tok.Name, map[string]string{"id": id}); err != nil {
			return none, err
		}
		return none, put(c, bucketTokens, id, tok)
	})
	return err
}

// Token returns the token with the given ID, which the caller does not change.
func (l *Lockfile) Token(ctx context.Context, id string) (Token, error) {
	tok, err := l.tokens.Get(ctx, l, id, func(l *Lockfile) (Token, error) {
		return view(ctx, l, func(t store.Tx) (Token, error) { return get[Token](t, bucketTokens, id) })
	})
	if errors.Is(err, store.ErrNoKey) {
		err = fail(ErrNotFound, "there is no token %q", id)
	}
	return tok, err
}

// Tokens returns all tokens in order of ID, revoked ones too.
func (l *Lockfile) Tokens(ctx context.Context) ([]Token, error) {
	return view(ctx, l, func(t store.Tx) ([]Token, error) { return list[Token](t, bucketTokens, store.ScanOptions{}) })
}

// TouchToken notes when a token was last used: bookkeeping, not journalled.
func (l *Lockfile) TouchToken(ctx context.Context, id string, at time.Time) error {
	return l.store.Update(ctx, func(t store.Txn) error {
		tok, err := get[Token](t, bucketTokens, id)
		if errors.Is(err, store.ErrNoKey) {
			return nil
		}
		if err != nil || !at.After(tok.LastUsed) {
			return err
		}
		tok.LastUsed = at.UTC()
		return put(t, bucketTokens, id, tok)
	})
}

// list decodes the values of a scan.
func list[T any](t store.Tx, bucket string, o store.ScanOptions) ([]T, error) {
	var out []T
	err := t.Scan(bucket, o, func(k string, raw []byte) error {
		var v T
		if err := kept.Decode(bucket, k, raw, &v); err != nil {
			return err
		}
		out = append(out, v)
		return nil
	})
	return out, err
}
