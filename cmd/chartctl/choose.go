package main

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"

	"chartd.dev/chartd/internal/api"
	"chartd.dev/chartd/internal/client"
	"chartd.dev/chartd/internal/model"
	"chartd.dev/chartd/internal/ref"
)

// candidates are the version's bindings that the environment accepts now,
// oldest first, and those on somebody's word before the proven ones: the last
// is the one to take.
func candidates(ctx context.Context, c *client.Client, e api.Environment, ch api.Chart) ([]api.Binding, error) {
	var list []api.Binding
	switch {
	case len(ch.Bindings) == 1 && ch.Binding != nil: // the listing holds it already
		list = []api.Binding{*ch.Binding}
	case len(ch.Bindings) > 0:
		v, err := ref.ParseImported(ch.Name, ch.Version)
		if err != nil {
			return nil, err
		}
		all, err := c.Bindings(ctx, v)
		if err != nil {
			return nil, err
		}
		list = all.Bindings
	}
	list = slices.DeleteFunc(list, func(b api.Binding) bool { return !accepted(e, b) })
	slices.SortStableFunc(list, func(a, b api.Binding) int { return cmp.Compare(onWord(b), onWord(a)) })
	return list, nil
}

func onWord(b api.Binding) int {
	if b.Evidence == model.Declared || b.Evidence == model.BaseLabel {
		return 1
	}
	return 0
}

func accepted(e api.Environment, b api.Binding) bool {
	return b.State == model.Verified &&
		!slices.ContainsFunc(b.Images, func(i api.BoundImage) bool { return i.Required && !slices.Contains(e.Accept, i.Evidence) })
}

// fitting are the candidates that leave each image in the repository that the
// environment takes it from now. An image that the pin does not name may come
// in only as the chart's own: then it is the one that runs already, or belongs
// to a part that is new in the chart.
func fitting(e api.Environment, list []api.Binding) []api.Binding {
	if e.Pin == nil {
		return list
	}
	now := repositories(e.Pin.Images)
	var same, more []api.Binding
	for _, b := range list {
		if maps.Equal(now, repositories(b.Images)) {
			same = append(same, b)
		}
		if extends(now, b.Images) {
			more = append(more, b)
		}
	}
	if len(same) > 0 {
		return same
	}
	return more
}

func extends(now map[ref.Role]ref.Repository, images []api.BoundImage) bool {
	kept := 0
	for _, i := range images {
		r, ok := now[i.Role]
		switch {
		case ok && r == i.Image.Repository:
			kept++
		case ok || i.Evidence != model.ChartValues:
			return false
		}
	}
	return kept == len(now)
}

func repositories(images []api.BoundImage) map[ref.Role]ref.Repository {
	out := map[ref.Role]ref.Repository{}
	for _, i := range images {
		out[i.Role] = i.Image.Repository
	}
	return out
}

// choose takes the newest of the candidates that fit. Where that would be a
// guess between repositories it refuses and says what there is.
func choose(e api.Environment, ch api.Chart, list []api.Binding) (api.Binding, error) {
	fit := fitting(e, list)
	if len(fit) == 0 {
		return api.Binding{}, moved(e, ch, list)
	}
	for _, b := range fit[1:] {
		if !maps.Equal(repositories(fit[0].Images), repositories(b.Images)) {
			return api.Binding{}, ambiguous(e, ch, fit)
		}
	}
	return fit[len(fit)-1], nil
}

// moved refuses a pin that would take an image from another repository.
func moved(e api.Environment, ch api.Chart, list []api.Binding) error {
	var has []string
	for _, b := range list {
		if s := sources(b.Images); !slices.Contains(has, s) {
			has = append(has, s)
		}
	}
	now := repositories(e.Pin.Images)
	flags := ""
	for _, role := range slices.Sorted(maps.Keys(now)) {
		flags += fmt.Sprintf(" --image %s=REF", role)
	}
	version := ch.Name + "@" + ch.Version
	return &api.Error{Code: api.CodeGate, Rule: model.RuleRepository,
		Message: fmt.Sprintf("%s runs %s, and %s is bound to %s", e.Env, sources(e.Pin.Images), version, strings.Join(has, " and to ")),
		Want: fmt.Sprintf("name the image with chartctl bump %s --version %s%s, or take binding %s with --binding",
			e.Env, ch.Version, first(flags, " --image ROLE=REF"), list[len(list)-1].ID)}
}

// ambiguous refuses to guess between repositories, and lists the newest
// binding of each.
func ambiguous(e api.Environment, ch api.Chart, fit []api.Binding) error {
	var choices []string
	seen := map[string]bool{}
	for _, b := range slices.Backward(fit) {
		if s := sources(b.Images); seen[s] {
			continue
		}
		seen[sources(b.Images)] = true
		var flags []string
		for _, i := range b.Images {
			flags = append(flags, fmt.Sprintf("--image %s=%s", i.Role, first(tagged(i), i.Image.String())))
		}
		choices = append(choices, strings.Join(flags, " "))
	}
	why := "has no pin yet to tell which to take"
	if e.Pin != nil {
		why = "is pinned to neither of them"
	}
	return &api.Error{Code: api.CodeGate, Rule: model.RuleRepository,
		Message: fmt.Sprintf("%s@%s is bound to images from different repositories, and %s %s", ch.Name, ch.Version, e.Env, why),
		Want:    fmt.Sprintf("choose with chartctl bump %s --version %s and %s", e.Env, ch.Version, strings.Join(choices, ", or "))}
}

// tagged is the image by its tag, empty if it has none.
func tagged(i api.BoundImage) string {
	if i.Tag == "" {
		return ""
	}
	return i.Image.Repository.String() + ":" + i.Tag
}

// sources says where the images come from: "hub from quay.io/my/hub".
func sources(images []api.BoundImage) string {
	if len(images) == 0 {
		return "no image"
	}
	var out []string
	for _, i := range images {
		out = append(out, fmt.Sprintf("%s from %s", i.Role, i.Image.Repository))
	}
	return strings.Join(out, ", ")
}
