package yamledit

import (
	"bytes"
	"testing"
)

// FuzzYAMLSet sets a scalar of any file to any value: it is refused, or only
// that scalar's bytes change.
func FuzzYAMLSet(f *testing.F) {
	f.Add([]byte(sample), "1.10", uint(3))
	f.Add([]byte("\ufeffa: {b: x, c: }\r\n"), "no", uint(0))
	f.Add([]byte("- &a 'x'\n- *a\n- !!str\n"), "", uint(1))
	f.Fuzz(func(t *testing.T, doc []byte, value string, pick uint) {
		if _, err := Parse(doc, Limits{}); err != nil {
			return
		}
		all := targets(t, doc)
		if len(all) == 0 {
			return
		}
		x := all[pick%uint(len(all))]
		if len(x.path) == 0 {
			return
		}
		out, sp, err := SetIn(doc, x.document, x.path, value)
		if err != nil {
			return
		}
		s, err := FindIn(doc, x.document, x.path...)
		if err != nil || sp.Offset != s.Start || len(sp.From) != s.End-s.Start {
			t.Fatalf("spliced %+v, the scalar is %+v (%v)", sp, s, err)
		}
		now, err := FindIn(out, x.document, x.path...)
		if err != nil || now.Value != value {
			t.Fatalf("%q reads as %q (%v)", value, now.Value, err)
		}
		if back, err := sp.Undo(out); err != nil || !bytes.Equal(back, doc) {
			t.Fatalf("undo: %v", err)
		}
	})
}
