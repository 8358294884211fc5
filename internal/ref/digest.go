// Package ref holds every name that comes from outside as a type of its own:
// digests, chart versions, image references, environments, bindings. A value
// of one of these types is either zero or well formed; the parsers are the
// only way in.
package ref

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
)

// ErrInvalid is wrapped by every parse error of this package.
var ErrInvalid = errors.New("invalid name")

// Digest is a SHA-256 digest. The zero value means "none".
type Digest struct{ hex string }

// ParseDigest reads "sha256:" and 64 lower-case hexadecimal digits.
func ParseDigest(s string) (Digest, error) {
	const prefix = "sha256:"
	if len(s) != len(prefix)+64 || s[:len(prefix)] != prefix {
		return Digest{}, invalid("digest", s, `want "sha256:" and 64 hexadecimal digits`)
	}
	return ParseHex(s[len(prefix):])
}

// ParseHex reads 64 lower-case hexadecimal digits.
func ParseHex(s string) (Digest, error) {
	if len(s) != 64 {
		return Digest{}, invalid("digest", s, "want 64 hexadecimal digits")
	}
	zero := true
	for i := 0; i < len(s); i++ {
		c := s[i]
		if !(c >= '0' && c <= '9' || c >= 'a' && c <= 'f') {
			return Digest{}, invalid("digest", s, "want lower-case hexadecimal digits")
		}
		zero = zero && c == '0'
	}
	if zero {
		return Digest{}, invalid("digest", s, "all zeros is no digest")
	}
	return Digest{s}, nil
}

// DigestOf returns the digest of b.
func DigestOf(b []byte) Digest { return FromSum(sha256.Sum256(b)) }

// FromSum returns the digest with the given hash value.
func FromSum(sum [sha256.Size]byte) Digest { return Digest{hex.EncodeToString(sum[:])} }

// String returns "sha256:<hex>", or "" for the zero value.
func (d Digest) String() string {
	if d.hex == "" {
		return ""
	}
	return "sha256:" + d.hex
}

// Hex returns the 64 hexadecimal digits alone.
func (d Digest) Hex() string { return d.hex }

// IsZero reports whether d is no digest.
func (d Digest) IsZero() bool { return d.hex == "" }

// MarshalText implements encoding.TextMarshaler.
func (d Digest) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler; empty text is the zero value.
func (d *Digest) UnmarshalText(b []byte) error {
	if len(b) == 0 {
		*d = Digest{}
		return nil
	}
	v, err := ParseDigest(string(b))
	if err == nil {
		*d = v
	}
	return err
}

func invalid(what, value, why string) error {
	const most = 120
	if len(value) > most {
		value = value[:most] + "…"
	}
	return fmt.Errorf("%w: %s %q: %s", ErrInvalid, what, value, why)
}
