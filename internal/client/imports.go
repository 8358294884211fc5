package client

import (
	"context"
	"net/http"
	"time"

	"chartd.dev/chartd/internal/api"
)

// ImportRequest is a package of another repository.
type ImportRequest struct {
	Package      []byte
	Provenance   []byte
	Created      time.Time // when it was published there; zero: not known
	OrderUnknown bool      // its place among the other versions is not known
	// BareRequirements says that the old index does not list what the chart's
	// requirements.yaml requires, as the indexes of Helm 2 do not.
	BareRequirements bool
	// ProvenanceOptional imports the package without its provenance file where
	// that does not fit; only ImportAll does.
	ProvenanceOptional bool
}

// MostImports is how many packages a server takes in one request, and
// LargestImport how many bytes, where one package is not larger by itself.
const (
	MostImports   = 256
	LargestImport = 192 << 20
)

// fields says how the package stood in its repository.
func (p ImportRequest) fields(f *form) {
	if !p.Created.IsZero() {
		f.field("created", p.Created.Format(time.RFC3339Nano))
	}
	order := "known"
	if p.OrderUnknown {
		order = "unknown"
	}
	f.field("order", order)
	if p.BareRequirements {
		f.field("requirements", "unlisted")
	}
}

// Import publishes a package of an existing repository, which keeps its date.
func (c *Client) Import(ctx context.Context, p ImportRequest) (api.PublishResult, error) {
	f := newForm()
	f.file("chart", p.Package)
	if p.Provenance != nil {
		f.file("prov", p.Provenance)
	}
	p.fields(f)
	return c.send(ctx, f, "/api/v1/import")
}

// ImportAll publishes packages in order and returns what became of each. One
// that is refused does not keep the others. An error leaves open which of the
// first are published; to send them again does no harm.
func (c *Client) ImportAll(ctx context.Context, list []ImportRequest) ([]api.ImportResult, error) {
	size := 0
	for _, p := range list {
		size += len(p.Package) + len(p.Provenance) + 1<<10
	}
	f := newForm()
	f.buf.Grow(size)
	for _, p := range list {
		p.fields(f)
		if p.Provenance != nil {
			f.file("prov", p.Provenance)
			if p.ProvenanceOptional {
				f.field("provenance", "optional")
			}
		}
		f.file("chart", p.Package)
	}
	f.w.Close()
	r := request{method: http.MethodPost, path: "/api/v1/imports", key: NewKey(), content: f.w.FormDataContentType(), body: f.buf.Bytes()}
	out, err := ask[api.ImportResults](ctx, c, r)
	if err == nil && len(out.Results) != len(list) {
		err = fail(api.CodeInvalid, "%s answered %s with %d results for %d packages", c.base, r.path, len(out.Results), len(list))
	}
	return out.Results, err
}
