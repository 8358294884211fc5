package lock

import (
	"cmp"
	"fmt"
	"slices"

	"github.com/Masterminds/semver/v3"

	"chartd.dev/chartd/internal/model"
)

// numbered is a chart version with its number, which is parsed once.
type numbered struct {
	ChartVersion
	number *semver.Version
}

// latest is the highest version by SemVer that has a binding which the
// environment accepts and which fits what it runs. The order of publication is
// the gate's; here it only says when the two disagree. A version whose place in
// that order is not known is no candidate: no pin could tell whether it goes
// back. With images to be bound, any binding that is accepted will do.
func (s *chooser) latest(c Choice) (chosen, error) {
	list, unbound, err := s.versions(c.Devel)
	if err != nil {
		return chosen{}, err
	}
	var refused error // why the highest of those that are accepted does not fit
	var over []PassedOver
	for _, v := range list {
		pass := func(need model.Need, why string, args ...any) {
			over = append(over, PassedOver{Chart: v.Chart, Why: fmt.Sprintf(why, args...), Need: situation(need, model.Facts{Chart: v.Chart})})
		}
		some, err := s.candidates(v.ChartVersion)
		switch {
		case err != nil:
			return chosen{}, err
		case len(v.Bindings) == 0:
			pass(model.NeedBind, "it is bound to no images")
			continue
		case len(some) == 0:
			pass(model.NeedShow, "it has no binding that %s accepts", s.env.Env)
			continue
		}
		var out chosen
		if len(c.Images) > 0 {
			out, err = s.withImages(v.ChartVersion, c.Images)
		} else if out, err = s.fitting(v.ChartVersion, some); err != nil && len(s.fits(some)) == 0 {
			refused = cmp.Or(refused, err)
			over = append(over, PassedOver{Chart: v.Chart, Why: fmt.Sprintf("it is bound to %s, and %s runs %s", some[len(some)-1].sources(), s.env.Env, s.now.sources())})
			continue
		}
		if err != nil { // a choice is to be made: no lower version makes it
			return chosen{}, err
		}
		out.passedOver, out.publishedLast = over, publishedLast(list, v)
		return out, nil
	}
	if refused != nil {
		return chosen{}, refused
	}
	return chosen{}, s.nothing(c.Devel, unbound)
}

// versions are those of the environment's chart that could be its latest,
// highest first, and whether any that is listed has no binding. Two that
// differ in build metadata alone are in the order of their publication.
func (s *chooser) versions(devel bool) (list []numbered, unbound bool, err error) {
	all, err := versionsOf(s, s.env.Chart)
	if err != nil {
		return nil, false, err
	}
	for _, v := range all {
		if v.State != model.Listed {
			continue
		}
		unbound = unbound || len(v.Bindings) == 0
		n, err := semver.NewVersion(v.Chart.Version())
		if err == nil && !v.OrderUnknown && (devel || n.Prerelease() == "") {
			list = append(list, numbered{v, n})
		}
	}
	slices.SortFunc(list, func(a, b numbered) int {
		return cmp.Or(b.number.Compare(a.number), cmp.Compare(b.Seq, a.Seq))
	})
	return list, unbound, nil
}

// publishedLast is the version that was published after all others, where that
// is a lower one than the one taken.
func publishedLast(list []numbered, took numbered) string {
	last := took
	for _, v := range list {
		if v.Seq > last.Seq && v.number.LessThan(took.number) {
			last = v
		}
	}
	if last.Chart == took.Chart {
		return ""
	}
	return last.Chart.Version()
}

// byVersion is where SemVer takes the chart from one pair to another, where
// the direction by publication is the opposite; else it is empty.
func byVersion(d Direction, from, to Binding) model.Heading {
	x, err := semver.NewVersion(from.Chart.Version())
	y, err2 := semver.NewVersion(to.Chart.Version())
	switch {
	case err != nil || err2 != nil:
		return ""
	case d.Chart == model.Back && x.LessThan(y):
		return model.Forward
	case d.Chart == model.Forward && y.LessThan(x):
		return model.Back
	}
	return ""
}
