package archive

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"chartd.dev/chartd/internal/ref"
)

// Seal splices the images into the values files that name them: the tag as
// "TAG@sha256:…", or the digest where the values have a key for it, and the
// repository where its canonical name differs. Nothing else changes, and the
// same input gives the same bytes. ErrNoSite says for which role the values
// hold no scalar that can be written.
func Seal(data []byte, want map[ref.Role]SealImage, o Options) ([]byte, []Splice, error) {
	o.Limits = o.Limits.orDefault()
	p, _, err := read(data, o, nil)
	if err != nil {
		return nil, nil, err
	}
	plan, err := p.sealPlan(want)
	if err != nil {
		return nil, nil, fmt.Errorf("seal %s: %w", p.Chart, err)
	}
	sealed, err := Rewrite(data, plan, o)
	if err != nil {
		return nil, nil, fmt.Errorf("seal %s: %w", p.Chart, err)
	}
	proof, err := CompareSeal(data, sealed, o)
	return sealed, proof, err
}

// sealPlan is what splicing the images into the values takes.
func (p *Package) sealPlan(want map[ref.Role]SealImage) (Plan, error) {
	var plan Plan
	for _, role := range slices.Sorted(maps.Keys(want)) {
		i := slices.IndexFunc(p.Images, func(i Image) bool { return i.Role == role })
		if i < 0 {
			return plan, fmt.Errorf("%w: the values name no image of role %q", ErrNoSite, role)
		}
		if err := p.Images[i].edits(want[role], &plan); err != nil {
			return plan, fmt.Errorf("role %q: %w", role, err)
		}
	}
	return plan, nil
}

// edits adds what sealing the image takes.
func (i *Image) edits(want SealImage, plan *Plan) error {
	if want.Repository.IsZero() || want.Digest.IsZero() {
		return fmt.Errorf("%w: the image has no repository or no digest", ErrRefused)
	}
	add := func(key, value string) error {
		at, ok := i.site.keys[key]
		if !ok {
			return fmt.Errorf("%w: %s in %s has no scalar %q", ErrNoSite, i.Path, i.File, key)
		}
		if at.value != value {
			plan.Edits = append(plan.Edits, Edit{File: at.file, Path: at.path, Value: value})
		}
		return nil
	}
	tag := want.Tag
	if tag == "" {
		tag = i.Tag
	}
	if err := i.repositoryEdits(want.Repository, add); err != nil {
		return err
	}
	if _, ok := i.site.keys["digest"]; !ok {
		if tag == "" {
			return fmt.Errorf("%w: %s in %s has neither a tag nor a digest key", ErrNoSite, i.Path, i.File)
		}
		return add("tag", tag+"@"+want.Digest.String())
	}
	if err := add("digest", want.Digest.String()); err != nil {
		return err
	}
	if tag == i.Tag && !strings.Contains(i.site.keys["tag"].value, "@") {
		return nil
	}
	return add("tag", tag)
}

func (i *Image) repositoryEdits(want ref.Repository, add func(key, value string) error) error {
	if i.Repository == want.String() {
		return nil
	}
	key := "repository"
	if i.site.keys[key].value == "" {
		key = "name"
	}
	if i.site.keys["registry"].value == "" {
		return add(key, want.String())
	}
	if err := add("registry", want.Host()); err != nil {
		return err
	}
	return add(key, want.Path())
}
