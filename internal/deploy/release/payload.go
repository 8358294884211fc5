package release

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"errors"
	"fmt"
	"io"

	"go.yaml.in/yaml/v4"

	"chartd.dev/chartd/internal/ref"
	"chartd.dev/chartd/internal/yamledit"
)

func isGzip(b []byte) bool { return bytes.HasPrefix(b, []byte{0x1f, 0x8b, 8}) }

// packed reads the value of a release secret. Helm packs the JSON with gzip
// and base64; Kubernetes adds a second base64 to it, and kubectl's jsonpath
// takes that off or not. Very old releases are not compressed.
func (d *decoder) packed(data []byte) error {
	for range 3 {
		switch {
		case isGzip(data):
			plain, err := d.unzip(data)
			if err != nil {
				return err
			}
			plain = bytes.TrimSpace(plain)
			if len(plain) == 0 || plain[0] != '{' {
				return errors.New("what it packs is no JSON object")
			}
			return d.unwrapped(plain)
		case len(data) > 0 && data[0] == '{':
			return d.unwrapped(data)
		}
		plain := make([]byte, base64.StdEncoding.DecodedLen(len(data)))
		n, err := base64.StdEncoding.Decode(plain, bytes.TrimSpace(data)) // line breaks are skipped
		if err != nil {
			return errors.New("it is neither JSON, YAML nor base64")
		}
		data = plain[:n]
	}
	return errors.New("it is packed in base64 more than twice")
}

// unwrapped reads the JSON of a packed release, which holds nothing packed.
func (d *decoder) unwrapped(data []byte) error {
	o, err := d.object(data)
	if err != nil {
		return err
	}
	return d.release(o)
}

func (d *decoder) unzip(data []byte) ([]byte, error) {
	z, err := gzip.NewReader(bytes.NewReader(data))
	if err != nil {
		return nil, fmt.Errorf("unpack: %w", err)
	}
	plain, err := io.ReadAll(io.LimitReader(z, d.left+1))
	if err != nil {
		return nil, fmt.Errorf("unpack: %w", err)
	}
	if d.left -= int64(len(plain)); d.left < 0 {
		return nil, fmt.Errorf("it unpacks to more than %d bytes", maxUnpacked)
	}
	return plain, nil
}

// workloads are the kinds whose containers run.
var workloads = map[string]bool{
	"Deployment": true, "StatefulSet": true, "DaemonSet": true, "ReplicaSet": true, "ReplicationController": true,
	"Pod": true, "Job": true, "CronJob": true,
}

// manifestImages lists the images of all containers that a manifest runs.
func manifestImages(manifest string) ([]Image, error) {
	f, err := yamledit.Parse([]byte(manifest), yamledit.Limits{Depth: 200})
	if err != nil {
		return nil, err
	}
	var out []Image
	for _, doc := range f.Documents() {
		kind := scalarAt(doc, "kind")
		if workloads[kind] {
			collectImages(doc, kind+"/"+scalarAt(doc, "metadata", "name"), &out)
		}
	}
	return out, nil
}

func collectImages(n *yaml.Node, object string, out *[]Image) {
	if n.Kind != yaml.MappingNode && n.Kind != yaml.SequenceNode {
		return // an alias too: Helm's manifests are rendered without
	}
	for i, c := range n.Content {
		if n.Kind == yaml.MappingNode && i%2 == 1 {
			if key := n.Content[i-1].Value; (key == "containers" || key == "initContainers") && c.Kind == yaml.SequenceNode {
				for _, item := range c.Content {
					*out = appendImage(*out, object, item)
				}
				continue
			}
		}
		collectImages(c, object, out)
	}
}

func appendImage(out []Image, object string, container *yaml.Node) []Image {
	text := scalarAt(container, "image")
	if text == "" {
		return out
	}
	r, _ := ref.ParseReference(text) // zero: shown as it is, equal to nothing
	return append(out, Image{object, scalarAt(container, "name"), text, r})
}

func scalarAt(n *yaml.Node, keys ...string) string {
	if v := yamledit.Below(n, keys...); v != nil && v.Kind == yaml.ScalarNode {
		return v.Value
	}
	return ""
}
