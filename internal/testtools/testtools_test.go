package testtools

import (
	"os/exec"
	"strings"
	"testing"
)

// The end-to-end tests mean what they say only if these are the real things,
// at the versions that the tools modules pin.
func TestHelmIsThePinnedOne(t *testing.T) {
	for major, want := range map[int]string{3: "v3.22", 4: "v4.3"} {
		out, err := exec.Command(Helm(t, major), "version", "--short").CombinedOutput()
		if err != nil || !strings.HasPrefix(string(out), want) {
			t.Errorf("helm %d version: %v, %q; want %s", major, err, out, want)
		}
		if again := Helm(t, major); again != Helm(t, major) {
			t.Errorf("helm %d was built twice: %s", major, again)
		}
	}
}
