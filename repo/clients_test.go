package repo

import (
	"strings"
	"testing"
)

func TestWhoCannotReadWhat(t *testing.T) {
	for _, c := range []struct {
		size        int64
		kinds       int
		index, file []string
	}{
		{5 << 20, 0, nil, nil},
		{5<<20 + 1, 1, []string{"Rancher", "charts/NAME"}, []string{"Rancher"}},
		{10<<20 + 1, 1, []string{"Rancher"}, []string{"Flux", "10485760"}},
		{52_428_800, 1, []string{"Rancher"}, []string{"Flux"}},
		{52_428_801, 2, []string{"Flux takes 52428800"}, []string{"Flux"}},
	} {
		kinds, index := unread(c.size)
		file := strings.Join(tooLargeForSome(c.size), "\n")
		if kinds != c.kinds || (index == "") != (c.index == nil) || (file == "") != (c.file == nil) {
			t.Errorf("%d bytes: %d kinds, %q, %q", c.size, kinds, index, file)
		}
		for _, want := range c.index {
			if !strings.Contains(index, want) {
				t.Errorf("an index of %d bytes: %q, want %q", c.size, index, want)
			}
		}
		for _, want := range c.file {
			if !strings.Contains(file, want) {
				t.Errorf("a package of %d bytes: %q, want %q", c.size, file, want)
			}
		}
	}
}
