package setup

import (
	"context"
	"fmt"
	"strings"

	"chartd.dev/chartd/internal/advice"
	"chartd.dev/chartd/internal/model"

	"chartd.dev/chartd/internal/api"
	"chartd.dev/chartd/internal/client"
	"chartd.dev/chartd/internal/deploy/release"
	"chartd.dev/chartd/internal/ref"
)

// Running is a Helm release that runs in an environment.
type Running struct {
	Env     ref.Env
	Chart   string // of the environment
	File    string // that the release was read from
	Release release.Release
}

// Adoption takes the version and the images from the release. The notes are for
// a person.
func (r Running) Adoption(ctx context.Context, c *client.Client) (q api.AdoptRequest, notes []string, err error) {
	byHand := advice.EnvAdopt.With(model.Facts{Env: r.Env})
	if !r.Release.Rendered {
		return q, nil, &api.Error{Code: api.CodeInvalid, Message: fmt.Sprintf("%q holds no image of release %q, and the pair cannot be adopted by half", r.File, r.Release.Name),
			Want: "give the release secret instead (kubectl get secret sh.helm.release.v1.NAME.vN -o json), or both halves yourself: " + byHand}
	}
	version, ok := r.Release.VersionOf(r.Chart)
	if !ok {
		return q, nil, &api.Error{Code: api.CodeInvalid, Message: fmt.Sprintf("release %q in %q does not say which version of %s it runs", r.Release.Name, r.File, r.Chart), Want: byHand}
	}
	ch, err := runs(ctx, c, r.Env, r.Chart, version)
	if err != nil {
		return q, nil, err
	}
	q.Version, q.Images = version, map[ref.Role]string{}
	for _, i := range ch.Images {
		if !i.Required {
			continue
		}
		image, err := r.Release.ImageOf(i.Role, i.Repository)
		if err != nil {
			return q, notes, &api.Error{Code: api.CodeInvalid, Message: fmt.Sprintf("%q: %v", r.File, err), Want: strings.Replace(byHand, "ROLE", string(i.Role), 1)}
		}
		q.Images[i.Role] = image.Text
		if image.Ref.Digest.IsZero() {
			notes = append(notes, fmt.Sprintf("note: container %s of %s runs %s by its tag: it is adopted with the digest that the tag has today", image.Container, image.Object, image.Text))
		}
	}
	if r.Release.Status != "deployed" {
		notes = append(notes, fmt.Sprintf("note: Helm says that revision %d of release %s is %q, and not deployed", r.Release.Revision, r.Release.Name, r.Release.Status))
	}
	return q, notes, nil
}

// runs is the chart version that an environment is said to run.
func runs(ctx context.Context, c *client.Client, env ref.Env, chart, version string) (api.Chart, error) {
	ch, err := c.Chart(ctx, chart, version)
	if api.CodeOf(err) == api.CodeNotFound {
		err = &api.Error{Code: api.CodeNotFound, Message: fmt.Sprintf("%s runs %s@%s, which is not published on %s", env, chart, version, c.Server()), Want: "import it first with " + string(advice.AnyImport)}
	}
	return ch, err
}
