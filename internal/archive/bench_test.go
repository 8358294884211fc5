package archive

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// BenchmarkRead reads a chart of the size of a real one: 60 templates, a
// values file of 600 lines.
func BenchmarkRead(b *testing.B) {
	rnd := rand.New(rand.NewPCG(1, 2))
	files := map[string]string{"Chart.yaml": chartYAML("hub", "1.2.3")}
	var values strings.Builder
	for i := range 200 {
		fmt.Fprintf(&values, "part%d:\n  # what it is for\n  image: {name: quay.io/x/y%d, tag: \"%d\"}\n", i, i, rnd.Uint32())
	}
	files["values.yaml"] = values.String()
	for i := range 60 {
		files[fmt.Sprintf("templates/t%d.yaml", i)] = strings.Repeat(fmt.Sprintf("key%d: {{ .Values.x%d }}\n", i, rnd.Uint32()), 40)
	}
	data := pkgOf(b, "hub", files)
	b.SetBytes(int64(len(data)))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := Read(data, Options{}); err != nil {
			b.Fatal(err)
		}
	}
}

// shared returns the directory of real data, or skips.
func shared(t testing.TB) string {
	dir := os.Getenv("CHARTD_SHARED")
	if dir == "" {
		t.Skip("CHARTD_SHARED is not set")
	}
	return filepath.Join(dir, "data")
}

// BenchmarkReadReal reads all real packages, one after the other.
func BenchmarkReadReal(b *testing.B) {
	files, err := filepath.Glob(filepath.Join(shared(b), "charts", "*.tgz"))
	if err != nil || len(files) == 0 {
		b.Fatalf("no packages: %v", err)
	}
	packages := make([][]byte, len(files))
	for i, file := range files {
		if packages[i], err = os.ReadFile(file); err != nil {
			b.Fatal(err)
		}
	}
	for b.Loop() {
		for i, data := range packages {
			if _, err := Read(data, Options{Lenient: true}); err != nil {
				b.Fatalf("%s: %v", files[i], err)
			}
		}
	}
}
