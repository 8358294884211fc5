package resolve

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote/transport"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"chartd.dev/chartd/internal/ref"
)

var accept = strings.Join([]string{
	string(types.OCIImageIndex), string(types.DockerManifestList),
	string(types.OCIManifestSchema1), string(types.DockerManifestSchema2),
}, ", ")

// session is an authenticated conversation about one repository.
type session struct {
	repo name.Repository
	http http.RoundTripper
}

// target is where requests for a repository go, and whether that is a mirror.
func (c *Client) target(r ref.Repository) (host string, mirrored bool) {
	if m, ok := c.mirrors[r.Host()]; ok {
		return m, true
	}
	return r.Host(), false
}

// open does the handshake: which scheme, which kind of authentication, a token.
func (c *Client) session(ctx context.Context, r ref.Repository) (*session, error) {
	target, mirrored := c.target(r)
	bare, port := splitHost(target, "443")
	plain := c.insecure.has(bare, port) || mirrored && isLoopback(bare)
	if _, p := splitHost(target, "80"); p == "80" {
		plain = plain || c.insecure.has(bare, p)
	}
	opts := []name.Option{name.StrictValidation}
	if plain {
		opts = append(opts, name.Insecure)
	}
	reg, err := name.NewRegistry(target, opts...)
	if err != nil {
		return nil, fail(ErrInvalid, "%s", clip(err.Error()))
	}
	g := &guard{next: c.open, target: reg.RegistryStr(), plain: plain, client: c}
	if c.allow.has(bare, port) {
		g.next = c.inside
	}
	repo := reg.Repo(r.Path())
	auth, err := c.credentials(ctx, repo)
	if err != nil {
		return nil, err
	}
	ctx, n := withNote(ctx)
	rt, err := transport.NewWithContext(ctx, reg, auth, g, []string{repo.Scope(transport.PullScope)})
	if err != nil {
		f := n.explain(err)
		if errors.Is(f, ErrNotFound) {
			f = fail(ErrInvalid, "it does not speak the registry protocol (404 in the handshake)")
		}
		return nil, f
	}
	return &session{repo: repo, http: rt}, nil
}

// explain turns an error of the library into a failure: by the status it
// carries, else by what the guard saw.
func (n *note) explain(err error) *failure {
	n.mu.Lock()
	defer n.mu.Unlock()
	if e, ok := errors.AsType[*transport.Error](err); ok {
		f := refused(e.StatusCode)
		f.after = n.after
		return f
	}
	if n.err != nil {
		return asFailure(n.err)
	}
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
		return unreached(err)
	}
	if strings.Contains(err.Error(), "realm") {
		return fail(ErrDenied, "%s", clip(err.Error()))
	}
	return asFailure(err)
}

// get reads one manifest or blob whole and verifies it: against the digest
// asked for, if there is one, and against what the registry says it sent.
func (s *session) get(ctx context.Context, kind, id string, want ref.Digest) (body []byte, mediaType string, err error) {
	ctx, n := withNote(ctx)
	url := fmt.Sprintf("https://%s/v2/%s/%s/%s", s.repo.RegistryStr(), s.repo.RepositoryStr(), kind, id)
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, "", fail(ErrInvalid, "%s", clip(err.Error()))
	}
	if kind == "manifests" {
		req.Header.Set("Accept", accept)
	}
	resp, err := s.http.RoundTrip(req)
	if err != nil {
		return nil, "", n.explain(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		f := refused(resp.StatusCode)
		f.after = n.after
		return nil, "", f
	}
	body, err = io.ReadAll(resp.Body)
	if err != nil {
		return nil, "", cutOff(err, int64(len(body)), resp.ContentLength)
	}
	if err := verify(body, want, resp.Header.Get("Docker-Content-Digest")); err != nil {
		return nil, "", err
	}
	mediaType, _, _ = strings.Cut(resp.Header.Get("Content-Type"), ";")
	return body, strings.ToLower(strings.TrimSpace(mediaType)), nil
}

// cutOff tells a body that ended early from a connection that broke.
func cutOff(err error, got, want int64) error {
	if errors.Is(err, io.ErrUnexpectedEOF) {
		f := fail(ErrMismatch, "its answer ends after %d bytes", got)
		if want >= 0 {
			f.why += fmt.Sprintf(" of %d", want)
		}
		f.retry = true
		return f
	}
	return unreached(err)
}

func verify(body []byte, want ref.Digest, header string) error {
	got := ref.DigestOf(body)
	if !want.IsZero() && got != want {
		return fail(ErrMismatch, "asked for %s, it sent bytes whose digest is %s", want, got)
	}
	if strings.HasPrefix(header, "sha256:") && header != got.String() {
		return fail(ErrMismatch, "it says that it sent %q, the digest of what it sent is %s", clip(header), got)
	}
	return nil
}
