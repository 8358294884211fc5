package repo

import (
	"bytes"
	"cmp"
	"compress/gzip"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/Masterminds/semver/v3"
	"github.com/klauspost/compress/zstd"

	"chartd.dev/chartd/internal/ref"
	"chartd.dev/chartd/lock"
	"chartd.dev/chartd/lock/memstore"
	"chartd.dev/chartd/storage"
)

// someLine is a line of one of few charts, so that segments meet and part.
func someLine(rng *rand.Rand, seq uint64) line {
	l := line{
		name:    fmt.Sprintf("chart%d", rng.IntN(6)),
		version: fmt.Sprintf("%d.%d.%d", rng.IntN(4), rng.IntN(12), rng.IntN(12)),
		seq:     seq,
	}
	switch rng.IntN(4) {
	case 0:
		l.version += fmt.Sprintf("-rc.%d", rng.IntN(3))
	case 1:
		l.version += fmt.Sprintf("+build.%d", rng.IntN(3))
	}
	l.json = []byte(fmt.Sprintf(`{"name":%q,"version":%q,"n":%d}`, l.name, l.version, seq))
	return l
}

// naive writes the index of lines without any segments.
func naive(x *Index, lines map[string]line) []byte {
	type parsed struct {
		line
		order *semver.Version
	}
	list := make([]parsed, 0, len(lines))
	for _, l := range lines {
		list = append(list, parsed{l, semver.MustParse(l.version)})
	}
	slices.SortFunc(list, func(a, b parsed) int {
		return cmp.Or(cmp.Compare(a.name, b.name), b.order.Compare(a.order), cmp.Compare(b.seq, a.seq))
	})
	var entries strings.Builder
	entries.WriteByte('{')
	for i, l := range list {
		switch {
		case i > 0 && list[i-1].name == l.name:
			entries.WriteByte(',')
		case i > 0:
			entries.WriteString("],")
			fallthrough
		default:
			fmt.Fprintf(&entries, "%q:[", l.name)
		}
		entries.Write(l.json)
	}
	if len(list) > 0 {
		entries.WriteByte(']')
	}
	b := bytes.NewBufferString(`{"apiVersion":"v1","entries":` + entries.String())
	writeTail(b, x.context, x.at)
	return b.Bytes()
}

// Whatever is published, changed and withdrawn, and in whatever portions, the
// index is the one that its lines give, and so are its segments.
func TestAmendIsAFunctionOfTheLines(t *testing.T) {
	for seed := range uint64(12) {
		rng := rand.New(rand.NewPCG(seed, 1))
		r := &Repository{}
		x := r.newIndex(1, time.Unix(0, 0))
		have := map[string]line{}
		for step := range 25 {
			var edits []edit
			taken := map[string]bool{}
			for range 1 + rng.IntN(1<<rng.IntN(9)) {
				l := someLine(rng, uint64(len(have)+1000*step))
				key := l.name + "@" + l.version
				if taken[key] {
					continue
				}
				taken[key] = true
				was, there := have[key]
				e := edit{line: l}
				if there {
					e.seq = was.seq
					e.gone = rng.IntN(2) == 0
				} else if rng.IntN(8) == 0 {
					e.gone = true // of a version that never stood in the index
				}
				var err error
				if e.at, err = e.place(); err != nil {
					t.Fatal(err)
				}
				edits = append(edits, e)
				if delete(have, key); !e.gone {
					have[key] = e.line
				}
			}
			next := r.newIndex(uint64(step+2), time.Unix(int64(step), 0))
			var err error
			if next.segments, err = amend(x.segments, edits); err != nil {
				t.Fatal(err)
			}
			x = next
			want := naive(x, have)
			got := plain(t, x)
			if !bytes.Equal(got, want) || !json.Valid(got) {
				t.Fatalf("seed %d step %d: the index is\n%s\nwant\n%s", seed, step, got, want)
			}
			scratch := r.newIndex(x.generation, x.at)
			scratch.segments = rebuild(t, x)
			if len(scratch.segments) != len(x.segments) || scratch.etag() != x.etag() {
				t.Fatalf("seed %d step %d: %d segments, from scratch %d", seed, step, len(x.segments), len(scratch.segments))
			}
			checkParts(t, x, have)
			if step%8 == 0 {
				checkLookups(t, x, have)
			}
		}
	}
}

// checkParts compares the index of each chart with the one that its lines give.
func checkParts(t *testing.T, x *Index, have map[string]line) {
	t.Helper()
	for _, name := range []string{"a", "chart0", "chart1", "chart2", "chart3", "chart4", "chart5", "chart55", "d"} {
		own := map[string]line{}
		for key, l := range have {
			if l.name == name {
				own[key] = l
			}
		}
		part, err := x.part(x.around(name), name)
		if err != nil {
			t.Fatal(err)
		}
		if got, want := plain(t, part), naive(part, own); !bytes.Equal(got, want) {
			t.Fatalf("the index of %s alone is\n%s\nwant\n%s", name, got, want)
		}
		if !slices.EqualFunc(part.segments, rebuild(t, part), func(a, b *segment) bool { return a.sum == b.sum }) {
			t.Fatalf("the index of %s alone has other segments than its lines give", name)
		}
	}
}

func rebuild(t *testing.T, x *Index) []*segment {
	t.Helper()
	var b builder
	for _, s := range x.segments {
		for _, l := range s.lines() {
			if err := b.add(l); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := b.close(); err != nil {
		t.Fatal(err)
	}
	return b.out
}

func checkLookups(t *testing.T, x *Index, have map[string]line) {
	t.Helper()
	count := map[string]int{}
	for key, l := range have {
		count[l.name]++
		got, ok := x.Entry(l.name, l.version)
		if !ok || !bytes.Equal(got, l.json) {
			t.Fatalf("%s is %s, want %s", key, got, l.json)
		}
	}
	if len(x.Names()) != len(count) {
		t.Fatalf("names %v, want those of %v", x.Names(), count)
	}
	for name, n := range count {
		list := x.Entries(name)
		if len(list) != n {
			t.Fatalf("%s has %d lines, want %d", name, len(list), n)
		}
		newest := slices.IndexFunc(list, func(raw json.RawMessage) bool {
			var v struct{ Version string }
			return json.Unmarshal(raw, &v) == nil && semver.MustParse(v.Version).Prerelease() == ""
		})
		if got, ok := x.Entry(name, "latest"); !ok || !bytes.Equal(got, list[max(newest, 0)]) {
			t.Fatalf("latest of %s is %s, want %s", name, got, list[max(newest, 0)])
		}
	}
	for _, missing := range [][2]string{{"chart0", "9.9.9"}, {"nothing", "1.0.0"}, {"chart1", "no version"}, {"a", ""}} {
		if got, ok := x.Entry(missing[0], missing[1]); ok {
			t.Fatalf("%v is %s", missing, got)
		}
	}
}

func plain(t *testing.T, x *Index) []byte {
	t.Helper()
	b, _, err := x.Body(Identity)
	if err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// synthetic is an index of n lines of some charts, made in one go.
func synthetic(tb testing.TB, r *Repository, n int) *Index {
	tb.Helper()
	var edits []edit
	for i := range n {
		l := line{name: fmt.Sprintf("chart%d", i%50), version: fmt.Sprintf("1.%d.%d", i/50/100, i/50%100), seq: uint64(i)}
		l.json = []byte(fmt.Sprintf(`{"name":%q,"version":%q,"description":"some five hundred bytes %0400d"}`, l.name, l.version, i))
		at, err := l.place()
		if err != nil {
			tb.Fatal(err)
		}
		edits = append(edits, edit{line: l, at: at})
	}
	x := r.newIndex(1, time.Unix(1, 0))
	var err error
	if x.segments, err = amend(nil, edits); err != nil {
		tb.Fatal(err)
	}
	return x
}

func TestEncodingsOfManySegments(t *testing.T) {
	r := &Repository{Config: Config{ContextPath: "/charts"}}
	x := synthetic(t, r, 20_000)
	if len(x.segments) < 50 {
		t.Fatalf("%d lines are %d segments", 20_000, len(x.segments))
	}
	want := plain(t, x)
	for _, e := range []Encoding{Gzip, Zstd} {
		b, _, err := x.Body(e)
		if err != nil {
			t.Fatal(err)
		}
		if int64(len(b.Bytes())) != b.Size() || b.Size() > int64(len(want))/3 {
			t.Errorf("%s has %d bytes of %d and says %d", e, len(b.Bytes()), len(want), b.Size())
		}
		var in io.Reader
		if in, err = gzip.NewReader(bytes.NewReader(b.Bytes())); e == Zstd {
			in, err = zstd.NewReader(bytes.NewReader(b.Bytes()))
		}
		if err != nil {
			t.Fatal(err)
		}
		if got, err := io.ReadAll(in); err != nil || !bytes.Equal(got, want) {
			t.Errorf("%s gives %d bytes, %v; want %d", e, len(got), err, len(want))
		}
	}
}

func TestJoinedChecksums(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	for range 300 {
		a, b, c := randomBytes(rng), randomBytes(rng), randomBytes(rng)
		all := newSum(slices.Concat(a, b, c))
		if got := newSum(a).join(newSum(b)).join(newSum(c)); got != all {
			t.Fatalf("joined %+v, whole %+v", got, all)
		}
		if got := newSum(a).join(newSum(b).join(newSum(c))); got != all {
			t.Fatalf("joined from behind %+v, whole %+v", got, all)
		}
	}
}

func randomBytes(rng *rand.Rand) []byte {
	out := make([]byte, rng.IntN(1<<rng.IntN(14)))
	for i := range out {
		out[i] = byte(rng.Uint32())
	}
	return out
}

// What one publish costs does not follow what the repository holds: the
// segments made anew and the bytes allocated, at 1,000 and at 100,000 lines.
func TestAPublishTouchesOneSegment(t *testing.T) {
	r := &Repository{}
	bytesFor := map[int]float64{}
	for _, n := range []int{1_000, 100_000} {
		x := synthetic(t, r, n)
		made, total := 0, uint64(0)
		const publishes = 40
		for i := range publishes {
			l := line{name: fmt.Sprintf("chart%d", i), version: fmt.Sprintf("3.0.%d", i), seq: uint64(n + i)}
			l.json = []byte(fmt.Sprintf(`{"name":%q,"version":%q}`, l.name, l.version))
			at, err := l.place()
			if err != nil {
				t.Fatal(err)
			}
			next := r.newIndex(x.generation+1, time.Unix(2, 0))
			total += allocated(func() { next.segments, err = amend(x.segments, []edit{{line: l, at: at}}); next.etag() })
			if err != nil {
				t.Fatal(err)
			}
			old := map[*segment]bool{}
			for _, s := range x.segments {
				old[s] = true
			}
			for _, s := range next.segments {
				if !old[s] {
					made++
				}
			}
			x = next
		}
		if made > 3*publishes {
			t.Errorf("%d publishes into %d lines made %d segments anew", publishes, n, made)
		}
		bytesFor[n] = float64(total) / publishes
	}
	// The list of segments is copied: 8 bytes for 128 lines.
	if bytesFor[100_000] > 2*bytesFor[1_000]+100_000/segmentLines*16 {
		t.Errorf("a publish allocates %.0f bytes at 1,000 lines and %.0f at 100,000", bytesFor[1_000], bytesFor[100_000])
	}
}

// allocated is how many bytes f allocates.
func allocated(f func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	f()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

func snapshotRig(t *testing.T) (*Repository, string) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "index.snapshot")
	l, err := lock.Open(context.Background(), memstore.New(), time.Now)
	if err != nil {
		t.Fatal(err)
	}
	r, err := Open(context.Background(), Config{Blobs: storage.NewMemory(), Lock: l, Snapshot: ReadSnapshot(file)})
	if err != nil {
		t.Fatal(err)
	}
	for i := range 30 {
		publishLine(t, r, fmt.Sprintf("1.%d.0", i))
	}
	if err := r.SaveIndex(context.Background()); err != nil {
		t.Fatal(err)
	}
	return r, file
}

func publishLine(t *testing.T, r *Repository, version string) {
	t.Helper()
	publishNamed(t, r, "snap", version)
}

func publishNamed(t *testing.T, r *Repository, name, version string) {
	t.Helper()
	c, err := ref.ParseChartVersion(name, version)
	if err != nil {
		t.Fatal(err)
	}
	raw := []byte(fmt.Sprintf(`{"name":%q,"version":%q,"apiVersion":"v2"}`, name, version))
	nv := lock.NewVersion{Version: lock.ChartVersion{Chart: c, Package: ref.DigestOf(raw), Content: ref.DigestOf(raw), Size: 1, Metadata: raw}}
	if _, err := r.Lock.Publish(context.Background(), lock.Op{Actor: lock.Actor{Name: "t"}}, nv); err != nil {
		t.Fatal(err)
	}
	if err := r.refresh(context.Background()); err != nil {
		t.Fatal(err)
	}
}

func TestSnapshot(t *testing.T) {
	ctx := context.Background()
	r, file := snapshotRig(t)
	publishLine(t, r, "2.0.0") // behind the snapshot
	want, _ := r.Index(ctx)
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	again := func() (*Index, bool) {
		t.Helper()
		probe := &Repository{Config: r.Config}
		probe.Snapshot = ReadSnapshot(file)
		loaded := probe.loadSnapshot(ctx).generation > 0
		fresh := &Repository{Config: r.Config}
		fresh.Snapshot = ReadSnapshot(file)
		x, err := fresh.Index(ctx)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(plain(t, x), plain(t, want)) || x.etag() != want.etag() {
			t.Fatalf("the index after a restart differs:\n%s\n%s", plain(t, x), plain(t, want))
		}
		return x, loaded
	}
	if _, loaded := again(); !loaded {
		t.Error("the snapshot was not used")
	}
	for i := 0; i < len(raw); i += 31 {
		bad := bytes.Clone(raw)
		bad[i] ^= 4
		if err := os.WriteFile(file, bad, 0o600); err != nil {
			t.Fatal(err)
		}
		if _, loaded := again(); loaded {
			t.Fatalf("a snapshot with byte %d changed was used", i)
		}
	}
	for _, n := range []int{0, 1, 30, len(raw) / 2, len(raw) - 1} {
		if err := os.WriteFile(file, raw[:n], 0o600); err != nil {
			t.Fatal(err)
		}
		if _, loaded := again(); loaded {
			t.Fatalf("a snapshot cut to %d bytes was used", n)
		}
	}
	if err := os.WriteFile(file, append(bytes.Clone(raw), 0), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, loaded := again(); loaded {
		t.Error("a snapshot with something behind it was used")
	}
}

// A snapshot of another repository, or of a history that a restore took back,
// has a generation that this one has too, and is not its index.
func TestSnapshotOfAnotherHistory(t *testing.T) {
	ctx := context.Background()
	_, file := snapshotRig(t)
	other, mine := snapshotRig(t)
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(mine, raw, 0o600); err != nil {
		t.Fatal(err)
	}
	fresh := &Repository{Config: other.Config}
	fresh.Snapshot = ReadSnapshot(mine)
	if x := fresh.loadSnapshot(ctx); x.generation != 0 {
		t.Errorf("the snapshot of another repository was used: generation %d", x.generation)
	}
}

// The index of a chart is kept while others are published, and shares with the
// whole one all segments but those at its ends.
func TestChartIndexIsShared(t *testing.T) {
	r, _ := snapshotRig(t)
	for i := range 600 {
		publishLine(t, r, fmt.Sprintf("%d.%d.0", i/100, i%100))
	}
	before, err := r.ChartIndex(t.Context(), "snap")
	if err != nil {
		t.Fatal(err)
	}
	whole, err := r.Index(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	shared := 0
	for _, s := range before.segments {
		if slices.Contains(whole.segments, s) {
			shared++
		}
	}
	if len(before.segments) < 3 || shared < len(before.segments)-2 {
		t.Errorf("%d of %d segments are those of the whole index", shared, len(before.segments))
	}
	for _, c := range []struct {
		publish string
		same    bool
	}{{"another@1.0.0", true}, {"zebra@1.0.0", true}, {"snap@9.0.0", false}} {
		name, version, _ := strings.Cut(c.publish, "@")
		publishNamed(t, r, name, version)
		after, err := r.ChartIndex(t.Context(), "snap")
		if err != nil {
			t.Fatal(err)
		}
		if same := after.ETag(Identity) == before.ETag(Identity); same != c.same {
			t.Errorf("after %s the index of snap is the same: %v, want %v", c.publish, same, c.same)
		}
	}
	for _, name := range []string{"", "sna", "snap2", "zz"} {
		if _, err := r.ChartIndex(t.Context(), name); !errors.Is(err, lock.ErrNotFound) {
			t.Errorf("the index of %q: %v", name, err)
		}
	}
}
