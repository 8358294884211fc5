package archive

import (
	"archive/zip"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"strings"
	"testing"
)

// good is the smallest chart, as a raw tar stream.
func good() *raw { return new(raw).file("c/Chart.yaml", chartYAML("c", "1.0.0")) }

func paxRecord(key, value string) string {
	n := len(key) + len(value) + 3
	for {
		s := fmt.Sprintf("%d %s=%s\n", n, key, value)
		if len(s) == n {
			return s
		}
		n = len(s)
	}
}

// hostile is one row of the catalogue: the answer must be want, and its text
// must hold rule. want nil: accepted.
type hostile struct {
	id   string
	data []byte
	want error
	rule string
	// taken says that an import takes it all the same: both Helms read it.
	taken bool
}

func (h hostile) run(t *testing.T) {
	t.Helper()
	for _, o := range []Options{{}, {Lenient: true}} {
		_, err := Read(h.data, o)
		if o.Lenient && h.taken {
			h.want = nil
		}
		if !errors.Is(err, h.want) {
			t.Errorf("%s: lenient %v: %v, want %v", h.id, o.Lenient, err, h.want)
		} else if err != nil && !strings.Contains(err.Error(), h.rule) {
			t.Errorf("%s: %v does not name the rule %s", h.id, err, h.rule)
		}
	}
}

func TestHostileTar(t *testing.T) {
	entry := func(name string) []byte { return gz(good().file(name, "x").end()) }
	kind := func(k byte) []byte { return gz(good().block("c/x", k, "").end()) }
	pax := func(records, name string) []byte {
		return gz(good().block("PaxHeaders/x", 'x', records).file(name, "x").end())
	}
	longName := "c/" + strings.Repeat("a", 256)
	rows := []hostile{
		{"T01", entry("../../etc/cron.d/x"), ErrRefused, "tar-", false},
		{"T01b", entry("c/../../etc/cron.d/x"), ErrRefused, "tar-path", false},
		{"T02a", entry("/etc/passwd"), ErrRefused, "tar-path", false},
		{"T02b", entry(`C:\x`), ErrRefused, "tar-path", false},
		{"T02c", entry(`\\srv\x`), ErrRefused, "tar-path", false},
		{"T02d", entry("c:/x"), ErrRefused, "tar-path", false},
		{"T03a", entry("c/./../x"), ErrRefused, "tar-path", false},
		{"T03b", entry("c//../x"), ErrRefused, "tar-path", false},
		{"T03c", entry(`c/..\..\x`), ErrRefused, "tar-path", false},
		{"T04", gz(good().block("c/x", '2', "", func(r []byte) { copy(r[157:], "Chart.yaml") }).end()), ErrRefused, "tar-type", true},
		{"T05", gz(good().block("c/charts", '2', "", func(r []byte) { r[157] = '/' }).file("c/charts/x", "x").end()), ErrRefused, "tar-", false},
		{"T06", gz(good().block("c/x", '1', "", func(r []byte) { copy(r[157:], "c/Chart.yaml") }).end()), ErrRefused, "tar-type", true},
		{"T08", gz(good().file("b/x", "x").end()), ErrRefused, "tar-root", false},
		{"T09", gz(new(raw).file("d/Chart.yaml", chartYAML("c", "1.0.0")).end()), ErrRefused, "tar-root", true},
		{"T10", gz(new(raw).file("Chart.yaml", chartYAML("c", "1.0.0")).end()), ErrRefused, "tar-root", false},
		{"T11", gz(good().file("c/Chart.yaml", chartYAML("c", "2.0.0")).end()), ErrRefused, "tar-duplicate", false},
		{"T12a", entry("c/chart.yaml"), ErrRefused, "tar-case", true},
		{"T12b", gz(good().file("c/Templates/a", "").file("c/templates/b", "").end()), ErrRefused, "tar-case", true},
		{"T13a", entry("c/./Chart.yaml"), ErrRefused, "tar-path", false},
		{"T13b", entry("c//Chart.yaml"), ErrRefused, "tar-path", false},
		{"T13c", entry(`c\Chart.yaml`), ErrRefused, "tar-path", false},
		{"T14a", gz(good().file("c/a", "").file("c/a/b", "").end()), ErrRefused, "tar-conflict", false},
		{"T14b", gz(good().file("c/a/b", "").file("c/a", "").end()), ErrRefused, "tar-conflict", false},
		{"T15a", pax(paxRecord("path", "c/other"), "c/x"), ErrRefused, "tar-pax", false},
		{"T15b", pax(paxRecord("size", "7"), "c/x"), ErrRefused, "tar-pax", false},
		{"T15c", pax(paxRecord("path", "c/"+strings.Repeat("y", 120)), "c/x"), ErrRefused, "tar-pax", false},
		{"T16a", gz(good().block("g", 'g', paxRecord("path", "c/evil")).file("c/x", "").end()), ErrRefused, "tar-pax", false},
		{"T16b", pax(strings.Repeat(paxRecord("comment", "a"), 10_000), "c/x"), ErrRefused, "tar-pax", false},
		{"T16c", pax(paxRecord("comment", strings.Repeat("a", 1<<20)), "c/x"), ErrRefused, "tar-pax", false},
		{"T16d", pax(paxRecord("GNU.sparse.major", "1"), "c/x"), ErrRefused, "tar-pax", false},
		{"T16e", pax(paxRecord("path", "c/x")+paxRecord("path", "c/x"), "c/x"), ErrRefused, "tar-pax", false},
		{"T16f", pax("9999 path=c/x\n", "c/x"), ErrMalformed, "tar-pax", false},
		{"T17a", entry("c/\xff\xfe"), ErrRefused, "tar-path", false},
		{"T17b", entry("c/a\nb"), ErrRefused, "tar-path", false},
		{"T17c", entry("c/a\x1bb"), ErrRefused, "tar-path", false},
		{"T17d", entry("c/a\u202eb"), ErrRefused, "tar-path", false},
		{"T17e", entry("c/a\u200bb"), ErrRefused, "tar-path", false},
		{"T17f", entry("c/a\x00b"), ErrRefused, "tar-path", false},
		{"T18a", entry("c/CON"), ErrRefused, "tar-path", true},
		{"T18b", entry("c/aux.yaml"), ErrRefused, "tar-path", true},
		{"T18c", entry("c/a."), ErrRefused, "tar-path", true},
		{"T18d", entry("c/a "), ErrRefused, "tar-path", true},
		{"T18e", entry("c/a~1"), ErrRefused, "tar-path", true},
		{"T19a", gz(good().block("c/x", '0', "", func(r []byte) { copy(r[100:], "0006777\x00") }).end()), nil, "", false},
		{"T19b", gz(good().block("c/x", '0', "", func(r []byte) { copy(r[108:], "\x80\x00\x00\x00\x80\x00\x00\x00") }).end()), nil, "", false},
		{"T19c", gz(good().block("c/x", '0', "", func(r []byte) { copy(r[136:], bytes.Repeat([]byte{0xff}, 12)) }).end()), nil, "", false},
		{"T19d", pax(paxRecord("mtime", "NaN"), "c/x"), ErrRefused, "tar-pax", false},
		{"T19e", pax(paxRecord("mtime", "253402300800"), "c/x"), nil, "", false},
		{"T21", gz(append(good().end(), bytes.Repeat([]byte("x"), 1<<20)...)), ErrRefused, "trailing-data", false},
		{"T27a", gz(new(raw).end()), ErrRefused, "no-files", false},
		{"T27b", gz(new(raw).file("c/values.yaml", "a: 1").end()), ErrRefused, "chart-yaml", false},
		{"T27c", gz(new(raw).file("c/Chart.yaml", "").end()), ErrRefused, "", false},
		{"T27d", gz(new(raw).block("c/Chart.yaml", '5', "").file("c/x", "").end()), ErrRefused, "chart-yaml", false},
		{"path element", pax(paxRecord("path", longName), longName[:100]), ErrRefused, "tar-path", false},
		{"depth", gz(good().block("c"+strings.Repeat("/d", 33), '0', "").end()), ErrRefused, "tar-path", false},
		{"single zero block", gz(append(append(good().Bytes(), make([]byte, block)...), good().end()...)), ErrMalformed, "tar-header", false},
		{"no end", gz(good().Bytes()), ErrMalformed, "truncated", true},
		{"wrong checksum", gz(append([]byte("x"), good().end()[1:]...)), ErrMalformed, "checksum", false},
	}
	for _, k := range []byte{'3', '4', '6', 'S', '7', 'Z', 'K', 'V', 'D'} {
		rows = append(rows, hostile{"T07 " + string(k), kind(k), ErrRefused, "tar-type", false})
	}
	for _, r := range rows {
		r.run(t)
	}
}

func TestHostileGzip(t *testing.T) {
	ok := gz(good().end())
	damaged := func(at int, b byte) []byte {
		d := bytes.Clone(ok)
		d[at] ^= b
		return d
	}
	field := func(flag byte, field []byte) []byte {
		d := append(bytes.Clone(ok[:10]), field...)
		d[3] |= flag
		return append(d, ok[10:]...)
	}
	extra := append(binary.LittleEndian.AppendUint16(nil, 65535), make([]byte, 65535)...)
	long := append(bytes.Repeat([]byte("a"), 1<<20), 0)
	rows := []hostile{
		{"T22a", append(bytes.Clone(ok), ok...), ErrRefused, "trailing-data", false},
		{"T22b", bytes.Repeat(gz(nil), 100_000), ErrRefused, "trailing-data", false},
		{"T22c", append(bytes.Clone(ok), "x"...), ErrRefused, "trailing-data", false},
		{"T23a", damaged(len(ok)-8, 1), ErrMalformed, "gzip", false},
		{"T23b", damaged(len(ok)-4, 1), ErrMalformed, "gzip", false},
		{"T24a", field(4, extra), ErrMalformed, "gzip", false},
		{"T24b", field(8, long), ErrMalformed, "gzip", false},
		{"T24c", field(16, long), ErrMalformed, "gzip", false},
		{"flags", damaged(3, 0x80), ErrMalformed, "gzip", false},
		{"header checksum", field(2, []byte{0, 0}), ErrMalformed, "gzip", false},
		{"helm's own header", field(8|16, []byte("c.tgz\x00Helm\x00")), nil, "", false},
		{"T25 tar", good().end(), ErrMalformed, "gzip", false},
		{"T25 zip", []byte("PK\x03\x04"), ErrMalformed, "gzip", false},
		{"T25 xz", []byte("\xfd7zXZ\x00xxxxxxx"), ErrMalformed, "gzip", false},
		{"T25 zstd", []byte("\x28\xb5\x2f\xfdxxxxxxxx"), ErrMalformed, "gzip", false},
		{"T25 html", []byte("<!DOCTYPE html><title>Log in</title>"), ErrMalformed, "gzip", false},
		{"T25 empty", nil, ErrMalformed, "gzip", false},
		{"T25 byte", []byte{0x1f}, ErrMalformed, "gzip", false},
		{"T26", polyglot(t), ErrRefused, "polyglot", false},
	}
	for _, r := range rows {
		r.run(t)
	}
	for n := range min(len(ok), 4096) {
		hostile{fmt.Sprintf("T20 at byte %d", n), ok[:n], ErrMalformed, "", false}.run(t)
	}
	tarball := good().end()
	for n := 0; n < len(tarball); n += block {
		hostile{fmt.Sprintf("T20 at block %d", n/block), gz(tarball[:n]), ErrMalformed, "truncated", n >= len(good().Bytes())}.run(t)
	}
}

// polyglot hides a zip file in a stored (not compressed) gzip stream and lets
// its comment run to the end.
func polyglot(t *testing.T) []byte {
	var z bytes.Buffer
	w := zip.NewWriter(&z)
	f, _ := w.Create("evil")
	f.Write([]byte("x"))
	w.Close()
	packed := z.Bytes()
	tarball := good().file("c/x.zip", string(packed)).end()
	out := append([]byte(nil), plainGzip...)
	out = append(out, 1)
	out = binary.LittleEndian.AppendUint16(out, uint16(len(tarball)))
	out = binary.LittleEndian.AppendUint16(out, ^uint16(len(tarball)))
	at := bytes.Index(tarball, packed) + len(packed)
	// The comment's length covers what follows, the gzip trailer included.
	rest := len(tarball) - at + 8
	binary.LittleEndian.PutUint16(tarball[at-2:], uint16(rest))
	ok := gz(tarball)
	out = append(append(out, tarball...), ok[len(ok)-8:]...)
	if !isZip(out) {
		t.Fatal("the polyglot is not a zip file")
	}
	return out
}

func TestHostileBombs(t *testing.T) {
	nest := func(depth int) []byte {
		inner := gz(good().end())
		for range depth {
			inner = with(t, map[string]string{"charts/c-1.0.0.tgz": string(inner)})
		}
		return inner
	}
	size := func(field string) []byte {
		return gz(good().block("c/x", '0', "", func(r []byte) { copy(r[124:136], field) }).end())
	}
	twenty := map[string]string{}
	for i := range 20 {
		twenty[fmt.Sprint("f", i)] = strings.Repeat("\x00", 5<<20-1)
	}
	many := func(kind byte, n int) []byte {
		r := good()
		for i := range n {
			r.block(fmt.Sprintf("c/%d", i), kind, "")
		}
		return gz(r.end())
	}
	wide := map[string]string{}
	fat := map[string]string{"Chart.yaml": chartYAML("c", "1.0.0")}
	for i := range 19 {
		fat[fmt.Sprint("f", i)] = strings.Repeat("\x00", 5<<20)
	}
	packed := string(pkgOf(t, "c", fat))
	for i := range 40 {
		wide[fmt.Sprintf("charts/c%d.tgz", i)] = packed
	}
	rows := []hostile{
		{"B01", gz(good().file("c/x", strings.Repeat("\x00", 64<<20)).end()), ErrTooLarge, "file-size", false},
		{"B02", with(t, twenty), ErrTooLarge, "ratio", false},
		{"B03", many('0', 20_000), ErrTooLarge, "tar-entries", false},
		{"B04", many('5', 20_000), ErrTooLarge, "tar-entries", false},
		{"B05", nest(5), ErrRefused, "nesting", false},
		{"depth within", nest(4), nil, "", false},
		{"B06", with(t, map[string]string{"charts/q.tgz": string(gz(gz(good().end())))}), ErrRefused, "nesting", false},
		{"B08a", size("\x80\x00\x00\x00\x7f\xff\xff\xff\xff\xff\xff\xff"), ErrTooLarge, "file-size", false},
		{"B08b", size("\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"), ErrMalformed, "size", false},
		{"B08c", size("00000010000\x00"), ErrMalformed, "truncated", false},
		{"B09", with(t, wide), ErrTooLarge, "", false},
		{"Y09", with(t, map[string]string{"Chart.yaml": chartYAML("c", "1.0.0") + strings.Repeat("#", 64<<10)}), ErrTooLarge, "file-size", false},
		{"Y14", with(t, map[string]string{"Chart.lock": strings.Repeat("#", 5<<20-1)}), ErrTooLarge, "file-size", false},
	}
	for _, r := range rows {
		r.run(t)
	}
	// One subchart under fifty names, at four depths: 50⁴ images.
	files := map[string]string{"Chart.yaml": chartYAML("c", "1.0.0"), "values.yaml": "image: {name: a, tag: b}\n"}
	for range 4 {
		deps := "dependencies:\n"
		for i := range 50 {
			deps += fmt.Sprintf("- {name: c, version: 1.0.0, alias: n%d}\n", i)
		}
		files = map[string]string{"Chart.yaml": chartYAML("c", "1.0.0") + deps, "charts/c.tgz": string(pkgOf(t, "c", files))}
	}
	hostile{"many uses", pkgOf(t, "c", files), ErrRefused, "images", false}.run(t)
	big := make([]byte, DefaultLimits().Packed+1)
	hostile{"B10", big, ErrTooLarge, "package-size", false}.run(t)
}

// What is held at once stays within the budget even where much is unpacked.
func TestHostileMemory(t *testing.T) {
	values := "a: [" + strings.Repeat("[],", 1_700_000) + "]\n"
	deep := strings.Repeat(`{"allOf":[`, 400_000)
	cases := map[string][]byte{
		"values of many nodes": with(t, map[string]string{"values.yaml": values}),
		"deep schema":          with(t, map[string]string{"values.schema.json": deep}),
		"long keys":            with(t, map[string]string{"values.yaml": strings.Repeat("k", 3<<20) + ": " + "{x: [" + strings.Repeat("{tag: a, name: b},", 8_000) + "]}\n"}),
		"deep image maps":      with(t, map[string]string{"values.yaml": strings.Repeat("{a: ", 60) + "[" + strings.Repeat("{tag: a, name: b},", 8_000) + "]" + strings.Repeat("}", 60) + "\n"}),
		"many long names":      gz(longNames().end()),
		"long comments":        with(t, map[string]string{"values.yaml": strings.Repeat("# a\n", 1_200_000)}),
	}
	defer debug.SetGCPercent(debug.SetGCPercent(10))
	for name, data := range cases {
		runtime.GC()
		before, most := heap(), uint64(0)
		stop, done := make(chan bool), make(chan bool)
		go func() {
			defer close(done)
			for {
				select {
				case <-stop:
					return
				default:
					most = max(most, heap())
					runtime.Gosched()
				}
			}
		}()
		_, err := Read(data, Options{})
		close(stop)
		<-done
		if most > before && (most-before)>>20 > 64 {
			t.Errorf("%s: %d MiB held (%v)", name, (most-before)>>20, err)
		}
	}
}

func longNames() *raw {
	r := good()
	for i := range 4_000 {
		name := fmt.Sprintf("c/%d", i)
		for range 29 {
			name += fmt.Sprintf("/%s%d", strings.Repeat("y", 20), i)
		}
		r.block("x", 'x', paxRecord("path", name)).block(name[:100], '0', "")
	}
	return r
}

func heap() uint64 {
	sample := []metrics.Sample{{Name: "/memory/classes/heap/objects:bytes"}}
	metrics.Read(sample)
	return sample[0].Value.Uint64()
}
