package deploy

import (
	"fmt"
	"slices"
	"strings"

	"chartd.dev/chartd/internal/api"
	"chartd.dev/chartd/internal/deploy/config"
	"chartd.dev/chartd/internal/deploy/lockfile"
	"chartd.dev/chartd/internal/deploy/site"
	"chartd.dev/chartd/internal/ref"
)

// Whole refuses an environment of which only half of a pair is written: what
// moves it would move one half alone. The chart's own image needs no place of
// its own, and whoever installs from the environment's repository needs none at
// all, where the configuration says so.
func (r *Repo) Whole(e lockfile.Entry) error {
	conf := r.conf.Environments[e.Key]
	if conf.KeptBy == config.HelmRepository {
		return nil
	}
	half := func(what, mend string) error {
		return &api.Error{Code: api.CodeDrift, Message: fmt.Sprintf("%s says nowhere in this repo %s, so half of its pair would move alone", e.Key, what),
			Want: mend + fmt.Sprintf(", or write kept: {chart: %s} at %s in %s, if it is installed from its environment's repository", config.HelmRepository, e.Key, config.Name)}
	}
	sites := r.Sites(e.Key)
	if !config.SaysVersion(sites) {
		return half(fmt.Sprintf("which version of chart %s runs", conf.Chart), `mark the line that does with the comment "# chartctl: chart.version" and name it as a site`)
	}
	for _, i := range e.Images {
		own := !slices.ContainsFunc(e.Bases, func(b lockfile.Image) bool { return b.Role == i.Role })
		if own || saysImage(sites, i.Role) {
			continue
		}
		return half(fmt.Sprintf("which %s image runs, and %s is not the chart's own", i.Role, i.Repository), "name the place of that image as a site")
	}
	return nil
}

func saysImage(sites []site.Site, role ref.Role) bool {
	return slices.ContainsFunc(sites, func(s site.Site) bool {
		switch s.Kind {
		case site.Image, site.ImageRef:
			return s.Role == role
		case site.Marker:
			return s.Path == "image."+string(role) || strings.HasPrefix(s.Path, "image."+string(role)+".")
		}
		return false
	})
}
