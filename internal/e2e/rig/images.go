package rig

import (
	"context"
	"fmt"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// Image makes a small linux/amd64 image: each text becomes one layer, on top
// of base where there is one.
func Image(base v1.Image, layers ...string) (v1.Image, error) {
	if base == nil {
		cfg, err := empty.Image.ConfigFile()
		if err != nil {
			return nil, err
		}
		cfg = cfg.DeepCopy()
		cfg.OS, cfg.Architecture = "linux", "amd64"
		if base, err = mutate.ConfigFile(empty.Image, cfg); err != nil {
			return nil, err
		}
	}
	for _, text := range layers {
		layer, err := textLayer(text)
		if err != nil {
			return nil, err
		}
		if base, err = mutate.AppendLayers(base, layer); err != nil {
			return nil, err
		}
	}
	return base, nil
}

func textLayer(text string) (v1.Layer, error) {
	data, err := tarFiles(map[string][]byte{"etc/layer": []byte(text)}, "etc/layer")
	if err != nil {
		return nil, err
	}
	// Uncompressed, so that the layer's digest and its diff id are the same
	// bytes and nothing depends on a compressor.
	return static.NewLayer(data, types.OCIUncompressedLayer), nil
}

// Push writes an image to REGISTRY/REPOSITORY:TAG and returns its digest.
func Push(ctx context.Context, ref string, img v1.Image) (string, error) {
	r, err := name.ParseReference(ref, name.Insecure)
	if err != nil {
		return "", err
	}
	if err := remote.Write(r, img, remote.WithContext(ctx)); err != nil {
		return "", fmt.Errorf("push %s: %w", ref, err)
	}
	d, err := img.Digest()
	return d.String(), err
}
