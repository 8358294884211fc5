package move

import (
	"strings"
	"testing"

	"chartd.dev/chartd/internal/api"
	"chartd.dev/chartd/internal/ref"
)

func TestSealNotes(t *testing.T) {
	b := hubBinding(t, "1.0.0", "1.0.0", "a")
	v := api.GateVerdict{}
	if err := v.Env.UnmarshalText([]byte("data8/prod")); err != nil {
		t.Fatal(err)
	}
	for name, c := range map[string]struct {
		sealed bool
		b      func(b *api.Binding)
		want   string
	}{
		"sealed":      {true, func(*api.Binding) {}, ""},
		"no images":   {false, func(b *api.Binding) { b.Images = nil }, ""},
		"no seal":     {false, func(b *api.Binding) { b.Unsealed = "a label changes" }, "note: jupyterhub@1.0.0 cannot be sealed (a label changes): the environment repository of data8/prod will be empty; use the revision's own, revisions/N, with its values.yaml"},
		"not proven":  {true, func(b *api.Binding) { b.Seal = &api.Seal{Unproven: "not rendered"} }, "note: the sealed package of jupyterhub@1.0.0 is not proven by rendering: not rendered"},
		"not guarded": {true, func(b *api.Binding) { b.Seal = &api.Seal{Unguarded: "it fails"} }, "note: the sealed package of jupyterhub@1.0.0 carries no guard, so values can override its images: it fails"},
	} {
		pair := b
		if c.sealed {
			pair.Sealed = ref.DigestOf(nil)
		}
		c.b(&pair)
		v.Pair = &pair
		if got := strings.Join(SealNotes(v), "\n"); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}
