package lock

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"chartd.dev/chartd/internal/model"
	"chartd.dev/chartd/internal/ref"
	"chartd.dev/chartd/lock/store"
)

// Choice says by what the pair of a pin is chosen: exactly one of Version,
// Latest, Passed, Revision and From.
type Choice struct {
	Version string
	Latest  bool
	Devel   bool                       // with Latest: pre-releases too
	Images  map[ref.Role]ref.Reference // with Version or Latest: the newest binding with these
	// Passed is a rollback to the newest pair that passed here and is not the
	// present one, Revision one to the pair of a revision.
	Passed   bool
	Revision uint64
	From     ref.Env // a promote of what this environment is pinned to now
}

// PassedOver is what would have been chosen first and can't be taken.
type PassedOver struct {
	Chart    ref.ChartVersion
	Revision uint64 // of Passed
	Why      string
	Need     *model.Situation // of what shows it, or mends it; nil for none
}

// chosen is the pair that was chosen, and what is to be said of it.
type chosen struct {
	binding       ref.BindingID
	kind          model.Kind // that the choice implies; empty for a bump or a fix
	from          string
	passedOver    []PassedOver
	publishedLast string
}

// check refuses a choice that is none, and one beside a pair that is named.
func (c Choice) check(np NewPin) error {
	given := 0
	for _, is := range []bool{c.Version != "", c.Latest, c.Passed, c.Revision > 0, !c.From.IsZero()} {
		if is {
			given++
		}
	}
	kinds := []model.Kind{"", model.Bump, model.Fix}
	switch {
	case c.Passed || c.Revision > 0:
		kinds = []model.Kind{"", model.Rollback}
	case !c.From.IsZero():
		kinds = []model.Kind{"", model.Promote}
	}
	switch {
	case given != 1:
		return fail(ErrInvalid, "the pair of %s is to be chosen by %d of version, latest, passed, revision and from: name one", np.Env, given)
	case !np.Binding.IsZero() || np.From != "":
		return fail(ErrInvalid, "the pair of %s is named and to be chosen: do one of them", np.Env)
	case c.Devel && !c.Latest:
		return fail(ErrInvalid, "devel is for latest: version names a pre-release as it is")
	case len(c.Images) > 0 && c.Version == "" && !c.Latest:
		return fail(ErrInvalid, "images are for version and latest: another pair is chosen with the images that it has")
	case !slices.Contains(kinds, np.Kind):
		return fail(ErrInvalid, "a pin of %s that is chosen so cannot be of kind %q", np.Env, np.Kind)
	}
	return nil
}

// chooser chooses the pair of a pin, from one state of the store.
type chooser struct {
	store.Tx
	l   *Lockfile
	env Environment
	now *Binding // that is pinned; nil before the first pin
}

func newChooser(l *Lockfile, t store.Tx, e Environment) (*chooser, error) {
	s := &chooser{Tx: t, l: l, env: e}
	if e.Revision == 0 {
		return s, nil
	}
	p, err := getPin(t, e.Env, e.Revision)
	if err != nil {
		return nil, err
	}
	b, err := getBinding(t, p.Binding)
	s.now = &b
	return s, err
}

func (s *chooser) choose(c Choice) (chosen, error) {
	switch {
	case c.Latest:
		return s.latest(c)
	case c.Passed:
		return s.passed()
	case c.Revision > 0:
		p, err := getPin(s, s.env.Env, c.Revision)
		return backTo(p.Binding, c.Revision), err
	case !c.From.IsZero():
		return s.promoted(c.From)
	}
	chart, err := ref.ParseImported(s.env.Chart, c.Version)
	if err != nil {
		return chosen{}, fail(ErrNotFound, "chart version %q is not published here", s.env.Chart+"@"+c.Version)
	}
	v, err := getChart(s, chart)
	if err != nil {
		return chosen{}, err
	}
	if len(c.Images) > 0 {
		return s.withImages(v, c.Images)
	}
	list, err := s.candidates(v)
	switch {
	case err != nil:
		return chosen{}, err
	case len(list) > 0:
		return s.fitting(v, list)
	case v.Default.IsZero():
		return chosen{}, notBound(v)
	}
	return chosen{binding: v.Default}, nil // the gate says by which rule it can't be pinned
}

func backTo(id ref.BindingID, revision uint64) chosen {
	return chosen{binding: id, kind: model.Rollback, from: strconv.FormatUint(revision, 10)}
}

func (s *chooser) promoted(from ref.Env) (chosen, error) {
	e, err := getEnvironment(s, from)
	if err != nil {
		return chosen{}, err
	}
	if e.Revision == 0 {
		return chosen{}, fail(ErrNotFound, "%s is not pinned, so there is nothing to promote", from)
	}
	p, err := getPin(s, from, e.Revision)
	return chosen{binding: p.Binding, kind: model.Promote, from: from.String()}, err
}

// candidates are the version's bindings that the environment accepts now,
// oldest first, and those on somebody's word before the proven ones: the last
// is the one to take.
func (s *chooser) candidates(v ChartVersion) ([]Binding, error) {
	var list []Binding
	for _, id := range v.Bindings {
		b, err := getBinding(s, id)
		if err != nil {
			return nil, err
		}
		if _, refused := s.env.Policy.refused(b); b.State == model.Verified && !refused {
			list = append(list, b)
		}
	}
	slices.SortStableFunc(list, func(a, b Binding) int { return cmp.Compare(onWord(b), onWord(a)) })
	return list, nil
}

func onWord(b Binding) int {
	if b.Evidence.Proof() {
		return 0
	}
	return 1
}

// fits are the candidates that leave each image in the repository that the
// environment takes it from now. An image that the pin does not name may come
// in only as the chart's own: then it is the one that runs already, or belongs
// to a part that is new in the chart.
func (s *chooser) fits(list []Binding) []Binding {
	if s.now == nil {
		return list
	}
	now := repositories(*s.now)
	var same, more []Binding
	for _, b := range list {
		if maps.Equal(now, repositories(b)) {
			same = append(same, b)
		}
		if extends(now, b) {
			more = append(more, b)
		}
	}
	if len(same) > 0 {
		return same
	}
	return more
}

func extends(now map[ref.Role]ref.Repository, b Binding) bool {
	kept := 0
	for _, i := range b.Images {
		r, ok := now[i.Role]
		switch {
		case ok && r == i.Image.Repository:
			kept++
		case ok || !i.Evidence.Named():
			return false
		}
	}
	return kept == len(now)
}

func repositories(b Binding) map[ref.Role]ref.Repository {
	out := map[ref.Role]ref.Repository{}
	for _, i := range b.Images {
		out[i.Role] = i.Image.Repository
	}
	return out
}

// fitting takes the last of the candidates that fit. Where that would be a
// guess between repositories it refuses and says what there is.
func (s *chooser) fitting(v ChartVersion, list []Binding) (chosen, error) {
	fit := s.fits(list)
	if len(fit) == 0 {
		return chosen{}, s.moved(v, list)
	}
	for _, b := range fit[1:] {
		if !maps.Equal(repositories(fit[0]), repositories(b)) {
			return chosen{}, s.ambiguous(v, fit)
		}
	}
	return chosen{binding: fit[len(fit)-1].ID}, nil
}

// withImages is the version's newest binding that has the images asked for,
// whatever the environment accepts: the gate is to say that.
func (s *chooser) withImages(v ChartVersion, want map[ref.Role]ref.Reference) (chosen, error) {
	for _, id := range slices.Backward(v.Bindings) {
		b, err := getBinding(s, id)
		if err != nil {
			return chosen{}, err
		}
		if b.has(want) {
			return chosen{binding: id}, nil
		}
	}
	return chosen{}, notBoundTo(v, want)
}

// has reports whether the binding has all of the images.
func (b Binding) has(want map[ref.Role]ref.Reference) bool {
	found := 0
	for _, i := range b.Images {
		r, ok := want[i.Role]
		if ok && i.Image.Repository == r.Repository && (r.Tag == "" || r.Tag == i.Tag) && (r.Digest.IsZero() || r.Digest == i.Image.Digest) {
			found++
		}
	}
	return found == len(want)
}

// sources says where the images come from: "hub from quay.io/my/hub".
func (b Binding) sources() string {
	if len(b.Images) == 0 {
		return "no image"
	}
	var out []string
	for _, i := range b.Images {
		out = append(out, fmt.Sprintf("%s from %s", i.Role, i.Image.Repository))
	}
	return strings.Join(out, ", ")
}
