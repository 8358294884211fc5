package verify

import (
	"fmt"

	"chartd.dev/chartd/internal/advice"

	"chartd.dev/chartd/internal/deploy/lockfile"
	"chartd.dev/chartd/internal/deploy/release"
)

// deployed compares the lock with what runs.
func (v *verification) deployed(s subject) {
	r, ok := v.o.Deployed[s.full]
	if !ok {
		return
	}
	want := s.entry.Chart
	at := v.lockPlace(s.entry.Key, "chart")
	redeploy := string(advice.Redeploy)
	if r.Status != "" && r.Status != "deployed" {
		v.add(s, Finding{Kind: DriftDeployed, Place: at, Found: shortened(r.Status), Want: "deployed",
			Message: fmt.Sprintf("revision %d of release %s is %s, so it is not known to be what runs", r.Revision, r.Name, shortened(r.Status)),
			Mend:    "give the secret of the revision that is deployed, or " + redeploy})
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
func (v *verification) running(s subject, r release.Release, i lockfile.Image) {
	f := Finding{Kind: DriftDeployed, Place: v.lockPlace(s.entry.Key, "image."+string(i.Role)), Want: i.Repository.String() + "@" + i.Digest.String(), Mend: string(advice.Redeploy)}
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
		f.Message = fmt.Sprintf("container %s of %s in release %s runs the %s image %s, locked is %s@%s", c.Container, c.Object, r.Name, i.Role, runs(c), bare(i.Tag), brief(i.Digest))
		v.add(s, f)
	}
	if found {
		return
	}
	f.Found = "nothing"
	f.Message = fmt.Sprintf("no container of release %s runs the %s image %s", r.Name, i.Role, i.Repository)
	if named := r.NamedAs(i.Role); len(named) > 0 {
		f.Found = named[0].Text
		f.Message += fmt.Sprintf("; its container %s runs %s", named[0].Container, shortened(named[0].Text))
	}
	v.add(s, f)
}

// runs names the image of a container, in short where it is one by digest.
func runs(c release.Image) string {
	if c.Ref.Digest.IsZero() {
		return shortened(c.Text)
	}
	return bare(c.Ref.Tag) + "@" + brief(c.Ref.Digest)
}
