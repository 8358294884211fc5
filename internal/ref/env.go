package ref

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Env names an environment: a hub and one of its stages.
type Env struct{ hub, stage string }

// ParseEnv reads "hub/stage"; each half is a DNS label.
func ParseEnv(s string) (Env, error) {
	hub, stage, ok := strings.Cut(s, "/")
	if !ok || !dnsLabel(hub) || !dnsLabel(stage) {
		return Env{}, invalid("environment", s, "want HUB/STAGE in lower-case letters, digits and dashes, such as data8/prod")
	}
	return Env{hub, stage}, nil
}

// Hub returns the first half.
func (e Env) Hub() string { return e.hub }

// Stage returns the second half.
func (e Env) Stage() string { return e.stage }

// String returns "hub/stage".
func (e Env) String() string {
	if e.hub == "" {
		return ""
	}
	return e.hub + "/" + e.stage
}

// IsZero reports whether e names nothing.
func (e Env) IsZero() bool { return e.hub == "" }

// MarshalText implements encoding.TextMarshaler.
func (e Env) MarshalText() ([]byte, error) { return []byte(e.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (e *Env) UnmarshalText(b []byte) error {
	if len(b) == 0 {
		*e = Env{}
		return nil
	}
	v, err := ParseEnv(string(b))
	if err == nil {
		*e = v
	}
	return err
}

// ParseStage reads "stage", which is one of the same hub, or "hub/stage".
func (e Env) ParseStage(s string) (Env, error) {
	if !strings.Contains(s, "/") {
		s = e.hub + "/" + s
	}
	return ParseEnv(s)
}

// BindingID is the content address of a binding.
type BindingID struct{ s string }

// BindingIDOf derives the identity of the pair: the package's digest and, in
// order of role, the repository and digest of each required image.
func BindingIDOf(pkg Digest, images map[Role]Image) BindingID {
	var b strings.Builder
	fmt.Fprintf(&b, "chartd binding 1\n%s\n", pkg)
	for _, role := range slices.Sorted(maps.Keys(images)) {
		fmt.Fprintf(&b, "%s %s\n", role, images[role])
	}
	sum := sha256.Sum256([]byte(b.String()))
	return BindingID{"b1:" + base64.RawURLEncoding.EncodeToString(sum[:])}
}

// ParseBindingID reads "b1:" and 43 base64url characters.
func ParseBindingID(s string) (BindingID, error) {
	rest, ok := strings.CutPrefix(s, "b1:")
	if raw, err := base64.RawURLEncoding.Strict().DecodeString(rest); !ok || len(rest) != 43 || err != nil || len(raw) != sha256.Size {
		return BindingID{}, invalid("binding", s, `want "b1:" and 43 base64url characters`)
	}
	return BindingID{s}, nil
}

// String returns "b1:…".
func (b BindingID) String() string { return b.s }

// IsZero reports whether b names nothing.
func (b BindingID) IsZero() bool { return b.s == "" }

// MarshalText implements encoding.TextMarshaler.
func (b BindingID) MarshalText() ([]byte, error) { return []byte(b.s), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (b *BindingID) UnmarshalText(t []byte) error {
	if len(t) == 0 {
		*b = BindingID{}
		return nil
	}
	v, err := ParseBindingID(string(t))
	if err == nil {
		*b = v
	}
	return err
}
