package registrytest_test

import (
	"bufio"
	"bytes"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"chartd.dev/chartd/internal/registrytest"
)

func TestImagesAreDeterministic(t *testing.T) {
	base := registrytest.Make("base", "a")
	for name, image := range map[string]registrytest.Image{
		"plain":  base,
		"built":  registrytest.From(base, "mine"),
		"docker": {Seed: "x", Docker: true},
		"multi":  {Seed: "x", Platforms: []string{"linux/amd64", "linux/arm64"}, Attest: true},
	} {
		one, err := image.Digest()
		if err != nil {
			t.Fatal(name, err)
		}
		two, err := image.Digest()
		if err != nil || one != two {
			t.Errorf("%s: %s, then %s (%v)", name, one, two, err)
		}
	}
	// A golden digest: other rooms' golden files hold such digests.
	const want = "sha256:9b37611fc0d6b28c035591898cbaffad5a41092851e19e68280f3b494ee439c4"
	if got, _ := base.Digest(); got.String() != want {
		t.Errorf("digest of the base image: %s, want %s", got, want)
	}
	under, _ := base.DiffIDs("")
	over, _ := registrytest.From(base, "mine").DiffIDs("")
	if len(under) != 2 || len(over) != 3 || !slices.Equal(over[:2], under) {
		t.Errorf("layers of the base %v are not the first of %v", under, over)
	}
}

func TestDistribution(t *testing.T) {
	s := registrytest.Distribution(t)
	for name, image := range map[string]registrytest.Image{
		"oci":        registrytest.Make("one", "b"),
		"docker":     {Seed: "one", Docker: true, Labels: map[string]string{"a": "b"}},
		"multi":      {Seed: "one", Platforms: []string{"linux/amd64", "linux/arm64/v8"}, Attest: true},
		"dockerlist": {Seed: "one", Platforms: []string{"linux/amd64", "linux/arm/v7"}, Docker: true},
	} {
		to := s.Addr + "/team/" + name + ":1"
		digest, err := image.Push(t.Context(), to)
		if err != nil {
			t.Fatal(err)
		}
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+s.Addr+"/v2/team/"+name+"/manifests/"+digest.String(), nil)
		if err != nil {
			t.Fatal(err)
		}
		for _, kind := range []string{"oci.image.manifest.v1", "oci.image.index.v1", "docker.distribution.manifest.v2", "docker.distribution.manifest.list.v2"} {
			req.Header.Add("Accept", "application/vnd."+kind+"+json")
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != 200 {
			t.Errorf("%s@%s: status %d", to, digest, resp.StatusCode)
		}
		pulled, err := registrytest.Pull(t.Context(), to)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := registrytest.From(pulled, "on top").Push(t.Context(), s.Addr+"/mine/"+name+":2"); err != nil {
			t.Errorf("build on %s: %v", to, err)
		}
	}
	if err := s.Stop(); err != nil {
		t.Fatal(err)
	}
	if resp, err := http.Get("http://" + s.Addr + "/v2/"); err == nil {
		resp.Body.Close()
		t.Error("the registry still answers after Stop")
	}
}

func TestPushImageCommand(t *testing.T) {
	r := registrytest.New(t)
	push := func(args ...string) string {
		t.Helper()
		var stderr bytes.Buffer
		cmd := exec.Command("go", append([]string{"run", "./cmd/pushimage", "--registry", r.Addr}, args...)...)
		cmd.Stderr = &stderr
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("pushimage %q: %v\n%s", args, err, stderr.String())
		}
		return strings.TrimSpace(string(out))
	}
	got := push("--repo", "jupyterhub/k8s-hub", "--tag", "4.2.0", "--seed", "hub")
	if want, _ := registrytest.Make("hub").Digest(); got != want.String() {
		t.Errorf("pushimage printed %q, want %q", got, want)
	}
	push("--repo", "mine/hub", "--tag", "1", "--base", r.Addr+"/jupyterhub/k8s-hub:4.2.0", "--label", "a=b")
	pulled, err := registrytest.Pull(t.Context(), r.Addr+"/mine/hub:1")
	if err != nil {
		t.Fatal(err)
	}
	over, err := pulled.DiffIDs("")
	under, _ := registrytest.Make("hub").DiffIDs("")
	if err != nil || len(over) != 2 || over[0] != under[0] {
		t.Errorf("layers %v are not built on %v (%v)", over, under, err)
	}
}

// A test program that is killed leaves no registry behind.
func TestDistributionEndsWithItsParent(t *testing.T) {
	if runtime.GOOS != "linux" {
		t.Skip("only Linux tells a process of its parent's end")
	}
	if os.Getenv("REGISTRYTEST_PARENT") != "" {
		s, err := registrytest.Start(t.Context(), os.Getenv("REGISTRYTEST_PARENT"))
		if err != nil {
			t.Fatal(err)
		}
		fmt.Println("ready", s.Addr)
		select {} // until it is killed
	}
	if _, err := exec.LookPath(registrytest.Program); err != nil && os.Getenv("CI") == "" {
		t.Skipf("%s is not installed", registrytest.Program)
	}
	parent := exec.Command(os.Args[0], "-test.run=^TestDistributionEndsWithItsParent$")
	parent.Env = append(os.Environ(), "REGISTRYTEST_PARENT="+t.TempDir())
	out, err := parent.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := parent.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	_ = parent.Process.Kill()
	_ = parent.Wait()
	addr, ok := strings.CutPrefix(strings.TrimSpace(line), "ready ")
	if err != nil || !ok {
		t.Fatalf("the parent said %q (%v)", line, err)
	}
	for end := time.Now().Add(10 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		c, err := net.Dial("tcp", addr)
		if err != nil {
			return
		}
		c.Close()
		if time.Now().After(end) {
			t.Fatal("the registry outlives its parent")
		}
	}
}
