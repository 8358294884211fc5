package main

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"chartd.dev/chartd/internal/api"
	"chartd.dev/chartd/internal/client"
	"chartd.dev/chartd/internal/model"
)

// search is what was found while looking for the latest version.
type search struct {
	passed  []string // newer versions without a binding to take, newest first
	why     string   // why the first of them has none
	refused error    // why the newest of those that the environment accepts does not fit
	unbound bool     // there are versions without any binding
}

func (s *search) pass(ch api.Chart, why string, args ...any) {
	if len(s.passed) == 0 {
		s.why = fmt.Sprintf(why, args...)
	}
	s.passed = append(s.passed, ch.Version)
}

// latest is the newest version by publication that has a binding which the
// environment accepts and which fits what it runs, with that binding. A
// version whose place in that order is not known cannot be the newest. With
// images to be bound, any binding that it accepts will do.
func (a *app) latest(ctx context.Context, c *client.Client, e api.Environment, f bumpFlags) (api.Chart, api.Binding, error) {
	var list []api.Chart
	var s search
	for ch, err := range c.AllCharts(ctx, client.ChartQuery{Name: e.Chart}) {
		if err != nil {
			return api.Chart{}, api.Binding{}, err
		}
		if ch.State != model.Listed {
			continue
		}
		s.unbound = s.unbound || len(ch.Bindings) == 0
		if !ch.OrderUnknown && (f.devel || !preRelease(ch.Version)) {
			list = append(list, ch)
		}
	}
	slices.SortFunc(list, func(a, b api.Chart) int { return cmp.Compare(b.Seq, a.Seq) })
	for _, ch := range list {
		some, err := candidates(ctx, c, e, ch)
		if err != nil {
			return api.Chart{}, api.Binding{}, err
		}
		if len(some) == 0 && len(ch.Bindings) == 0 {
			s.pass(ch, "it is bound to no images; see chartctl bind %s@%s", ch.Name, ch.Version)
			continue
		}
		if len(some) == 0 {
			s.pass(ch, "it has no binding that %s accepts; see chartctl show %s@%s", e.Env, ch.Name, ch.Version)
			continue
		}
		b, newest := some[len(some)-1], some[len(some)-1]
		if len(f.images) == 0 {
			b, err = choose(e, ch, some)
		}
		if err == nil {
			a.notePassed(e, ch, s)
			return ch, b, nil
		}
		if len(fitting(e, some)) > 0 { // a choice is to be made: no older version makes it
			return api.Chart{}, api.Binding{}, err
		}
		if s.refused == nil {
			s.refused = err
		}
		s.pass(ch, "it is bound to %s, and %s runs %s", sources(newest.Images), e.Env, sources(e.Pin.Images))
	}
	return api.Chart{}, api.Binding{}, s.nothing(e, f.devel)
}

// notePassed says that a newer version is there but can't be taken.
func (a *app) notePassed(e api.Environment, took api.Chart, s search) {
	if len(s.passed) == 0 {
		return
	}
	more := ""
	if n := len(s.passed) - 1; n > 0 {
		more = fmt.Sprintf(" (and %d more)", n)
	}
	a.note("note: %s takes %s and passes over the newer %s%s: %s", e.Env, took.Version, s.passed[0], more, s.why)
}

// nothing is the error where no version can be taken.
func (s search) nothing(e api.Environment, devel bool) error {
	if s.refused != nil {
		return s.refused
	}
	what, hint := "stable, verified version", "give --version, or --devel to allow pre-releases"
	if devel {
		what, hint = "verified version", "bind one with chartctl bind, or give --version"
	}
	if s.unbound {
		hint = fmt.Sprintf("bind those that are unbound with chartctl bind --unbound %s", e.Chart)
		if !devel {
			hint += ", or give --devel to allow pre-releases"
		}
	}
	return &api.Error{Code: api.CodeNotFound, Message: fmt.Sprintf("chart %q has no %s that %s accepts: %s", e.Chart, what, e.Env, hint)}
}
