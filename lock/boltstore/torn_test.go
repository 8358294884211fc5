package boltstore_test

import (
	"bytes"
	"path/filepath"
	"strings"
	"testing"

	"chartd.dev/chartd/lock/boltstore"
)

// Of several damaged frames at the end of the log all but the last had been
// confirmed: no crash leaves that. One may be a write that did not end, as far as
// the frames alone can say.
func TestDamagedEndOfTheLog(t *testing.T) {
	const page = 4096
	left := crashed(t).unmarked() // the updates 4 to 6 are the pages 1 to 3 of log 1
	flip := func(b []byte) { b[40] ^= 1 }
	zero := func(b []byte) { clear(b[:page]) }
	header := func(b []byte) { b[0] ^= 1 }
	for name, test := range map[string]struct {
		damage map[int]func([]byte)
		kept   int // 0: refused
	}{
		"the last":                            {map[int]func([]byte){3: flip}, 5},
		"the header of the last":              {map[int]func([]byte){3: header}, 5},
		"the last two":                        {map[int]func([]byte){2: flip, 3: flip}, 0},
		"all":                                 {map[int]func([]byte){1: flip, 2: flip, 3: flip}, 0},
		"the header of the one before":        {map[int]func([]byte){2: header, 3: flip}, 0},
		"the one before became zeros":         {map[int]func([]byte){2: zero, 3: flip}, 0},
		"all before the last became zeros":    {map[int]func([]byte){1: zero, 2: zero, 3: flip}, 0},
		"the first of all, and the last torn": {map[int]func([]byte){1: flip, 3: func(b []byte) { clear(b[512:page]) }}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			f := files{"": left[""], "-log0": left["-log0"], "-log1": bytes.Clone(left["-log1"])}
			for at, damage := range test.damage {
				damage(f["-log1"][at*page:])
			}
			if test.kept == 0 {
				if !openDamagedLog(t, name, f) {
					t.Error("opened")
				}
				return
			}
			path := filepath.Join(t.TempDir(), "lock.db")
			f.write(t, path)
			warning := ""
			s := openWith(t, path, boltstore.Options{OnWarning: func(w string) { warning = w }})
			if err := numbered(s, t, test.kept); err != nil {
				t.Error(err)
			}
			says := strings.Contains(warning, "updates, as its header says: 1 in 4096 bytes")
			if !strings.Contains(warning, "from update 6 on") || !strings.Contains(warning, "were confirmed and are lost") || says != (name == "the last") {
				t.Errorf("the warning is %q", warning)
			}
		})
	}
}
