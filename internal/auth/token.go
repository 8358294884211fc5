package auth

import (
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/crc32"
	"math/big"
	"strings"
	"time"

	"chartd.dev/chartd/lock"
)

// ErrToken says that a token cannot be made as asked.
var ErrToken = errors.New("invalid token request")

// DefaultTTL is the life of a token that is made without one.
const DefaultTTL = 90 * 24 * time.Hour

// A token is "chartd_<kind>_<id>_<secret><checksum>". The prefix is there for
// secret scanners; the checksum is a CRC-32 of all before it, so that a
// mistyped or made-up token costs no read of the database.
const (
	prefix      = "chartd"
	kind        = "api"
	idLen       = 12 // base62 characters, 71 bits: a name, not a secret
	secretLen   = 43 // base62 characters that hold 32 bytes
	checksumLen = 6  // base62 characters that hold 32 bits
	tokenLen    = len(prefix) + 1 + len(kind) + 1 + idLen + 1 + secretLen + checksumLen
)

const base62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

// Secret is a token's text. It prints as a placeholder, so that a log or an
// error message cannot leak it; Reveal is the only way to the text.
type Secret struct{ text string }

// Reveal returns the token's text.
func (s Secret) Reveal() string { return s.text }

// Format implements fmt.Formatter.
func (s Secret) Format(f fmt.State, _ rune) { fmt.Fprint(f, "[secret]") }

// MarshalText implements encoding.TextMarshaler.
func (s Secret) MarshalText() ([]byte, error) { return []byte("[secret]"), nil }

// Request is what a new token is made of.
type Request struct {
	Name   string
	Scopes []string
	TTL    time.Duration // 0: does not expire
	By     string        // who made it
	Now    time.Time
}

// New makes a token: what is kept of it, and its text, which is not.
func New(r Request) (lock.Token, Secret, error) {
	if err := checkName(r.Name); err != nil {
		return lock.Token{}, Secret{}, err
	}
	scopes, err := ParseScopes(r.Scopes)
	if err != nil {
		return lock.Token{}, Secret{}, err
	}
	if r.TTL < 0 {
		return lock.Token{}, Secret{}, fmt.Errorf("%w: lifetime %q is negative, want a duration such as 720h, or 0 for a token that does not expire", ErrToken, r.TTL)
	}
	id, err := randomText(9, idLen)
	if err != nil {
		return lock.Token{}, Secret{}, err
	}
	secret, err := randomText(32, secretLen)
	if err != nil {
		return lock.Token{}, Secret{}, err
	}
	text := prefix + "_" + kind + "_" + id + "_" + secret
	text += checksum(text)
	t := lock.Token{Format: 1, ID: id, Name: r.Name, Hash: hashOf(text), Created: r.Now.UTC(), By: r.By}
	for _, s := range scopes {
		t.Scopes = append(t.Scopes, s.String())
	}
	if r.TTL > 0 {
		t.Expires = t.Created.Add(r.TTL)
	}
	return t, Secret{text}, nil
}

// ParseTTL reads a token's lifetime: a Go duration, a number of days such as
// "30d", "0" for never, "" for the default.
func ParseTTL(s string) (time.Duration, error) {
	if s == "" {
		return DefaultTTL, nil
	}
	if days, ok := strings.CutSuffix(s, "d"); ok {
		if d, err := time.ParseDuration(days + "h"); err == nil && d >= 0 && d < 1e6*time.Hour {
			return 24 * d, nil
		}
	}
	d, err := time.ParseDuration(s)
	if err != nil || d < 0 {
		return 0, fmt.Errorf("%w: lifetime %q, want a duration such as 720h or 30d, or 0 for a token that does not expire", ErrToken, short(s))
	}
	return d, nil
}

// tokenID checks a token's form and checksum and returns its id. It reads
// nothing but its argument.
func tokenID(text string) (id string, ok bool) {
	if len(text) != tokenLen {
		return "", false
	}
	head, ok := strings.CutPrefix(text, prefix+"_"+kind+"_")
	if !ok || head[idLen] != '_' {
		return "", false
	}
	body, sum := text[:tokenLen-checksumLen], text[tokenLen-checksumLen:]
	if subtle.ConstantTimeCompare([]byte(checksum(body)), []byte(sum)) != 1 {
		return "", false
	}
	id = head[:idLen]
	for i := 0; i < len(id); i++ {
		if strings.IndexByte(base62, id[i]) < 0 {
			return "", false
		}
	}
	return id, true
}

func hashOf(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}

func checksum(body string) string {
	return base62Of(new(big.Int).SetUint64(uint64(crc32.ChecksumIEEE([]byte(body)))), checksumLen)
}

// randomText reads n random bytes; with fewer it fails, it never goes on.
func randomText(n, width int) (string, error) {
	b := make([]byte, n)
	if _, err := rand.Read(b); err != nil {
		return "", fmt.Errorf("make token: read random bytes: %w", err)
	}
	return base62Of(new(big.Int).SetBytes(b), width), nil
}

func base62Of(n *big.Int, width int) string {
	out := []byte(strings.Repeat("0", width))
	base, rest := big.NewInt(62), new(big.Int)
	for i := width - 1; i >= 0 && n.Sign() > 0; i-- {
		n.QuoRem(n, base, rest)
		out[i] = base62[rest.Int64()]
	}
	return string(out)
}

// checkName keeps names to what fits a log line, a table and a URL.
func checkName(name string) error {
	ok := name != "" && len(name) <= 128
	for i := 0; i < len(name) && ok; i++ {
		c := name[i]
		ok = c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte("-_.@/", c) >= 0
	}
	if !ok || name == AnonymousName {
		return fmt.Errorf("%w: name %q, want 1 to 128 letters, digits and . _ - @ /, and not %q", ErrToken, short(name), AnonymousName)
	}
	return nil
}
