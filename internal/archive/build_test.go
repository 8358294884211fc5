package archive

import (
	"archive/tar"
	"bytes"
	"fmt"
	"hash/crc32"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/klauspost/compress/flate"
)

// raw is a tar stream under construction, for archives that no library would
// write.
type raw struct{ bytes.Buffer }

// block appends a header block and its data. edit changes the block before
// its checksum is made.
func (r *raw) block(name string, kind byte, data string, edit ...func(rec []byte)) *raw {
	rec := make([]byte, block)
	copy(rec, name)
	copy(rec[100:], "0000644\x000000000\x000000000\x00")
	copy(rec[124:], fmt.Sprintf("%011o\x0014600000000\x00        ", len(data)))
	rec[156] = kind
	copy(rec[257:], "ustar\x0000")
	for _, e := range edit {
		e(rec)
	}
	sum(rec)
	r.Write(rec)
	r.WriteString(data)
	r.Write(make([]byte, -len(data)&(block-1)))
	return r
}

func (r *raw) file(name, data string) *raw { return r.block(name, '0', data) }

// end closes the tar stream.
func (r *raw) end() []byte {
	r.Write(make([]byte, 2*block))
	return r.Bytes()
}

// gz packs with a plain gzip header.
func gz(tarball []byte) []byte {
	var out bytes.Buffer
	out.Write(plainGzip)
	w, _ := flate.NewWriter(&out, 6)
	w.Write(tarball)
	w.Close()
	crc, n := crc32.ChecksumIEEE(tarball), len(tarball)
	for i := range 4 {
		out.WriteByte(byte(crc >> (8 * i)))
	}
	for i := range 4 {
		out.WriteByte(byte(n >> (8 * i)))
	}
	return out.Bytes()
}

func chartYAML(name, version string) string {
	return fmt.Sprintf("apiVersion: v2\nname: %s\nversion: %s\n", name, version)
}

// pkgOf packs files below one directory, Chart.yaml as given.
func pkgOf(t testing.TB, root string, files map[string]string) []byte {
	t.Helper()
	var out bytes.Buffer
	w := tar.NewWriter(&out)
	for _, name := range slices.Sorted(maps.Keys(files)) {
		h := &tar.Header{Name: root + "/" + name, Mode: 0o644, Size: int64(len(files[name])), ModTime: time.Unix(1_700_000_000, 0)}
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		w.Write([]byte(files[name]))
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return gz(out.Bytes())
}

// with is a chart called "c" of version 1.0.0 with more files or others.
func with(t testing.TB, more map[string]string) []byte {
	files := map[string]string{"Chart.yaml": chartYAML("c", "1.0.0")}
	maps.Copy(files, more)
	return pkgOf(t, "c", files)
}

// chartOf is a chart called "c" whose Chart.yaml has more lines.
func chartOf(t testing.TB, lines string) []byte {
	return with(t, map[string]string{"Chart.yaml": chartYAML("c", "1.0.0") + strings.TrimPrefix(lines, "\n")})
}
