package lockfile

import (
	"bytes"
	"slices"
	"strings"
	"testing"
)

func TestKeysAndWhole(t *testing.T) {
	data := string(sample().Bytes())
	lines := strings.SplitAfter(data, "\n")
	all := []string{"data8/prod", "data8/staging", "new-hub/staging", "support"}
	insert := func(n int, texts ...string) string { // before line n
		return strings.Join(slices.Insert(slices.Clone(lines), n-1, texts...), "")
	}
	for _, c := range []struct {
		name, data  string
		keys, whole []string
	}{
		{"sound", data, all, all},
		{"empty", "", nil, nil},
		{"no lock file", "# prose\nof data8/prod chart and more: x\n", nil, nil},
		{"CRLF and BOM", "\ufeff" + strings.ReplaceAll(data, "\n", "\r\n"), all, all},
		{"no head, no end", strings.Join(lines[3:22], ""), all[:3], all[:3]},
		{"one letter", strings.Replace(data, "2024.4.9", "2024.4.8", 1), all, all[1:]},
		{"a line lost", strings.Join(slices.Delete(slices.Clone(lines), 5, 6), ""), all, all[1:]},
		{"a stray line of another entry", insert(12, lines[4]), all, all[2:]},
		{"an entry twice", insert(29, lines[3:9]...), all, all[1:]},
		{"conflict in an entry", insert(8, "<<<<<<< HEAD\n", lines[7], "=======\n", lines[7], ">>>>>>> x\n"), all, all[1:]},
		{"conflict without an end", insert(11, "<<<<<<< HEAD\n", "=======\n"), all, all[:1]},
		{"conflict about whole entries", strings.Join(slices.Concat(lines[:10], []string{"<<<<<<< HEAD\n"}, lines[10:19],
			[]string{"=======\n"}, lines[19:23], []string{">>>>>>> x\n"}, lines[23:]), ""), all, []string{"data8/prod", "support"}},
		{"cut off", data[:len(data)/2], all[:2], all[:1]},
		{"another version", strings.Replace(data, version, "version: 2", 1), all, all},
	} {
		if got := Keys([]byte(c.data)); !slices.Equal(got, c.keys) {
			t.Errorf("%s: mentions %q, want %q", c.name, got, c.keys)
		}
		var whole []string
		for _, e := range Whole([]byte(c.data)) {
			whole = append(whole, e.Key)
			want, _ := sample().Get(e.Key)
			if !bytes.Equal(File{[]Entry{e}}.Bytes(), File{[]Entry{want}}.Bytes()) {
				t.Errorf("%s: %s is read as another", c.name, e.Key)
			}
		}
		if !slices.Equal(whole, c.whole) {
			t.Errorf("%s: whole are %q, want %q", c.name, whole, c.whole)
		}
	}
	if n := len(Keys(make([]byte, MaxSize+1))) + len(Whole(make([]byte, MaxSize+1))); n > 0 {
		t.Error("a file over the limit is read")
	}
}
