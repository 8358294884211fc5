package repo

import (
	"unicode/utf8"

	"helm.sh/helm/v3/pkg/chart"

	"chartd.dev/chartd/internal/archive"
)

// An index is JSON, and most of its readers take it for YAML, which is stricter:
// one line that YAML does not take makes the whole index unreadable. So what
// stands in a line is written such that both read the same.

// readable escapes in JSON what YAML takes for something else, or not at all:
// control characters, what it takes for the end of a line, the byte order mark.
// The JSON is that of encoding/json, which leaves no other room for them than texts.
func readable(raw []byte) []byte {
	from, out := 0, []byte(nil)
	for i := 0; i < len(raw); {
		r, size := rune(raw[i]), 1
		if r >= utf8.RuneSelf {
			r, size = utf8.DecodeRune(raw[i:])
		}
		if r == 0x7f || r >= 0x80 && r <= 0x9f || r == 0xfeff || r == 0xfffe || r == 0xffff {
			const hex = "0123456789abcdef"
			out = append(append(out, raw[from:i]...), '\\', 'u', hex[r>>12&15], hex[r>>8&15], hex[r>>4&15], hex[r&15])
			from = i + size
		}
		i += size
	}
	if out == nil {
		return raw
	}
	return append(out, raw[from:]...)
}

// readableKeys keeps of a chart's metadata the keys that every reader takes for
// keys, and of what a dependency imports what Helm reads: names, and pairs of them.
func readableKeys(m *chart.Metadata) {
	for key := range m.Annotations {
		if !archive.FitsKey(key) {
			delete(m.Annotations, key)
		}
	}
	for _, d := range m.Dependencies {
		if d == nil {
			continue
		}
		var kept []any
		for _, v := range d.ImportValues {
			switch v := v.(type) {
			case string:
				kept = append(kept, v)
			case map[string]any:
				pair := map[string]any{}
				for _, key := range []string{"child", "parent"} {
					if s, ok := v[key].(string); ok {
						pair[key] = s
					}
				}
				kept = append(kept, pair)
			}
		}
		d.ImportValues = kept
	}
}
