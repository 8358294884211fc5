package lockfile

import (
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"slices"
	"strings"

	"chartd.dev/chartd/internal/advice"
)

// header is part of the format, so its words stay.
var header = "# chartd.lock – written by chartctl; check with: " + string(advice.Verify)

const (
	version = "version: 1"
	footer  = "# end"
)

// Bytes returns the file as it is written: the same for the same entries,
// whoever writes it. It checks nothing: Parse refuses the bytes where an entry
// is not a right one.
func (f File) Bytes() []byte {
	var b strings.Builder
	b.WriteString(header + "\n" + version + "\n\n")
	for _, e := range f.Entries {
		for _, line := range e.lines() {
			b.WriteString(line + "\n")
		}
		b.WriteString(e.Key + " sum: " + e.Sum() + "\n\n")
	}
	b.WriteString(footer + "\n")
	return []byte(b.String())
}

// Sum is the checksum over the key and the lines of the entry.
func (e Entry) Sum() string { return sum(e.Key, e.lines()) }

// sum is independent of the lines' order, so that a later format may put them
// in another.
func sum(key string, lines []string) string {
	h := sha256.New()
	h.Write([]byte(key + "\n"))
	for _, line := range slices.Sorted(slices.Values(lines)) {
		h.Write([]byte(line + "\n"))
	}
	return "s1:" + base64.RawURLEncoding.EncodeToString(h.Sum(nil))
}

// lines are the entry's lines without its sum.
func (e Entry) lines() []string {
	var out []string
	add := func(field, value string) {
		// A line end in a value must not start a line of its own.
		out = append(out, strings.ReplaceAll(e.Key+" "+field+": "+value, "\n", `\n`))
	}
	if e.Chart != (Chart{}) {
		add("chart", e.Chart.text())
	}
	add("source", e.Source)
	for _, i := range e.Images {
		add("image."+string(i.Role), i.text())
	}
	for _, i := range e.Bases {
		add("base."+string(i.Role), i.text())
	}
	if e.Prepare != nil {
		add("prepare", e.Prepare.text())
	}
	if !e.Binding.IsZero() {
		add("binding", e.Binding.String())
	}
	return out
}

func (c Chart) text() string { return fmt.Sprintf("%s %s %s", c.Name, c.Version, c.Digest) }

func (i Image) text() string {
	name := i.Repository.String()
	if i.Tag != "" {
		name += ":" + i.Tag
	}
	return name + " " + i.Digest.String()
}
