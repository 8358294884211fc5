package deploy

import (
	"fmt"
	"slices"
	"strings"

	"chartd.dev/chartd/internal/api"
	"chartd.dev/chartd/internal/deploy/lockfile"
	"chartd.dev/chartd/internal/model"
	"chartd.dev/chartd/internal/ref"
)

// pin compares the lock with what the server has pinned.
func (v *verification) pin(s subject) {
	if v.o.Environments == nil || !s.entry.Pinned() {
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
		f.Mend = "chartctl env create {env} --chart " + s.chart
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
		f.Message = fmt.Sprintf("locked is %s, the server has %s pinned as revision %d, by %s at %s", describe(s.entry), describePin(*p), p.Revision, p.By, p.At.UTC().Format("2006-01-02 15:04"))
		f.Mend = fmt.Sprintf("to take what the server has: git pull, or chartctl bump {env}{group} --binding %s; to pin what is locked: %s", p.Binding, v.pinIt(s))
	default:
		v.record(s, e)
		return
	}
	v.add(s, f)
}

// ahead reports whether the lock may name what is not pinned yet.
func (v *verification) ahead() bool { return v.o.Pending && v.review }

func (v *verification) pinIt(s subject) string {
	if v.review || v.merged {
		return "chartctl apply"
	}
	return restore(s)
}

func describe(e lockfile.Entry) string {
	text := e.Chart.Name + " " + e.Chart.Version
	for _, i := range e.Images {
		text += fmt.Sprintf(" with %s %s@sha256:%s…", i.Role, short(i.Tag), i.Digest.Hex()[:12])
	}
	return text
}

func describePin(p api.Pin) string {
	text := p.Name + " " + p.Version
	for _, i := range p.Images {
		if i.Required {
			text += fmt.Sprintf(" with %s %s@sha256:%s…", i.Role, short(i.Tag), i.Image.Digest.Hex()[:12])
		}
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
	is := EntryOf(s.entry.Key, *b, s.entry.Source)
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
				Message: fmt.Sprintf("the tag %s was moved: it is sha256:%s… today, locked is sha256:%s…, which stays pinned", name, now.Hex()[:12], i.Digest.Hex()[:12]),
				Mend:    v.moved(s, kind.field, i)})
		}
	}
}

func (v *verification) moved(s subject, field string, i lockfile.Image) string {
	if field == "base." {
		return fmt.Sprintf("build the %s image again on the base that chart %s names, and bump to it", i.Role, s.entry.Chart.Version)
	}
	return fmt.Sprintf("push images under new tags; if the new one is wanted: chartctl bump {env}{group} --version %s --image %s=%s:%s", s.entry.Chart.Version, i.Role, i.Repository, i.Tag)
}

// deployed compares the lock with what runs.
func (v *verification) deployed(s subject) {
	r, ok := v.o.Deployed[s.full]
	if !ok || !s.entry.Pinned() {
		return
	}
	want := s.entry.Chart
	at := v.lockPlace(s.entry.Key, "chart")
	redeploy := "chartctl deploy {env}"
	if r.Status != "" && r.Status != "deployed" {
		v.add(s, Finding{Kind: DriftDeployed, Place: at, Found: cutText(r.Status), Want: "deployed",
			Message: fmt.Sprintf("revision %d of release %s is %s, so it is not known to be what runs", r.Revision, r.Name, cutText(r.Status)),
			Mend:    "give the secret of the revision that is deployed, or chartctl deploy {env}"})
	}
	if version, ok := r.VersionOf(want.Name); ok && version != want.Version {
		v.add(s, Finding{Kind: DriftDeployed, Place: at, Found: version, Want: want.Version, Mend: redeploy,
			Message: fmt.Sprintf("release %s runs %s %s, locked is %s", r.Name, want.Name, version, want.Version)})
	} else if !ok {
		v.note(s, "release %s does not say its version of %s: only its images were checked", r.Name, want.Name)
	}
	if !r.Rendered {
		v.note(s, "what Helm lists of release %s holds no image: only the chart was checked; give the release secret to check the images too", r.Name)
		return
	}
	for _, i := range s.entry.Images {
		v.running(s, r, i)
	}
}

// running looks for a locked image among the containers of a release.
func (v *verification) running(s subject, r HelmRelease, i lockfile.Image) {
	f := Finding{Kind: DriftDeployed, Place: v.lockPlace(s.entry.Key, "image."+string(i.Role)), Want: i.Repository.String() + "@" + i.Digest.String(), Mend: "chartctl deploy {env}"}
	found := false
	for _, c := range r.Images {
		if c.Ref.Repository != i.Repository {
			continue
		}
		found = true
		switch {
		case c.Ref.Digest == i.Digest:
			continue
		case c.Ref.Digest.IsZero() && c.Ref.Tag == i.Tag:
			v.note(s, "release %s runs %s in %s by its tag: which digest that is, Helm does not say", r.Name, c.Text, c.Object)
			continue
		}
		f.Found = c.Text
		f.Message = fmt.Sprintf("container %s of %s in release %s runs the %s image %s, locked is %s@sha256:%s…", c.Container, c.Object, r.Name, i.Role, shortImage(c.Ref, c.Text), short(i.Tag), i.Digest.Hex()[:12])
		v.add(s, f)
	}
	if found {
		return
	}
	f.Found = "nothing"
	f.Message = fmt.Sprintf("no container of release %s runs the %s image %s", r.Name, i.Role, i.Repository)
	if c := slices.IndexFunc(r.Images, func(c RunningImage) bool { return c.Container == lastWord(i.Role) }); c >= 0 {
		f.Found = r.Images[c].Text
		f.Message += fmt.Sprintf("; its container %s runs %s", r.Images[c].Container, cutText(r.Images[c].Text))
	}
	v.add(s, f)
}

func lastWord(role ref.Role) string { return string(role[strings.LastIndexByte(string(role), '.')+1:]) }

func shortImage(r ref.Reference, text string) string {
	if r.Digest.IsZero() {
		return cutText(text)
	}
	return short(r.Tag) + "@sha256:" + r.Digest.Hex()[:12] + "…"
}
