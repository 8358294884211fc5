package lock

import (
	"errors"
	"strings"
	"testing"

	"chartd.dev/chartd/internal/advice"
	"chartd.dev/chartd/internal/model"
	"chartd.dev/chartd/internal/ref"
)

// pairOf is a binding of ROLE=REPOSITORY=EVIDENCE images.
func pairOf(t *testing.T, images ...string) Binding {
	t.Helper()
	b := Binding{State: model.Verified, Evidence: model.BaseLayers}
	for _, s := range images {
		f := strings.Split(s, "=")
		repository, err := ref.ParseRepository(f[1])
		if err != nil {
			t.Fatal(err)
		}
		b.Images = append(b.Images, BoundImage{Role: ref.Role(f[0]), Evidence: model.Evidence(f[2]), Required: true, Tag: "1",
			Image: ref.Image{Repository: repository, Digest: ref.DigestOf([]byte(s))}})
	}
	return b
}

// Of bindings that are accepted, the newest that leaves each image where the
// pin takes it from.
func TestFitting(t *testing.T) {
	const own, chart = "hub=quay.io/my/hub=base-layers", "hub=quay.io/example/hub=chart-values"
	const user, proxy = "user=quay.io/my/user=declared", "proxy=quay.io/example/proxy=chart-values"
	for name, tt := range map[string]struct {
		pin  []string // nil: not pinned
		has  [][]string
		want int // -1: refused
		says string
	}{
		"the newest of the same":             {[]string{own}, [][]string{{own}, {chart}, {own}, {chart}}, 2, ""},
		"none of the same":                   {[]string{own}, [][]string{{chart}}, -1, "is bound to hub from quay.io/example/hub"},
		"no pin, one repository":             {nil, [][]string{{chart}, {chart}}, 1, ""},
		"no pin, two":                        {nil, [][]string{{chart}, {own}}, -1, "--image hub=quay.io/my/hub:1, or --image hub=quay.io/example/hub:1"},
		"an image more of somebody's own":    {[]string{own}, [][]string{{own, user}}, -1, "user from quay.io/my/user"},
		"an image less":                      {[]string{own, user}, [][]string{{own}}, -1, "--image hub=REF --image user=REF"},
		"an image more, the chart's own":     {[]string{own}, [][]string{{own, proxy}}, 0, ""},
		"exactly the same before one more":   {[]string{own}, [][]string{{own}, {own, proxy}}, 0, ""},
		"no image before, a choice now":      {[]string{}, [][]string{{chart}, {proxy}}, -1, "is pinned to neither of them"},
		"no image before, the chart's own":   {[]string{}, [][]string{{chart}}, 0, ""},
		"no image before, somebody's own":    {[]string{}, [][]string{{own}}, -1, "runs no image"},
		"no images at all, before and now":   {[]string{}, [][]string{{}}, 0, ""},
		"a moved repository among two roles": {[]string{own, proxy}, [][]string{{chart, proxy}}, -1, "runs hub from quay.io/my/hub, proxy from"},
	} {
		t.Run(name, func(t *testing.T) {
			s := &chooser{}
			if err := s.env.Env.UnmarshalText([]byte("data8/prod")); err != nil {
				t.Fatal(err)
			}
			if tt.pin != nil {
				b := pairOf(t, tt.pin...)
				s.now = &b
			}
			var list []Binding
			for i, images := range tt.has {
				b := pairOf(t, images...)
				b.ID = ref.BindingIDOf(ref.DigestOf([]byte{byte(i)}), nil)
				list = append(list, b)
			}
			v, err := ref.ParseChartVersion("hub", "1.0.0")
			if err != nil {
				t.Fatal(err)
			}
			got, err := s.fitting(ChartVersion{Chart: v}, list)
			if tt.want >= 0 {
				if err != nil || got.binding != list[tt.want].ID {
					t.Errorf("takes %s, %v, want number %d", got.binding, err, tt.want)
				}
				return
			}
			var refused *Refusal
			if !errors.As(err, &refused) {
				t.Fatalf("error is %v, want a refusal with %q", err, tt.says)
			}
			want, command := advice.Of(refused.Need)
			if says := refused.Facts + "; " + want + command; !strings.Contains(says, tt.says) {
				t.Errorf("it says %q, want %q in it", says, tt.says)
			}
		})
	}
}
