package server

import (
	"context"
	"encoding/json"
	"strings"

	"chartd.dev/chartd/internal/api"
	"chartd.dev/chartd/internal/archive"
	"chartd.dev/chartd/internal/auth"
	"chartd.dev/chartd/internal/model"
	"chartd.dev/chartd/internal/ref"
	"chartd.dev/chartd/internal/transport"
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
		Healthy bool `json:"healthy"`
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

// chartWith is a chart version as the API shows it, with its default binding.
func chartWith(cv lock.ChartVersion, defaults map[ref.BindingID]lock.Binding) (api.Chart, error) {
	var meta struct {
		AppVersion  string `json:"appVersion"`
		Description string `json:"description"`
	}
	if len(cv.Metadata) > 0 {
		if err := json.Unmarshal(cv.Metadata, &meta); err != nil {
			return api.Chart{}, err
		}
	}
	out := api.Chart{
		Name: cv.Chart.Name(), Version: cv.Chart.Version(), AppVersion: meta.AppVersion, Description: meta.Description,
		Package: cv.Package, Content: cv.Content, Size: cv.Size, Seq: cv.Seq, Created: cv.Created,
		OrderUnknown: cv.OrderUnknown, Imported: cv.Imported, State: cv.State, Reason: cv.Why, By: cv.By,
		Provenance: !cv.Provenance.IsZero(), Images: []api.ChartImage{}, Warnings: cv.Warnings,
		Bindings: cv.Bindings, Unbound: cv.Unbound,
	}
	if out.Bindings == nil {
		out.Bindings = []ref.BindingID{}
	}
	for _, i := range cv.Images {
		out.Images = append(out.Images, api.ChartImage{
			Role: i.Role, Repository: i.Repository, Tag: i.Tag, Digest: i.Digest, File: i.File, Path: i.Path,
			Override: i.Override, Base: i.Base, Required: i.Required,
		})
	}
	if b, ok := defaults[cv.Default]; ok {
		wire := bindingOf(b)
		out.Binding = &wire
	}
	return out, nil
}

// chartOf is one chart version with its default binding.
func (s *Server) chartOf(ctx context.Context, cv lock.ChartVersion) (api.Chart, error) {
	all, err := s.chartsOf(ctx, []lock.ChartVersion{cv})
	if err != nil {
		return api.Chart{}, err
	}
	return all[0], nil
}

func (s *Server) chartsOf(ctx context.Context, list []lock.ChartVersion) ([]api.Chart, error) {
	var ids []ref.BindingID
	for _, cv := range list {
		if !cv.Default.IsZero() {
			ids = append(ids, cv.Default)
		}
	}
	defaults, err := s.Lock.Bindings(ctx, ids)
	if err != nil {
		return nil, err
	}
	out := []api.Chart{}
	for _, cv := range list {
		c, err := chartWith(cv, defaults)
		if err != nil {
			return nil, err
		}
		out = append(out, c)
	}
	return out, nil
}

// fullPins adds the images of each pin's binding.
func (s *Server) fullPins(ctx context.Context, list []lock.Pin) ([]api.Pin, error) {
	var ids []ref.BindingID
	for _, p := range list {
		ids = append(ids, p.Binding)
	}
	images, err := s.Lock.ImagesOf(ctx, ids)
	if err != nil {
		return nil, err
	}
	out := []api.Pin{}
	for _, p := range list {
		full := pinOf(p)
		full.Images = imagesOf(images[p.Binding])
		out = append(out, full)
	}
	return out, nil
}

func imagesOf(list []lock.BoundImage) []api.BoundImage {
	out := []api.BoundImage{}
	for _, i := range list {
		out = append(out, api.BoundImage{
			Role: i.Role, Image: i.Image, Tag: i.Tag, Base: i.Base, BaseTag: i.BaseTag,
			Evidence: i.Evidence, Required: i.Required,
		})
	}
	return out
}

func bindingOf(b lock.Binding) api.Binding {
	return api.Binding{
		ID: b.ID, Name: b.Chart.Name(), Version: b.Chart.Version(), Package: b.Package, Images: imagesOf(b.Images),
		Evidence: b.Evidence, State: b.State, Reason: b.Why, Sealed: b.Sealed, Unsealed: b.Unsealed,
		At: b.At, By: b.By, Moved: b.Moved,
	}
}

func pinOf(p lock.Pin) api.Pin {
	return api.Pin{
		Env: p.Env, Revision: p.Revision, Binding: p.Binding, Name: p.Chart.Name(), Version: p.Chart.Version(),
		Kind: p.Kind, From: p.From, Reason: p.Reason, Commit: p.Commit, Set: p.Set,
		Downgrade: p.Downgrade, BreakGlass: p.BreakGlass, Direction: directionOf(p.Direction), By: p.By, At: p.At,
	}
}

// fullPin adds the images of the pin's binding.
func (s *Server) fullPin(ctx context.Context, p lock.Pin) (api.Pin, error) {
	out := pinOf(p)
	images, err := s.Lock.BoundImages(ctx, p.Binding)
	if err != nil {
		return api.Pin{}, err
	}
	out.Images = imagesOf(images)
	return out, nil
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
	out := []string{}
	for _, s := range p.Scopes {
		out = append(out, s.String())
	}
	return out
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

// version finds the chart version that the path names. A name that is not
// well formed is one that is not there.
func (s *Server) version(c *call) (lock.ChartVersion, error) {
	name, version := c.Var("name"), c.Var("version")
	if version == "latest" {
		entry, ok, err := s.latest(c.Context(), name)
		if err != nil {
			return lock.ChartVersion{}, err
		}
		if ok {
			version = entry
		}
	}
	return s.Lock.FindVersion(c.Context(), name, version)
}

// latest is the version that Helm takes without one: the newest stable one,
// else the newest, of those in the index.
func (s *Server) latest(ctx context.Context, name string) (version string, ok bool, err error) {
	idx, err := s.Repo.Index(ctx)
	if err != nil {
		return "", false, err
	}
	raw, ok := idx.Entry(name, "latest")
	if !ok {
		return "", false, nil
	}
	var entry struct {
		Version string `json:"version"`
	}
	err = json.Unmarshal(raw, &entry)
	return entry.Version, err == nil, err
}

// op says who changes something, and how a repetition is known.
func (c *call) op(route string, body ref.Digest) (lock.Op, error) {
	key, err := c.idempotencyKey()
	if err != nil {
		return lock.Op{}, err
	}
	return lock.Op{
		Actor: lock.Actor{Name: c.who.Name, TokenID: c.who.TokenID, Source: transport.RemoteHost(c.R)},
		Key:   key, Route: route, Body: body,
	}, nil
}

func (c *call) idempotencyKey() (string, error) {
	values := c.R.Header["Idempotency-Key"]
	if len(values) == 0 {
		return "", nil
	}
	key := values[0]
	if len(values) > 1 || !validKey(key) {
		return "", badKey("Idempotency-Key", strings.Join(values, ", "))
	}
	return key, nil
}

func badKey(what, key string) error {
	return transport.BadRequest("%s %q: want one, of 1 to %d printable ASCII characters without spaces", what, transport.Clip(key), model.MaxKey)
}

func validKey(key string) bool {
	if key == "" || len(key) > model.MaxKey {
		return false
	}
	for i := 0; i < len(key); i++ {
		if key[i] <= ' ' || key[i] > '~' {
			return false
		}
	}
	return true
}
