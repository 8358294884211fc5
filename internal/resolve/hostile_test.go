package resolve_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"chartd.dev/chartd/internal/ref"
	"chartd.dev/chartd/internal/registrytest"
	"chartd.dev/chartd/internal/resolve"
)

const (
	ociManifest = "application/vnd.oci.image.manifest.v1+json"
	ociIndex    = "application/vnd.oci.image.index.v1+json"
	ociConfig   = "application/vnd.oci.image.config.v1+json"
)

// documents is a registry of documents by path, for answers that no honest
// registry would store.
type documents map[string]struct{ mediaType, body string }

func (d documents) put(kind, mediaType, body string) string {
	digest := ref.DigestOf([]byte(body)).String()
	d["/v2/jupyterhub/k8s-hub/"+kind+"/"+digest] = struct{ mediaType, body string }{mediaType, body}
	return fmt.Sprintf(`{"mediaType":%q,"digest":%q,"size":%d`, mediaType, digest, len(body))
}

func (d documents) serve(t *testing.T, mediaType, body string) *registrytest.Registry {
	d["/v2/jupyterhub/k8s-hub/manifests/1"] = struct{ mediaType, body string }{mediaType, body}
	r := registrytest.New(t)
	r.Break(func(w http.ResponseWriter, q *http.Request, next http.Handler) bool {
		doc, ok := d[q.URL.Path]
		return ok && registrytest.Body(doc.mediaType, doc.body)(w, q, next)
	})
	return r
}

// documents whose digests are right and whose content lies.
func TestHostileDocuments(t *testing.T) {
	one := "sha256:" + strings.Repeat("1", 64)
	good := `{"os":"linux","architecture":"amd64","rootfs":{"type":"layers","diff_ids":["` + one + `"]}}`
	layer := `{"mediaType":"application/vnd.oci.image.layer.v1.tar+gzip","digest":"` + one + `","size":7}`
	// image puts a configuration and returns a manifest for it.
	image := func(d documents, config string) string {
		return `{"schemaVersion":2,"mediaType":"` + ociManifest + `","config":` + d.put("blobs", ociConfig, config) + `},"layers":[` + layer + `]}`
	}
	index := func(entries ...string) string {
		return `{"schemaVersion":2,"mediaType":"` + ociIndex + `","manifests":[` + strings.Join(entries, ",") + `]}`
	}
	platform := func(descriptor, p string) string {
		os, arch, _ := strings.Cut(p, "/")
		return descriptor + fmt.Sprintf(`,"platform":{"os":%q,"architecture":%q}}`, os, arch)
	}
	d := documents{}
	ok := image(d, good)
	member := d.put("manifests", ociManifest, ok)
	other := d.put("manifests", ociManifest, image(d, strings.Replace(good, "1", "2", 1)))
	many := make([]string, 101)
	for i := range many {
		many[i] = platform(member, fmt.Sprintf("linux/arch%d", i))
	}
	absent := ref.DigestOf([]byte("absent")).String()
	config := func(c string) string { return image(d, c) }
	with := func(old, new string) string {
		if !strings.Contains(ok, old) {
			t.Fatalf("%q is not in the manifest", old)
		}
		return strings.Replace(ok, old, new, 1)
	}
	for name, tc := range map[string]struct {
		mediaType, body string
		want            error
		text            string
	}{
		"good":                      {ociManifest, ok, nil, ""},
		"good by its own word":      {"application/json", ok, nil, ""},
		"good with parameters":      {ociManifest + "; charset=utf-8", ok, nil, ""},
		"good by the header":        {ociManifest, with(`"mediaType":"`+ociManifest+`",`, ""), nil, ""},
		"foreign layer":             {ociManifest, with(`"size":7}`, `"size":7,"urls":["http://169.254.169.254/x"]}`), nil, ""},
		"index":                     {ociIndex, index(platform(member, "linux/amd64")), nil, ""},
		"platform of the config":    {ociIndex, index(member + "}"), nil, ""},
		"same layers twice":         {ociIndex, index(platform(member, "linux/arm64"), platform(member, "linux/aarch64")), nil, ""},
		"artifact beside":           {ociIndex, index(platform(member, "linux/amd64"), member+`,"artifactType":"a/b"}`), nil, ""},
		"layers and manifests":      {ociManifest, with(`"layers"`, `"manifests":[],"layers"`), resolve.ErrInvalid, `"manifests"`},
		"manifests in other case":   {ociManifest, with(`"layers"`, `"Manifests":[],"layers"`), resolve.ErrInvalid, `"Manifests"`},
		"index with layers":         {ociIndex, strings.Replace(index(member+"}"), `"manifests"`, `"layers":[],"manifests"`, 1), resolve.ErrInvalid, `"layers"`},
		"index with config":         {ociIndex, strings.Replace(index(member+"}"), `"manifests"`, `"config":{},"manifests"`, 1), resolve.ErrInvalid, `"config"`},
		"index said to be image":    {ociManifest, index(member + "}"), resolve.ErrInvalid, "its header"},
		"image said to be index":    {ociIndex, ok, resolve.ErrInvalid, "its header"},
		"key twice":                 {ociManifest, with(`"layers"`, `"layers":[],"layers"`), resolve.ErrInvalid, `"layers" is there twice`},
		"digest twice":              {ociManifest, with(`"size":7`, `"digest":"`+absent+`","size":7`), resolve.ErrInvalid, "twice"},
		"diff_ids twice":            {ociManifest, config(strings.Replace(good, `"diff_ids"`, `"diff_ids":[],"diff_ids"`, 1)), resolve.ErrInvalid, "twice"},
		"two objects":               {ociManifest, ok + ok, resolve.ErrInvalid, "more data"},
		"schema 1":                  {"application/vnd.docker.distribution.manifest.v1+prettyjws", `{"schemaVersion":1}`, resolve.ErrInvalid, "schema 1"},
		"schema 1 in the body":      {"application/json", `{"schemaVersion":1,"fsLayers":[]}`, resolve.ErrInvalid, "schema 1"},
		"nothing":                   {ociManifest, "", resolve.ErrInvalid, "JSON"},
		"type of a chart":           {ociManifest, with(ociConfig, "application/vnd.cncf.helm.config.v1+json"), resolve.ErrInvalid, "helm.config"},
		"no config":                 {ociManifest, `{"schemaVersion":2,"layers":[]}`, resolve.ErrInvalid, "no image configuration"},
		"config of sha512":          {ociManifest, with(`"digest":"sha256:`, `"digest":"sha512:`), resolve.ErrInvalid, "sha512"},
		"config without size":       {ociManifest, with(fmt.Sprintf(`"size":%d`, len(good)), `"size":0`), resolve.ErrInvalid, "size 0"},
		"config of negative size":   {ociManifest, with(fmt.Sprintf(`"size":%d`, len(good)), `"size":-1`), resolve.ErrInvalid, "size -1"},
		"config of another size":    {ociManifest, with(fmt.Sprintf(`"size":%d`, len(good)), `"size":12`), resolve.ErrMismatch, "says 12"},
		"config too large":          {ociManifest, with(fmt.Sprintf(`"size":%d`, len(good)), `"size":9223372036854775807`), resolve.ErrTooLarge, "more than 4194304"},
		"size overflows":            {ociManifest, with(fmt.Sprintf(`"size":%d`, len(good)), `"size":9223372036854775808`), resolve.ErrInvalid, "read"},
		"config absent":             {ociManifest, with(ref.DigestOf([]byte(good)).String(), absent), resolve.ErrNotFound, absent},
		"no diff ID":                {ociManifest, config(strings.Replace(good, `"`+one+`"`, "", 1)), resolve.ErrInvalid, "names 0 layers"},
		"diff ID too many":          {ociManifest, config(strings.Replace(good, `["`, `["`+absent+`","`, 1)), resolve.ErrInvalid, "names 2 layers"},
		"diff ID malformed":         {ociManifest, config(strings.Replace(good, one, "sha256:zz", 1)), resolve.ErrInvalid, "sha256:zz"},
		"no platform":               {ociManifest, config(strings.Replace(good, `"os":"linux",`, "", 1)), resolve.ErrInvalid, "operating system"},
		"101 manifests":             {ociIndex, index(many...), resolve.ErrTooLarge, "101"},
		"100 of them":               {ociIndex, index(many[:100]...), nil, ""},
		"index in an index":         {ociIndex, index(strings.Replace(member, ociManifest, ociIndex, 1) + "}"), resolve.ErrInvalid, "another index"},
		"index behind a manifest":   {ociIndex, index(strings.Replace(d.put("manifests", ociIndex, index(member+"}")), ociIndex, ociManifest, 1) + "}"), resolve.ErrInvalid, "of type"},
		"empty index":               {ociIndex, index(), resolve.ErrInvalid, "no image"},
		"attestations only":         {ociIndex, index(platform(member, "unknown/unknown")), resolve.ErrInvalid, "no image"},
		"two images for a platform": {ociIndex, index(platform(member, "linux/amd64"), platform(other, "linux/amd64")), resolve.ErrInvalid, "two different images"},
		"layer in the index":        {ociIndex, index(strings.Replace(member, ociManifest, "application/vnd.oci.image.layer.v1.tar", 1) + "}"), resolve.ErrInvalid, "layer.v1.tar"},
		"member absent":             {ociIndex, index(strings.Replace(member, ref.DigestOf([]byte(ok)).String(), absent, 1) + "}"), resolve.ErrNotFound, absent},
		"member of another size":    {ociIndex, index(strings.Replace(member, fmt.Sprintf(`"size":%d`, len(ok)), `"size":9`, 1) + "}"), resolve.ErrMismatch, "says 9"},
		"deep":                      {ociManifest, with(`"layers"`, `"x":`+strings.Repeat("[", 100000)+strings.Repeat("]", 100000)+`,"layers"`), resolve.ErrInvalid, "deeply"},
	} {
		t.Run(name, func(t *testing.T) {
			r := d.serve(t, tc.mediaType, tc.body)
			got, err := mirrored(t, r.Addr).Resolve(t.Context(), reference(t, hub+":1"))
			if !errors.Is(err, tc.want) || err != nil && !strings.Contains(err.Error(), tc.text) {
				t.Fatalf("got %v, want %v with %q", err, tc.want, tc.text)
			}
			if err == nil && (got.Image.Digest != ref.DigestOf([]byte(tc.body)) || len(got.Platforms) == 0) {
				t.Errorf("got %s with %d platforms", got.Image, len(got.Platforms))
			}
			if err != nil && (len(err.Error()) > 800 || strings.ContainsAny(err.Error(), "\n\x1b")) {
				t.Errorf("the message is not one short line: %.900q", err)
			}
			for _, q := range r.Requests() {
				if strings.Contains(q.Path, one) {
					t.Errorf("a layer was fetched: %s", q.Path)
				}
			}
		})
	}
	if !json.Valid([]byte(ok)) {
		t.Error("the good manifest is not JSON")
	}
}
