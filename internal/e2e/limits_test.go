package e2e

import (
	"net/http"
	"testing"

	"chartd.dev/chartd/internal/e2e/rig"
	"chartd.dev/chartd/internal/testtools"
)

// What the limits of a real server look like to those who run into them. An
// hour is longer than any test, so the counts are exact.
func TestLimits(t *testing.T) {
	b := rig.New(t, "--limit-failed-auth=2/h", "--limit-publish=1/h")
	for _, want := range []struct {
		status int
		after  string
	}{{401, ""}, {401, ""}, {429, "1800"}, {429, "1800"}} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, b.Server.URL+"/index.yaml", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.SetBasicAuth("token", "wrong")
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if after := resp.Header.Get("Retry-After"); resp.StatusCode != want.status || (after == "") != (want.after == "") {
			t.Errorf("%d with Retry-After %q, want %d with %q", resp.StatusCode, after, want.status, want.after)
		}
	}
	// Half an hour is longer than chartctl waits.
	env := []string{"CHARTCTL_SERVER=" + b.Server.URL, "CHARTCTL_TOKEN=wrong", "HOME=" + t.TempDir(), "XDG_CONFIG_HOME="}
	r, err := rig.Run(t.Context(), t.TempDir(), env, testtools.Chartctl(t), "status")
	if err != nil || r.Code != 10 {
		t.Errorf("chartctl with a wrong token: %v, exit %d, want 10\n%s", err, r.Code, r.Text())
	}
	wants(t, "chartctl with a wrong token", r.Err, "--limit-failed-auth is 2/h", "127.0.0.1", "This one is wrong, too")
	b.Ctl(0, "status") // the right token, from the same address

	b.HubImage("1.0.0")
	dir := t.TempDir()
	chart, err := (rig.Hub{Version: "1.0.0"}).Write(b.Root, dir)
	if err != nil {
		t.Fatal(err)
	}
	b.Ctl(0, "publish", chart)
	wants(t, "a second publish", b.Ctl(10, "publish", chart).Err, "--limit-publish is 1/h", `token "admin"`, "try again in")
}
