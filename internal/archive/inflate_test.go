// As in real_test.go: there is nothing for the race detector to find.

//go:build !race

package archive

import (
	"bytes"
	"compress/flate"
	"errors"
	"io"
	"math/rand/v2"
	"slices"
	"testing"
)

// inflate unpacks a stream that comes in pieces of the given size, and says
// how much of it was taken.
func inflate(data []byte, size int) (out []byte, taken int, err error) {
	left := data
	src := &source{more: func() ([]byte, error) {
		if len(left) == 0 {
			return nil, io.EOF
		}
		// A piece of its own, so that nobody reads on behind it.
		p := slices.Clip(bytes.Clone(left[:min(size, len(left))]))
		left = left[len(p):]
		return p, nil
	}}
	z := inflaters.Get().(*inflater)
	defer inflaters.Put(z)
	z.reset(src)
	for {
		p, err := z.next()
		out = append(out, p...)
		if err != nil {
			return out, len(data) - len(left) - (len(src.buf) - src.at), err
		}
	}
}

// likeGo compares with compress/flate: what it takes, we take, to the same
// bytes and the same end; what it refuses, we refuse.
func likeGo(t *testing.T, data []byte) {
	t.Helper()
	src := bytes.NewReader(data)
	want, wantErr := io.ReadAll(flate.NewReader(src))
	for _, size := range []int{len(data) + 1, 1, 7, 61} {
		got, taken, err := inflate(data, size)
		switch {
		case (err == io.EOF) != (wantErr == nil):
			t.Fatalf("in pieces of %d: %v, Go says %v", size, err, wantErr)
		case wantErr == nil && (!bytes.Equal(got, want) || taken != len(data)-src.Len()):
			t.Fatalf("in pieces of %d: %d bytes of %d taken, Go unpacks %d of %d", size, len(got), taken, len(want), len(data)-src.Len())
		case err != io.EOF && !errors.Is(err, errDamaged) && err != io.ErrUnexpectedEOF:
			t.Fatalf("in pieces of %d: an error of no kind: %v", size, err)
		case !bytes.HasPrefix(got, want) && !bytes.HasPrefix(want, got):
			t.Fatalf("in pieces of %d: other bytes than Go's before %v", size, err)
		}
	}
}

// deflated packs data at a level, with some bytes behind it.
func deflated(t testing.TB, data []byte, level int) []byte {
	t.Helper()
	var b bytes.Buffer
	w, err := flate.NewWriter(&b, level)
	if err != nil {
		t.Fatal(err)
	}
	for len(data) > 0 { // flushed now and then: empty stored blocks
		n := min(len(data), 50_000)
		w.Write(data[:n])
		w.Flush()
		data = data[n:]
	}
	w.Close()
	return append(b.Bytes(), "behind it"...)
}

// texts of several kinds: all the same, noise, far repeats, close ones, skewed
// so that codes get long.
func inflateTexts(rng *rand.Rand) [][]byte {
	noise := make([]byte, 110_000)
	for i := range noise {
		noise[i] = byte(rng.Uint32())
	}
	far := append(bytes.Clone(noise[:32<<10]), noise[:32<<10]...)
	var words, skewed []byte
	for len(words) < 150_000 {
		w := noise[rng.IntN(2000):]
		words = append(words, w[:3+rng.IntN(300)]...)
		words = append(words, bytes.Repeat(w[:1+rng.IntN(9)], rng.IntN(40))...)
	}
	for i := 0; len(skewed) < 110_000; i++ {
		skewed = append(skewed, byte(rng.ExpFloat64()*7))
	}
	return [][]byte{nil, []byte("a"), make([]byte, 250_000), noise, far, words, skewed}
}

func TestInflate(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	for _, text := range inflateTexts(rng) {
		for _, level := range []int{flate.NoCompression, flate.HuffmanOnly, 1, 6, 9} {
			data := deflated(t, text, level)
			likeGo(t, data)
			for range 10 {
				damaged := bytes.Clone(data)
				// Most of them where a block's codes are described.
				at := rng.IntN(min(len(damaged), 200))
				if rng.IntN(3) == 0 {
					at = rng.IntN(len(damaged))
				}
				damaged[at] ^= 1 << rng.IntN(8)
				likeGo(t, damaged[:len(damaged)-rng.IntN(12)])
			}
		}
	}
}

// TestInflateNoise: whatever the bits say, we say what Go says.
func TestInflateNoise(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 6))
	for range 3_000 {
		data := make([]byte, 1+rng.IntN(120))
		for i := range data {
			data[i] = byte(rng.Uint32())
			if rng.IntN(3) == 0 {
				data[i] &= byte(rng.Uint32())
			}
		}
		data[0] = data[0]&^6 | 4 // codes of its own
		if rng.IntN(4) == 0 {
			data[0] ^= 6
		}
		likeGo(t, data)
	}
}

func FuzzInflate(f *testing.F) {
	for _, text := range inflateTexts(rand.New(rand.NewPCG(7, 8))) {
		f.Add(deflated(f, text[:min(len(text), 5000)], 6))
		f.Add(deflated(f, text[:min(len(text), 5000)], flate.HuffmanOnly))
	}
	f.Fuzz(likeGo)
}
