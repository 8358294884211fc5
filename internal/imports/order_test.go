package imports

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"chartd.dev/chartd/internal/ref"
)

func testItem(t *testing.T, file, version, date string) *item {
	t.Helper()
	v, err := ref.ParseImported("hub", version)
	if err != nil {
		t.Fatal(err)
	}
	it := &item{candidate: candidate{file: file}, chart: v, digest: ref.DigestOf([]byte(file))}
	if date != "" {
		if it.date, err = time.Parse(time.DateOnly, date); err != nil {
			t.Fatal(err)
		}
	}
	return it
}

func files(items []*item) []string {
	var out []string
	for _, it := range items {
		out = append(out, it.file)
	}
	return out
}

func TestOrder(t *testing.T) {
	meant := testItem(t, "meant", "2.0.0", "2019-01-01")
	meant.entry = &entry{Digest: meant.digest.Hex()}
	items := []*item{
		testItem(t, "c", "1.0.0", "2020-01-01"),
		testItem(t, "undated-b", "0.2.0", ""),
		testItem(t, "other", "2.0.0", "2018-01-01"), // of the version that the index means otherwise
		meant,
		testItem(t, "b", "1.1.0", "2018-06-01"),
		testItem(t, "undated-a", "0.1.0", ""),
		testItem(t, "same-day", "0.9.0", "2020-01-01"),
	}
	want := []string{"undated-a", "undated-b", "b", "meant", "same-day", "c", "other"}
	if d := cmp.Diff(want, files(order(items))); d != "" {
		t.Errorf("-want +got:\n%s", d)
	}
}

func TestParseIndex(t *testing.T) {
	const yamlIndex = `apiVersion: v1
entries:
  hub:
  - {version: 1.10.0, created: 2020-01-02T03:04:05Z, digest: "sha256:` + hex + `", urls: ["../x/Hub-1.10.0.tgz?a=b"], unknown: 1}
  - version: "2"
    created: 0001-01-01T00:00:00Z
    digest: short
  - null
  a: []
`
	jsonIndex := `{"entries":{"hub":[{"name":"hub","version":"1.10.0","created":"2020-01-02T03:04:05Z","digest":"` +
		strings.ToUpper(hex) + `","urls":["https://h/Hub-1.10.0.tgz"]},{"name":"hub","version":"2","created":"1970-01-01T00:00:00Z"}]}}`
	for name, text := range map[string]string{"yaml": yamlIndex, "json": jsonIndex} {
		got, err := parseIndex(name, []byte(text))
		if err != nil || len(got) != 2 {
			t.Fatalf("%s: %d entries, %v", name, len(got), err)
		}
		a, b := got[0], got[1]
		if a.String() != "hub@1.10.0" || a.file() != "Hub-1.10.0.tgz" || a.digest().Hex() != hex || a.created().Year() != 2020 {
			t.Errorf("%s: first is %s %s %s %s", name, a, a.file(), a.digest(), a.created())
		}
		if b.file() != "hub-2.tgz" || !b.digest().IsZero() || !b.created().IsZero() {
			t.Errorf("%s: second is %s %s %s", name, b.file(), b.digest(), b.created())
		}
	}
	for _, bad := range []string{"", "{}", "<html>", "entries: 5", "\x00", "- a"} {
		if _, err := parseIndex("x/index.yaml", []byte(bad)); err == nil || !strings.Contains(err.Error(), "x/index.yaml") {
			t.Errorf("index %q: %v, want an error with its name", bad, err)
		}
	}
}

const hex = "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
