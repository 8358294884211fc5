package registrytest

import (
	"archive/tar"
	"bytes"
	"context"
	"fmt"
	"maps"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"chartd.dev/chartd/internal/ref"
)

// Image describes an image to make. The same description always gives the
// same digests: layers are plain tar files with one file and no date.
type Image struct {
	Seed      string   // makes the lowest layer
	Layers    []string // each the content of one more layer
	Base      *Image   // built FROM this; its layers and labels come first
	Platforms []string // none: a plain linux/amd64 image; else an index, if Base has none given
	Labels    map[string]string
	Attest    bool // an index with an attestation manifest for each image, as BuildKit makes it
	Docker    bool // Docker's media types instead of OCI's

	pulled map[string]v1.Image // of Pull, by platform
}

// Make describes an image with a layer for the seed and one for each text.
func Make(seed string, layers ...string) Image { return Image{Seed: seed, Layers: layers} }

// From describes an image built on base, for the same platforms.
func From(base Image, layers ...string) Image {
	return Image{Base: &base, Layers: layers, Platforms: base.Platforms, Docker: base.Docker}
}

// Pull takes an image from a registry, to build on it.
func Pull(ctx context.Context, reference string) (Image, error) {
	r, err := name.ParseReference(reference, name.Insecure, name.StrictValidation)
	if err != nil {
		return Image{}, err
	}
	d, err := remote.Get(r, remote.WithContext(ctx))
	if err != nil {
		return Image{}, err
	}
	out := Image{pulled: map[string]v1.Image{}, Docker: d.MediaType == types.DockerManifestSchema2 || d.MediaType == types.DockerManifestList}
	if !d.MediaType.IsIndex() {
		out.pulled[""], err = d.Image()
		return out, err
	}
	index, err := d.ImageIndex()
	if err != nil {
		return Image{}, err
	}
	m, err := index.IndexManifest()
	if err != nil {
		return Image{}, err
	}
	for _, e := range m.Manifests {
		if e.Platform == nil || e.Platform.OS == "unknown" {
			continue
		}
		p := e.Platform.String()
		if out.pulled[p], err = index.Image(e.Digest); err != nil {
			return Image{}, err
		}
		out.Platforms = append(out.Platforms, p)
	}
	return out, nil
}

// Digest is what Push will answer.
func (i Image) Digest() (ref.Digest, error) {
	built, err := i.build()
	if err != nil {
		return ref.Digest{}, err
	}
	h, err := built.(interface{ Digest() (v1.Hash, error) }).Digest()
	if err != nil {
		return ref.Digest{}, err
	}
	return ref.ParseDigest(h.String())
}

// Push makes the image and pushes it to "HOST:PORT/REPOSITORY:TAG", in plain
// HTTP where the registry has no TLS.
func (i Image) Push(ctx context.Context, to string) (ref.Digest, error) {
	r, err := name.ParseReference(to, name.Insecure, name.StrictValidation)
	if err != nil {
		return ref.Digest{}, err
	}
	built, err := i.build()
	if err != nil {
		return ref.Digest{}, err
	}
	opt := remote.WithContext(ctx)
	switch b := built.(type) {
	case v1.ImageIndex:
		err = remote.WriteIndex(r, b, opt)
	case v1.Image:
		err = remote.Write(r, b, opt)
	}
	if err != nil {
		return ref.Digest{}, fmt.Errorf("push %s: %w", to, err)
	}
	return i.Digest()
}

func (i Image) build() (any, error) {
	if len(i.Platforms) == 0 && !i.Attest {
		return i.member("")
	}
	platforms := i.Platforms
	if len(platforms) == 0 {
		platforms = []string{"linux/amd64"}
	}
	index := mutate.IndexMediaType(empty.Index, pick(i.Docker, types.DockerManifestList, types.OCIImageIndex))
	for _, name := range platforms {
		p, err := v1.ParsePlatform(name)
		if err != nil {
			return nil, err
		}
		image, err := i.member(name)
		if err != nil {
			return nil, err
		}
		index = mutate.AppendManifests(index, mutate.IndexAddendum{Add: image, Descriptor: v1.Descriptor{Platform: p}})
		if i.Attest {
			add, err := attestation(image)
			if err != nil {
				return nil, err
			}
			index = mutate.AppendManifests(index, add)
		}
	}
	return index, nil
}

// member makes the image of one platform.
func (i Image) member(platform string) (image v1.Image, err error) {
	if i.pulled != nil {
		if image = i.pulled[platform]; image == nil {
			return nil, fmt.Errorf("the pulled image has no platform %q", platform)
		}
		return image, nil
	}
	var layers []string
	if i.Base != nil {
		image, err = i.Base.member(platform)
	} else {
		image, err = scratch(platform, i.Docker)
		layers = []string{"seed " + i.Seed + " " + platform}
	}
	if err != nil {
		return nil, err
	}
	for _, text := range append(layers, i.Layers...) {
		image, err = mutate.Append(image, mutate.Addendum{
			Layer:     static.NewLayer(tarOf(text), pick(i.Docker, types.DockerUncompressedLayer, types.OCIUncompressedLayer)),
			MediaType: pick(i.Docker, types.DockerUncompressedLayer, types.OCIUncompressedLayer),
		})
		if err != nil {
			return nil, err
		}
	}
	file, err := image.ConfigFile()
	if err != nil {
		return nil, err
	}
	file = file.DeepCopy()
	if len(i.Labels) > 0 {
		labels := maps.Clone(file.Config.Labels)
		if labels == nil {
			labels = map[string]string{}
		}
		maps.Copy(labels, i.Labels)
		file.Config.Labels = labels
	}
	return mutate.ConfigFile(image, file)
}

// scratch is an image without layers.
func scratch(platform string, docker bool) (v1.Image, error) {
	if platform == "" {
		platform = "linux/amd64"
	}
	p, err := v1.ParsePlatform(platform)
	if err != nil {
		return nil, err
	}
	image := mutate.MediaType(empty.Image, pick(docker, types.DockerManifestSchema2, types.OCIManifestSchema1))
	image = mutate.ConfigMediaType(image, pick(docker, types.DockerConfigJSON, types.OCIConfigJSON))
	return mutate.ConfigFile(image, &v1.ConfigFile{
		OS: p.OS, Architecture: p.Architecture, Variant: p.Variant, OSVersion: p.OSVersion,
		RootFS: v1.RootFS{Type: "layers", DiffIDs: []v1.Hash{}},
	})
}

// attestation is what BuildKit puts beside an image.
func attestation(of v1.Image) (mutate.IndexAddendum, error) {
	digest, err := of.Digest()
	if err != nil {
		return mutate.IndexAddendum{}, err
	}
	image, err := scratch("unknown/unknown", false)
	if err != nil {
		return mutate.IndexAddendum{}, err
	}
	image, err = mutate.AppendLayers(image, static.NewLayer([]byte(`{"about":"`+digest.String()+`"}`), "application/vnd.in-toto+json"))
	return mutate.IndexAddendum{Add: image, Descriptor: v1.Descriptor{
		Platform: &v1.Platform{OS: "unknown", Architecture: "unknown"},
		Annotations: map[string]string{
			"vnd.docker.reference.type": "attestation-manifest", "vnd.docker.reference.digest": digest.String(),
		},
	}}, err
}

// DiffIDs are the diff IDs of one platform, from the base up; "" is the only
// platform of a plain image.
func (i Image) DiffIDs(platform string) ([]ref.Digest, error) {
	image, err := i.member(platform)
	if err != nil {
		return nil, err
	}
	file, err := image.ConfigFile()
	if err != nil {
		return nil, err
	}
	var out []ref.Digest
	for _, h := range file.RootFS.DiffIDs {
		d, err := ref.ParseDigest(h.String())
		if err != nil {
			return nil, err
		}
		out = append(out, d)
	}
	return slices.Clip(out), nil
}

func tarOf(text string) []byte {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	// Writes to a buffer do not fail, and the header is always the same.
	_ = w.WriteHeader(&tar.Header{Name: "layer.txt", Mode: 0o644, Size: int64(len(text)), ModTime: time.Unix(0, 0).UTC()})
	_, _ = w.Write([]byte(text))
	_ = w.Close()
	return b.Bytes()
}

func pick(docker bool, a, b types.MediaType) types.MediaType {
	if docker {
		return a
	}
	return b
}

// hostOf is HOST:PORT of a listener, for image references.
func hostOf(l net.Listener) string { return strings.ToLower(l.Addr().String()) }
