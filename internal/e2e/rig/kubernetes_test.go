package rig

import (
	"encoding/json"
	"testing"

	"chartd.dev/chartd/internal/testtools"
)

// What Helm is tested against is the API server of the pinned version.
func TestClusterIsThePinnedKubernetes(t *testing.T) {
	c, err := startCluster(t.Context(), testtools.Etcd(t), testtools.KubeAPIServer(t), t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	defer c.stop()
	body, err := c.Get(t.Context(), "/version")
	if err != nil {
		t.Fatal(err)
	}
	var got struct{ GitVersion string }
	if err := json.Unmarshal(body, &got); err != nil {
		t.Fatal(err)
	}
	if want, err := testtools.KubernetesVersion(); err != nil || got.GitVersion != want {
		t.Errorf("the API server says %q, want %q (%v)", got.GitVersion, want, err)
	}
	if body, err := c.Get(t.Context(), "/apis/apps/v1/namespaces/nowhere/deployments/none"); err == nil {
		t.Errorf("an object that nobody made: %s", body)
	}
}
