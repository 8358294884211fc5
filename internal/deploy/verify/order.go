package verify

import (
	"cmp"
	"strconv"
	"strings"

	"github.com/Masterminds/semver/v3"
)

// course is which way a half of a pair moved, as far as it can be told.
type course int

const (
	unknownCourse course = iota
	stayed
	back
	forward
)

func (c course) String() string {
	return map[course]string{unknownCourse: "moved", stayed: "stayed", back: "moved back", forward: "moved forward"}[c]
}

func courseOf(order int) course {
	switch {
	case order < 0:
		return back
	case order > 0:
		return forward
	}
	return stayed
}

// chartCourse is the way from one version to another: by the order in which
// they were published, if that is known, else by SemVer. It only chooses
// words; the gate decides by its own facts.
func (v *verification) chartCourse(chart, from, to string) course {
	if from == to {
		return stayed
	}
	a, ok := v.o.Charts[chart+"@"+from]
	b, ok2 := v.o.Charts[chart+"@"+to]
	if ok && ok2 && a.Seq != b.Seq && !a.OrderUnknown && !b.OrderUnknown {
		return courseOf(cmp.Compare(b.Seq, a.Seq))
	}
	x, err := semver.NewVersion(from)
	y, err2 := semver.NewVersion(to)
	if err != nil || err2 != nil || x.Equal(y) {
		return unknownCourse
	}
	return courseOf(y.Compare(x))
}

// tagCourse is the way from one tag to another where both count something at
// the same place: 2024.4.9 and 2024.4.10, 0.0.1-n4053.hbbe5898e and
// 0.0.1-n4277.h34a75f34. Tags made of hashes have no order.
func tagCourse(from, to string) course {
	if from == to {
		return stayed
	}
	a, b := tagWords(from), tagWords(to)
	if len(a) != len(b) {
		return unknownCourse
	}
	for i := range a {
		if a[i] == b[i] {
			continue
		}
		x, ok := tagNumber(a[i])
		y, ok2 := tagNumber(b[i])
		if !ok || !ok2 || x == y || len(a) == 1 {
			return unknownCourse
		}
		return courseOf(cmp.Compare(y, x))
	}
	return unknownCourse
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
