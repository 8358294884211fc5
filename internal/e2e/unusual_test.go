package e2e

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"chartd.dev/chartd/internal/client"
	"chartd.dev/chartd/internal/e2e/rig"
)

// zip packs as one gzip member.
func zip(t *testing.T, data []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := w.Write(data); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// retar writes an archive anew with each header changed, and with more files.
func retar(t *testing.T, data []byte, change func(*tar.Header), more ...*tar.Header) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	write := func(h *tar.Header, data []byte) {
		if err := w.WriteHeader(h); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(data); err != nil {
			t.Fatal(err)
		}
	}
	for r := tar.NewReader(bytes.NewReader(data)); ; {
		h, err := r.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		change(h)
		write(h, must(io.ReadAll(r)))
	}
	for _, h := range more {
		write(h, make([]byte, h.Size))
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// What both Helms read is imported, byte for byte, and both Helms read it from
// here. A publish of it is refused.
func TestImportTakesWhatHelmReads(t *testing.T) {
	b := rig.New(t)
	same := func(*tar.Header) {}
	file := func(name string) *tar.Header {
		return &tar.Header{Name: "jupyterhub/" + name, Mode: 0o644, Size: 1, Typeflag: tar.TypeReg}
	}
	kinds := []struct {
		warning string
		pack    func(data []byte) []byte
	}{
		{"has no end", func(data []byte) []byte { return zip(t, data[:len(data)-1024]) }},
		{"bytes after the gzip stream", func(data []byte) []byte { return append(zip(t, data), make([]byte, 512)...) }},
		{"bytes after the gzip stream", func(data []byte) []byte { return append(zip(t, data[:700]), zip(t, data[700:])...) }},
		{"is of type", func(data []byte) []byte {
			return zip(t, retar(t, data, same, &tar.Header{Name: "jupyterhub/templates/l.yaml", Linkname: "../../x", Typeflag: tar.TypeSymlink}))
		}},
		{"only in case", func(data []byte) []byte { return zip(t, retar(t, data, same, file("NOTES.md"), file("notes.md"))) }},
		{"not portable", func(data []byte) []byte { return zip(t, retar(t, data, same, file("files/a:b"))) }},
		{"twice", func(data []byte) []byte { return zip(t, retar(t, data, same, file("files/x"), file("files/x"))) }},
		{"in the directory", func(data []byte) []byte {
			return zip(t, retar(t, data, func(h *tar.Header) { h.Name = strings.Replace(h.Name, "jupyterhub/", "hub-master/", 1) }))
		}},
		{"extended header", func(data []byte) []byte {
			return zip(t, retar(t, data, func(h *tar.Header) {
				h.Format, h.PAXRecords = tar.FormatPAX, map[string]string{"SCHILY.fflags": "arch", "LIBARCHIVE.creationtime": "1.5"}
			}))
		}},
	}
	dir := t.TempDir()
	for i, k := range kinds {
		version := fmt.Sprintf("1.%d.0", i)
		b.HubImage(version)
		z := must(gzip.NewReader(bytes.NewReader(packageOf(t, b, rig.Hub{Version: version}))))
		pkg := k.pack(must(io.ReadAll(z)))
		if _, err := b.Client.Publish(t.Context(), client.PublishRequest{Package: pkg}); err == nil {
			t.Errorf("%s (%s): a publish took it", k.warning, version)
		}
		put(t, dir, "jupyterhub-"+version+".tgz", string(pkg))
	}
	wants(t, "import", b.Ctl(0, "import", dir).Out, "unusual: ")
	b.Ctl(0, "bind", "--unbound", "jupyterhub")
	for i, k := range kinds {
		version := fmt.Sprintf("1.%d.0", i)
		wants(t, "show "+version, b.Ctl(0, "show", "jupyterhub@"+version).Out, k.warning)
	}
	b.EachHelm(t, func(t *testing.T, h *rig.Helm) {
		h.Do("repo", "add", "campus", h.Server.URL)
		for i := range kinds {
			version := fmt.Sprintf("1.%d.0", i)
			h.Do("pull", "campus/jupyterhub", "--version", version)
			name := "jupyterhub-" + version + ".tgz"
			got, want := must(os.ReadFile(filepath.Join(h.Dir, name))), must(os.ReadFile(filepath.Join(dir, name)))
			if !bytes.Equal(got, want) {
				t.Errorf("helm pull brought %d other bytes than the %d that were imported", len(got), len(want))
			}
			wants(t, "template "+version, h.Do("template", "hub", "campus/jupyterhub", "--version", version), "quay.io/example/hub:"+version)
		}
	})
}
