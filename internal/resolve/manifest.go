package resolve

import (
	"encoding/json"
	"strings"

	"github.com/google/go-containerregistry/pkg/v1/types"

	"chartd.dev/chartd/internal/ref"
	"chartd.dev/chartd/internal/strictjson"
)

// maxManifests is how many entries an index may have.
const maxManifests = 100

type descriptor struct {
	MediaType    string            `json:"mediaType"`
	Digest       string            `json:"digest"`
	Size         int64             `json:"size"`
	Annotations  map[string]string `json:"annotations"`
	ArtifactType string            `json:"artifactType"`
	Platform     *platform         `json:"platform"`
}

type platform struct {
	OS           string `json:"os"`
	Architecture string `json:"architecture"`
	Variant      string `json:"variant"`
	OSVersion    string `json:"os.version"`
}

// manifest is an image manifest or an index, in Docker's or OCI's form.
type manifest struct {
	SchemaVersion int          `json:"schemaVersion"`
	MediaType     string       `json:"mediaType"`
	Config        *descriptor  `json:"config"`
	Layers        []descriptor `json:"layers"`
	Manifests     []descriptor `json:"manifests"`
}

// readDocument reads what a registry sent. The keys of labels and annotations
// are whatever their authors made them.
func readDocument(body []byte, into any) error {
	return strictjson.Foreign(body, into, "Labels", "annotations")
}

func isIndex(mediaType string) bool { return types.MediaType(mediaType).IsIndex() }

func isManifest(mediaType string) bool {
	return mediaType == string(types.OCIManifestSchema1) || mediaType == string(types.DockerManifestSchema2)
}

// parseManifest reads a manifest or an index. Its kind must be the same by
// the header, by its own word and by its shape: where they differ, one reader
// would see an image and another an index.
func parseManifest(body []byte, header string) (manifest, error) {
	var m manifest
	if header == string(types.DockerManifestSchema1) || header == string(types.DockerManifestSchema1Signed) {
		return m, fail(ErrInvalid, "it has the image only as a schema 1 manifest (%s), which has no configuration; push it anew with a current tool", header)
	}
	if strings.HasPrefix(header, "text/") {
		return m, fail(ErrInvalid, "it answers with a page (%s) instead of a manifest", clip(header))
	}
	if err := readDocument(body, &m); err != nil {
		return m, fail(ErrInvalid, "its manifest cannot be read: %s", clip(err.Error()))
	}
	if m.SchemaVersion == 1 {
		return m, fail(ErrInvalid, "it has the image only as a schema 1 manifest, which has no configuration; push it anew with a current tool")
	}
	known := isIndex(header) || isManifest(header)
	switch {
	case m.MediaType == "" && known:
		m.MediaType = header
	case m.MediaType != "" && known && m.MediaType != header:
		return m, fail(ErrInvalid, "its manifest says that it is %q, its header that it is %q", clip(m.MediaType), header)
	}
	if !isIndex(m.MediaType) && !isManifest(m.MediaType) {
		return m, fail(ErrInvalid, "its manifest is of type %q, which is no container image", clip(m.MediaType+header))
	}
	var shape map[string]json.RawMessage
	if err := json.Unmarshal(body, &shape); err != nil {
		return m, fail(ErrInvalid, "its manifest cannot be read: %s", clip(err.Error()))
	}
	foreign := []string{"manifests", "fslayers"}
	if isIndex(m.MediaType) {
		foreign = []string{"layers", "config", "fslayers"}
	}
	for key := range shape {
		for _, f := range foreign {
			if strings.EqualFold(key, f) {
				return m, fail(ErrInvalid, "its manifest of type %q has the key %q, which only another type has", m.MediaType, key)
			}
		}
	}
	return m, nil
}

// images are the entries of an index that are images: attestations and other
// artifacts are attached to an index, but nothing runs them.
func (m manifest) images() ([]descriptor, error) {
	if len(m.Manifests) > maxManifests {
		return nil, fail(ErrTooLarge, "its index has %d manifests, more than %d", len(m.Manifests), maxManifests)
	}
	var out []descriptor
	for _, d := range m.Manifests {
		_, attestation := d.Annotations["vnd.docker.reference.type"]
		p := d.Platform
		switch {
		case attestation, p != nil && p.OS == "unknown" && p.Architecture == "unknown", p == nil && d.ArtifactType != "":
			continue
		case isIndex(d.MediaType):
			return nil, fail(ErrInvalid, "its index holds another index, %s, which no container engine runs", clip(d.Digest))
		case !isManifest(d.MediaType):
			return nil, fail(ErrInvalid, "its index holds %s of type %q, which is no container image", clip(d.Digest), clip(d.MediaType))
		}
		out = append(out, d)
	}
	if len(out) == 0 {
		return nil, fail(ErrInvalid, "its index holds no image")
	}
	return out, nil
}

// check parses the digest and bounds the size before anything is fetched.
func (d descriptor) check(what string, most int64) (ref.Digest, error) {
	digest, err := ref.ParseDigest(d.Digest)
	if err != nil {
		return ref.Digest{}, fail(ErrInvalid, "the %s has the digest %q: want sha256 and 64 hexadecimal digits", what, clip(d.Digest))
	}
	if d.Size <= 0 {
		return ref.Digest{}, fail(ErrInvalid, "the %s %s has the size %d", what, digest, d.Size)
	}
	if d.Size > most {
		return ref.Digest{}, fail(ErrTooLarge, "the %s %s has %d bytes, more than %d", what, digest, d.Size, most)
	}
	return digest, nil
}

// imageConfig is what we read of an image's configuration.
type imageConfig struct {
	platform
	Config struct {
		Labels map[string]string `json:"Labels"`
	} `json:"config"`
	RootFS struct {
		Type    string   `json:"type"`
		DiffIDs []string `json:"diff_ids"`
	} `json:"rootfs"`
}

// parseConfig reads the configuration of an image with so many layers.
func parseConfig(body []byte, layers int) (imageConfig, []ref.Digest, error) {
	var c imageConfig
	if err := readDocument(body, &c); err != nil {
		return c, nil, fail(ErrInvalid, "its image configuration cannot be read: %s", clip(err.Error()))
	}
	ids := c.RootFS.DiffIDs
	if len(ids) == 0 || len(ids) != layers {
		return c, nil, fail(ErrInvalid, "its image configuration names %d layers, the manifest %d; want the same number, and one at least", len(ids), layers)
	}
	out := make([]ref.Digest, len(ids))
	for i, s := range ids {
		d, err := ref.ParseDigest(s)
		if err != nil {
			return c, nil, fail(ErrInvalid, "its image configuration has the diff ID %q: want sha256 and 64 hexadecimal digits", clip(s))
		}
		out[i] = d
	}
	return c, out, nil
}

// normal is the platform's name as container engines compare it; "" if it
// names none.
func (p platform) normal() string {
	os, arch, variant := strings.ToLower(p.OS), strings.ToLower(p.Architecture), strings.ToLower(p.Variant)
	if os == "" || arch == "" {
		return ""
	}
	switch arch {
	case "x86_64", "x86-64":
		arch = "amd64"
	case "aarch64":
		arch = "arm64"
	case "i386", "i686":
		arch = "386"
	case "armhf":
		arch, variant = "arm", "v7"
	case "armel":
		arch, variant = "arm", "v6"
	}
	if variant != "" && variant[0] >= '0' && variant[0] <= '9' {
		variant = "v" + variant
	}
	switch {
	case arch == "arm64" && variant == "v8", arch == "amd64" && variant == "v1", arch == "386":
		variant = ""
	case arch == "arm" && variant == "":
		variant = "v7"
	}
	if os == "windows" && p.OSVersion != "" {
		os += "(" + p.OSVersion + ")"
	}
	if variant != "" {
		arch += "/" + variant
	}
	return os + "/" + arch
}
