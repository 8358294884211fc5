package resolve_test

import (
	"context"
	"crypto/x509"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"

	"golang.org/x/net/dns/dnsmessage"

	"chartd.dev/chartd/internal/ref"
	"chartd.dev/chartd/internal/registrytest"
	"chartd.dev/chartd/internal/resolve"
)

// redirect sends requests for a path to to, with the request's path added if
// to ends with a host.
func redirect(part, to string) registrytest.Fault {
	return registrytest.On(part, func(w http.ResponseWriter, r *http.Request, _ http.Handler) bool {
		w.Header().Set("Location", strings.ReplaceAll(to, "PATH", r.URL.Path))
		w.WriteHeader(http.StatusTemporaryRedirect)
		return true
	})
}

//
func TestRedirects(t *testing.T) {
	bystander := registrytest.New(t) // on loopback, allowed to nobody
	store := registrytest.New(t)     // allowed and insecure
	push(t, registrytest.Make("one"), store.Addr+"/jupyterhub/k8s-hub:1")
	for name, tc := range map[string]struct {
		to   string
		want error
		text string
	}{
		"metadata":      {"http://169.254.169.254/latest/meta-data/", resolve.ErrDenied, "plain HTTP"},
		"metadata tls":  {"https://169.254.169.254/latest/meta-data/", resolve.ErrDenied, "not at a public address"},
		"private":       {"https://10.0.0.7/x", resolve.ErrDenied, "not at a public address"},
		"loopback":      {"https://" + bystander.Addr + "PATH", resolve.ErrDenied, "not at a public address"},
		"loopback http": {"http://" + bystander.Addr + "PATH", resolve.ErrDenied, "plain HTTP"},
		"mapped":        {"https://[::ffff:127.0.0.1]/x", resolve.ErrDenied, "not at a public address"},
		"local name":    {"https://metadata.google.internal/x", resolve.ErrDenied, "not at a public address"},
		"file":          {"file:///etc/passwd", resolve.ErrDenied, `"file"`},
		"user":          {"http://u:p@" + store.Addr + "PATH", resolve.ErrDenied, "user name"},
		"loop":          {"PATH?again", resolve.ErrInvalid, "more than 5 times"},
		"no URL":        {"http://[::1", resolve.ErrInvalid, "no URL"},
		"allowed":       {"http://" + store.Addr + "PATH", nil, ""},
	} {
		for _, part := range []string{"/manifests/", "/blobs/"} {
			t.Run(name+strings.TrimSuffix(part, "s/"), func(t *testing.T) {
				r := registrytest.New(t)
				push(t, registrytest.Make("one"), r.Addr+"/jupyterhub/k8s-hub:1")
				r.Break(redirect(part, tc.to))
				before := len(r.Requests())
				c := client(t, resolve.Config{
					Mirrors:         map[string]string{"quay.io": r.Addr},
					AllowRegistries: []string{store.Addr}, InsecureRegistries: []string{store.Addr},
					DockerConfig: dockerConfig(t, map[string]string{r.Addr: "me:secret"}),
				})
				_, err := c.Resolve(t.Context(), reference(t, hub+":1"))
				if !errors.Is(err, tc.want) || err != nil && !strings.Contains(err.Error(), tc.text) {
					t.Errorf("got %v, want %v with %q", err, tc.want, tc.text)
				}
				if n := len(r.Requests()) - before; n > 10 {
					t.Errorf("%d requests", n)
				}
			})
		}
	}
	if n := len(bystander.Requests()); n > 0 {
		t.Errorf("%d requests reached a registry that is not allowed", n)
	}
	for _, q := range store.Requests() {
		if q.Header.Get("Authorization") != "" {
			t.Errorf("credentials went along with the redirect to %s", q.Path)
		}
	}
}

// dockerConfig is a directory with a config.json of HOST to USER:PASSWORD.
func dockerConfig(t *testing.T, auths map[string]string) string {
	t.Helper()
	var list []string
	for host, auth := range auths {
		list = append(list, fmt.Sprintf("%q:{\"auth\":%q}", host, base64.StdEncoding.EncodeToString([]byte(auth))))
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "config.json"), []byte(`{"auths":{`+strings.Join(list, ",")+`}}`), 0o600); err != nil {
		t.Fatal(err)
	}
	return dir
}

// basic demands USER:PASSWORD.
func basic(user, password string) registrytest.Fault {
	return func(w http.ResponseWriter, r *http.Request, _ http.Handler) bool {
		if u, p, ok := r.BasicAuth(); ok && u == user && p == password {
			return false
		}
		w.Header().Set("WWW-Authenticate", `Basic realm="test"`)
		w.WriteHeader(http.StatusUnauthorized)
		return true
	}
}

// A mirror is logged in to as itself, never as the registry it stands for.
func TestCredentials(t *testing.T) {
	r := registrytest.New(t)
	want := push(t, registrytest.Make("one"), r.Addr+"/jupyterhub/k8s-hub:1")
	r.Break(basic("mirror", "secret"))
	for name, tc := range map[string]struct {
		auths map[string]string
		want  error
	}{
		"own":       {map[string]string{r.Addr: "mirror:secret", "quay.io": "quay:canary"}, nil},
		"canonical": {map[string]string{"quay.io": "quay:canary", "https://index.docker.io/v1/": "hub:canary"}, resolve.ErrUnauthorized},
		"wrong":     {map[string]string{r.Addr: "mirror:other"}, resolve.ErrUnauthorized},
		"none":      {nil, resolve.ErrUnauthorized},
	} {
		c := client(t, resolve.Config{Mirrors: map[string]string{"quay.io": r.Addr}, DockerConfig: dockerConfig(t, tc.auths)})
		got, err := c.Resolve(t.Context(), reference(t, hub+":1"))
		if !errors.Is(err, tc.want) || err == nil && got.Image.Digest != want {
			t.Errorf("%s: got %s (%v), want %v", name, got.Image, err, tc.want)
		}
	}
	for _, q := range r.Requests() {
		raw, _ := base64.StdEncoding.DecodeString(strings.TrimPrefix(q.Header.Get("Authorization"), "Basic "))
		if strings.Contains(string(raw), "canary") {
			t.Errorf("%s carried the credentials of another registry: %s", q.Path, raw)
		}
	}
	t.Setenv("DOCKER_CONFIG", dockerConfig(t, map[string]string{r.Addr: "mirror:secret"}))
	t.Setenv("HOME", t.TempDir())
	c, err := resolve.New(resolve.Config{Mirrors: map[string]string{"quay.io": r.Addr}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Resolve(t.Context(), reference(t, hub+":1")); err != nil {
		t.Errorf("with DOCKER_CONFIG: %v", err)
	}
	broken := t.TempDir()
	if err := os.WriteFile(filepath.Join(broken, "config.json"), []byte("{"), 0o600); err != nil {
		t.Fatal(err)
	}
	c = client(t, resolve.Config{Mirrors: map[string]string{"quay.io": r.Addr}, DockerConfig: broken})
	if _, err := c.Resolve(t.Context(), reference(t, hub+":1")); !errors.Is(err, resolve.ErrUnauthorized) {
		t.Errorf("with a broken configuration: %v, want ErrUnauthorized", err)
	}
}

// bearer demands a token, and says where to get one.
func bearer(realm, token string) registrytest.Fault {
	return registrytest.On("/v2/", func(w http.ResponseWriter, r *http.Request, _ http.Handler) bool {
		if token != "" && r.Header.Get("Authorization") == "Bearer "+token {
			return false
		}
		w.Header().Set("WWW-Authenticate", fmt.Sprintf(`Bearer realm=%q,service="test"`, realm))
		w.WriteHeader(http.StatusUnauthorized)
		return true
	})
}

// first is the first of the faults that answers.
func first(faults ...registrytest.Fault) registrytest.Fault {
	return func(w http.ResponseWriter, r *http.Request, next http.Handler) bool {
		for _, f := range faults {
			if f(w, r, next) {
				return true
			}
		}
		return false
	}
}

// the token protocol with honest and hostile token services.
func TestTokens(t *testing.T) {
	thief := registrytest.New(t)
	for name, tc := range map[string]struct {
		realm string // HOST is the registry's own
		token registrytest.Fault
		want  error
		text  string
	}{
		"own":        {"http://HOST/token", registrytest.Body("application/json", `{"token":"good"}`), nil, ""},
		"access":     {"http://HOST/token", registrytest.Body("application/json", `{"access_token":"good"}`), nil, ""},
		"401 loop":   {"http://HOST/token", registrytest.Body("application/json", `{"token":"never good"}`), resolve.ErrUnauthorized, "401"},
		"refused":    {"http://HOST/token", registrytest.Status(401), resolve.ErrUnauthorized, "401"},
		"down":       {"http://HOST/token", registrytest.Status(503), resolve.ErrUnavailable, "503"},
		"huge":       {"http://HOST/token", registrytest.Huge(200, "application/json", 1<<30), resolve.ErrTooLarge, "65536"},
		"huge error": {"http://HOST/token", registrytest.Huge(403, "application/json", 1<<30), resolve.ErrUnauthorized, "403"},
		"page":       {"http://HOST/token", registrytest.HTML(), resolve.ErrInvalid, ""},
		"moved":      {"http://HOST/token", redirect("/token", "http://"+thief.Addr+"/token"), resolve.ErrDenied, "plain HTTP"},
		"other host": {"http://" + thief.Addr + "/token", registrytest.Status(500), resolve.ErrDenied, ""},
		"other tls":  {"https://" + thief.Addr + "/token", registrytest.Status(500), resolve.ErrDenied, ""},
		"metadata":   {"http://169.254.169.254/token", registrytest.Status(500), resolve.ErrDenied, ""},
		"local name": {"https://metadata.google.internal/token", registrytest.Status(500), resolve.ErrDenied, ""},
		"user":       {"http://u:p@HOST/token", registrytest.Status(500), resolve.ErrDenied, "user name"},
		"file":       {"file:///etc/passwd", registrytest.Status(500), resolve.ErrDenied, "realm"},
		"none":       {"", registrytest.Status(500), resolve.ErrDenied, "realm"},
	} {
		t.Run(name, func(t *testing.T) {
			r := registrytest.New(t)
			push(t, registrytest.Make("one"), r.Addr+"/jupyterhub/k8s-hub:1")
			before := len(r.Requests())
			r.Break(first(registrytest.On("/token", tc.token), bearer(strings.ReplaceAll(tc.realm, "HOST", r.Addr), "good")))
			c := client(t, resolve.Config{
				Mirrors: map[string]string{"quay.io": r.Addr}, DockerConfig: dockerConfig(t, map[string]string{r.Addr: "me:secret"}),
			})
			_, err := c.Resolve(t.Context(), reference(t, hub+":1"))
			if !errors.Is(err, tc.want) || err != nil && !strings.Contains(err.Error(), tc.text) {
				t.Errorf("got %v, want %v with %q", err, tc.want, tc.text)
			}
			requests := r.Requests()[before:]
			if len(requests) > 12 {
				t.Errorf("%d requests", len(requests))
			}
			for _, q := range requests {
				sent := q.Header.Get("Authorization")
				if q.Path == "/token" {
					if !strings.HasPrefix(sent, "Basic ") || !strings.Contains(q.Query, "scope=repository%3Ajupyterhub%2Fk8s-hub%3Apull") {
						t.Errorf("token request %q with %q", q.Query, sent)
					}
				} else if strings.HasPrefix(sent, "Basic ") {
					t.Errorf("%s got the password", q.Path)
				}
			}
		})
	}
	if n := len(thief.Requests()); n > 0 {
		t.Errorf("%d requests reached a token service that is not the registry's", n)
	}
}

// A host that we were redirected to cannot make us ask for a token of its
// choice.
func TestForeignChallenge(t *testing.T) {
	r, store := registrytest.New(t), registrytest.New(t)
	push(t, registrytest.Make("one"), r.Addr+"/jupyterhub/k8s-hub:1")
	store.Break(registrytest.Status(401, "WWW-Authenticate", `Bearer realm="http://`+r.Addr+`/token",scope="repository:crown/jewels:pull"`))
	r.Break(first(
		registrytest.On("/token", registrytest.Body("application/json", `{"token":"good"}`)),
		bearer("http://"+r.Addr+"/token", "good"),
		redirect("/blobs/", "http://"+store.Addr+"PATH"),
	))
	c := client(t, resolve.Config{
		Mirrors: map[string]string{"quay.io": r.Addr}, AllowRegistries: []string{store.Addr}, InsecureRegistries: []string{store.Addr},
	})
	if _, err := c.Resolve(t.Context(), reference(t, hub+":1")); !errors.Is(err, resolve.ErrUnauthorized) {
		t.Errorf("got %v, want ErrUnauthorized", err)
	}
	if len(store.Requests()) == 0 {
		t.Error("the redirect was not followed")
	}
	for _, q := range r.Requests() {
		if strings.Contains(q.Query, "jewels") {
			t.Errorf("a token was asked for with %s", q.Query)
		}
	}
}

// zone answers DNS queries from a list; each query for a name with several
// answers separated by "|" gets the next of them, as a rebinding name does.
func zone(t *testing.T, names map[string]string) *net.Resolver {
	t.Helper()
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	var turn atomic.Int64
	go func() {
		buf := make([]byte, 4096)
		for {
			n, from, err := conn.ReadFrom(buf)
			if err != nil {
				return
			}
			if answer := zoneAnswer(buf[:n], names, int(turn.Add(1))); answer != nil {
				_, _ = conn.WriteTo(answer, from)
			}
		}
	}()
	return &net.Resolver{PreferGo: true, Dial: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "udp", conn.LocalAddr().String())
	}}
}

func zoneAnswer(query []byte, names map[string]string, turn int) []byte {
	var m dnsmessage.Message
	if m.Unpack(query) != nil || len(m.Questions) != 1 {
		return nil
	}
	q := m.Questions[0]
	m.Response, m.Additionals = true, nil
	list, known := names[strings.TrimSuffix(q.Name.String(), ".")]
	if !known {
		m.RCode = dnsmessage.RCodeNameError
	}
	turns := strings.Split(list, "|")
	for _, a := range strings.Fields(turns[turn%len(turns)]) {
		ip := net.ParseIP(a)
		h := dnsmessage.ResourceHeader{Name: q.Name, Type: q.Type, Class: q.Class}
		if four := ip.To4(); four != nil && !strings.Contains(a, ":") && q.Type == dnsmessage.TypeA {
			m.Answers = append(m.Answers, dnsmessage.Resource{Header: h, Body: &dnsmessage.AResource{A: [4]byte(four)}})
		} else if strings.Contains(a, ":") && q.Type == dnsmessage.TypeAAAA {
			m.Answers = append(m.Answers, dnsmessage.Resource{Header: h, Body: &dnsmessage.AAAAResource{AAAA: [16]byte(ip.To16())}})
		}
	}
	out, _ := m.Pack()
	return out
}

// names and addresses that lead inside.
func TestAddresses(t *testing.T) {
	r := registrytest.New(t)
	push(t, registrytest.Make("one"), r.Addr+"/a/b:1")
	before := len(r.Requests())
	_, port, _ := net.SplitHostPort(r.Addr)
	names := zone(t, map[string]string{
		"loop.example": "127.0.0.1", "private.example": "10.1.2.3", "metadata.example": "169.254.169.254", "cgnat.example": "100.64.1.1",
		"mapped.example": "::ffff:127.0.0.1", "six.example": "::1 fd00::1 fe80::1", "any.example": "0.0.0.0 ::", "mixed.example": "192.0.2.1 127.0.0.1",
		"rebind.example": "127.0.0.1|10.0.0.1|169.254.169.254",
	})
	for _, host := range []string{
		"169.254.169.254", "127.0.0.1", "10.0.0.1:5000", "[::1]:443", "[::ffff:127.0.0.1]:443", "[fe80::1]:443", "0.0.0.0:80",
		"localhost", "registry.localhost:5000", "metadata.google.internal", "nas.local", "router.home.arpa",
		"loop.example", "private.example", "metadata.example", "cgnat.example", "mapped.example", "six.example", "any.example", "mixed.example",
		"rebind.example", "rebind.example",
	} {
		if !strings.Contains(host, ":") && strings.HasSuffix(host, ".example") {
			host += ":" + port
		}
		c := client(t, resolve.Config{Resolver: names, InsecureRegistries: []string{host}})
		_, err := c.Resolve(t.Context(), reference(t, host+"/a/b:1"))
		if !errors.Is(err, resolve.ErrDenied) || !strings.Contains(err.Error(), "--allow-registry") {
			t.Errorf("%s: %v, want ErrDenied", host, err)
		}
	}
	if n := len(r.Requests()) - before; n > 0 {
		t.Errorf("%d requests reached the registry on loopback", n)
	}
	for _, s := range []string{"127.1/a/b:1", "2130706433:5000/a/b:1", "0x7f.1/a/b:1", "[fe80::1%25eth0]/a/b:1", "user@127.0.0.1/a/b:1", "[::ffff:7f00:1]/a/b:1"} {
		if _, err := ref.ParseReference(s); !errors.Is(err, ref.ErrInvalid) {
			t.Errorf("%s is taken for an image reference (%v)", s, err)
		}
	}
	// Allowed by name, with and without port; a name in the zone of metadata
	// services stays out even so.
	for host, want := range map[string]error{
		"loop.example": nil, "loop.example:" + port: nil, "loop.example:1": resolve.ErrDenied, "other.example": resolve.ErrDenied,
	} {
		c := client(t, resolve.Config{Resolver: names, AllowRegistries: []string{host}, InsecureRegistries: []string{"loop.example"}})
		if _, err := c.Resolve(t.Context(), reference(t, "loop.example:"+port+"/a/b:1")); !errors.Is(err, want) {
			t.Errorf("allowing %s: %v, want %v", host, err, want)
		}
	}
	c := client(t, resolve.Config{Resolver: names, AllowRegistries: []string{"metadata.example"}})
	if _, err := c.Resolve(t.Context(), reference(t, "metadata.example/a/b:1")); !errors.Is(err, resolve.ErrDenied) {
		t.Errorf("a link-local address that is allowed by name: %v, want ErrDenied", err)
	}
}

// F-26: what is down is unavailable, and says so.
func TestDown(t *testing.T) {
	r := registrytest.New(t)
	r.Close()
	names := zone(t, nil)
	for name, tc := range map[string]struct {
		config resolve.Config
		image  string
		text   string
	}{
		"refused":  {resolve.Config{Mirrors: map[string]string{"quay.io": r.Addr}}, hub, "refused"},
		"NXDOMAIN": {resolve.Config{Resolver: names}, "gone.example/a/b", `"gone.example" cannot be looked up`},
	} {
		_, err := client(t, tc.config).Resolve(t.Context(), reference(t, tc.image+":1"))
		if !errors.Is(err, resolve.ErrUnavailable) || !strings.Contains(err.Error(), tc.text) {
			t.Errorf("%s: %v, want ErrUnavailable with %q", name, err, tc.text)
		}
	}
}

// HTTPS: the certificate counts, plain HTTP is never a way out of it.
func TestTLS(t *testing.T) {
	plain := registrytest.New(t)
	push(t, registrytest.Make("one"), plain.Addr+"/a/b:1")
	secure := httptest.NewUnstartedServer(plain)
	secure.Config.ErrorLog = log.New(io.Discard, "", 0)
	secure.StartTLS()
	defer secure.Close()
	addr := strings.TrimPrefix(secure.URL, "https://")
	roots := x509.NewCertPool()
	roots.AddCert(secure.Certificate())
	trusting := resolve.Config{AllowRegistries: []string{addr, plain.Addr}, RootCAs: roots}
	if _, err := client(t, trusting).Resolve(t.Context(), reference(t, addr+"/a/b:1")); err != nil {
		t.Errorf("with its certificate authority: %v", err)
	}
	_, err := client(t, resolve.Config{AllowRegistries: []string{addr}}).Resolve(t.Context(), reference(t, addr+"/a/b:1"))
	if !errors.Is(err, resolve.ErrUnavailable) || !strings.Contains(err.Error(), "certificate") {
		t.Errorf("without it: %v, want ErrUnavailable", err)
	}
	before := len(plain.Requests())
	_, err = client(t, trusting).Resolve(t.Context(), reference(t, plain.Addr+"/a/b:1"))
	if !errors.Is(err, resolve.ErrUnavailable) || len(plain.Requests()) > before {
		t.Errorf("plain HTTP that is not allowed: %v after %d requests, want ErrUnavailable", err, len(plain.Requests())-before)
	}
	// The same registry sends us from HTTPS to an insecure one, which is
	// allowed on its own.
	trusting.InsecureRegistries = []string{plain.Addr}
	for _, part := range []string{"/v2/a/b/manifests/", "/v2/a/b/blobs/"} {
		plain.Break(redirect(part, "http://"+plain.Addr+"PATH"))
		_, err = client(t, trusting).Resolve(t.Context(), reference(t, addr+"/a/b:1"))
		if !errors.Is(err, resolve.ErrDenied) || !strings.Contains(err.Error(), "from HTTPS") {
			t.Errorf("redirect from HTTPS to HTTP at %s: %v, want ErrDenied", part, err)
		}
	}
}
