package rendered

import (
	"strings"
	"testing"

	"chartd.dev/chartd/internal/deploy/lockfile"
	"chartd.dev/chartd/internal/ref"
)

// Which references of a rendering are not the pinned image.
func TestWrongIn(t *testing.T) {
	repository, err := ref.ParseRepository("quay.io/my/hub")
	if err != nil {
		t.Fatal(err)
	}
	hub := lockfile.Image{Role: "hub", Repository: repository, Tag: "1", Digest: ref.DigestOf([]byte("hub"))}
	right := "quay.io/my/hub:1@" + hub.Digest.String()
	other := "@" + ref.DigestOf([]byte("other")).String()
	pod := func(image string) string {
		return "---\n# Source: c/templates/pod.yaml\nkind: Pod\nmetadata: {name: p}\nspec:\n  containers:\n  - image: " + image + "\n    args: [--side=quay.io/side/car:7]\n"
	}
	pinned, _ := imagesOf([]byte(pod(right)))
	for _, tt := range []struct {
		image string
		want  string // what is wrong, with "weak"
		seen  bool
	}{
		{right, "", true},
		{"quay.io/my/hub@" + hub.Digest.String(), "", true},
		{"quay.io/my/hub:other@" + hub.Digest.String(), "", true},
		{"quay.io/my/hub:1", "quay.io/my/hub:1 weak", true},
		{"quay.io/my/hub:1" + other, "quay.io/my/hub:1" + other, true},
		{"quay.io/my/hub:2", "quay.io/my/hub:2", true},
		{"quay.io/another/hub:1@" + hub.Digest.String(), "quay.io/another/hub:1@" + hub.Digest.String(), true},
		{"busybox", "busybox", true},
	} {
		is, unread := imagesOf([]byte(pod(tt.image)))
		bad, seen := wrongIn(is, pinned, []lockfile.Image{hub})
		got := ""
		for _, w := range bad {
			got += w.text + strings.Repeat(" weak", map[bool]int{true: 1}[w.weak])
		}
		if got != tt.want || seen["hub"] != tt.seen || len(unread) > 0 {
			t.Errorf("%s: wrong is %q, want %q; seen %v, %v", tt.image, got, tt.want, seen, unread)
		}
	}
	// By the repository alone, where the two renderings could not be compared.
	is, _ := imagesOf([]byte(pod("quay.io/my/hub:2") + pod("busybox")))
	bad, _ := wrongIn(is, images{}, []lockfile.Image{hub})
	if len(bad) != 1 || bad[0].text != "quay.io/my/hub:2" {
		t.Errorf("%+v", bad)
	}
	if _, seen := wrongIn(images{}, images{}, []lockfile.Image{hub}); seen["hub"] {
		t.Error("an image is seen in nothing")
	}
}
