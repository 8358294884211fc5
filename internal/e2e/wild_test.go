package e2e

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"chartd.dev/chartd/internal/e2e/rig"
)

// dirChart writes a chart of a name and files into a directory.
func dirChart(t *testing.T, name string, files map[string]string) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), name)
	for file, text := range files {
		path := filepath.Join(dir, file)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// One chart with a control character in a field made the whole index unreadable.
func TestHelmReadsAnIndexOfOddCharacters(t *testing.T) {
	for _, format := range []string{"json", "yaml"} {
		t.Run(format, func(t *testing.T) {
			b := rig.New(t, "--index-format", format)
			odd := `del \x7f next \x85 \x9f line \u2028 mark \ufeff \uffff nul \0 smile \U0001f600`
			b.Ctl(0, "publish", dirChart(t, "odd", map[string]string{"Chart.yaml": fmt.Sprintf(
				"apiVersion: v2\nname: odd\nversion: 1.0.0\ndescription: \"%s\"\nkeywords: [\"%[1]s\"]\nannotations:\n  note: \"%[1]s\"\n  \"%[1]s\": key\n", odd)}))
			b.Ctl(0, "publish", dirChart(t, "plain", map[string]string{"Chart.yaml": "apiVersion: v2\nname: plain\nversion: 1.0.0\ndescription: d\n"}))
			b.EachHelm(t, func(t *testing.T, h *rig.Helm) {
				h.Do("repo", "add", "campus", h.Server.URL)
				var found []struct{ Name, Description string }
				if err := json.Unmarshal([]byte(h.Do("search", "repo", "campus/", "-o", "json")), &found); err != nil || len(found) != 2 {
					t.Fatalf("search finds %v: %v", found, err)
				}
				// Helm drops what cannot be printed.
				if want := "del  next    line   mark   nul  smile \U0001f600"; found[0].Description != want {
					t.Errorf("Helm reads the description %q, want %q", found[0].Description, want)
				}
				h.Do("pull", "campus/odd", "--version", "1.0.0")
			})
		})
	}
}

// Versions that are of the same order for Helm are two versions: each is found by
// its exact name, as a file and by --version, whichever was published last.
func TestHelmTellsTwinsApart(t *testing.T) {
	b := rig.New(t)
	versions := []string{"1.0.0+up4.0.0", "1.0.0+up4.1.0", "2.0.0", "v2.0.0"}
	for _, v := range versions {
		chart := dirChart(t, "twin", map[string]string{"Chart.yaml": "apiVersion: v2\nname: twin\nversion: " + v + "\n"})
		r := b.Ctl(0, "publish", chart)
		if v == "v2.0.0" || v == "1.0.0+up4.1.0" {
			wants(t, "publish", r.Text(), "a range takes either by chance")
		}
	}
	b.EachHelm(t, func(t *testing.T, h *rig.Helm) {
		h.Do("repo", "add", "campus", h.Server.URL)
		for _, v := range versions {
			h.Do("pull", "campus/twin", "--version", v)
			wants(t, "show chart of the file", h.Do("show", "chart", filepath.Join(h.Dir, "twin-"+v+".tgz")), "version: "+v+"\n")
		}
	})
}
