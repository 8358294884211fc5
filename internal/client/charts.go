package client

import (
	"bytes"
	"context"
	"iter"
	"mime/multipart"
	"net/http"
	"net/url"
	"strconv"

	"chartd.dev/chartd/internal/api"
	"chartd.dev/chartd/internal/ref"
)

// ChartQuery selects chart versions. The zero value lists all that are not purged.
type ChartQuery struct {
	Name    string
	All     bool // purged ones too
	Unbound bool // only those without a binding
	After   string
	Limit   int // of one page; 0 is the server's default
}

func (q ChartQuery) values() url.Values {
	v := url.Values{}
	if q.Name != "" {
		v.Set("name", q.Name)
	}
	if q.All {
		v.Set("all", "true")
	}
	if q.Unbound {
		v.Set("bound", "false")
	}
	if q.After != "" {
		v.Set("after", q.After)
	}
	if q.Limit > 0 {
		v.Set("limit", strconv.Itoa(q.Limit))
	}
	return v
}

// Charts returns one page of chart versions, by name and then newest first.
func (c *Client) Charts(ctx context.Context, q ChartQuery) (api.Charts, error) {
	r := get("/api/v1/charts")
	r.query = q.values()
	return ask[api.Charts](ctx, c, r)
}

// AllCharts walks all pages. It stops after the first error.
func (c *Client) AllCharts(ctx context.Context, q ChartQuery) iter.Seq2[api.Chart, error] {
	return func(yield func(api.Chart, error) bool) {
		for {
			page, err := c.Charts(ctx, q)
			if err == nil && page.Next != "" && page.Next == q.After {
				err = fail(api.CodeInvalid, "%s repeats a page of charts after %q", c.base, q.After)
			}
			if err != nil {
				yield(api.Chart{}, err)
				return
			}
			for _, ch := range page.Charts {
				if !yield(ch, nil) {
					return
				}
			}
			if page.Next == "" {
				return
			}
			q.After = page.Next
		}
	}
}

// Versions returns the versions of one chart, newest publication first.
func (c *Client) Versions(ctx context.Context, name string) (api.Charts, error) {
	return ask[api.Charts](ctx, c, get("/api/v1/charts/%s", name))
}

// Chart returns one chart version; "latest" is a version here.
func (c *Client) Chart(ctx context.Context, name, version string) (api.Chart, error) {
	return ask[api.Chart](ctx, c, get("/api/v1/charts/%s/%s", name, version))
}

// PublishRequest is a package and what is said about it.
type PublishRequest struct {
	Package        []byte
	Provenance     []byte // nil for none
	Images         map[ref.Role]string
	RequireBinding bool
}

// Publish publishes a package. The result says whether it existed.
func (c *Client) Publish(ctx context.Context, p PublishRequest) (api.PublishResult, error) {
	f := newForm()
	f.file("chart", p.Package)
	if p.Provenance != nil {
		f.file("prov", p.Provenance)
	}
	for role, image := range p.Images {
		f.field("image", string(role)+"="+image)
	}
	if p.RequireBinding {
		f.field("require_binding", "true")
	}
	return c.send(ctx, f, "/api/v1/charts")
}

func (c *Client) send(ctx context.Context, f *form, path string) (api.PublishResult, error) {
	r := request{method: http.MethodPost, path: path, key: NewKey(), content: f.w.FormDataContentType(), asks: true}
	f.w.Close()
	r.body = f.buf.Bytes()
	return ask[api.PublishResult](ctx, c, r)
}

// form is a multipart body in memory, where writes cannot fail.
type form struct {
	buf bytes.Buffer
	w   *multipart.Writer
}

func newForm() *form {
	f := &form{}
	f.w = multipart.NewWriter(&f.buf)
	return f
}

func (f *form) file(name string, b []byte) {
	w, _ := f.w.CreateFormFile(name, name)
	w.Write(b)
}

func (f *form) field(name, value string) { f.w.WriteField(name, value) }

// Yank hides a version from the index and from new pins.
func (c *Client) Yank(ctx context.Context, v ref.ChartVersion, reason string) (api.Chart, error) {
	return c.chartVerb(ctx, v, "yank", reason)
}

// Purge removes a version's bytes for ever.
func (c *Client) Purge(ctx context.Context, v ref.ChartVersion, reason string) (api.Chart, error) {
	return c.chartVerb(ctx, v, "purge", reason)
}

func (c *Client) chartVerb(ctx context.Context, v ref.ChartVersion, verb, reason string) (api.Chart, error) {
	return ask[api.Chart](ctx, c, post(api.ReasonRequest{Reason: reason}, "/api/v1/charts/%s/%s/%s", v.Name(), v.Version(), verb))
}

// Bindings returns the bindings of a version, oldest first.
func (c *Client) Bindings(ctx context.Context, v ref.ChartVersion) (api.Bindings, error) {
	return ask[api.Bindings](ctx, c, get("/api/v1/charts/%s/%s/bindings", v.Name(), v.Version()))
}

// Bind binds a version to images. The second result says whether the binding is new.
func (c *Client) Bind(ctx context.Context, v ref.ChartVersion, b api.BindRequest) (api.Binding, bool, error) {
	r := post(b, "/api/v1/charts/%s/%s/bindings", v.Name(), v.Version())
	r.asks = true
	var out api.Binding
	status, err := c.call(ctx, r, &out)
	return out, status == http.StatusCreated, err
}

// Binding returns one binding.
func (c *Client) Binding(ctx context.Context, id ref.BindingID) (api.Binding, error) {
	out, err := ask[api.Binding](ctx, c, get("/api/v1/bindings/%s", id))
	if err == nil && out.ID != id {
		err = fail(api.CodeInvalid, "%s was asked for the binding %s and answered with %q: something between mixes answers up", c.base, id, out.ID)
	}
	return out, err
}

// Revoke makes a binding unfit for every new pin.
func (c *Client) Revoke(ctx context.Context, id ref.BindingID, reason string) (api.Binding, error) {
	return ask[api.Binding](ctx, c, post(api.ReasonRequest{Reason: reason}, "/api/v1/bindings/%s/revoke", id))
}
