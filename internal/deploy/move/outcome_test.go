package move

import (
	"strings"
	"testing"

	"chartd.dev/chartd/internal/api"
	"chartd.dev/chartd/internal/model"
	"chartd.dev/chartd/internal/ref"
)

func TestNotePinned(t *testing.T) {
	unsealed := hubBinding(t, "1.0.0", "1.0.0", "a")
	unsealed.Unsealed = "no tag key"
	sealed := unsealed
	sealed.Sealed = ref.DigestOf(nil)
	const empty = "note: hub@1.0.0 cannot be sealed (no tag key): the environment repository of data8/prod is empty; use revisions/7 with values.yaml"
	for name, tt := range map[string]struct {
		before, kind string
		heading      model.Heading
		byVersion    model.Heading
		to           api.Binding
		want         string
	}{
		"up":                      {"0.9.0", "bump", model.Forward, "", sealed, ""},
		"down":                    {"1.0.1", "promote", model.Back, "", sealed, "note: data8/prod goes from 1.0.1 to 1.0.0, which is lower"},
		"from a pre-release":      {"1.0.0-rc.1", "bump", model.Forward, "", sealed, ""},
		"back by a rollback":      {"1.0.1", "rollback", model.Back, "", api.Binding{}, ""},
		"no sealed package":       {"1.0.0", "bump", model.Same, "", unsealed, empty},
		"no images, no seal":      {"1.0.0", "bump", model.Same, "", api.Binding{}, ""},
		"up, the order disagrees": {"1.0.1", "bump", model.Forward, model.Back, sealed, "note: data8/prod goes from 1.0.1 to 1.0.0, which was published later, though its version is lower"},
		"down, and it disagrees":  {"0.9.0", "bump", model.Back, model.Forward, sealed, "note: data8/prod goes from 0.9.0 to 1.0.0, which was published earlier, though its version is higher"},
		"no version to order":     {"latest", "bump", model.Forward, "", sealed, ""},
	} {
		t.Run(name, func(t *testing.T) {
			a := &act{}
			p := api.Pin{Name: "hub", Version: "1.0.0", Revision: 7, Kind: model.Kind(tt.kind), Direction: &api.Direction{Chart: tt.heading, Image: model.Same}}
			if err := p.Env.UnmarshalText([]byte("data8/prod")); err != nil {
				t.Fatal(err)
			}
			a.notePinned(step{Pin: &api.Pin{Version: tt.before}, To: tt.to, verdict: &api.GateVerdict{ByVersion: tt.byVersion}}, p)
			if got := strings.Join(a.out.Notes, "\n"); got != tt.want {
				t.Errorf("notes are %q, want %q", got, tt.want)
			}
		})
	}
}
