package verify

import (
	"fmt"
	"slices"

	"chartd.dev/chartd/internal/advice"

	"chartd.dev/chartd/internal/model"
	"chartd.dev/chartd/internal/ref"
)

// chartMoved tells of a chart that is not the locked one, and what the image
// did meanwhile.
func (v *verification) chartMoved(s subject, h halves, charts, froms []half, roles []ref.Role) {
	c, name, locked := charts[0], s.entry.Chart.Name, s.entry.Chart.Version
	found := c.value.Version
	way := v.chartHeading(name, locked, found)
	f := Finding{Kind: DriftPair, Place: c.place, Found: found, Want: locked}
	who := "the chart"
	for _, x := range slices.Concat(charts[1:], froms) {
		f.Also = append(f.Also, x.place)
	}
	if len(froms) > 0 {
		who = fmt.Sprintf("the chart and FROM in %s", froms[0].place)
	}
	var what string
	switch {
	case len(roles) > 0:
		i := moved(h.images[roles[0]])
		f.Also = append(f.Also, i.place)
		was := s.image(roles[0])
		went := tagHeading(was.Tag, i.value.Tag)
		image := fmt.Sprintf("the %s image in %s", roles[0], i.place)
		to := fmt.Sprintf("from %s to %s", bare(was.Tag), bare(i.value.Tag))
		if opposite(way, went) {
			what = fmt.Sprintf("%s %s while %s %s, %s: the halves went opposite ways and do not belong together", who, heads(way), image, heads(went), to)
		} else {
			what = fmt.Sprintf("%s and %s moved without the lock, the image %s: nobody has checked that they belong together", who, image, to)
		}
	case len(s.entry.Images) > 0:
		role := s.entry.Images[0].Role
		what = fmt.Sprintf("%s %s alone; %s, the one built for %s", who, heads(way), v.still(s, h, role), locked)
	default:
		what = who + " " + heads(way)
	}
	f.Message = fmt.Sprintf("%s is %s, locked is %s: %s", name, found, locked, what)
	f.Mend = fmt.Sprintf("to stay at %s: %s", locked, restore(s))
	// Only what is a version may stand in a command that somebody copies.
	if _, err := ref.ParseImported(name, found); err == nil {
		f.Mend += "; to move both: " + v.moveBoth(s, h, roles, found)
	}
	f.Also = slices.Compact(f.Also)
	v.add(s, f)
}

func opposite(a, b model.Heading) bool {
	return a == model.Back && b == model.Forward || a == model.Forward && b == model.Back
}

// still says that an image is the locked one, and where.
func (v *verification) still(s subject, h halves, role ref.Role) string {
	was := s.image(role)
	if all := h.images[role]; len(all) > 0 {
		return fmt.Sprintf("the %s image in %s is still %s", role, all[0].place, bare(was.Tag))
	}
	return fmt.Sprintf("the %s image is still %s", role, bare(was.Tag))
}

// moveBoth is the bump to the version that the files name: a custom image has to
// be named with it, the chart's own one is found.
func (v *verification) moveBoth(s subject, h halves, roles []ref.Role, version string) string {
	if len(s.entry.Bases) == 0 {
		return advice.MoveChart.Part(model.Facts{Version: version})
	}
	role := s.entry.Bases[0].Role
	if slices.Contains(roles, role) {
		x := moved(h.images[role]).value
		return advice.MoveBoth.Part(withImage(version, role, x.Repository+":"+x.Tag))
	}
	was := s.image(role)
	return advice.MoveBoth.Part(withImage(version, role, was.Repository.String()+":TAG")) + ", with an image built for it"
}

// imageMoved tells of an image that is not the locked one under a chart that
// is.
func (v *verification) imageMoved(s subject, h halves, froms []half, roles []ref.Role) {
	for _, role := range roles {
		x := moved(h.images[role])
		was := s.image(role)
		f := Finding{Kind: DriftPair, Place: x.place, Found: x.value.Text, Want: was.String()}
		found, locked, same := tellApart(x.value, was)
		what := fmt.Sprintf("the image %s alone", heads(tagHeading(was.Tag, x.value.Tag)))
		switch {
		case !same:
			what = "it comes from another repository"
		case x.value.Tag == was.Tag:
			what = "another digest under the same tag"
		case len(froms) > 0:
			what = fmt.Sprintf("the image and FROM in %s moved", froms[0].place)
			f.Also = append(f.Also, froms[0].place)
		}
		at := ""
		if len(h.charts) > 0 {
			at = " in " + h.charts[0].place.String()
			f.Also = append(f.Also, h.charts[0].place)
		}
		f.Message = fmt.Sprintf("the %s image is %s, locked is %s: %s; %s%s is still %s", role, found, locked, what,
			s.entry.Chart.Name, at, s.entry.Chart.Version)
		f.Mend = fmt.Sprintf("to keep the locked image: %s; to take the new one: %s", restore(s),
			advice.MoveBoth.Part(withImage(s.entry.Chart.Version, role, x.value.Repository+":"+x.value.Tag)))
		v.add(s, f)
	}
}

// fromMoved tells of a Dockerfile that builds on another base than the pair's.
func (v *verification) fromMoved(s subject, froms []half) {
	for _, x := range froms {
		base := s.base(x.site.Role)
		v.add(s, Finding{Kind: DriftPair, Place: x.place, Found: x.value.Text, Want: base.String(),
			Message: fmt.Sprintf("FROM is %s, the base of the locked pair is %s: the next %s image would not be built for %s %s",
				x.value.Text, bare(base.Tag), x.site.Role, s.entry.Chart.Name, s.entry.Chart.Version),
			Mend: fmt.Sprintf("%s; if it is to move: %s", restore(s), advice.Prepare.Part(model.Facts{Version: "VERSION"}))})
	}
}
