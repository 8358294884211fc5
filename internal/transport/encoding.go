package transport

import (
	"strconv"
	"strings"
)

// Encoding chooses gzip, zstd or "", which is none, among the encodings that the
// caller names: the one it likes best, and of two that it likes the same the
// denser one.
func (c *Call) Encoding() string {
	gzip, zstd, identity := -1.0, -1.0, -1.0
	for _, h := range c.R.Header["Accept-Encoding"] {
		for e := range strings.SplitSeq(h, ",") {
			name, rest, _ := strings.Cut(e, ";")
			q := quality(rest)
			switch strings.ToLower(strings.TrimSpace(name)) {
			case "gzip", "x-gzip":
				gzip = q
			case "zstd":
				zstd = q
			case "identity":
				identity = q
			}
		}
	}
	switch {
	case zstd > 0 && zstd >= gzip && zstd >= identity:
		return "zstd"
	case gzip > 0 && gzip >= identity:
		return "gzip"
	}
	return ""
}

// quality reads ";q=0.5"; without one it is 1, and what cannot be read is 0.
func quality(params string) float64 {
	for p := range strings.SplitSeq(params, ";") {
		k, v, ok := strings.Cut(p, "=")
		if ok && strings.EqualFold(strings.TrimSpace(k), "q") {
			q, err := strconv.ParseFloat(strings.TrimSpace(v), 64)
			if err != nil || !(q >= 0 && q <= 1) {
				return 0
			}
			return q
		}
	}
	return 1
}
