package release

import (
	"strings"
	"testing"

	"chartd.dev/chartd/internal/ref"
)

func TestImageOf(t *testing.T) {
	image := func(container, text string) Image {
		r, err := ref.ParseReference(text)
		if err != nil {
			t.Fatal(err)
		}
		return Image{"Deployment/x", container, text, r}
	}
	own := "quay.io/jupyterhub/k8s-hub"
	for _, tt := range []struct {
		name, role string
		images     []Image
		want, err  string
	}{
		{"by the container's name", "hub", []Image{image("chp", "quay.io/a/chp:1"), image("hub", "quay.io/campus/hub:2")}, "quay.io/campus/hub:2", ""},
		{"by the last word of the role", "jupyterhub.hub", []Image{image("hub", "quay.io/campus/hub:2")}, "quay.io/campus/hub:2", ""},
		{"by the chart's own repository", "hub", []Image{image("server", own+":3.3.7"), image("chp", "quay.io/a/chp:1")}, own + ":3.3.7", ""},
		{"the same image twice", "hub", []Image{image("hub", own+":3.3.7"), image("hub", own+":3.3.7")}, own + ":3.3.7", ""},
		{"the name comes before the repository", "hub", []Image{image("hub", "quay.io/campus/hub:2"), image("migrate", own+":3.3.7")}, "quay.io/campus/hub:2", ""},
		{"of two names the chart's own", "hub", []Image{image("hub", "quay.io/campus/hub:2"), image("hub", own+":3.3.7")}, own + ":3.3.7", ""},
		{"two names", "hub", []Image{image("hub", "quay.io/campus/hub:2"), image("hub", "quay.io/campus/hub:3")}, "", "several images that may be the hub image: quay.io/campus/hub:2, quay.io/campus/hub:3"},
		{"two of the chart's own", "hub", []Image{image("a", own+":1"), image("b", own+":2")}, "", "several images"},
		{"none", "hub", []Image{image("chp", "quay.io/a/chp:1")}, "", `no container of release "r" is named "hub" or runs ` + own},
		{"no tag", "hub", []Image{image("hub", own)}, "", "neither a tag nor a digest"},
	} {
		got, err := Release{Name: "r", Rendered: true, Images: tt.images}.ImageOf(ref.Role(tt.role), own)
		if (err == nil) != (tt.err == "") || err != nil && !strings.Contains(err.Error(), tt.err) || got.Text != tt.want {
			t.Errorf("%s: %q, %v", tt.name, got.Text, err)
		}
	}
	if _, err := (Release{Name: "r"}).ImageOf("hub", own); err == nil || !strings.Contains(err.Error(), "holds no image") {
		t.Errorf("what helm list says: %v", err)
	}
}

// What a real Helm makes of the chart in a wrapper.
func TestImageOfARelease(t *testing.T) {
	all, err := Read(dryRun(t, true, "--set", "jupyterhub.hub.image.tag=1.2.0@"+hubDigest))
	if err != nil || len(all) != 1 {
		t.Fatalf("%d releases, %v", len(all), err)
	}
	got, err := all[0].ImageOf("hub", "quay.io/example/hub")
	if err != nil || got.Ref.Digest.String() != hubDigest || got.Container != "hub" {
		t.Errorf("%+v, %v", got, err)
	}
}
