package verify

import (
	"errors"
	"fmt"
	"path"
	"slices"

	"chartd.dev/chartd/internal/advice"
	"chartd.dev/chartd/internal/model"

	"chartd.dev/chartd/internal/deploy"
	"chartd.dev/chartd/internal/deploy/site"
	"chartd.dev/chartd/internal/ref"
)

// half is one site that says the chart's version or an image.
type half struct {
	site  site.Site
	value site.Value
	place Place
	weak  bool // the digest alone is missing
	off   bool // it differs from the lock in the half itself
}

// halves is what the sites of an environment say.
type halves struct {
	charts []half
	images map[ref.Role][]half
	froms  []half
}

// sites compares the sites with the lock. What belongs to one move is told in
// one finding, however many files it was spread over.
func (v *verification) sites(s subject) {
	h := halves{images: map[ref.Role][]half{}}
	want := deploy.WantOf(s.entry)
	for _, place := range s.sites {
		if place.Kind == site.From && s.entry.Prepare != nil {
			continue // ahead of the lock on purpose
		}
		v.site(s, place, want, &h)
	}
	v.pair(s, h)
}

// site compares one site and sorts it into h. What does not read as a half of
// the pair is told by itself.
func (v *verification) site(s subject, at site.Site, want site.Want, h *halves) {
	found, err := v.files.Check(at, want)
	var value site.Value
	if err == nil && at.Kind != site.Marker && at.Kind != site.HelmLock {
		value, err = v.files.Value(at)
	}
	if err != nil {
		v.unreadable(s, at, err)
		return
	}
	one := half{site: at, value: value, place: Place{at.File, value.Line}}
	switch at.Kind {
	case site.Dependency:
		one.off = value.Version != s.entry.Chart.Version && slices.ContainsFunc(found, func(f site.Finding) bool { return f.Site.Kind == site.Dependency })
		h.charts = append(h.charts, one)
	case site.Image, site.ImageRef:
		one.weak, one.off = judge(found)
		h.images[at.Role] = append(h.images[at.Role], one)
	case site.From:
		one.weak, one.off = judge(found)
		h.froms = append(h.froms, one)
	}
	for _, f := range found {
		if !one.off || f.Site.Kind == site.HelmLock {
			v.single(s, f)
		} // else told as a move of the pair
	}
}

func judge(found []site.Finding) (weak, off bool) {
	for _, f := range found {
		weak, off = weak || f.Weak, off || !f.Weak
	}
	return weak, off
}

// single tells of a difference that is not a move of a half.
func (v *verification) single(s subject, f site.Finding) {
	kind, mend := DriftSite, restore(s)
	message := fmt.Sprintf("%s is %s, locked is %s", f.What, f.Found, f.Want)
	switch {
	case f.Site.Kind == site.HelmLock:
		kind = DriftHelmLock
		mend += ", or helm dependency update " + path.Dir(f.File)
	case f.Weak:
		message += ": the tag alone does not say which image runs"
	}
	v.add(s, Finding{Kind: kind, Place: Place{f.File, f.Line}, Found: f.Found, Want: f.Want, Message: message, Mend: mend})
}

func (v *verification) unreadable(s subject, at site.Site, err error) {
	f := Finding{Kind: DriftSite, Place: Place{File: at.File}, Found: "unreadable", Want: at.String(), Message: err.Error(),
		Mend: "correct the file, or the site in .chartctl.yaml"}
	var e *site.Error
	if errors.As(err, &e) {
		f.Place, f.Message = Place{e.File, e.Line}, e.Text
		switch {
		case errors.Is(err, site.ErrMissing):
			f.Found = "missing"
		case errors.Is(err, site.ErrConflict):
			f.Found, f.Mend = "a merge conflict", fmt.Sprintf("take either side (git checkout --ours -- %s), then: %s", e.File, restore(s))
		}
	}
	f.Message = fmt.Sprintf("the site (%s) cannot be checked: %s", at, f.Message)
	v.add(s, f)
}

// restore is the command that writes the locked pair into the files again,
// whether the difference is committed or not.
func restore(s subject) string {
	return advice.Restore.Part(model.Facts{Binding: s.entry.Binding})
}

// withImage are the facts of a bump to a version with one image.
func withImage(version string, role ref.Role, image string) model.Facts {
	return model.Facts{Version: version, Images: []model.RoleImage{{Role: role, Image: image}}}
}

// pair tells which halves moved, and which did not.
func (v *verification) pair(s subject, h halves) {
	roles := []ref.Role{}
	for _, i := range s.entry.Images {
		if slices.ContainsFunc(h.images[i.Role], func(x half) bool { return x.off }) {
			roles = append(roles, i.Role)
		}
	}
	charts := off(h.charts)
	froms := off(h.froms)
	switch {
	case len(charts) > 0:
		v.chartMoved(s, h, charts, froms, roles)
	case len(roles) > 0:
		v.imageMoved(s, h, froms, roles)
	case len(froms) > 0:
		v.fromMoved(s, froms)
	}
}

func off(all []half) []half {
	return slices.DeleteFunc(slices.Clone(all), func(x half) bool { return !x.off })
}

// moved is the first site that differs from the lock.
func moved(all []half) half {
	for _, x := range all {
		if x.off {
			return x
		}
	}
	return all[0]
}

// tellApart names two images as far as a person needs to tell them apart: by
// tag, by repository where that differs, by digest where the tag is the same.
func tellApart(v site.Value, was site.Named) (found, locked string, same bool) {
	found, locked = bare(v.Tag), bare(was.Tag)
	r, err := ref.ParseRepository(v.Repository)
	same = err == nil && r == was.Repository
	switch {
	case !same:
		return v.Repository + ":" + found, was.Repository.String() + ":" + locked, false
	case found == locked && !v.Digest.IsZero():
		found += "@" + brief(v.Digest)
		locked += "@" + brief(was.Digest)
	}
	return found, locked, true
}
