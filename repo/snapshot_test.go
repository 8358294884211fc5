package repo

import (
	"bytes"
	"fmt"
	"os"
	"runtime"
	"testing"
	"time"

	"chartd.dev/chartd/lock"
)

// written is a snapshot of x in memory.
func written(tb testing.TB, x *Index) []byte {
	tb.Helper()
	var b bytes.Buffer
	if err := writeSnapshot(&b, x, lock.Generation{}); err != nil {
		tb.Fatal(err)
	}
	return b.Bytes()
}

func loaded(tb testing.TB, raw []byte) []*segment {
	tb.Helper()
	_, segments, err := readSnapshot(bytes.NewReader(raw), int64(len(raw)))
	if err != nil {
		tb.Fatal(err)
	}
	return segments
}

// Compressed segments come back as they were, if they were made by the same
// compressor, and the index is the same either way.
func TestSnapshotKeepsCompressedSegments(t *testing.T) {
	r := &Repository{}
	x := synthetic(t, r, 3_000)
	for _, s := range loaded(t, written(t, x)) {
		if s.part.gzip.made() != nil {
			t.Fatal("a segment that nobody asked for is there compressed")
		}
	}
	want, _, err := x.Body(Gzip)
	if err != nil {
		t.Fatal(err)
	}
	raw := written(t, x)
	again := r.newIndex(x.generation, x.at)
	again.segments = loaded(t, raw)
	for i, s := range again.segments {
		if !bytes.Equal(s.part.gzip.made(), x.segments[i].part.gzip.made()) {
			t.Fatalf("segment %d has %d compressed bytes, want %d", i, len(s.part.gzip.made()), len(x.segments[i].part.gzip.made()))
		}
	}
	got, tag, err := again.Body(Gzip)
	if err != nil || !bytes.Equal(got.Bytes(), want.Bytes()) || tag != x.ETag(Gzip) || !bytes.Equal(plain(t, again), plain(t, x)) {
		t.Errorf("the index of the snapshot is not the one that was written: %v", err)
	}
	for i := range again.segments {
		a, b := again.segments[i], x.segments[i]
		if a.keys != b.keys || a.after != b.after || a.begins != b.begins || a.first.compare(b.first) != 0 || fmt.Sprint(a.spans) != fmt.Sprint(b.spans) {
			t.Fatalf("segment %d is %+v, want %+v", i, a.first, b.first)
		}
	}
	was := deflater
	defer func() { deflater = was }()
	deflater = func() string { return "another" }
	for _, s := range loaded(t, raw) {
		if s.part.gzip.made() != nil {
			t.Fatal("what another compressor made was taken over")
		}
	}
}

// Every byte of a snapshot counts, the compressed ones too.
func TestDamagedSnapshots(t *testing.T) {
	x := synthetic(t, &Repository{}, 600)
	if _, _, err := x.Body(Gzip); err != nil {
		t.Fatal(err)
	}
	raw := written(t, x)
	for i := 0; i < len(raw); i += 509 {
		bad := bytes.Clone(raw)
		bad[i] ^= 1 << (i % 8)
		if _, _, err := readSnapshot(bytes.NewReader(bad), int64(len(bad))); err == nil {
			t.Fatalf("a snapshot with byte %d of %d changed was read", i, len(raw))
		}
	}
}

// What a version costs in memory beside its line as it is served.
func TestMemoryOfALine(t *testing.T) {
	const n = 20_000
	raw := written(t, synthetic(t, &Repository{}, n))
	runtime.GC()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	segments := loaded(t, raw)
	runtime.GC()
	runtime.ReadMemStats(&after)
	served := 0
	for _, s := range segments {
		served += len(s.plain)
	}
	if more := (int(after.HeapAlloc) - int(before.HeapAlloc) - served) / n; more > 120 {
		t.Errorf("a line costs %d bytes beside its %d", more, served/n)
	}
	if objects := int(after.HeapObjects) - int(before.HeapObjects); objects > n/4 {
		t.Errorf("%d lines are %d objects", n, objects)
	}
	runtime.KeepAlive(segments)
	runtime.KeepAlive(raw)
}

// BenchmarkSnapshot reads an index of 100,000 versions as a start does.
func BenchmarkSnapshot(b *testing.B) {
	for _, compressed := range []bool{false, true} {
		b.Run(fmt.Sprintf("compressed=%t", compressed), func(b *testing.B) {
			x := synthetic(b, &Repository{}, 100_000)
			if compressed {
				if _, _, err := x.Body(Gzip); err != nil {
					b.Fatal(err)
				}
			}
			f, err := os.CreateTemp(b.TempDir(), "snapshot")
			if err != nil {
				b.Fatal(err)
			}
			defer f.Close()
			if err := writeSnapshot(f, x, lock.Generation{}); err != nil {
				b.Fatal(err)
			}
			fi, _ := f.Stat()
			b.SetBytes(fi.Size())
			b.ReportAllocs()
			for b.Loop() {
				if _, _, err := readSnapshot(f, fi.Size()); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkAmend is what one publish costs the index.
func BenchmarkAmend(b *testing.B) {
	for _, n := range []int{1_000, 100_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			r := &Repository{}
			x := synthetic(b, r, n)
			l := line{name: "chart7", version: "3.0.0", seq: uint64(n), json: []byte(`{"name":"chart7","version":"3.0.0"}`)}
			at, err := l.place()
			if err != nil {
				b.Fatal(err)
			}
			b.ReportAllocs()
			for b.Loop() {
				next := r.newIndex(2, time.Unix(2, 0))
				if next.segments, err = amend(x.segments, []edit{{line: l, at: at}}); err != nil {
					b.Fatal(err)
				}
				next.etag()
			}
		})
	}
}
