package fileset

import (
	"encoding/json"
	"os"
	"path"
	"reflect"
	"strings"
	"testing"
)

// sealed makes a journal whose sum is right whatever else is wrong with it.
func sealed(t testing.TB, j journal) []byte {
	t.Helper()
	b, err := j.bytes()
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// A journal with a right sum is still not trusted: a checkout may bring one.
func TestHostileJournal(t *testing.T) {
	good := file{Path: "a/b", Target: "a/b", Temp: "a/.b.chartctl-aaaaaaaaaaaaaaaa", Old: digest([]byte("old")), New: digest([]byte("new")), Data: []byte("new")}
	if _, err := parseJournal(sealed(t, journal{State: staged, Files: []file{good}})); err != nil {
		t.Fatalf("a good journal: %v", err)
	}
	for name, change := range map[string]func(*file){
		"temp elsewhere":  func(f *file) { f.Temp = "c/.b.chartctl-aaaaaaaaaaaaaaaa" },
		"temp is a file":  func(f *file) { f.Temp = "a/README" },
		"temp above":      func(f *file) { f.Temp = "../.b.chartctl-aaaaaaaaaaaaaaaa" },
		"temp without":    func(f *file) { f.Temp = "" },
		"target outside":  func(f *file) { f.Target, f.Temp = "../b", "../.b.chartctl-aaaaaaaaaaaaaaaa" },
		"target absolute": func(f *file) { f.Target, f.Temp = "/b", "/.b.chartctl-aaaaaaaaaaaaaaaa" },
		"target in .git":  func(f *file) { f.Target, f.Temp = ".git/b", ".git/.b.chartctl-aaaaaaaaaaaaaaaa" },
		"path outside":    func(f *file) { f.Path = "../x" },
		"wrong data":      func(f *file) { f.Data = []byte("other") },
		"no change":       func(f *file) { f.New = f.Old },
		"no digest":       func(f *file) { f.Old = "x" },
	} {
		f := good
		change(&f)
		if _, err := parseJournal(sealed(t, journal{State: staged, Files: []file{f}})); err == nil {
			t.Errorf("%s: parsed", name)
		}
	}
	for name, j := range map[string]journal{"twice": {State: staged, Files: []file{good, good}}, "state": {State: "done", Files: []file{good}}} {
		if _, err := parseJournal(sealed(t, j)); err == nil {
			t.Errorf("%s: parsed", name)
		}
	}
}

// FuzzJournal parses anything, and the content of anything under a right sum.
// What it accepts names files of the checkout only, and prints and parses to
// the same.
func FuzzJournal(f *testing.F) {
	fixture, err := os.ReadFile("testdata/journal-v1.json")
	if err != nil {
		f.Fatal(err)
	}
	var e envelope
	if err := json.Unmarshal(fixture, &e); err != nil {
		f.Fatal(err)
	}
	for _, body := range []string{string(e.Body), `{}`, `{"state":"staging","files":[]}`, `{"state":"staged","files":[{}],"note":null}`, `null`, `[]`} {
		f.Add([]byte(body), true)
	}
	f.Add(fixture, false)
	f.Fuzz(func(t *testing.T, data []byte, seal bool) {
		if seal {
			compact, err := json.Marshal(json.RawMessage(data))
			if err != nil {
				return
			}
			if data, err = json.Marshal(envelope{journalVersion, digest(compact), compact}); err != nil {
				return
			}
		}
		j, err := parseJournal(data)
		if err != nil {
			return
		}
		for _, f := range j.Files {
			for _, p := range []string{f.Path, f.Target, f.Temp} {
				if path.Clean(p) != p || path.IsAbs(p) || p == ".." || strings.HasPrefix(p, "../") || strings.HasPrefix(strings.ToLower(p), ".git/") {
					t.Errorf("accepted the path %q", p)
				}
			}
			if path.Dir(f.Temp) != path.Dir(f.Target) || !strings.Contains(path.Base(f.Temp), ".chartctl-") {
				t.Errorf("accepted %q beside %q", f.Temp, f.Target)
			}
		}
		again, err := parseJournal(sealed(t, j))
		if err != nil {
			t.Fatalf("printed and parsed: %v", err)
		}
		third, err := parseJournal(sealed(t, again))
		if err != nil || !reflect.DeepEqual(again, third) {
			t.Errorf("%+v and %+v, %v", again, third, err)
		}
	})
}
