package testtools

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// KubeAPIServer returns the path of the real Kubernetes API server. It takes
// minutes to build, so unlike Helm it is never built in the middle of a test.
func KubeAPIServer(t testing.TB) string {
	t.Helper()
	_, path, err := kubeAPIServer()
	if err == nil {
		_, err = os.Stat(path)
	}
	if err != nil {
		t.Fatalf("kube-apiserver is not built: run make tools, once (%v)", err)
	}
	return path
}

// Etcd returns the path of etcd, without which an API server keeps nothing.
func Etcd(t testing.TB) string {
	t.Helper()
	path, err := exec.LookPath("etcd")
	if err != nil {
		t.Fatal("etcd is missing: run sh internal/tools/install.sh etcd (as root), or make tools")
	}
	return path
}

// BuildKubeAPIServer builds kube-apiserver from its pinned module, or finds it
// built already.
func BuildKubeAPIServer(ctx context.Context) (string, error) {
	t, _, err := kubeAPIServer()
	if err != nil {
		return "", err
	}
	return t.build(ctx)
}

// kubeAPIServer stamps the module's version, which its own build takes from git.
func kubeAPIServer() (tool, string, error) {
	version, err := KubernetesVersion()
	if err != nil {
		return tool{}, "", err
	}
	flags := "-s -w -X k8s.io/component-base/version.gitVersion=" + version +
		" -X k8s.io/component-base/version.gitTreeState=clean"
	t := tool{name: "kubeapiserver", pkg: "k8s.io/kubernetes/cmd/kube-apiserver", ldflags: flags}
	_, path, err := t.place()
	return t, path, err
}

// KubernetesVersion is the version of the pinned API server, such as v1.37.2.
func KubernetesVersion() (string, error) {
	root, err := Root()
	if err != nil {
		return "", err
	}
	mod := filepath.Join(root, "internal", "tools", "kubeapiserver", "go.mod")
	data, err := os.ReadFile(mod)
	if err != nil {
		return "", fmt.Errorf("find the pinned kube-apiserver: %w", err)
	}
	for line := range strings.Lines(string(data)) {
		if f := strings.Fields(line); len(f) > 1 && f[0] == "k8s.io/kubernetes" {
			return f[1], nil
		}
	}
	return "", fmt.Errorf("%s requires no k8s.io/kubernetes", mod)
}
