package client

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"

	"chartd.dev/chartd/internal/api"
	"chartd.dev/chartd/internal/ref"
)

// SealProof says how a sealed package differs from the original.
type SealProof struct {
	Original ref.Digest `json:"original"`
	Sealed   ref.Digest `json:"sealed"`
	Splices  []Splice   `json:"splices"`
	Added    []string   `json:"added,omitempty"` // files: the guards
}

// Splice is one scalar that sealing wrote.
type Splice struct {
	File string `json:"file"`
	Path string `json:"path"`
	From string `json:"from"`
	To   string `json:"to"`
}

// Package downloads a version's package and checks its digest.
func (c *Client) Package(ctx context.Context, v api.Chart) ([]byte, error) {
	return c.bytes(ctx, get("/charts/%s", v.Name+"-"+v.Version+".tgz"), v.Package)
}

// Provenance downloads a version's provenance file.
func (c *Client) Provenance(ctx context.Context, v api.Chart) ([]byte, error) {
	return c.bytes(ctx, get("/charts/%s", v.Name+"-"+v.Version+".tgz.prov"), ref.Digest{})
}

// Sealed downloads a binding's sealed package and checks its digest.
func (c *Client) Sealed(ctx context.Context, b api.Binding) ([]byte, error) {
	if b.Sealed.IsZero() {
		why := b.Unsealed
		if why == "" {
			why = "the server has none"
		}
		return nil, fail(api.CodeNotFound, "binding %q has no sealed package: %s", b.ID, why)
	}
	r := get("/api/v1/bindings/%s/sealed", b.ID)
	if b.Seal != nil && len(b.Seal.Forms) > 1 { // it has several, and an old server none
		r.query = url.Values{"package": {b.Sealed.String()}}
	}
	return c.bytes(ctx, r, b.Sealed)
}

// Seal returns the server's word on how a sealed package differs.
func (c *Client) Seal(ctx context.Context, id ref.BindingID) (SealProof, error) {
	return ask[SealProof](ctx, c, get("/api/v1/bindings/%s/seal", id))
}

// bytes downloads at most maxPackage bytes; want, unless zero, is their digest.
func (c *Client) bytes(ctx context.Context, r request, want ref.Digest) ([]byte, error) {
	var out []byte
	err := c.do(ctx, r, func(resp *http.Response) (err error) {
		out, err = readBounded(resp.Body, maxPackage)
		return err
	})
	if err != nil {
		return nil, err
	}
	if got := ref.DigestOf(out); !want.IsZero() && got != want {
		return nil, fail(api.CodeMismatch, "%s sent %s with digest %s, want %s: do not use it", c.base, r.path, got, want)
	}
	return out, nil
}

// Backup copies the server's backup, a tar stream, to w.
func (c *Client) Backup(ctx context.Context, w io.Writer) error {
	r := get("/api/v1/backup")
	r.once, r.stream = true, true
	return c.do(ctx, r, func(resp *http.Response) error {
		if _, err := io.Copy(w, resp.Body); err != nil {
			return fail(api.CodeUnavailable, "backup from %s broke off: %v", c.base, fmt.Errorf("copy: %w", err))
		}
		return nil
	})
}
