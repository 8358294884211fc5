// Package resolve reads what an image reference means at its container
// registry: the digest, and of every platform the configuration's digest, its
// layers' diff IDs and its labels. It pulls no layer.
//
// Everything a registry sends is hostile until proven: every address is
// checked after name resolution, every body is bounded and compared with its
// digest, a redirect carries no credentials to another host, and one Resolve
// ends within Config.Timeout. Proxies named by the environment are ignored,
// because a proxy would resolve names out of reach of that check; a site
// without a direct way out sets a mirror.
package resolve

import (
	"context"
	"errors"
	"fmt"
	"time"

	"chartd.dev/chartd/internal/ref"
)

// Sentinels that every error of Resolve wraps exactly one of, except that a
// reference without tag and digest wraps ref.ErrInvalid.
var (
	// ErrUnavailable: no answer, or one that says "later". Worth a retry.
	ErrUnavailable = errors.New("registry unavailable")
	// ErrNotFound: the registry has no such repository, tag or digest.
	ErrNotFound = errors.New("image not found")
	// ErrUnauthorized: the registry refuses these (or no) credentials.
	ErrUnauthorized = errors.New("registry refused the credentials")
	// ErrDenied: the address, scheme or redirect is not allowed here.
	ErrDenied = errors.New("registry not allowed")
	// ErrMismatch: bytes, and the digest that they should have, differ.
	ErrMismatch = errors.New("digest mismatch")
	// ErrTooLarge: an answer is over a limit of this package.
	ErrTooLarge = errors.New("registry answer too large")
	// ErrInvalid: an answer that is not a container image or contradicts itself.
	ErrInvalid = errors.New("invalid registry answer")
)

// Image is what a reference meant when it was read.
type Image struct {
	// Image is the repository under its canonical name, before any mirror,
	// and the digest; for a multi-platform image, the index's.
	Image     ref.Image
	Tag       string // the tag asked for; "" if only a digest was given
	MediaType string
	// Platforms in the order of the index, each name once; attestation
	// manifests are left out. Never empty.
	Platforms []Platform
	// Labels that all platforms agree on; they are written by whoever built
	// the image and prove nothing.
	Labels map[string]string
}

// Platform is one platform of an image.
type Platform struct {
	Platform string // normalised: linux/amd64, linux/arm64, linux/arm/v7
	Config   ref.Digest
	DiffIDs  []ref.Digest // from the base up; at least one
}

// Tries and waits of one Resolve.
const (
	maxTries      = 3
	maxRetryAfter = 10 * time.Second
	readsAtOnce   = 4 // platforms of one image
)

// Resolve reads the image that r names. With a digest the digest decides and
// a tag is only carried along. It is safe for concurrent use.
func (c *Client) Resolve(ctx context.Context, r ref.Reference) (Image, error) {
	if r.Repository.IsZero() || r.Tag == "" && r.Digest.IsZero() {
		return Image{}, fmt.Errorf("%w: image reference %q: want a tag or a digest, such as quay.io/jupyterhub/k8s-hub:4.2.0", ref.ErrInvalid, r)
	}
	ctx, cancel := context.WithTimeout(ctx, c.cfg.Timeout)
	defer cancel()
	image, err := c.tries(ctx, r)
	if err == nil {
		return image, nil
	}
	f := *asFailure(err)
	f.where = fmt.Sprintf("%s at %s", r, r.Repository.Host())
	if target, mirrored := c.target(r.Repository); mirrored {
		f.where += " (mirror " + target + ")"
	}
	return Image{}, &f
}

func (c *Client) tries(ctx context.Context, r ref.Reference) (Image, error) {
	target, _ := c.target(r.Repository)
	leave, err := c.gate.enter(ctx, target)
	if err != nil {
		return Image{}, &failure{kind: ErrUnavailable, why: "too many images are being read already; try again", cause: err}
	}
	defer leave()
	wait := c.cfg.Backoff
	for try := 1; ; try++ {
		image, err := c.read(ctx, r)
		if err == nil {
			return image, nil
		}
		f := asFailure(err)
		if !f.retry || try == maxTries {
			return Image{}, f
		}
		if f.after > maxRetryAfter {
			f.why += fmt.Sprintf(", and to come back in %s", f.after)
			return Image{}, f
		}
		if !sleep(ctx, max(wait, f.after)) {
			return Image{}, f
		}
		wait *= 4
	}
}

// sleep waits, unless the deadline comes before the end of the wait.
func sleep(ctx context.Context, d time.Duration) bool {
	if end, ok := ctx.Deadline(); ok && time.Until(end) <= d {
		return false
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
