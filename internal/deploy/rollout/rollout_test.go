package rollout

import (
	"os/exec"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"chartd.dev/chartd/internal/api"
	"chartd.dev/chartd/internal/ref"
)

// A command that ran out of time and does not heed SIGTERM is killed.
func TestACommandThatDoesNotStop(t *testing.T) {
	signal.Ignore(syscall.SIGTERM) // which the command inherits
	defer signal.Reset(syscall.SIGTERM)
	how, err := supervise(exec.Command("sleep", "600"), limits{run: time.Millisecond, end: time.Millisecond}, nil)
	if err != nil || how.Code != timedOut || how.passed() || !strings.Contains(how.Stopped, "time limit of 1ms") {
		t.Errorf("%+v, %v", how, err)
	}
}

func TestValuesOfAWrapper(t *testing.T) {
	values := "# data8/prod revision 1\nhub:\n    image:\n        tag: x\n"
	if got := string(under("", []byte(values))); got != values {
		t.Errorf("without a wrapper: %q", got)
	}
	want := "# data8/prod revision 1\n\"on\":\n    hub:\n        image:\n            tag: x\n"
	if got := string(under("on", []byte(values))); got != want {
		t.Errorf("under an alias: %q, want %q", got, want)
	}
}

func TestWhatACommandInherits(t *testing.T) {
	env, err := ref.ParseEnv("data8/prod")
	if err != nil {
		t.Fatal(err)
	}
	digest := ref.DigestOf([]byte("x"))
	repository, err := ref.ParseRepository("quay.io/jupyterhub/configurable-http-proxy")
	if err != nil {
		t.Fatal(err)
	}
	h := Handed{server: "https://charts.example.edu/base", Pin: api.Pin{Env: env, Revision: 7}, Package: "/tmp/p.tgz",
		Binding: api.Binding{Name: "jupyterhub", Version: "3.3.7", Images: []api.BoundImage{
			{Role: "proxy.chp", Image: ref.Image{Repository: repository, Digest: digest}, Tag: "4.6.1"},
			{Role: "main", Image: ref.Image{Repository: repository, Digest: digest}},
		}}}
	got := h.environ([]string{"PATH=/bin", "CHARTCTL_TOKEN=t", "CHARTCTL_SERVER=s", "CHARTCTL_REVISION=1", "CHARTCTL_IMAGE_OLD_DIGEST=x", "CHARTCTL_VALUES=stale"})
	for _, want := range []string{"PATH=/bin", "CHARTCTL_TOKEN=t", "CHARTCTL_SERVER=s", "CHARTCTL_REVISION=7", "CHARTCTL_PACKAGE=/tmp/p.tgz",
		"CHARTCTL_IMAGE_PROXY_CHP=" + repository.String() + ":4.6.1@" + digest.String(), "CHARTCTL_IMAGE_PROXY_CHP_DIGEST=" + digest.String(),
		"CHARTCTL_IMAGE_MAIN=" + repository.String() + "@" + digest.String(),
		"CHARTCTL_REVISION_REPOSITORY=https://charts.example.edu/base/environments/data8/prod/revisions/7"} {
		if !slices.Contains(got, want) {
			t.Errorf("%q is missing in %q", want, got)
		}
	}
	for _, v := range got {
		if name, _, _ := strings.Cut(v, "="); slices.Contains([]string{"CHARTCTL_IMAGE_OLD_DIGEST", "CHARTCTL_VALUES", "CHARTCTL_SEALED_URL"}, name) {
			t.Errorf("%q is of another pair", v)
		}
	}
}

// Roles that would share a name get none: a wrong image is worse than no image.
func TestRolesThatShareAVariable(t *testing.T) {
	image := ref.Image{Digest: ref.DigestOf([]byte("x"))}
	h := Handed{Binding: api.Binding{Images: []api.BoundImage{{Role: "a.b", Image: image}, {Role: "a-b", Image: image}, {Role: "c", Image: image}, {Role: "c.digest", Image: image}}}}
	for _, v := range h.environ(nil) {
		if strings.HasPrefix(v, "CHARTCTL_IMAGE_A_B") || strings.HasPrefix(v, "CHARTCTL_IMAGE_C_DIGEST=") {
			t.Errorf("%q is of one of two roles", v)
		}
	}
}
