package repo_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"chartd.dev/chartd/internal/indextest"
	"chartd.dev/chartd/internal/ref"
	"chartd.dev/chartd/lock"
	"chartd.dev/chartd/repo"
)

// odd are the characters at which some reader of YAML stops, or reads another
// text, and those beside them.
func odd() string {
	var b strings.Builder
	for r := rune(0); r <= 0xa1; r++ {
		b.WriteRune(r)
	}
	b.WriteString("\u2028\u2029\ufeff\ufffd\ufffe\uffff\ue000\U0001f600\U0001ffff\U0010ffff<<&*!%@`: #- ")
	return b.String()
}

// Anybody who may publish a chart could make the whole index unreadable by one
// character of it.
func TestIndexIsReadable(t *testing.T) {
	for _, format := range []repo.IndexFormat{repo.JSON, repo.YAML} {
		t.Run(string(format), func(t *testing.T) {
			g := newRig(t, func(c *repo.Config) { c.Format = format; c.ContextPath = "/a\u007fb" })
			quoted, err := json.Marshal(odd())
			if err != nil {
				t.Fatal(err)
			}
			text := strings.ReplaceAll(string(quoted), "\u007f", `\u007f`)
			for r := rune(0x80); r < 0xa0; r++ {
				text = strings.ReplaceAll(text, string(r), fmt.Sprintf(`\u%04x`, r))
			}
			for _, r := range "\ufeff\ufffe\uffff" {
				text = strings.ReplaceAll(text, string(r), fmt.Sprintf(`\u%04x`, r))
			}
			more := "description: " + text + "\nkeywords: [" + text + ", \"1e3\", \"yes\"]\nannotations:\n  example.com/note: " + text +
				"\n  " + text + ": key\n  \"=\": value\n  __proto__: prototype\n  \"null\": \"null\"\n" +
				"maintainers:\n- name: " + text + "\n  email: " + text + "\n"
			pkg := pack(t, map[string]string{"odd/Chart.yaml": "apiVersion: v2\nname: odd\nversion: 1.0.0\n" + more})
			g.publish(t, pkg)
			x, err := g.Index(ctx)
			if err != nil {
				t.Fatal(err)
			}
			raw, _ := x.Entry("odd", "1.0.0")
			var line struct{ Annotations map[string]string }
			if err := json.Unmarshal(raw, &line); err != nil {
				t.Fatal(err)
			}
			if got := line.Annotations["example.com/note"]; got != odd() || line.Annotations[odd()] != "key" {
				t.Errorf("the annotations are %q", line.Annotations)
			}
		})
	}
}

// A record of an older chartd, or an import, can hold keys that no reader of
// YAML takes, and numbers that readers take for different things.
func TestIndexOfUnusualRecords(t *testing.T) {
	g := newRig(t)
	long := strings.Repeat("k", 1025)
	chart, err := ref.ParseImported("old", "1.0.0")
	if err != nil {
		t.Fatal(err)
	}
	meta := fmt.Sprintf(`{"name":"old","version":"1.0.0","apiVersion":"v2","annotations":{%q:"v","short":"a\u007fb"},
		"dependencies":[{"name":"sub","repository":"","import-values":["data",{"child":"a","parent":"b",%[1]q:1},1e21,true]}]}`, long)
	pkg := []byte("a package")
	d := ref.DigestOf(pkg)
	if err := g.blobs.Put(ctx, d, bytes.NewReader(pkg)); err != nil {
		t.Fatal(err)
	}
	v := lock.ChartVersion{Chart: chart, Package: d, Content: d, Size: int64(len(pkg)), Metadata: json.RawMessage(meta)}
	if _, err := g.lockfile.Publish(ctx, op("import"), lock.NewVersion{Version: v, Import: true}); err != nil {
		t.Fatal(err)
	}
	x, err := g.Index(ctx)
	if err != nil {
		t.Fatal(err)
	}
	body, _, err := x.Body(repo.Identity)
	if err != nil {
		t.Fatal(err)
	}
	indextest.Read(t, body.Bytes())
	raw, _ := x.Entry("old", "1.0.0")
	want := `"import-values":["data",{"child":"a","parent":"b"}]`
	if !bytes.Contains(raw, []byte(want)) || bytes.Contains(raw, []byte(long)) || !bytes.Contains(raw, []byte(`"short":"a\u007fb"`)) {
		t.Errorf("the line is %s", raw)
	}
	if _, err := g.Purge(ctx, op("purge"), chart, "no package at all"); err != nil {
		t.Fatal(err)
	}
}

// Where a key is cannot stand in an index, a publish says so; an import keeps the
// package, and the index does without the key.
func TestAnnotationKeyOfNoIndex(t *testing.T) {
	g := newRig(t)
	for name, key := range map[string]string{"long": strings.Repeat("k", 1001), "merge": `"<<"`} {
		unfitKey(t, g, name, key)
	}
}

func unfitKey(t *testing.T, g *rig, name, key string) {
	t.Helper()
	pkg := pack(t, map[string]string{name + "/Chart.yaml": "apiVersion: v2\nname: " + name + "\nversion: 1.0.0\nannotations:\n  ? " + key + "\n  : v\n"})
	if _, err := g.Publish(ctx, op("publish"), repo.Upload{Package: pkg}); err == nil || !strings.Contains(err.Error(), "cannot stand in an index") {
		t.Errorf("publish: %v", err)
	}
	p, err := g.Publish(ctx, op("import"), repo.Upload{Package: pkg, Import: &repo.Import{}})
	if err != nil {
		t.Fatal(err)
	}
	if len(p.Chart.Warnings) != 1 || !strings.Contains(p.Chart.Warnings[0], "cannot stand in an index") {
		t.Errorf("warnings %q", p.Chart.Warnings)
	}
}
