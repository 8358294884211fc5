package verify

import (
	"strings"

	"chartd.dev/chartd/internal/ref"
)

// brief is as much of a digest as tells two apart.
func brief(d ref.Digest) string { return "sha256:" + d.Hex()[:12] + "…" }

// bare is a tag without a digest behind it.
func bare(tag string) string {
	tag, _, _ = strings.Cut(tag, "@")
	if tag == "" {
		return "no tag"
	}
	return tag
}

// shortened is a text from a file as far as one line has room for it.
func shortened(s string) string {
	const most = 120
	if r := []rune(s); len(r) > most {
		return string(r[:most]) + "…"
	}
	return s
}
