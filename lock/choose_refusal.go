package lock

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"

	"chartd.dev/chartd/internal/model"
	"chartd.dev/chartd/internal/ref"
)

// choiceRefused refuses a choice by one fact.
func choiceRefused(rule model.Rule, chart ref.ChartVersion, facts string) *Refusal {
	return &Refusal{Rule: rule, Chart: chart, Facts: facts, List: []string{facts}}
}

// moved refuses a pin that would take an image from another repository.
func (s *chooser) moved(v ChartVersion, list []Binding) error {
	var has []string
	for _, b := range list {
		if from := b.sources(); !slices.Contains(has, from) {
			has = append(has, from)
		}
	}
	flags := ""
	for _, role := range slices.Sorted(maps.Keys(repositories(*s.now))) {
		flags += fmt.Sprintf(" --image %s=REF", role)
	}
	no := choiceRefused(model.RuleRepository, v.Chart, fmt.Sprintf("%s runs %s, and %s is bound to %s", s.env.Env, s.now.sources(), v.Chart, strings.Join(has, " and to ")))
	no.Want = fmt.Sprintf("name the image with chartctl bump %s --version %s%s, or take binding %s with --binding",
		s.env.Env, v.Chart.Version(), cmp.Or(flags, " --image ROLE=REF"), list[len(list)-1].ID)
	return no
}

// ambiguous refuses to guess between repositories, and lists the newest
// binding of each.
func (s *chooser) ambiguous(v ChartVersion, fit []Binding) error {
	var choices []string
	seen := map[string]bool{}
	for _, b := range slices.Backward(fit) {
		if seen[b.sources()] {
			continue
		}
		seen[b.sources()] = true
		var flags []string
		for _, i := range b.Images {
			flags = append(flags, fmt.Sprintf("--image %s=%s", i.Role, i.name()))
		}
		choices = append(choices, strings.Join(flags, " "))
	}
	why := "has no pin yet to tell which to take"
	if s.now != nil {
		why = "is pinned to neither of them"
	}
	no := choiceRefused(model.RuleRepository, v.Chart, fmt.Sprintf("%s is bound to images from different repositories, and %s %s", v.Chart, s.env.Env, why))
	no.Want = fmt.Sprintf("choose with chartctl bump %s --version %s and %s", s.env.Env, v.Chart.Version(), strings.Join(choices, ", or "))
	return no
}

// name is the image by its tag, else by its digest.
func (i BoundImage) name() string {
	if i.Tag == "" {
		return i.Image.String()
	}
	return i.Image.Repository.String() + ":" + i.Tag
}

// notBound refuses a version without a binding that could be pinned.
func notBound(v ChartVersion) error {
	no := choiceRefused(model.RuleBinding, v.Chart, fmt.Sprintf("%s is bound to no images and can't be pinned", v.Chart))
	no.Want = fmt.Sprintf("bind it with chartctl bind %s", v.Chart)
	switch {
	case len(v.Bindings) > 0:
		no.Facts = fmt.Sprintf("no binding of %s is verified, so it can't be pinned", v.Chart)
		no.Want = fmt.Sprintf("bind another image, or see why with chartctl show %s", v.Chart)
	case v.Unbound != "":
		no.Facts = fmt.Sprintf("%s is bound to no images (%s) and can't be pinned", v.Chart, v.Unbound)
	}
	no.List = []string{no.Facts}
	return no
}

// notBoundTo refuses a version that is not bound to the images asked for.
func notBoundTo(v ChartVersion, want map[ref.Role]ref.Reference) error {
	var images []string
	for _, role := range slices.Sorted(maps.Keys(want)) {
		images = append(images, fmt.Sprintf("%s=%s", role, want[role]))
	}
	no := choiceRefused(model.RuleBinding, v.Chart, fmt.Sprintf("no binding of %s has %s", v.Chart, strings.Join(images, ", ")))
	no.Want, no.Command = "bind it first", fmt.Sprintf("chartctl bind %s --image %s", v.Chart, strings.Join(images, " --image "))
	return no
}

// nothing is the answer where no version can be the latest.
func (s *chooser) nothing(devel, unbound bool) error {
	what, hint := "stable, verified version", "give --version, or --devel to allow pre-releases"
	if devel {
		what, hint = "verified version", "bind one with chartctl bind, or give --version"
	}
	if unbound {
		hint = fmt.Sprintf("bind those that are unbound with chartctl bind --unbound %s", s.env.Chart)
		if !devel {
			hint += ", or give --devel to allow pre-releases"
		}
	}
	return fail(ErrNotFound, "chart %q has no %s that %s accepts: %s", s.env.Chart, what, s.env.Env, hint)
}
