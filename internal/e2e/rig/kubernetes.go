package rig

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"chartd.dev/chartd/internal/testtools"
)

// Cluster is a Kubernetes API server with its etcd, on loopback. There is
// nothing else: objects are checked and kept, and no pod ever starts, so that
// Helm must not wait for one.
type Cluster struct {
	URL        string
	Kubeconfig string // path; its user may do everything

	token  string
	client *http.Client
	etcd   *daemon
	server *daemon
}

// kubernetesToken is the credential of the kubeconfig's user.
const kubernetesToken = "e2e-cluster-admin"

// Cluster starts a cluster that ends with the test.
func (b *Bench) Cluster() *Cluster {
	b.Helper()
	c, err := startCluster(b.Context(), testtools.Etcd(b), testtools.KubeAPIServer(b), b.TempDir())
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(c.stop)
	return c
}

func startCluster(ctx context.Context, etcd, apiserver, dir string) (*Cluster, error) {
	ports, err := freePorts(3)
	if err != nil {
		return nil, err
	}
	c := &Cluster{token: kubernetesToken, URL: fmt.Sprintf("https://127.0.0.1:%d", ports[0])}
	client, peer := fmt.Sprintf("http://127.0.0.1:%d", ports[1]), fmt.Sprintf("http://127.0.0.1:%d", ports[2])
	c.etcd, err = startDaemon(etcd, "--data-dir", filepath.Join(dir, "etcd"), "--unsafe-no-fsync",
		"--listen-client-urls", client, "--advertise-client-urls", client,
		"--listen-peer-urls", peer, "--initial-advertise-peer-urls", peer, "--initial-cluster", "default="+peer)
	if err != nil {
		return nil, err
	}
	if err = c.startServer(ctx, apiserver, dir, client, ports[0]); err != nil {
		c.stop()
		return nil, err
	}
	return c, nil
}

func (c *Cluster) startServer(ctx context.Context, binary, dir, etcd string, port int) error {
	key, tokens := filepath.Join(dir, "service-account.key"), filepath.Join(dir, "tokens.csv")
	if err := writeKey(key); err != nil {
		return err
	}
	if err := os.WriteFile(tokens, []byte(c.token+",admin,admin,system:masters\n"), 0o600); err != nil {
		return err
	}
	var err error
	c.server, err = startDaemon(binary, "--etcd-servers", etcd,
		"--bind-address", "127.0.0.1", "--advertise-address", "127.0.0.1", "--secure-port", fmt.Sprint(port),
		"--cert-dir", filepath.Join(dir, "certificates"), "--token-auth-file", tokens, "--authorization-mode", "RBAC",
		"--service-account-issuer", "https://kubernetes.default.svc",
		"--service-account-key-file", key, "--service-account-signing-key-file", key,
		"--service-cluster-ip-range", "10.0.0.0/24", "--endpoint-reconciler-type", "none",
		// Nobody here makes the service accounts that it would insist on.
		"--disable-admission-plugins", "ServiceAccount")
	if err != nil {
		return err
	}
	// It writes its own certificate before it listens.
	authority := filepath.Join(dir, "certificates", "apiserver.crt")
	if err := c.server.until(ctx, func() bool { return c.trust(authority) == nil && c.ready(ctx) }); err != nil {
		return fmt.Errorf("%w\netcd: %s", err, tail(c.etcd.log.String(), 2000))
	}
	c.Kubeconfig = filepath.Join(dir, "kubeconfig")
	return os.WriteFile(c.Kubeconfig, fmt.Appendf(nil, `apiVersion: v1
kind: Config
clusters:
- name: e2e
  cluster: {server: %q, certificate-authority: %q}
users:
- name: admin
  user: {token: %q}
contexts:
- name: e2e
  context: {cluster: e2e, user: admin}
current-context: e2e
`, c.URL, authority, c.token), 0o600)
}

func (c *Cluster) trust(authority string) error {
	text, err := os.ReadFile(authority)
	if err != nil {
		return err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(text) {
		return fmt.Errorf("%s holds no certificate yet", authority)
	}
	c.client = &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: pool}, DisableKeepAlives: true}}
	return nil
}

func (c *Cluster) ready(ctx context.Context) bool {
	_, err := c.Get(ctx, "/readyz")
	return err == nil
}

// Get reads a path of the API, such as /apis/apps/v1/namespaces/x/deployments.
func (c *Cluster) Get(ctx context.Context, path string) ([]byte, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, c.URL+path, nil)
	if err != nil {
		return nil, err
	}
	req.Header.Set("Authorization", "Bearer "+c.token)
	resp, err := c.client.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("GET %s: %s: %s", path, resp.Status, body)
	}
	return body, err
}

func (c *Cluster) stop() {
	for _, d := range []*daemon{c.server, c.etcd} {
		if d != nil {
			d.kill()
		}
	}
}

// daemon is a program that runs until it is killed; what it keeps is thrown
// away with the test.
type daemon struct {
	name string
	cmd  *exec.Cmd
	log  *logFile
	done chan struct{}
}

func startDaemon(binary string, args ...string) (*daemon, error) {
	d := &daemon{name: filepath.Base(binary), cmd: exec.Command(binary, args...), log: &logFile{}, done: make(chan struct{})}
	d.cmd.Stdout, d.cmd.Stderr = d.log, d.log
	d.cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := d.cmd.Start(); err != nil {
		return nil, err
	}
	go func() { d.cmd.Wait(); close(d.done) }()
	return d, nil
}

// until waits for the daemon to be ready.
func (d *daemon) until(ctx context.Context, ready func() bool) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	poll := time.NewTicker(50 * time.Millisecond)
	defer poll.Stop()
	for !ready() {
		select {
		case <-poll.C:
		case <-d.done:
			return fmt.Errorf("start %s: it ended: %s", d.name, tail(d.log.String(), 4000))
		case <-ctx.Done():
			return fmt.Errorf("start %s: %w: %s", d.name, ctx.Err(), tail(d.log.String(), 4000))
		}
	}
	return nil
}

func (d *daemon) kill() {
	d.cmd.Process.Kill()
	<-d.done
}

// freePorts are free now; neither program can be asked for a port of its own
// choice.
func freePorts(n int) ([]int, error) {
	var ports []int
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer l.Close()
		ports = append(ports, l.Addr().(*net.TCPAddr).Port)
	}
	return ports, nil
}

func writeKey(path string) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	der, err := x509.MarshalECPrivateKey(key)
	if err != nil {
		return err
	}
	return os.WriteFile(path, pem.EncodeToMemory(&pem.Block{Type: "EC PRIVATE KEY", Bytes: der}), 0o600)
}
