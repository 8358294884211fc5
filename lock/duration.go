package lock

import (
	"strings"
	"time"
)

// Duration is a length of time that is written as "24h" or "1h30m".
type Duration time.Duration

// String writes the duration without its empty units.
func (d Duration) String() string {
	s := time.Duration(d).String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// MarshalText implements encoding.TextMarshaler.
func (d Duration) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (d *Duration) UnmarshalText(b []byte) error {
	v, err := time.ParseDuration(string(b))
	if err != nil {
		return fail(ErrInvalid, "%.80q is no duration: write it as 24h, 90m or 1h30m", b)
	}
	*d = Duration(v)
	return nil
}
