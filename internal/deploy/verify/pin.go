package verify

import (
	"fmt"

	"chartd.dev/chartd/internal/advice"

	"chartd.dev/chartd/internal/api"
	"chartd.dev/chartd/internal/deploy"
	"chartd.dev/chartd/internal/deploy/config"
	"chartd.dev/chartd/internal/deploy/lockfile"
	"chartd.dev/chartd/internal/model"
)

// pin compares the lock with what the server has pinned.
func (v *verification) pin(s subject) {
	if v.o.Environments == nil {
		return
	}
	e, ok := v.o.Environments[s.full]
	want := s.entry.Chart.Name + " " + s.entry.Chart.Version
	f := Finding{Kind: DriftPin, Place: v.lockPlace(s.entry.Key, "chart"), Found: want}
	if e := v.o.Unfollowed[s.full]; e != nil && v.ahead() {
		f.Want, f.Message, f.Mend = "what follows from the pin", e.Message, e.Want
		v.add(s, f)
		return
	}
	switch {
	case !ok:
		f.Want = "no environment"
		f.Message = fmt.Sprintf("%s is locked, and the server knows no environment {env}", want)
		f.Mend = advice.EnvCreate.Part(model.Facts{Name: s.conf.Chart})
	case e.Pin == nil:
		if v.ahead() {
			return
		}
		f.Want = "no pin"
		f.Message = fmt.Sprintf("%s is locked, and the server has pinned nothing", want)
		f.Mend = v.pinIt(s)
	case e.Pin.Binding != s.entry.Binding:
		if v.ahead() {
			return
		}
		p := e.Pin
		f.Want = p.Name + " " + p.Version
		has := deploy.EntryOf(s.entry.Key, api.Binding{Name: p.Name, Version: p.Version, Images: p.Images}, "")
		f.Message = fmt.Sprintf("locked is %s, the server has %s pinned as revision %d, by %s at %s", describe(s.entry), describe(has), p.Revision, p.By, p.At.UTC().Format("2006-01-02 15:04"))
		f.Mend = fmt.Sprintf("to take what the server has: git pull, or %s; to pin what is locked: %s", advice.TakeBinding.Part(model.Facts{Binding: p.Binding}), v.pinIt(s))
	default:
		v.record(s, e)
		return
	}
	v.add(s, f)
}

// ahead reports whether the lock may name what is not pinned yet.
func (v *verification) ahead() bool { return v.o.Pending && v.conf.Flow == config.Review }

func (v *verification) pinIt(s subject) string {
	if v.conf.Flow == config.Review || v.conf.ByBranch() {
		return string(advice.Apply)
	}
	return restore(s)
}

// describe names a pair by its chart and its images.
func describe(e lockfile.Entry) string {
	text := e.Chart.Name + " " + e.Chart.Version
	for _, i := range e.Images {
		text += fmt.Sprintf(" with %s %s@%s", i.Role, bare(i.Tag), brief(i.Digest))
	}
	return text
}

// record compares what the binding's identity does not cover: the names of
// the images and their bases.
func (v *verification) record(s subject, e api.Environment) {
	if e.ChartState == model.Yanked || e.ChartState == model.Purged {
		v.note(s, "%s %s is %s", s.entry.Chart.Name, s.entry.Chart.Version, e.ChartState)
	}
	b := e.Binding
	if b == nil {
		return
	}
	if b.State == model.Revoked {
		v.note(s, "the locked binding was revoked: %s", b.Reason)
	}
	is := deploy.EntryOf(s.entry.Key, *b, s.entry.Source)
	is.Prepare = s.entry.Prepare
	if is.Sum() == s.entry.Sum() {
		return
	}
	v.add(s, Finding{Kind: DriftPin, Place: v.lockPlace(s.entry.Key, "binding"), Found: s.entry.Sum(), Want: is.Sum(),
		Message: "the pair is the pinned one, but a tag or a base is not as the server has it", Mend: restore(s)})
}

// tags compares what the registries have today.
func (v *verification) tags(s subject) {
	if v.o.Tags == nil {
		return
	}
	for _, kind := range []struct {
		field  string
		images []lockfile.Image
	}{{"image.", s.entry.Images}, {"base.", s.entry.Bases}} {
		for _, i := range kind.images {
			name := i.Repository.String() + ":" + i.Tag
			now, ok := v.o.Tags[name]
			switch {
			case i.Tag == "":
				continue
			case !ok:
				v.note(s, "the registry could not be asked for %s", name)
				continue
			case now == i.Digest:
				continue
			}
			v.add(s, Finding{Kind: DriftTag, Place: v.lockPlace(s.entry.Key, kind.field+string(i.Role)), Found: now.String(), Want: i.Digest.String(),
				Message: fmt.Sprintf("the tag %s was moved: it is %s today, locked is %s, which stays pinned", name, brief(now), brief(i.Digest)),
				Mend:    v.mendTag(s, kind.field, i)})
		}
	}
}

func (v *verification) mendTag(s subject, field string, i lockfile.Image) string {
	if field == "base." {
		return fmt.Sprintf("build the %s image again on the base that chart %s names, and bump to it", i.Role, s.entry.Chart.Version)
	}
	return "push images under new tags; if the new one is wanted: " + advice.Built.Part(withImage(s.entry.Chart.Version, i.Role, fmt.Sprintf("%s:%s", i.Repository, i.Tag)))
}
