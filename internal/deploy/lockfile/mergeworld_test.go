package lockfile

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"

	"chartd.dev/chartd/internal/ref"
)

// world makes bumps, and knows every entry that a bump ever wrote: those are
// the pairs that somebody approved.
type world struct {
	*rand.Rand
	approved map[string]bool
	// alike makes what is hardest to merge: one group, of which environments
	// come and go.
	alike bool
}

func newWorld(seed, n uint64) *world {
	return &world{rand.New(rand.NewPCG(seed, n)), map[string]bool{}, false}
}

// text is an entry without its sum.
func text(e Entry) string { return strings.Join(e.lines(), "\n") }

func (w *world) approve(e Entry) Entry {
	e = bound(e.sorted())
	w.approved[text(e)] = true
	return e
}

// unapproved returns the entries that nobody wrote.
func (w *world) unapproved(f File) []Entry {
	return slices.DeleteFunc(slices.Clone(f.Entries), func(e Entry) bool { return w.approved[text(e)] })
}

// The pools are small, so that entries share lines, as those of one group do.
func (w *world) chart() Chart { return chart("jupyterhub", fmt.Sprintf("3.3.%d", w.IntN(5))) }

func (w *world) hubImage() Image {
	return image("hub", "quay.io/berkeley/jupyterhub-hub", fmt.Sprintf("2024.%d.9", w.IntN(5)))
}

func (w *world) ownImage(c Chart) Image { return image("hub", "quay.io/jupyterhub/k8s-hub", c.Version) }

func (w *world) fresh(key string) Entry {
	e := Entry{Key: key, Chart: w.chart(), Source: source}
	e.Images, e.Bases = []Image{w.hubImage()}, []Image{w.ownImage(e.Chart)}
	return w.approve(e)
}

// file has n environments of a few hubs.
func (w *world) file(n int) File {
	var entries []Entry
	group := w.IntN(2) == 0 || w.alike
	first := w.fresh("x")
	for i := range n {
		e := w.fresh(fmt.Sprintf("hub%d/%s", i/3, []string{"dev", "prod", "staging"}[i%3]))
		if group {
			key := e.Key
			e = first
			e.Key = key
		}
		entries = append(entries, w.approve(e))
	}
	return File{}.With(entries...)
}

// bump writes another entry for the key of e: a whole one each time, of which
// often only some lines are other ones.
func (w *world) bump(e Entry) Entry {
	old := text(e)
	for {
		next := e
		next.Images, next.Bases = slices.Clone(e.Images), slices.Clone(e.Bases)
		w.change(&next)
		if next = w.approve(next); text(next) != old {
			return next
		}
	}
}

func (w *world) change(e *Entry) {
	switch w.IntN(9) {
	case 0, 1: // a new pair
		e.Chart, e.Images, e.Prepare = w.chart(), []Image{w.hubImage()}, nil
		e.Bases = []Image{w.ownImage(e.Chart)}
	case 2: // the image is built again
		e.Images = []Image{w.hubImage()}
		e.Bases = []Image{w.ownImage(e.Chart)}
	case 3: // the chart's own image
		e.Images, e.Bases = []Image{w.ownImage(e.Chart)}, nil
	case 4: // another name of the same image
		e.Images[0].Tag = fmt.Sprintf("again-%d", w.IntN(4))
	case 5: // the repository moves
		e.Source = fmt.Sprintf("%s/%d", source, w.IntN(4))
	case 6: // the next chart is prepared
		c := w.chart()
		e.Prepare = &c
	case 7: // the prepared chart is completed, its image by another tag
		if e.Prepare != nil {
			e.Chart, e.Prepare = *e.Prepare, nil
		}
		e.Bases = []Image{w.ownImage(e.Chart)}
	case 8: // a second image
		e.Images = append(e.Images[:1], image("singleuser", "quay.io/berkeley/user", fmt.Sprint(w.IntN(4))))
	}
}

// bumps changes some entries; where grow is set, environments come and go too.
func (w *world) bumps(f File, grow bool) File {
	for range 1 + w.IntN(3) {
		key := f.Entries[w.IntN(len(f.Entries))].Key
		e, _ := f.Get(key)
		switch {
		case grow && w.IntN(3) == 0:
			key := fmt.Sprintf("hub%d/%s", w.IntN(4), []string{"alpha", "beta", "prod", "zeta"}[w.IntN(4)])
			if _, ok := f.Get(key); !ok {
				f = f.With(w.fresh(key))
			}
		case grow && w.IntN(4) == 0 && len(f.Entries) > 1:
			f = f.Without(key)
		default:
			f = f.With(w.bump(e))
		}
	}
	return f
}

// merged says what a merge of two sides has to be: the file, whether two
// sides changed one environment in different ways, and whether environments
// came or went.
func merged(base, ours, theirs File) (want File, contested, moved bool) {
	var entries []Entry
	keys := map[string]bool{}
	for _, f := range []File{base, ours, theirs} {
		for _, e := range f.Entries {
			keys[e.Key] = true
		}
	}
	for key := range keys {
		b, inBase := base.Get(key)
		o, inOurs := ours.Get(key)
		t, inTheirs := theirs.Get(key)
		moved = moved || !inBase || !inOurs || !inTheirs
		switch {
		case text(o) == text(t):
		case text(t) == text(b):
		case text(o) == text(b):
			o, inOurs = t, inTheirs
		default:
			contested = true
		}
		if inOurs {
			entries = append(entries, o)
		}
	}
	return File{}.With(entries...), contested, moved
}

// format is a way to write and read a lock.
type format struct {
	write func(File) []byte
	read  func([]byte) (File, error)
}

var real = format{File.Bytes, Parse}

// The two below leave out what the real one has, to show what it is for.
// unsummed has no sum.
var unsummed = format{
	func(f File) []byte { return dropLines(f.Bytes(), " sum: ") },
	readLoose,
}

// keyless has no key on each line and no sum: a key opens its entry.
var keyless = format{
	func(f File) []byte {
		out := dropLines(f.Bytes(), " sum: ")
		for _, e := range f.Entries {
			out = bytes.Replace(out, []byte("\n"+e.Key+" "), []byte("\n"+e.Key+"\n"+e.Key+" "), 1)
			out = bytes.ReplaceAll(out, []byte("\n"+e.Key+" "), []byte("\n  "))
		}
		return out
	},
	func(data []byte) (File, error) {
		var out strings.Builder
		key := ""
		for line := range strings.Lines(string(data)) {
			if validKey(strings.TrimSpace(line)) {
				key = strings.TrimSpace(line)
				continue
			}
			out.WriteString(strings.Replace(line, "  ", key+" ", 1))
		}
		return readLoose([]byte(out.String()))
	},
}

func dropLines(data []byte, with string) []byte {
	var out []byte
	for line := range bytes.Lines(data) {
		if !bytes.Contains(line, []byte(with)) {
			out = append(out, line...)
		}
	}
	return out
}

// readLoose is Parse without sums and without the proof of the binding.
func readLoose(data []byte) (File, error) {
	lines, err := split(data)
	if err != nil {
		return File{}, err
	}
	if err := checkHead(lines); err != nil {
		return File{}, err
	}
	var f File
	var e Entry
	last := fact{rank: -1}
	for i, line := range lines[3 : len(lines)-1] {
		if line == "" {
			if _, twice := f.Get(e.Key); twice || e.Source == "" || e.Chart == (Chart{}) || e.Binding == (ref.BindingID{}) {
				return File{}, bad(i+4, "not whole")
			}
			f, e, last = f.With(e), Entry{}, fact{rank: -1}
			continue
		}
		x, err := parseFact(line)
		if err == nil {
			err = inPlace(last, x)
		}
		if err == nil {
			e.Key, last = x.key, x
			err = e.set(x)
		}
		if err != nil {
			return File{}, bad(i+4, "%v", err)
		}
	}
	return f, nil
}
