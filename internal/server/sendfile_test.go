package server

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"testing"

	"chartd.dev/chartd/internal/api"
	"chartd.dev/chartd/internal/ref"
)

// A package on disk is sent whole and in parts over a real connection, and not
// at all once its file is damaged, whether it was read before or not.
func TestPackageFromDisk(t *testing.T) {
	d := onDisk(t, 0)
	s := listen(t, d.server)
	want := hubPackage(t, "1.0.0")
	ask := func(set string) (int, []byte) {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.URL+"/charts/jupyterhub-1.0.0.tgz", nil)
		if err != nil {
			t.Fatal(err)
		}
		if set != "" {
			r.Header.Set("Range", set)
		}
		resp, err := s.Client().Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		body, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		return resp.StatusCode, body
	}
	for range 3 {
		for set, part := range map[string][]byte{
			"": want, "bytes=0-0": want[:1], "bytes=100-": want[100:], "bytes=-7": want[len(want)-7:], "bytes=511-40000": want[511:40001],
		} {
			status := http.StatusPartialContent
			if set == "" {
				status = http.StatusOK
			}
			if got, body := ask(set); got != status || !bytes.Equal(body, part) {
				t.Errorf("range %q: %d with %d bytes, want %d with %d", set, got, len(body), status, len(part))
			}
		}
	}
	hex := ref.DigestOf(want).Hex()
	damaged := bytes.Clone(want)
	damaged[len(damaged)-1] ^= 1
	if err := os.WriteFile(filepath.Join(d.blobs, "sha256", hex[:2], hex), damaged, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, set := range []string{"", "bytes=0-0"} {
		if got, body := ask(set); got != http.StatusInternalServerError || !bytes.Contains(body, []byte(api.CodeBlobMissing)) {
			t.Errorf("damaged, range %q: %d %q", set, got, body)
		}
	}
}

// A file reaches the connection as one, through all that wraps the answer.
func TestFileReachesTheConnection(t *testing.T) {
	to := &fromReader{ResponseRecorder: httptest.NewRecorder()}
	w := &recorder{ResponseWriter: to}
	f, err := os.Create(filepath.Join(t.TempDir(), "f"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	data := bytes.Repeat([]byte("0123456789"), 60_000)
	if _, err := f.WriteAt(data, 0); err != nil {
		t.Fatal(err)
	}
	n, err := io.Copy(w, io.LimitReader(f, int64(len(data))))
	if err != nil || n != int64(len(data)) || w.bytes != n || !bytes.Equal(to.Body.Bytes(), data) {
		t.Errorf("%d bytes, %d counted, %d arrived: %v", n, w.bytes, to.Body.Len(), err)
	}
	if to.files != 3 || to.others != 0 {
		t.Errorf("%d pieces came as a file, %d otherwise", to.files, to.others)
	}
}

// fromReader counts what comes as a file that the kernel can copy.
type fromReader struct {
	*httptest.ResponseRecorder
	files, others int
}

func (w *fromReader) ReadFrom(r io.Reader) (int64, error) {
	part, ok := r.(*io.LimitedReader)
	if ok {
		_, ok = part.R.(*os.File)
	}
	if ok {
		w.files++
	} else {
		w.others++
	}
	return io.Copy(w.Body, r)
}
