package auth

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
)

func TestParseScope(t *testing.T) {
	for _, s := range AllScopes() {
		if got, err := ParseScope(s.String()); err != nil || got != s {
			t.Errorf("%s: %v, %v", s, got, err)
		}
	}
	for _, s := range []string{"publish:jupyterhub", "publish:payments-*", "yank:A.b_c", "pin:data8/prod", "pin:data8/*", "pin:*/staging", "break-glass:*"} {
		if got, err := ParseScope(s); err != nil || got.String() != s {
			t.Errorf("%s: %v, %v", s, got, err)
		}
	}
	for _, s := range []string{
		"", ":", "publish", "publish:", "publish:a/b", "publish:a b", "publish:[a]", "publish:a?", `publish:\*`, "publish:a,b",
		"pin:data8", "pin:data8/", "pin:/prod", "pin:a/b/c", "pin:Data8/prod", "pin:**", "overwrite:*", "Publish:*", "admin:*",
		"read:", "publish:a\n", "publish:" + strings.Repeat("a", 200),
	} {
		if got, err := ParseScope(s); !errors.Is(err, ErrScope) {
			t.Errorf("%q: %v, %v, want ErrScope", s, got, err)
		}
	}
}

func TestGlobs(t *testing.T) {
	for _, c := range []struct {
		scope, object string
		want          bool
	}{
		{"publish:*", "anything", true},
		{"publish:payments-*", "payments-api", true},
		{"publish:payments-*", "payments", false},
		{"publish:payments-*", "xpayments-api", false},
		{"publish:a*b", "axxb", true},
		{"publish:jupyterhub", "jupyterhub2", false},
		{"pin:*", "data8/prod", true},
		{"pin:data8/*", "data8/prod", true},
		{"pin:data8/*", "data8x/prod", false},
		{"pin:*/staging", "data8/staging", true},
		{"pin:*/staging", "data8/prod", false},
		{"pin:data*/p*", "data8/prod", true},
		{"pin:data8/prod", "data8/prod2", false},
	} {
		s, err := ParseScope(c.scope)
		if err != nil {
			t.Fatal(err)
		}
		if got := s.allows(s.Action, c.object); got != c.want {
			t.Errorf("%s on %q: %v", c.scope, c.object, got)
		}
	}
}

func FuzzParseScope(f *testing.F) {
	for _, s := range AllScopes() {
		f.Add(s.String())
	}
	f.Add("pin:data8/*")
	f.Fuzz(func(t *testing.T, s string) {
		got, err := ParseScope(s)
		if err == nil && got.String() != s {
			t.Errorf("%q is read as %q", s, got)
		}
	})
}

func TestNewRefusesWhatMakesNoSense(t *testing.T) {
	good := Request{Name: "ci", Scopes: []string{"publish:*"}, Now: time.Now()}
	if _, _, err := New(good); err != nil {
		t.Fatal(err)
	}
	for name, change := range map[string]func(*Request){
		"no name":         func(r *Request) { r.Name = "" },
		"reserved name":   func(r *Request) { r.Name = AnonymousName },
		"line break":      func(r *Request) { r.Name = "a\nb" },
		"long name":       func(r *Request) { r.Name = strings.Repeat("a", 129) },
		"no scope":        func(r *Request) { r.Scopes = nil },
		"unknown scope":   func(r *Request) { r.Scopes = []string{"root"} },
		"negative expiry": func(r *Request) { r.TTL = -1 },
	} {
		r := good
		change(&r)
		if _, _, err := New(r); !errors.Is(err, ErrToken) && !errors.Is(err, ErrScope) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestTokensAreUniqueAndTheirTextStaysSecret(t *testing.T) {
	seen := map[string]bool{}
	for range 200 {
		tok, secret, err := New(Request{Name: "ci", Scopes: []string{"read"}, Now: time.Now()})
		if err != nil {
			t.Fatal(err)
		}
		text := secret.Reveal()
		if seen[text] || seen[tok.ID] || len(text) != tokenLen || !strings.HasPrefix(text, "chartd_") {
			t.Fatalf("token %q", text)
		}
		seen[text], seen[tok.ID] = true, true
		stored, err := json.Marshal(tok)
		if err != nil {
			t.Fatal(err)
		}
		printed := fmt.Sprintf("%v %+v %#v %s %q %d", secret, secret, secret, secret, secret, secret)
		asJSON, err := json.Marshal(secret)
		if err != nil {
			t.Fatal(err)
		}
		for _, out := range []string{string(stored), printed, string(asJSON)} {
			if strings.Contains(out, text[len(text)-40:]) {
				t.Fatalf("the secret is in %q", out)
			}
		}
	}
}

func TestParseTTL(t *testing.T) {
	for s, want := range map[string]time.Duration{"": DefaultTTL, "0": 0, "30d": 720 * time.Hour, "1.5d": 36 * time.Hour, "90m": 90 * time.Minute} {
		if got, err := ParseTTL(s); err != nil || got != want {
			t.Errorf("%q: %v, %v, want %v", s, got, err, want)
		}
	}
	for _, s := range []string{"-1h", "x", "1", "-2d", "99999999999d", "NaNd"} {
		if got, err := ParseTTL(s); !errors.Is(err, ErrToken) {
			t.Errorf("%q: %v, %v, want ErrToken", s, got, err)
		}
	}
}
