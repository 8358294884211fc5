package lockfile

import (
	"slices"
	"strings"
)

// Keys returns the keys that a file mentions, sorted, whatever else is wrong
// with it. It is for telling what a damaged file was about.
func Keys(data []byte) []string {
	var keys []string
	for _, line := range looseLines(data) {
		if x, err := parseFact(line.text); err == nil {
			keys = append(keys, x.key)
		}
	}
	slices.Sort(keys)
	return slices.Compact(keys)
}

// Whole returns the entries of a damaged file that are beyond doubt: complete,
// with the right sum, outside every conflict, and with no other line of their
// key in the file. They are sorted by key.
func Whole(data []byte) []Entry {
	var blocks [][]string
	mentions, contested, last := map[string]int{}, map[string]bool{}, ""
	for _, line := range looseLines(data) {
		x, err := parseFact(line.text)
		if err != nil {
			last = ""
			continue
		}
		mentions[x.key]++
		contested[x.key] = contested[x.key] || line.conflict
		if x.key != last {
			blocks = append(blocks, nil)
		}
		last = x.key
		blocks[len(blocks)-1] = append(blocks[len(blocks)-1], line.text)
	}
	var whole []Entry
	for _, block := range blocks {
		e, err := parseEntry(block, 1)
		if err == nil && !contested[e.Key] && mentions[e.Key] == len(block) {
			whole = append(whole, e)
		}
	}
	return File{}.With(whole...).Entries
}

type looseLine struct {
	text     string
	conflict bool // between the markers of a conflict
}

// looseLines takes any line end. A conflict that has no end goes on to the
// end of the file.
func looseLines(data []byte) []looseLine {
	if len(data) > MaxSize {
		return nil
	}
	var out []looseLine
	inside := false
	for text := range strings.Lines(strings.TrimPrefix(string(data), "\ufeff")) {
		text = strings.TrimRight(text, "\r\n")
		if isMarker(text) {
			inside = !strings.HasPrefix(text, ">>>>>>>")
			continue
		}
		out = append(out, looseLine{text, inside})
	}
	return out
}
