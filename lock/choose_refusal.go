package lock

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"chartd.dev/chartd/internal/model"
	"chartd.dev/chartd/internal/ref"
)

// choiceRefused refuses a choice by one fact.
func choiceRefused(rule model.Rule, chart ref.ChartVersion, fact string, need *model.Situation) *Refusal {
	return &Refusal{Rule: rule, Chart: chart, Facts: fact, List: []string{fact}, Need: need}
}

// moved refuses a pin that would take an image from another repository.
func (s *chooser) moved(v ChartVersion, list []Binding) error {
	var has []string
	for _, b := range list {
		if from := b.sources(); !slices.Contains(has, from) {
			has = append(has, from)
		}
	}
	facts := model.Facts{Env: s.env.Env, Chart: v.Chart, Binding: list[len(list)-1].ID}
	for _, role := range slices.Sorted(maps.Keys(repositories(*s.now))) {
		facts.Images = append(facts.Images, model.RoleImage{Role: role})
	}
	return choiceRefused(model.RuleRepository, v.Chart,
		fmt.Sprintf("%s runs %s, and %s is bound to %s", s.env.Env, s.now.sources(), v.Chart, strings.Join(has, " and to ")), situation(model.NeedImages, facts))
}

// ambiguous refuses to guess between repositories, and lists the newest
// binding of each.
func (s *chooser) ambiguous(v ChartVersion, fit []Binding) error {
	facts := model.Facts{Env: s.env.Env, Chart: v.Chart}
	seen := map[string]bool{}
	for _, b := range slices.Backward(fit) {
		if seen[b.sources()] {
			continue
		}
		seen[b.sources()] = true
		var images []model.RoleImage
		for _, i := range b.Images {
			images = append(images, model.RoleImage{Role: i.Role, Image: i.name()})
		}
		facts.Choices = append(facts.Choices, images)
	}
	why := "has no pin yet to tell which to take"
	if s.now != nil {
		why = "is pinned to neither of them"
	}
	return choiceRefused(model.RuleRepository, v.Chart,
		fmt.Sprintf("%s is bound to images from different repositories, and %s %s", v.Chart, s.env.Env, why), situation(model.NeedOneOf, facts))
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
	need, why := model.NeedBinding, fmt.Sprintf("%s is bound to no images and can't be pinned", v.Chart)
	switch {
	case len(v.Bindings) > 0:
		need, why = model.NeedVerifiedBinding, fmt.Sprintf("no binding of %s is verified, so it can't be pinned", v.Chart)
	case v.Unbound != "":
		why = fmt.Sprintf("%s is bound to no images (%s) and can't be pinned", v.Chart, v.Unbound)
	}
	return choiceRefused(model.RuleBinding, v.Chart, why, situation(need, model.Facts{Chart: v.Chart}))
}

// notBoundTo refuses a version that is not bound to the images asked for.
func notBoundTo(v ChartVersion, want map[ref.Role]ref.Reference) error {
	facts := model.Facts{Chart: v.Chart}
	var images []string
	for _, role := range slices.Sorted(maps.Keys(want)) {
		facts.Images = append(facts.Images, model.RoleImage{Role: role, Image: want[role].String()})
		images = append(images, fmt.Sprintf("%s=%s", role, want[role]))
	}
	return choiceRefused(model.RuleBinding, v.Chart,
		fmt.Sprintf("no binding of %s has %s", v.Chart, strings.Join(images, ", ")), situation(model.NeedBindingWith, facts))
}

// nothing is the answer where no version can be the latest.
func (s *chooser) nothing(devel, unbound bool) error {
	what, need := "stable, verified version", model.NeedVersion
	switch {
	case devel && unbound:
		what, need = "verified version", model.NeedBound
	case devel:
		what, need = "verified version", model.NeedAnyVersion
	case unbound:
		need = model.NeedBoundOrDevel
	}
	return needing(fail(ErrNotFound, "chart %q has no %s that %s accepts", s.env.Chart, what, s.env.Env), need, model.Facts{Name: s.env.Chart})
}
