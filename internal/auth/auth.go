package auth

import (
	"context"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"sync"
	"time"

	"chartd.dev/chartd/lock"
)

var (
	// ErrUnauthorized says that there is no valid credential.
	ErrUnauthorized = errors.New("not authenticated")
	// ErrForbidden says that the credential is valid and lacks the scope.
	ErrForbidden = errors.New("not allowed")
)

// AnonymousName is the name of a caller without a credential; no token has it.
const AnonymousName = "anonymous"

// Principal is an authenticated caller, or the anonymous one.
type Principal struct {
	Name      string
	TokenID   string
	Scopes    []Scope
	Anonymous bool
}

// Require returns nil if the principal may do a to the object: a chart's name,
// "hub/stage", or "" where the action has none. An anonymous caller is told to
// authenticate, any other one which scope it lacks.
func (p Principal) Require(a Action, object string) error {
	for _, s := range p.Scopes {
		if s.allows(a, object) {
			return nil
		}
	}
	need := Scope{Action: a, Glob: object}
	if p.Anonymous {
		return fmt.Errorf("%w: send a token with the scope %q", ErrUnauthorized, need)
	}
	return fmt.Errorf("%w: token %q has no scope for %q", ErrForbidden, p.Name, need)
}

// Anonymous is the caller without a credential; it reads if reads is true.
func Anonymous(reads bool) Principal {
	p := Principal{Name: AnonymousName, Anonymous: true}
	if reads {
		p.Scopes = []Scope{{Action: Read}}
	}
	return p
}

const (
	maxHeader  = 4096             // bytes of an Authorization header; a token has 73
	touchEvery = time.Minute      // how exact a last-used time is
	skew       = 30 * time.Second // how far another clock may be ahead
)

// Authenticator finds the principal of a credential. It reads the token's
// state at every call, so a revocation has its effect on the next request.
type Authenticator struct {
	tokens *lock.Lockfile
	now    func() time.Time
	touch  chan touched
	done   chan struct{}

	mu      sync.Mutex
	last    map[string]time.Time // token id to the last-used time handed on
	stopped bool
}

type touched struct {
	id string
	at time.Time
}

// NewAuthenticator starts the goroutine that writes last-used times. Close ends it.
func NewAuthenticator(tokens *lock.Lockfile, now func() time.Time) *Authenticator {
	a := &Authenticator{
		tokens: tokens, now: now,
		touch: make(chan touched, 64), done: make(chan struct{}), last: map[string]time.Time{},
	}
	go a.writeTouches()
	return a
}

// Close writes the last-used times still waiting and ends the goroutine.
func (a *Authenticator) Close() {
	a.mu.Lock()
	if !a.stopped {
		a.stopped = true
		close(a.touch)
	}
	a.mu.Unlock()
	<-a.done
}

// Authenticate takes the values of a request's Authorization header. ok is
// false if there is none. Any header that holds no valid token is
// ErrUnauthorized, also where an anonymous caller would have been let in.
func (a *Authenticator) Authenticate(ctx context.Context, headers []string) (p Principal, ok bool, err error) {
	if len(headers) == 0 {
		return Principal{}, false, nil
	}
	text, err := credential(headers)
	if err != nil {
		return Principal{}, true, err
	}
	id, valid := tokenID(text)
	if !valid {
		return Principal{}, true, fmt.Errorf("%w: the credential is not a token of this server", ErrUnauthorized)
	}
	t, err := a.tokens.Token(ctx, id)
	if errors.Is(err, lock.ErrNotFound) {
		// An unknown id is compared as well, so that both take the same time.
		t, err = lock.Token{Hash: strings.Repeat("-", 64)}, nil
	}
	if err != nil {
		return Principal{}, true, fmt.Errorf("read token %q: %w", id, err)
	}
	if subtle.ConstantTimeCompare([]byte(hashOf(text)), []byte(t.Hash)) != 1 {
		return Principal{}, true, fmt.Errorf("%w: the credential is not a token of this server", ErrUnauthorized)
	}
	p, err = a.principal(t)
	if err == nil {
		a.used(id)
	}
	return p, true, err
}

// principal checks a token whose text was proven.
func (a *Authenticator) principal(t lock.Token) (Principal, error) {
	now := a.now()
	switch {
	case t.Revoked:
		return Principal{}, fmt.Errorf("%w: token %q (%s) is revoked", ErrUnauthorized, t.Name, t.ID)
	case !t.Expires.IsZero() && !now.Before(t.Expires):
		return Principal{}, fmt.Errorf("%w: token %q (%s) expired at %s", ErrUnauthorized, t.Name, t.ID, t.Expires.UTC().Format(time.RFC3339))
	case t.Created.After(now.Add(skew)):
		return Principal{}, fmt.Errorf("%w: token %q (%s) was made at %s, after this server's time: check the clock", ErrUnauthorized, t.Name, t.ID, t.Created.UTC().Format(time.RFC3339))
	}
	p := Principal{Name: t.Name, TokenID: t.ID, Scopes: []Scope{{Action: Read}}}
	for _, s := range t.Scopes {
		sc, err := ParseScope(s)
		if err != nil {
			return Principal{}, fmt.Errorf("read token %q: %w", t.ID, err)
		}
		if sc.Action != Read {
			p.Scopes = append(p.Scopes, sc)
		}
	}
	return p, nil
}

// used hands a last-used time on, at most once a minute for a token. It never
// waits: where the writer is behind, the time is left out.
func (a *Authenticator) used(id string) {
	now := a.now()
	a.mu.Lock()
	defer a.mu.Unlock()
	if last, ok := a.last[id]; a.stopped || ok && now.Sub(last) < touchEvery {
		return
	}
	select {
	case a.touch <- touched{id, now}:
		a.last[id] = now
	default:
	}
}

func (a *Authenticator) writeTouches() {
	defer close(a.done)
	for t := range a.touch {
		// A last-used time is bookkeeping: a store that cannot keep it says so
		// to the next caller that writes.
		_ = a.tokens.TouchToken(context.Background(), t.id, t.at)
	}
}

// credential takes the token from "Bearer TOKEN" or "Basic base64(USER:TOKEN)".
// The user may be empty: Argo CD sends that for a repository with only a password.
func credential(headers []string) (string, error) {
	if len(headers) > 1 {
		return "", fmt.Errorf("%w: %d Authorization headers, want one", ErrUnauthorized, len(headers))
	}
	if len(headers[0]) > maxHeader {
		return "", fmt.Errorf("%w: the Authorization header is longer than %d bytes", ErrUnauthorized, maxHeader)
	}
	scheme, rest, _ := strings.Cut(headers[0], " ")
	rest = strings.Trim(rest, " ")
	switch {
	case strings.EqualFold(scheme, "Bearer"):
		if rest != "" {
			return rest, nil
		}
	case strings.EqualFold(scheme, "Basic"):
		raw, err := base64.StdEncoding.DecodeString(rest)
		_, password, ok := strings.Cut(string(raw), ":")
		if err == nil && ok && password != "" {
			return password, nil
		}
		return "", fmt.Errorf("%w: want Basic credentials with any user name and a token as the password", ErrUnauthorized)
	}
	return "", fmt.Errorf("%w: want Authorization: Bearer TOKEN, or Basic with a token as the password", ErrUnauthorized)
}

// RequireSome returns nil if the principal may do a to some object. It lets a
// request through to where its object is known; Require follows there.
func (p Principal) RequireSome(a Action) error {
	for _, s := range p.Scopes {
		if s.Action == a {
			return nil
		}
	}
	return p.Require(a, "…")
}
