package lockfile

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"testing"

	"chartd.dev/chartd/internal/ref"
	"pgregory.net/rapid"
)

func drawImages(t *rapid.T, roles []ref.Role) []Image {
	var out []Image
	for _, role := range roles {
		r, err := ref.ParseRepository(rapid.StringMatching(`(quay\.io/|localhost:5000/|)[a-z][a-z0-9]{0,8}(/[a-z]{1,5}-[a-z]{1,5}){0,2}`).Draw(t, "repository"))
		if err != nil {
			t.Fatal(err)
		}
		tag := rapid.StringMatching(`([A-Za-z0-9_][A-Za-z0-9._-]{0,20})?`).Draw(t, "tag")
		out = append(out, Image{role, r, tag, ref.DigestOf([]byte(rapid.String().Draw(t, "image")))})
	}
	return out
}

func drawChart(t *rapid.T) Chart {
	return Chart{
		rapid.StringMatching(`[a-z][a-z0-9]{0,10}(-[a-z0-9]{1,4})?`).Draw(t, "chart"),
		rapid.StringMatching(`v?(0|[1-9][0-9]{0,3})\.(0|[1-9][0-9]?)\.(0|[1-9][0-9]?)(-(alpha|rc|0\.dev)\.[1-9]\.h[0-9a-f]{6})?(\+[a-z0-9]{1,5})?`).Draw(t, "version"),
		ref.DigestOf([]byte(rapid.String().Draw(t, "package"))),
	}
}

func drawEntry(t *rapid.T, key string) Entry {
	e := Entry{Key: key, Source: rapid.StringMatching(`https?://[a-z]{1,9}(\.[a-z]{2,5}){0,2}(:[1-9][0-9]{2})?(/[a-z0-9~._-]{1,9}){0,2}/?`).Draw(t, "source")}
	if rapid.Bool().Draw(t, "prepared") {
		c := drawChart(t)
		e.Prepare = &c
	}
	if e.Prepare != nil && rapid.Bool().Draw(t, "never pinned") {
		return e
	}
	e.Chart = drawChart(t)
	role := rapid.Custom(func(t *rapid.T) ref.Role {
		return ref.Role(rapid.StringMatching(`[a-zA-Z0-9_-]{1,6}(\.[a-z]{1,5}){0,2}`).Draw(t, "role"))
	})
	roles := rapid.SliceOfNDistinct(role, 0, 4, rapid.ID).Draw(t, "roles")
	e.Images = drawImages(t, roles)
	e.Bases = drawImages(t, slices.DeleteFunc(roles, func(ref.Role) bool { return rapid.Bool().Draw(t, "no base") }))
	return bound(e)
}

func drawFile(t *rapid.T) File {
	keys := rapid.SliceOfNDistinct(rapid.StringMatching(`[a-z0-9]{1,3}(-[a-z0-9]{1,2})?(/[a-z]{1,3})?`), 0, 8, rapid.ID).Draw(t, "keys")
	var f File
	for _, key := range keys {
		f = f.With(drawEntry(t, key))
	}
	return f
}

func TestRoundTrip(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		f := drawFile(t)
		data := f.Bytes()
		again, err := Parse(data)
		if err != nil {
			t.Fatalf("%v\n%s", err, data)
		}
		if !bytes.Equal(again.Bytes(), data) || len(again.Entries) != len(f.Entries) {
			t.Fatalf("written as\n%s\nand read as\n%s", data, again.Bytes())
		}
		for i, e := range f.Entries {
			if got := again.Entries[i]; !sameEntry(got, e) {
				t.Fatalf("%+v is read as %+v", e, got)
			}
			if got, ok := again.Get(e.Key); !ok || !sameEntry(got, e) || got.Sum() != e.Sum() {
				t.Fatalf("Get(%q) is %+v, %v", e.Key, got, ok)
			}
		}
		if whole := Whole(data); !bytes.Equal(File{whole}.Bytes(), data) {
			t.Fatalf("of a sound file are whole %+v", whole)
		}
		// Any one byte that is another one is noticed.
		i := rapid.IntRange(0, len(data)-1).Draw(t, "at")
		data[i] ^= rapid.ByteRange(1, 255).Draw(t, "change")
		if other, err := Parse(data); err == nil {
			t.Fatalf("with another byte at %d it is read as\n%s", i, other.Bytes())
		}
	})
}

func sameEntry(a, b Entry) bool {
	same := slices.Equal(a.Images, b.Images) && slices.Equal(a.Bases, b.Bases) && reflect.DeepEqual(a.Prepare, b.Prepare)
	a.Images, a.Bases, a.Prepare, b.Images, b.Bases, b.Prepare = nil, nil, nil, nil, nil, nil
	return same && reflect.DeepEqual(a, b)
}

func FuzzParse(f *testing.F) {
	data, err := os.ReadFile(filepath.Join("testdata", "v1.lock"))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data)
	f.Add(File{}.Bytes())
	f.Add(bytes.ReplaceAll(data, []byte("\n"), []byte("\r\n")))
	f.Add(append([]byte("<<<<<<< HEAD\n"), data...))
	f.Fuzz(func(t *testing.T, data []byte) {
		file, err := Parse(data)
		whole := File{Whole(data)}
		if _, e := Parse(whole.Bytes()); e != nil {
			t.Fatalf("what is whole is not: %v", e)
		}
		for _, e := range whole.Entries {
			if !slices.Contains(Keys(data), e.Key) {
				t.Fatalf("%s is whole and not mentioned", e.Key)
			}
		}
		if err != nil {
			var syntax *SyntaxError
			if !errors.As(err, &syntax) || syntax.Line < 1 || syntax.Line > bytes.Count(data, []byte("\n"))+1 {
				t.Fatalf("%T: %v", err, err)
			}
			return
		}
		if !bytes.Equal(file.Bytes(), data) || !bytes.Equal(whole.Bytes(), data) {
			t.Fatalf("taken, and written as\n%s", file.Bytes())
		}
	})
}
