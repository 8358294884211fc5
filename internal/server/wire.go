package server

import (
	"chartd.dev/chartd/internal/api"
	"chartd.dev/chartd/internal/archive"
	"chartd.dev/chartd/internal/auth"
	"chartd.dev/chartd/internal/model"
	"chartd.dev/chartd/internal/ref"
	"chartd.dev/chartd/lock"
)

// Answers that only this server gives or only ChartMuseum's clients read.
type (
	saved struct {
		Saved bool `json:"saved"`
	}
	deleted struct {
		Deleted bool `json:"deleted"`
	}
	healthy struct {
		Healthy bool   `json:"healthy"`
		Index   string `json:"index,omitempty"` // which clients cannot read the whole index
	}
	info struct {
		Version string `json:"version"`
	}
	templateFile struct {
		Name string `json:"name"`
		Data []byte `json:"data"`
	}
	sealProof struct {
		Original ref.Digest       `json:"original"`
		Sealed   ref.Digest       `json:"sealed"`
		Splices  []archive.Splice `json:"splices"`
		Added    []string         `json:"added,omitempty"` // files: the guards
	}
	checkReport struct {
		Problems     []string `json:"problems"`
		Charts       int      `json:"charts"`
		Bindings     int      `json:"bindings"`
		Environments int      `json:"environments"`
		Pins         int      `json:"pins"`
		Blobs        int      `json:"blobs"`
		Generation   uint64   `json:"generation"`
	}
)

func imagesOf(list []lock.BoundImage) []api.BoundImage {
	return each(list, func(i lock.BoundImage) api.BoundImage {
		return api.BoundImage{
			Role: i.Role, Image: i.Image, Tag: i.Tag, Base: i.Base, BaseTag: i.BaseTag,
			Evidence: i.Evidence, Required: i.Required,
		}
	})
}

func bindingOf(b lock.Binding) api.Binding {
	return api.Binding{
		ID: b.ID, Name: b.Chart.Name(), Version: b.Chart.Version(), Package: b.Package, Images: imagesOf(b.Images),
		Evidence: b.Evidence, State: b.State, Reason: b.Why, Sealed: b.Sealed, Unsealed: b.Unsealed, Unshown: b.Unshown,
		Seal: sealOf(b), At: b.At, By: b.By, Moved: b.Moved,
	}
}

func sealOf(b lock.Binding) *api.Seal {
	if b.Seal == nil {
		return nil
	}
	out := &api.Seal{Record: b.Seal.Record, Unproven: b.Seal.Unproven, Unguarded: b.Seal.Unguarded}
	for _, f := range b.SealedForms() {
		out.Forms = append(out.Forms, api.SealedForm{Plain: f.Plain, Sealed: f.Sealed})
	}
	return out
}

func environmentOf(st lock.EnvironmentState) api.Environment {
	out := api.Environment{
		Env: st.Env, Chart: st.Chart, Accept: append([]model.Evidence{}, st.Policy.Accept...), Revision: st.Revision, Created: st.Created, By: st.By,
		ChartState: st.ChartState, Policy: policyOf(st.Policy),
	}
	for _, u := range st.Policy.Upstream {
		out.Upstream = append(out.Upstream, u.String())
	}
	if st.Binding != nil {
		b := bindingOf(*st.Binding)
		b.Sealed = st.Binding.Served(st.Policy).Sealed // its form, of those that the binding has
		out.Binding = &b
	}
	if st.Pin != nil {
		p := pinOf(*st.Pin)
		if out.Binding != nil {
			p.Images = out.Binding.Images
		}
		out.Pin = &p
	}
	return out
}

func tokenOf(t lock.Token) api.Token {
	return api.Token{
		ID: t.ID, Name: t.Name, Scopes: t.Scopes, Created: t.Created, Expires: t.Expires,
		LastUsed: t.LastUsed, Revoked: t.Revoked, By: t.By,
	}
}

func lineOf(l lock.Line) api.Line {
	return api.Line{
		Seq: l.Seq, At: l.At, By: l.By.Name, Token: l.By.TokenID, Source: l.By.Source,
		Verb: l.Verb, Object: l.Object, Result: l.Result, Detail: l.Detail,
	}
}

func scopesOf(p auth.Principal) []string {
	return each(p.Scopes, auth.Scope.String)
}

// references reads the images of a request: role to reference.
func references(in map[ref.Role]string) (map[ref.Role]ref.Reference, error) {
	out := map[ref.Role]ref.Reference{}
	for role, text := range in {
		if _, err := ref.ParseRole(string(role)); err != nil {
			return nil, err
		}
		r, err := ref.ParseReference(text)
		if err != nil {
			return nil, err
		}
		out[role] = r
	}
	return out, nil
}
