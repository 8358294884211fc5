package auth

import (
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"hash/crc32"
	"math/big"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"chartd.dev/chartd/lock"
	"chartd.dev/chartd/lock/memstore"
	"chartd.dev/chartd/lock/store"
)

// clock is a time that tests set.
type clock struct{ at atomic.Int64 }

func newClock() *clock {
	c := new(clock)
	c.at.Store(time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC).UnixNano())
	return c
}

func (c *clock) now() time.Time          { return time.Unix(0, c.at.Load()).UTC() }
func (c *clock) advance(d time.Duration) { c.at.Add(int64(d)) }

// fixture is a server's tokens on the in-memory store.
type fixture struct {
	*clock
	store *memstore.Store
	lock  *lock.Lockfile
	auth  *Authenticator
	reads *atomic.Int64 // of the database
}

func newFixture(t *testing.T) *fixture {
	t.Helper()
	f := &fixture{clock: newClock(), store: memstore.New(), reads: new(atomic.Int64)}
	var err error
	if f.lock, err = lock.Open(t.Context(), counting{f.store, f.reads}, f.now); err != nil {
		t.Fatal(err)
	}
	f.auth = NewAuthenticator(f.lock, f.now)
	t.Cleanup(f.auth.Close)
	return f
}

// counting is a store that counts the reads of its transactions.
type counting struct {
	store.Store
	n *atomic.Int64
}

func (c counting) View(ctx context.Context, fn func(store.Tx) error) error {
	c.n.Add(1)
	return c.Store.View(ctx, fn)
}

func (f *fixture) make(t *testing.T, name string, ttl time.Duration, scopes ...string) (lock.Token, string) {
	t.Helper()
	tok, secret, err := New(Request{Name: name, Scopes: scopes, TTL: ttl, By: "test", Now: f.now()})
	if err != nil {
		t.Fatal(err)
	}
	if err := f.lock.CreateToken(t.Context(), lock.Op{Actor: lock.Actor{Name: "test"}}, tok); err != nil {
		t.Fatal(err)
	}
	return tok, secret.Reveal()
}

func (f *fixture) try(t *testing.T, headers ...string) (Principal, error) {
	t.Helper()
	p, _, err := f.auth.Authenticate(t.Context(), headers)
	return p, err
}

func basic(user, password string) string {
	return "Basic " + base64.StdEncoding.EncodeToString([]byte(user+":"+password))
}

func TestAuthenticateAcceptsBearerAndBasic(t *testing.T) {
	f := newFixture(t)
	tok, text := f.make(t, "ci", time.Hour, "publish:payments-*")
	for _, h := range []string{"Bearer " + text, "bearer " + text, basic("anything", text), basic("", text)} {
		p, err := f.try(t, h)
		if err != nil || p.Name != "ci" || p.TokenID != tok.ID || p.Anonymous {
			t.Errorf("%.12s…: %+v, %v", h, p, err)
		}
	}
}

// O-01: what is no credential at all.
func TestMalformedCredentialsAreRefused(t *testing.T) {
	f := newFixture(t)
	_, text := f.make(t, "ci", time.Hour, "publish:*")
	for name, headers := range map[string][]string{
		"empty":               {""},
		"empty bearer":        {"Bearer "},
		"bearer x":            {"Bearer x"},
		"basic no colon":      {"Basic " + base64.StdEncoding.EncodeToString([]byte(text))},
		"basic not base64":    {"Basic %%%"},
		"basic only password": {basic("user", "")},
		"1 MiB token":         {"Bearer " + strings.Repeat("a", 1<<20)},
		"two headers":         {"Bearer " + text, "Bearer " + text},
		"other scheme":        {"Digest " + text},
		"bare token":          {text},
		"10^6 dots":           {"Bearer " + strings.Repeat(".", 1_000_000)},
		"jwt":                 {"Bearer eyJhbGciOiJub25lIn0.e30."},
	} {
		if _, err := f.try(t, headers...); !errors.Is(err, ErrUnauthorized) {
			t.Errorf("%s: %v, want ErrUnauthorized", name, err)
		}
	}
	if _, ok, err := f.auth.Authenticate(t.Context(), nil); ok || err != nil {
		t.Errorf("no header: ok %v, %v", ok, err)
	}
}

// O-02: tokens that were good once, will be, or are elsewhere.
func TestOutdatedTokensAreRefusedFromTheNextRequest(t *testing.T) {
	f := newFixture(t)
	other := newFixture(t)
	_, foreign := other.make(t, "ci", 0, "publish:*")
	if _, err := f.try(t, "Bearer "+foreign); !errors.Is(err, ErrUnauthorized) {
		t.Errorf("token of another server: %v", err)
	}

	_, short := f.make(t, "short", time.Hour, "publish:*")
	f.advance(time.Hour - time.Second)
	if _, err := f.try(t, "Bearer "+short); err != nil {
		t.Errorf("a second before its end: %v", err)
	}
	f.advance(time.Second)
	if _, err := f.try(t, "Bearer "+short); !errors.Is(err, ErrUnauthorized) || !strings.Contains(err.Error(), "expired") {
		t.Errorf("at its end: %v", err)
	}

	tok, gone := f.make(t, "gone", 0, "publish:*")
	if _, err := f.try(t, "Bearer "+gone); err != nil {
		t.Fatal(err)
	}
	if err := f.lock.RevokeToken(t.Context(), lock.Op{}, tok.ID); err != nil {
		t.Fatal(err)
	}
	if _, err := f.try(t, "Bearer "+gone); !errors.Is(err, ErrUnauthorized) || !strings.Contains(err.Error(), "revoked") {
		t.Errorf("after its revocation: %v", err)
	}

	_, early := f.make(t, "early", 0, "publish:*")
	f.advance(-time.Hour)
	if _, err := f.try(t, "Bearer "+early); !errors.Is(err, ErrUnauthorized) || !strings.Contains(err.Error(), "clock") {
		t.Errorf("before its time: %v", err)
	}
}

// O-03: the right token for something else.
func TestRequireNeedsExactlyTheScope(t *testing.T) {
	all := Principal{Name: "t"}
	for _, a := range actions {
		if a.action != Read {
			all.Scopes = append(all.Scopes, Scope{Action: a.action, Glob: map[subject]string{charts: "own-*", environments: "data8/*"}[a.on]})
		}
	}
	objects := map[subject][2]string{nothing: {"", ""}, charts: {"own-a", "other"}, environments: {"data8/prod", "data9/prod"}}
	for i, a := range actions {
		if a.action == Read {
			continue
		}
		object := objects[a.on]
		if err := all.Require(a.action, object[0]); err != nil {
			t.Errorf("%s on %q: %v", a.action, object[0], err)
		}
		if a.on != nothing {
			if err := all.Require(a.action, object[1]); !errors.Is(err, ErrForbidden) {
				t.Errorf("%s on %q: %v, want ErrForbidden", a.action, object[1], err)
			}
		}
		without := Principal{Name: "t", Scopes: []Scope{{Action: Read}}}
		for _, s := range all.Scopes {
			if s.Action != actions[i].action {
				without.Scopes = append(without.Scopes, s)
			}
		}
		if err := without.Require(a.action, object[0]); !errors.Is(err, ErrForbidden) {
			t.Errorf("every scope but %s: %v, want ErrForbidden", a.action, err)
		}
		if err := without.RequireSome(a.action); !errors.Is(err, ErrForbidden) {
			t.Errorf("every scope but %s, some object: %v, want ErrForbidden", a.action, err)
		}
	}
	if err := Anonymous(true).Require(Publish, "own-a"); !errors.Is(err, ErrUnauthorized) {
		t.Errorf("anonymous: %v, want ErrUnauthorized", err)
	}
	if err := Anonymous(false).Require(Read, ""); !errors.Is(err, ErrUnauthorized) {
		t.Errorf("anonymous read: %v, want ErrUnauthorized", err)
	}
}

// O-04: damaged tokens cost no read of the database.
func TestDamagedTokensAreRefusedWithoutARead(t *testing.T) {
	f := newFixture(t)
	_, text := f.make(t, "ci", time.Hour, "publish:*")
	before := f.reads.Load()
	for i := range len(text) {
		flipped := []byte(text)
		flipped[i] ^= 1
		if _, err := f.try(t, "Bearer "+string(flipped)); !errors.Is(err, ErrUnauthorized) {
			t.Errorf("bit flipped in byte %d: %v", i, err)
		}
		if _, err := f.try(t, "Bearer "+text[:i]); !errors.Is(err, ErrUnauthorized) {
			t.Errorf("first %d bytes: %v", i, err)
		}
	}
	if n := f.reads.Load() - before; n != 0 {
		t.Errorf("%d reads of the database, want none", n)
	}
	// A right checksum over a made-up secret is refused after one read.
	last := "0"
	if text[tokenLen-checksumLen-1] == '0' {
		last = "1"
	}
	forged := text[:tokenLen-checksumLen-1] + last
	forged += base62Of(new(big.Int).SetUint64(uint64(crc32.ChecksumIEEE([]byte(forged)))), checksumLen)
	if _, err := f.try(t, "Bearer "+forged); !errors.Is(err, ErrUnauthorized) {
		t.Errorf("forged: %v", err)
	}
	if n := f.reads.Load() - before; n != 1 {
		t.Errorf("%d reads of the database, want 1", n)
	}
}

func TestABrokenStoreIsNoRefusal(t *testing.T) {
	f := newFixture(t)
	_, text := f.make(t, "ci", 0, "publish:*")
	if err := f.store.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := f.try(t, "Bearer "+text); err == nil || errors.Is(err, ErrUnauthorized) {
		t.Errorf("closed store: %v", err)
	}
}

func TestLastUsedIsWrittenOnceAMinute(t *testing.T) {
	f := newFixture(t)
	tok, text := f.make(t, "ci", 0, "publish:*")
	lines := func() int {
		list, _, err := f.lock.Journal(t.Context(), 0, 100)
		if err != nil {
			t.Fatal(err)
		}
		return len(list)
	}
	before := lines()
	first := f.now()
	for range 50 {
		if _, err := f.try(t, "Bearer "+text); err != nil {
			t.Fatal(err)
		}
		f.advance(time.Second)
	}
	f.auth.Close()
	got, err := f.lock.Token(t.Context(), tok.ID)
	if err != nil || !got.LastUsed.Equal(first) {
		t.Errorf("last used %v (%v), want the first use %v", got.LastUsed, err, first)
	}
	if n := lines(); n != before {
		t.Errorf("%d journal lines more", n-before)
	}
	if _, err := f.try(t, "Bearer "+text); err != nil {
		t.Errorf("after Close: %v", err)
	}
}

func TestAuthenticateIsSafeTogetherWithRevocation(t *testing.T) {
	f := newFixture(t)
	var wg sync.WaitGroup
	for i := range 8 {
		tok, text := f.make(t, fmt.Sprintf("t%d", i), 0, "publish:*")
		wg.Go(func() {
			for range 50 {
				if _, err := f.try(t, "Bearer "+text); err != nil {
					t.Error(err)
				}
			}
			if err := f.lock.RevokeToken(t.Context(), lock.Op{}, tok.ID); err != nil {
				t.Error(err)
			}
			if _, err := f.try(t, "Bearer "+text); !errors.Is(err, ErrUnauthorized) {
				t.Errorf("after its revocation: %v", err)
			}
		})
	}
	wg.Wait()
}
