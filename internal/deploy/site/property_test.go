package site_test

import (
	"bytes"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"chartd.dev/chartd/internal/deploy/site"
	"chartd.dev/chartd/internal/ref"
)

// noise is what else stands in such files; %s is an indent.
var noise = []string{
	"", "", "%s# a comment: {\n", "\n", "%sother: [a, {b: c}] # x\n", "%sanchor: &a%d {x: 1}\n%salias: *a%d\n",
	"%sblock: |\n%s  tag: no\n\n%s  # text\n", "%sfolded: >-\n%s  image: x\n", "%slist:\n%s- one\n%s-  name: two\n", "%s'quoted key': \"v\"\n", "%sempty:\n",
}

var written = []string{
	"3.3.7", "'3.3.7'", `"3.3.7"`, "1.10", "012", "1e3", "no", "2024-01-01", "0x1F", "3.3.7@" + oldSum, `"v1\u002e2"`, "'2024.4.9'",
}

// genValues writes a hub image among noise, in block or flow style.
func genValues(t *rapid.T) string {
	n := 0
	add := func(b *strings.Builder, pad string) {
		text := rapid.SampledFrom(noise).Draw(t, "noise")
		n++
		text = strings.ReplaceAll(strings.ReplaceAll(text, "%s", pad), "%d", strings.Repeat("i", n))
		// Keys stay their own.
		for _, key := range []string{"other:", "anchor:", "alias:", "block:", "folded:", "list:", "key':", "empty:"} {
			if strings.HasSuffix(key, "':") {
				text = strings.Replace(text, key, strings.Repeat("i", n)+key, 1)
			} else {
				text = strings.Replace(text, pad+key, pad+strings.Repeat("i", n)+key, 1)
			}
		}
		b.WriteString(text)
	}
	gap := func() string { return rapid.SampledFrom([]string{" ", "  ", "   "}).Draw(t, "gap") }
	end := func() string { return rapid.SampledFrom([]string{"\n", " # c\n", "  # é: {\n"}).Draw(t, "end") }
	tag := rapid.SampledFrom(written).Draw(t, "tag")
	name := rapid.SampledFrom([]string{"gcr.io/x/hub", "'gcr.io/x/hub'", `"gcr.io/x/hub"`, "jupyterhub/k8s-hub"}).Draw(t, "name")
	digest := rapid.SampledFrom([]string{"", "", oldSum, `""`, "'" + oldSum + "'"}).Draw(t, "digest")
	var b strings.Builder
	if rapid.Bool().Draw(t, "first document") {
		b.WriteString("x: 1\n---\n")
	}
	add(&b, "")
	if rapid.Bool().Draw(t, "flow") {
		b.WriteString("hub: {a: [b], image: {name: " + name + "," + gap() + "tag: " + tag)
		if digest != "" {
			b.WriteString(", digest: " + digest)
		}
		b.WriteString("}}" + end())
	} else {
		pad := gap()
		b.WriteString("hub:" + end())
		add(&b, pad)
		b.WriteString(pad + "image:" + end() + pad + pad + "name:" + gap() + name + end())
		add(&b, pad+pad)
		b.WriteString(pad + pad + "tag:" + gap() + tag + end())
		if digest != "" {
			b.WriteString(pad + pad + "digest:" + gap() + digest + end())
		}
	}
	add(&b, "")
	out := b.String()
	if rapid.Bool().Draw(t, "CRLF") {
		out = strings.ReplaceAll(out, "\n", "\r\n")
	}
	if rapid.Bool().Draw(t, "no final newline") {
		out = strings.TrimRight(out, "\r\n")
	}
	if rapid.Bool().Draw(t, "BOM") {
		out = "\ufeff" + out
	}
	return out
}

// An edit changes the lines of the image's values, in them only the values,
// and nothing else; then the site says what was wanted.
func TestPropertyImage(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		doc := []byte(genValues(t))
		w := site.Want{Images: map[ref.Role]site.Named{"hub": {
			Repository: mustRepository("gcr.io/x/hub"), Tag: rapid.SampledFrom([]string{"3.3.8", "1.10", "012", "1e3", "no", "2024-01-01"}).Draw(t, "new tag"),
			Digest: newDigest,
		}}}
		got, err := image.Edit(doc, w)
		if err != nil {
			t.Fatalf("%v\n%s", err, doc)
		}
		before, after := bytes.SplitAfter(doc, []byte("\n")), bytes.SplitAfter(got, []byte("\n"))
		if len(before) != len(after) {
			t.Fatalf("lines changed\n%s\n%s", doc, got)
		}
		for i := range before {
			if bytes.Equal(before[i], after[i]) {
				continue
			}
			if !bytes.Contains(before[i], []byte("tag:")) && !bytes.Contains(before[i], []byte("digest:")) && !bytes.Contains(before[i], []byte("name:")) {
				t.Fatalf("line %d changed\n%q\n%q", i+1, before[i], after[i])
			}
			if tail(before[i]) != tail(after[i]) || head(before[i]) != head(after[i]) {
				t.Fatalf("more than the value changed in line %d\n%q\n%q", i+1, before[i], after[i])
			}
		}
		v, err := image.Read(got)
		if want := w.Images["hub"]; err != nil || v.Tag != want.Tag || v.Digest != want.Digest {
			t.Fatalf("%+v %v\n%s", v, err, got)
		}
		if found, err := image.Check(got, w); err != nil || len(found) > 0 {
			t.Fatalf("%v %v\n%s", found, err, got)
		}
		if again, err := image.Edit(got, w); err != nil || !bytes.Equal(again, got) {
			t.Fatalf("a second edit: %v\n%s", err, again)
		}
	})
}

var newDigest, _ = ref.ParseDigest(newSum)

func mustRepository(s string) ref.Repository {
	r, err := ref.ParseRepository(s)
	if err != nil {
		panic(err)
	}
	return r
}

// head is a line up to its first value, tail what stands behind the last one.
func head(line []byte) string {
	key, _, _ := strings.Cut(string(line), ": ")
	return key
}

func tail(line []byte) string {
	_, comment, ok := strings.Cut(string(line), " #")
	if !ok {
		return string(line[len(bytes.TrimRight(line, "}\r\n")):])
	}
	return comment
}
