package verify

import (
	"fmt"
	"strings"

	"chartd.dev/chartd/internal/advice"
	"chartd.dev/chartd/internal/model"

	"chartd.dev/chartd/internal/deploy/config"
	"chartd.dev/chartd/internal/deploy/lockfile"
)

// strangers are entries of the lock that no environment stands for.
func (v *verification) strangers(lock lockfile.File) {
	for _, e := range lock.Entries {
		if _, ok := v.conf.Environments[e.Key]; ok {
			continue
		}
		v.add(subject{env: e.Key}, Finding{Kind: DriftLock, Place: v.lockPlace(e.Key, "chart"), Found: e.Key, Want: "no entry",
			Message: fmt.Sprintf("%s is locked, and %s names no such environment", e.Key, config.Name),
			Mend:    fmt.Sprintf("name it in %s, or remove its lines from %s", config.Name, lockfile.Name)})
	}
}

// lockPlace is the line of a field of an entry.
func (v *verification) lockPlace(key, field string) Place {
	prefix := key + " " + field + ":"
	n := 0
	for line := range strings.Lines(string(v.repo.LockBytes())) {
		n++
		if strings.HasPrefix(line, prefix) {
			return Place{lockfile.Name, n}
		}
	}
	return Place{File: lockfile.Name}
}

// prepared tells of a chart whose image is not built yet.
func (v *verification) prepared(s subject) {
	if p := s.entry.Prepare; p != nil {
		text := fmt.Sprintf("prepared, image pending: %s %s waits for its image", p.Name, p.Version)
		image := model.RoleImage{Role: "ROLE", Image: "REPOSITORY:TAG"}
		if len(s.entry.Bases) == 1 {
			role := s.entry.Bases[0].Role
			is := s.image(role)
			image = model.RoleImage{Role: role, Image: is.Repository.String() + ":TAG"}
		}
		mend := "build the image, then " + advice.Built.Part(model.Facts{Version: p.Version, Images: []model.RoleImage{image}})
		if v.o.Pending {
			v.note(s, "%s; %s", text, mend)
			return
		}
		v.add(s, Finding{Kind: DriftLock, Place: v.lockPlace(s.entry.Key, "prepare"), Found: p.Version, Want: s.entry.Chart.Version,
			Message: text, Mend: mend})
	}
}

// sourceOf compares the server that an entry came from.
func (v *verification) sourceOf(s subject) {
	if s.entry.Source != v.conf.Server {
		v.add(s, Finding{Kind: DriftLock, Place: v.lockPlace(s.entry.Key, "source"), Found: s.entry.Source, Want: v.conf.Server,
			Message: fmt.Sprintf("the source is %s, the server of .chartctl.yaml is %s", s.entry.Source, v.conf.Server),
			Mend:    restore(s)})
	}
}
