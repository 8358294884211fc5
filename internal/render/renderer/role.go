package renderer

import (
	"cmp"
	"slices"
	"strings"

	"chartd.dev/chartd/internal/ref"
	"chartd.dev/chartd/internal/render"
)

// finish names roles and gives the verdict.
func (m *merger) finish() {
	m.assignRoles()
	t := m.out
	rendered := slices.ContainsFunc(t.Attempts, func(a render.Attempt) bool { return a.Failure == nil })
	switch {
	case !rendered:
		t.Verdict = render.NotRendered
	case slices.ContainsFunc(t.Images, func(i render.Image) bool { return i.Role != "" }):
		t.Verdict = render.Traced
	case !m.shown && !m.seen:
		t.Verdict = render.NoImages
	default:
		t.Verdict = render.NotUnderstood
	}
}

// assignRoles names images as the archive names those of the values: the path
// of the image's map without a last "image", "main" for the top one, "hub" for
// the hub image with the fewest subcharts above it. What a container runs goes
// first; a second image of one role has its whole path, or none.
func (m *merger) assignRoles() {
	order := make([]int, 0, len(m.roles))
	for i, r := range m.roles {
		if r.path != nil {
			order = append(order, i)
		}
	}
	slices.SortStableFunc(order, func(a, b int) int {
		x, y := m.roles[a], m.roles[b]
		return cmp.Or(cmp.Compare(m.rank(a), m.rank(b)),
			cmp.Compare(x.prefix, y.prefix), cmp.Compare(len(x.path), len(y.path)), slices.Compare(x.path, y.path))
	})
	taken, had := map[ref.Role]bool{}, map[string]bool{}
	for _, i := range order {
		r := m.roles[i]
		names := []string{ref.RoleAt(r.path), strings.Join(r.path, ".")}
		if had[names[1]] {
			continue // another image of the same map
		}
		had[names[1]] = true
		if ref.HubAt(r.path[r.prefix:]) {
			names = append([]string{string(ref.Hub)}, names...)
		}
		for _, name := range names {
			role, err := ref.ParseRole(name)
			if err == nil && !taken[role] {
				taken[role] = true
				m.out.Images[i].Role = string(role)
				break
			}
		}
	}
	slices.SortStableFunc(m.out.Images, func(a, b render.Image) int { return cmp.Or(cmp.Compare(a.Role, b.Role), cmp.Compare(a.Text, b.Text)) })
}

// rank puts what the chart's own values say, and what containers run, first.
func (m *merger) rank(i int) int {
	if m.roles[i].over {
		return 2
	}
	if slices.ContainsFunc(m.out.Images[i].Places, func(p render.Place) bool { return p.Use == render.Container }) {
		return 0
	}
	return 1
}
