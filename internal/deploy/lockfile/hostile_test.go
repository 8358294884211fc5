package lockfile

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"chartd.dev/chartd/internal/ref"
)

type hostileCase struct {
	name, data string
	line       int
	text       string // a part of the message
}

// The lines of the sample by number:
// 4–9 data8/prod, 11–18 data8/staging, 20–22 new-hub/staging, 24–27 support, 29 end.
func hostileCases(t *testing.T) []hostileCase {
	t.Helper()
	data := string(sample().Bytes())
	lines := strings.Split(data, "\n")
	swap := func(from, to string) string {
		if !strings.Contains(data, from) {
			t.Fatalf("the sample has no %q", from)
		}
		return strings.Replace(data, from, to, 1)
	}
	line := func(n int, text string) string { return swap(lines[n-1]+"\n", text) }
	moved := func(n, to int) string {
		return strings.Replace(line(n, ""), lines[to-1]+"\n", lines[n-1]+"\n"+lines[to-1]+"\n", 1)
	}
	digest := lines[3][strings.Index(lines[3], "sha256:"):]
	const handMade = `edited by hand or badly merged; take the file from git or run "chartctl lock resolve"`
	// A prepared entry without its source, and with a right sum.
	unsourced := lines[20]
	unsourced += "\nnew-hub/staging sum: " + sum("new-hub/staging", []string{unsourced})
	return []hostileCase{
		{"empty", "", 1, "empty"},
		{"one byte", "#", 1, "cut off"},
		{"only a line end", "\n", 1, "want"},
		{"over the limit", data + strings.Repeat("\n", MaxSize), 1, "limit is 10485760"},
		{"BOM", "\ufeff" + data, 1, "byte order mark"},
		{"UTF-16", "\xff\xfe#\x00", 1, "cut off"},
		{"no comment", line(1, ""), 1, "want \"# chartd.lock"},
		{"other comment", line(1, "# chartd.lock - written by chartctl; check with: chartctl verify\n"), 1, "want"},
		{"unknown version", line(2, "version: 2\n"), 2, "install the chartctl that wrote the file"},
		{"quoted version", line(2, "version: \"1\"\n"), 2, "not known"},
		{"no version", line(2, ""), 2, "want \"version: 1\""},
		{"document start", line(2, "---\nversion: 1\n"), 2, "want"},
		{"CRLF", strings.ReplaceAll(data, "\n", "\r\n"), 1, "CR LF"},
		{"one CRLF", line(7, lines[6]+"\r\n"), 7, "CR LF"},
		{"CR in a line", swap("3.3.7 sha", "3.3.7\rsha"), 4, "0x0d at column 35"},
		{"tab", swap("chart: jupyterhub", "chart:\tjupyterhub"), 4, "tab at column 18"},
		{"NUL", swap("support sum", "support\x00sum"), 27, "0x00"},
		{"not ASCII", swap("support sum", "supp\u00f6rt sum"), 27, "0xc3"},
		{"no-break space", swap("support sum", "support\u00a0sum"), 27, "0xc2"},
		{"white space at the end", swap(lines[4], lines[4]+" "), 5, "white space at the end"},
		{"two spaces", swap("data8/prod chart: ", "data8/prod chart:  "), 4, "chart name \"\""},
		{"indented", swap("data8/prod chart", " data8/prod chart"), 4, "\"\" is no key"},
		{"comment in an entry", line(5, lines[4]+"\n# here\n"), 6, "no line of an entry"},
		{"comment between entries", line(11, "# here\n"+lines[10]+"\n"), 11, "no line of an entry"},
		{"anchor", swap("data8/prod source: ", "data8/prod source: &s "), 5, "no chart repository"},
		{"alias", swap("support source: "+source+"/sub/", "support source: *s"), 25, "no chart repository"},
		{"quoted value", swap("support source: "+source+"/sub/", "support source: \""+source+"\""), 25, "no chart repository"},
		{"merge key", line(5, lines[4]+"\ndata8/prod <<: *x\n"), 6, "\"<<\" is no field"},

		{"conflict", line(7, "<<<<<<< HEAD\n"+lines[6]+"\n=======\n"+lines[6]+"\n>>>>>>> other\n"), 7, "resolve the conflict at line 7"},
		{"conflict with base", line(7, lines[6]+"\n||||||| base\n"), 8, "resolve the conflict at line 8"},
		{"end of a conflict", line(27, lines[26]+"\n>>>>>>> other\n"), 28, "resolve the conflict at line 28"},
		{"half of a conflict", line(7, "=======\n"), 7, "resolve the conflict at line 7"},
		{"conflict with CRLF", line(7, "<<<<<<< HEAD\r\n"+lines[6]+"\n"), 7, "resolve the conflict at line 7"},

		{"unknown field", line(5, lines[4]+"\ndata8/prod note: x\n"), 6, "\"note\" is no field"},
		{"field in capitals", swap("data8/prod chart", "data8/prod Chart"), 4, "\"Chart\" is no field"},
		{"chart with a role", swap("data8/prod chart:", "data8/prod chart.hub:"), 4, "\"chart.hub\" is no field"},
		{"image without a role", swap("data8/prod image.hub:", "data8/prod image:"), 6, "\"image\" is no field"},
		{"empty role", swap("data8/prod image.hub:", "data8/prod image.:"), 6, "role \"\""},
		{"bad role", swap("data8/prod image.hub:", "data8/prod image.hub..x:"), 6, "role"},
		{"bad key", swap("data8/prod chart", "data8/prod/x chart"), 4, "\"data8/prod/x\" is no key"},
		{"capital key", swap("support chart", "Support chart"), 24, "\"Support\" is no key"},
		{"key of another entry", swap("data8/prod image", "data8/staging image"), 6, "a line of data8/staging stands in the entry of data8/prod"},
		{"other key throughout", strings.ReplaceAll(data, "data8/prod ", "data8/dev "), 9, handMade},
		{"line twice", line(6, lines[5]+"\n"+lines[5]+"\n"), 7, "image.hub twice"},
		{"lines of two sides", line(6, lines[5]+"\n"+strings.Replace(lines[5], "2024.4.9", "2024.4.10", 1)+"\n"), 7, "image.hub twice"},
		{"field out of order", moved(5, 4), 5, "chart stands behind source"},
		{"roles out of order", moved(14, 13), 14, "image.hub stands behind image.singleuser"},
		{"line behind the sum", line(9, lines[8]+"\n"+lines[7]+"\n"), 10, "binding stands behind sum"},

		{"no package digest", swap(" "+digest+"\n", "\n"), 4, "lacks the digest of its package"},
		{"no image digest", line(6, lines[5][:strings.Index(lines[5], " sha256:")]+"\n"), 6, "lacks the digest of the image"},
		{"short digest", swap(digest, digest[:60]), 4, "want \"sha256:\" and 64"},
		{"capital digest", swap(digest, strings.ToUpper(digest)), 4, "digest"},
		{"other hash", swap(digest, "sha512:"+strings.Repeat("ab", 64)), 4, "digest"},
		{"zero digest", swap(digest, "sha256:"+strings.Repeat("0", 64)), 4, "all zeros"},
		{"words behind the digest", swap(digest+"\n", digest+" # checked\n"), 4, "digest"},
		{"version is none", swap("jupyterhub 3.3.7", "jupyterhub latest"), 4, "version \"latest\""},
		{"name is a path", swap("jupyterhub 3.3.7", "../x 3.3.7"), 4, "chart name"},
		{"image with a digest", swap("jupyterhub-hub:2024.4.9 ", "jupyterhub-hub@"+digest+" "), 6, "full name of an image"},
		{"short name of an image", swap("quay.io/berkeley/jupyterhub-hub", "hub"), 6, "want docker.io/library/hub:2024.4.9"},
		{"bad tag", swap("jupyterhub-hub:2024.4.9", "jupyterhub-hub:-x"), 6, "tag"},
		{"source is a path", swap(source, "file:///charts"), 5, "no chart repository"},
		{"source with a password", swap(source, "https://u:p@charts.example.edu"), 5, "no chart repository"},
		{"source with a query", swap(source, source+"?token=x"), 5, "no chart repository"},
		{"binding of another kind", swap("binding: b1:", "binding: b2:"), 8, "binding"},
		{"long value", swap(source, source+strings.Repeat("/x", 2000)), 5, "no chart repository"},

		{"sum off", line(9, lines[8][:len(lines[8])-1]+"\n"), 9, handMade},
		{"sum of another", swap(lines[8], strings.Replace(lines[17], "staging", "prod", 1)), 9, handMade},
		{"sum with padding", line(9, lines[8]+"=\n"), 9, handMade},
		{"other version of the sum", swap("prod sum: s1:", "prod sum: s2:"), 9, handMade},
		{"version changed by hand", swap("jupyterhub 3.3.7", "jupyterhub 3.3.6"), 9, handMade},
		{"tag changed by hand", swap(":2024.4.9", ":2024.5.0"), 9, handMade},
		{"line lost", line(7, ""), 8, handMade},
		{"sum lost", line(9, ""), 8, "its last line has to be its sum"},
		{"prepare by hand", line(8, strings.Replace(lines[15], "staging", "prod", 1)+"\n"+lines[7]+"\n"), 10, handMade},

		{"no blank line", swap(lines[8]+"\n\n", lines[8]+"\n"), 10, "a blank line is missing before the entry of data8/staging"},
		{"two blank lines", swap(lines[8]+"\n\n", lines[8]+"\n\n\n"), 11, "second blank line"},
		{"entry twice", swap(lines[10], strings.Join(lines[3:9], "\n")+"\n\n"+lines[10]), 11, "data8/prod has a second entry here, its first is at line 4"},
		{"entry twice, apart", swap("# end", strings.Join(lines[3:9], "\n")+"\n\n# end"), 29, "its first is at line 4"},
		{"entries out of order", strings.Join(lines[:3], "\n") + "\n" + strings.Join(lines[23:28], "\n") + "\n" + strings.Join(lines[3:23], "\n") + "\n# end\n", 9, "data8/prod stands behind support"},
		{"cut off behind an entry", strings.Join(lines[:9], "\n") + "\n", 9, "a blank line has to follow"},
		{"cut off behind a blank line", strings.Join(lines[:10], "\n") + "\n", 10, "the last line has to be \"# end\""},
		{"no blank line before the end", swap("\n\n# end", "\n# end"), 28, "a blank line has to follow"},
		{"no final line end", data[:len(data)-1], 29, "no line end"},
		{"lines behind the end", data + "\n", 30, "nothing may follow"},
		{"two files", data + data, 30, "byte 0xe2"},
		{"only the head", header + "\n" + version + "\n", 2, "cut off"},
		{"JSON", "{}\n", 1, "want"},
		{"no source line", swap(strings.Join(lines[19:22], "\n"), unsourced), 21, "new-hub/staging has no source"},
	}
}

func TestHostile(t *testing.T) {
	for _, c := range hostileCases(t) {
		f, err := Parse([]byte(c.data))
		var syntax *SyntaxError
		switch {
		case err == nil:
			t.Errorf("%s: taken as\n%s", c.name, f.Bytes())
		case !errors.As(err, &syntax):
			t.Errorf("%s: %T", c.name, err)
		case syntax.Line != c.line || !strings.Contains(syntax.Text, c.text) || len(f.Entries) > 0:
			t.Errorf("%s: %v; want line %d and %q", c.name, err, c.line, c.text)
		case !strings.HasPrefix(err.Error(), fmt.Sprintf("chartd.lock:%d: ", c.line)) || len(err.Error()) > 600:
			t.Errorf("%s: %v", c.name, err)
		case !strings.Contains(syntax.Text, "chartctl"):
			t.Errorf("%s: says nothing to do: %v", c.name, err)
		}
	}
}

// Entries with a right sum that chartctl would not write.
var unlikely = []struct {
	name   string
	change func(*Entry)
	text   string
}{
	{"no source", func(e *Entry) { e.Source = "" }, "white space at the end"},
	{"no chart", func(e *Entry) { e.Chart = Chart{} }, "no chart"},
	{"no binding", func(e *Entry) { e.Binding = ref.BindingID{} }, "no binding"},
	{"nothing", func(e *Entry) { *e = Entry{Key: e.Key, Source: source} }, "no chart"},
	{"prepared with images", func(e *Entry) { e.Chart, e.Binding, e.Bases = Chart{}, ref.BindingID{}, nil }, "no chart"},
	{"prepared with a binding", func(e *Entry) { e.Chart, e.Images, e.Bases = Chart{}, nil, nil }, "no chart"},
	{"base without an image", func(e *Entry) { e.Images = e.Images[1:]; *e = bound(*e) }, "base.hub and no image.hub"},
	{"half a chart", func(e *Entry) { e.Chart.Digest = ref.Digest{} }, "white space at the end"},
	{"another chart's binding", func(e *Entry) { e.Chart = chart("jupyterhub", "3.3.6") }, "that of its chart and images is"},
	{"another image's binding", func(e *Entry) { e.Images[0].Digest = ref.DigestOf(nil) }, "that of its chart and images is"},
	{"a role twice", func(e *Entry) { e.Images = append(e.Images, e.Images[1]) }, "image.singleuser twice"},
	{"key", func(e *Entry) { e.Key = "data8/" }, "no key"},
	{"no key", func(e *Entry) { e.Key = "" }, "no key"},
	{"key of two words", func(e *Entry) { e.Key = "data8 prod" }, "no field"},
	{"name of two words", func(e *Entry) { e.Chart.Name = "a b" }, "version"},
	{"tag of two words", func(e *Entry) { e.Images[0].Tag = "a b" }, "digest"},
}

func TestUnlikelyEntries(t *testing.T) {
	for _, c := range unlikely {
		e := sample().Entries[1]
		c.change(&e)
		f, err := Parse(File{[]Entry{e}}.Bytes())
		if err == nil || len(f.Entries) > 0 {
			t.Errorf("%s: taken as %+v", c.name, f)
			continue
		}
		if !strings.Contains(err.Error(), c.text) {
			t.Errorf("%s: %v; want %q", c.name, err, c.text)
		}
	}
}
