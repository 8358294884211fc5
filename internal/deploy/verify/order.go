package verify

import (
	"cmp"
	"strconv"
	"strings"

	"github.com/Masterminds/semver/v3"

	"chartd.dev/chartd/internal/model"
)

// heads says where a half of a pair moved to, as far as it can be told.
func heads(h model.Heading) string {
	switch h {
	case model.Same:
		return "stayed"
	case model.Back, model.Forward:
		return "moved " + string(h)
	}
	return "moved"
}

func headingOf(order int) model.Heading {
	switch {
	case order < 0:
		return model.Back
	case order > 0:
		return model.Forward
	}
	return model.Same
}

// chartHeading is the way from one version to another: by the order in which
// they were published, if that is known, else by SemVer. It only chooses
// words; the gate decides by its own facts.
func (v *verification) chartHeading(chart, from, to string) model.Heading {
	if from == to {
		return model.Same
	}
	a, ok := v.o.Charts[chart+"@"+from]
	b, ok2 := v.o.Charts[chart+"@"+to]
	if ok && ok2 && a.Seq != b.Seq && !a.OrderUnknown && !b.OrderUnknown {
		return headingOf(cmp.Compare(b.Seq, a.Seq))
	}
	x, err := semver.NewVersion(from)
	y, err2 := semver.NewVersion(to)
	if err != nil || err2 != nil || x.Equal(y) {
		return model.Unknown
	}
	return headingOf(y.Compare(x))
}

// tagHeading is the way from one tag to another where both count something at
// the same place: 2024.4.9 and 2024.4.10, 0.0.1-n4053.hbbe5898e and
// 0.0.1-n4277.h34a75f34. Tags made of hashes have no order.
func tagHeading(from, to string) model.Heading {
	if from == to {
		return model.Same
	}
	a, b := tagWords(from), tagWords(to)
	if len(a) != len(b) {
		return model.Unknown
	}
	for i := range a {
		if a[i] == b[i] {
			continue
		}
		x, ok := tagNumber(a[i])
		y, ok2 := tagNumber(b[i])
		if !ok || !ok2 || x == y || len(a) == 1 {
			return model.Unknown
		}
		return headingOf(cmp.Compare(y, x))
	}
	return model.Unknown
}

func tagWords(tag string) []string {
	return strings.FieldsFunc(tag, func(r rune) bool { return strings.ContainsRune(".-_", r) })
}

// tagNumber reads "17", "v17" and "n17". A long run of digits without a word
// before it may be a hash by chance, or a date.
func tagNumber(s string) (uint64, bool) {
	n, err := strconv.ParseUint(strings.TrimLeft(s, "nv"), 10, 64)
	return n, err == nil
}
