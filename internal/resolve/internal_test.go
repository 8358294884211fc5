package resolve

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"testing"
)

// which addresses are the public Internet's.
func TestPublic(t *testing.T) {
	for s, want := range map[string]struct{ public, inside bool }{
		"8.8.8.8": {true, false}, "2606:4700::1111": {true, false}, "::ffff:8.8.8.8": {true, false},
		"64:ff9b::8.8.8.8": {true, false}, "2002:808:808::1": {true, false},
		"127.0.0.1": {false, true}, "127.8.9.10": {false, true}, "::1": {false, true}, "::ffff:127.0.0.1": {false, true},
		"10.1.2.3": {false, true}, "172.16.0.1": {false, true}, "172.31.255.255": {false, true}, "172.32.0.1": {true, false},
		"192.168.1.1": {false, true}, "::ffff:192.168.1.1": {false, true}, "100.64.0.1": {false, true}, "100.127.255.255": {false, true},
		"100.128.0.1": {true, false}, "fd00:ec2::254": {false, true}, "fc00::1": {false, true},
		"169.254.169.254": {false, false}, "::ffff:169.254.169.254": {false, false}, "fe80::1": {false, false}, "fe80::1%eth0": {false, false},
		"2606:4700::1%eth0": {false, false},
		"0.0.0.0":           {false, false}, "0.1.2.3": {false, false}, "::": {false, false}, "::127.0.0.1": {false, false},
		"224.0.0.1": {false, false}, "239.1.1.1": {false, false}, "255.255.255.255": {false, false}, "240.0.0.1": {false, false},
		"ff02::1": {false, false}, "192.0.0.192": {false, false}, "192.0.2.1": {false, false}, "198.18.0.1": {false, false},
		"198.51.100.7": {false, false}, "203.0.113.9": {false, false}, "192.88.99.1": {false, false},
		"64:ff9b::127.0.0.1": {false, false}, "64:ff9b::a9fe:a9fe": {false, false}, "64:ff9b:1::1": {false, false},
		"2002:7f00:1::1": {false, false}, "2002:a9fe:a9fe::": {false, false}, "2001::1": {false, false}, "2001:db8::1": {false, false},
		"3fff::1": {false, false}, "100::1": {false, false}, "fec0::1": {false, false}, "4000::1": {false, false},
	} {
		a := netip.MustParseAddr(s)
		if public(a) != want.public || inside(a) != want.inside {
			t.Errorf("%s: public %v, inside %v, want %v", s, public(a), inside(a), want)
		}
	}
}

// what one request may do, and whether it may carry credentials.
func TestPermit(t *testing.T) {
	c, err := New(Config{AllowRegistries: []string{"tokens.corp.example:8443"}, InsecureRegistries: []string{"plain.example:5000"}})
	if err != nil {
		t.Fatal(err)
	}
	hub, plain := &guard{target: "index.docker.io", client: c}, &guard{target: "plain.example:5000", plain: true, client: c}
	for _, tc := range []struct {
		guard  *guard
		method string
		url    string
		want   error
		keeps  bool
	}{
		{hub, "GET", "https://index.docker.io/v2/", nil, true},
		{hub, "GET", "https://INDEX.docker.io:443/v2/", nil, true},
		{hub, "GET", "https://auth.docker.io/token", nil, true},
		{hub, "POST", "https://auth.docker.io/token", nil, true},
		{hub, "GET", "https://docker.io/token", nil, true},
		{hub, "GET", "https://tokens.corp.example:8443/token", nil, true},
		{hub, "GET", "https://tokens.corp.example/token", nil, false},
		{hub, "GET", "https://evil.example/token", nil, false},
		{hub, "GET", "https://evildocker.io/token", nil, false},
		{hub, "GET", "https://docker.io.evil.example/token", nil, false},
		{hub, "POST", "https://evil.example/token", ErrDenied, false},
		{hub, "GET", "http://index.docker.io/v2/", errScheme, false},
		{hub, "GET", "http://auth.docker.io/token", ErrDenied, false},
		{hub, "GET", "http://plain.example:5000/token", nil, false},
		{hub, "POST", "http://plain.example:5000/token", ErrDenied, false},
		{hub, "GET", "https://user:pw@auth.docker.io/token", ErrDenied, false},
		{hub, "GET", "https://user@index.docker.io/v2/", ErrDenied, false},
		{hub, "GET", "file:///etc/passwd", ErrDenied, false},
		{hub, "GET", "gopher://index.docker.io/", ErrDenied, false},
		{plain, "GET", "http://plain.example:5000/v2/", nil, true},
		{plain, "GET", "https://plain.example:5000/v2/", nil, true},
		{plain, "GET", "http://plain.example:5001/token", ErrDenied, false},
		{plain, "GET", "https://plain.example/token", nil, true},
	} {
		u, err := url.Parse(tc.url)
		if err != nil {
			t.Fatal(err)
		}
		req := &http.Request{Method: tc.method, URL: u, Header: http.Header{"Authorization": {"Basic x"}}}
		err = tc.guard.permit(req)
		if !errors.Is(err, tc.want) || err == nil && (req.Header.Get("Authorization") != "") != tc.keeps {
			t.Errorf("%s %s for %s: %v, credentials %q; want %v, kept %v", tc.method, tc.url, tc.guard.target, err, req.Header.Get("Authorization"), tc.want, tc.keeps)
		}
	}
}

// Credentials stay behind at a redirect to another host, even one that might
// see them, and do not come back with the next redirect.
func TestRedirectedCredentials(t *testing.T) {
	at := func(s string) *http.Request {
		u, err := url.Parse(s)
		if err != nil {
			t.Fatal(err)
		}
		return &http.Request{Method: http.MethodGet, URL: u, Header: http.Header{"Authorization": {"Bearer x"}}}
	}
	for _, tc := range []struct {
		hops  []string
		keeps bool
	}{
		{[]string{"/v2/other", "https://index.docker.io:443/third"}, true},
		{[]string{"https://auth.docker.io/x"}, false},
		{[]string{"https://index.docker.io:8443/x"}, false},
		{[]string{"https://cdn.example/x", "https://index.docker.io/v2/"}, false},
	} {
		req := at("https://index.docker.io/v2/")
		for _, hop := range tc.hops {
			next, err := redirected(req, hop)
			if err != nil {
				t.Fatal(err)
			}
			req = next
		}
		if got := req.Header.Get("Authorization") != ""; got != tc.keeps {
			t.Errorf("%v: credentials kept: %v, want %v", tc.hops, got, tc.keeps)
		}
	}
	post := at("https://auth.docker.io/token")
	post.Method = http.MethodPost
	if _, err := redirected(post, "/elsewhere"); !errors.Is(err, ErrDenied) {
		t.Errorf("redirect of a POST: %v, want ErrDenied", err)
	}
}

func TestRelated(t *testing.T) {
	for _, tc := range []struct {
		target, host string
		want         bool
	}{
		{"quay.io", "quay.io", true}, {"quay.io", "auth.quay.io", true}, {"quay.io", "other.io", false}, {"quay.io", "io", false},
		{"registry.gitlab.com:443", "gitlab.com", true}, {"registry.gitlab.com", "evilgitlab.com", false},
		{"10.0.0.1:5000", "10.0.0.1", true}, {"10.0.0.1:5000", "10.0.0.2", false}, {"10.0.0.1:5000", "0.0.1", false},
		{"[::1]:5000", "::1", true}, {"[::1]:5000", "::2", false}, {"localhost:5000", "localhost", true},
	} {
		if got := related(tc.target, tc.host); got != tc.want {
			t.Errorf("related(%q, %q) = %v", tc.target, tc.host, got)
		}
	}
}

// A registry that is not allowed cannot reach an allowed one, by dialling nor
// by a connection that is there already.
func TestTransportsAreApart(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer server.Close()
	addr := strings.TrimPrefix(server.URL, "http://")
	// Proxies of the environment would resolve names where we cannot look.
	t.Setenv("HTTP_PROXY", server.URL)
	t.Setenv("HTTPS_PROXY", server.URL)
	c, err := New(Config{AllowRegistries: []string{addr}})
	if err != nil {
		t.Fatal(err)
	}
	try := func(rt http.RoundTripper, to string) error {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, to, nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := rt.RoundTrip(req)
		if err == nil {
			resp.Body.Close()
		}
		return err
	}
	if err := try(c.inside, server.URL); err != nil {
		t.Errorf("allowed: %v", err)
	}
	for _, to := range []string{server.URL, "http://10.1.2.3/", "http://169.254.169.254/", "http://[::1]:1/", "http://[::ffff:127.0.0.1]:1/", "http://0.0.0.0:1/"} {
		if err := try(c.open, to); !errors.Is(err, ErrDenied) {
			t.Errorf("%s without being allowed: %v, want ErrDenied", to, err)
		}
	}
}

func TestPlatformNames(t *testing.T) {
	for in, want := range map[platform]string{
		{"linux", "amd64", "", ""}: "linux/amd64", {"linux", "amd64", "v1", ""}: "linux/amd64", {"linux", "amd64", "v3", ""}: "linux/amd64/v3",
		{"linux", "arm64", "v8", ""}: "linux/arm64", {"linux", "arm64", "8", ""}: "linux/arm64", {"Linux", "AArch64", "", ""}: "linux/arm64",
		{"linux", "arm", "", ""}: "linux/arm/v7", {"linux", "arm", "6", ""}: "linux/arm/v6", {"linux", "armhf", "", ""}: "linux/arm/v7",
		{"linux", "x86_64", "", ""}: "linux/amd64", {"linux", "i386", "x", ""}: "linux/386", {"linux", "armel", "", ""}: "linux/arm/v6",
		{"windows", "amd64", "", "10.0.17763.1"}: "windows(10.0.17763.1)/amd64", {"linux", "ppc64le", "", "ignored"}: "linux/ppc64le",
		{"", "amd64", "", ""}: "", {"linux", "", "v8", ""}: "",
	} {
		if got := in.normal(); got != want {
			t.Errorf("%+v: %q, want %q", in, got, want)
		}
	}
}

// A label that differs between platforms is no label of the image.
func TestCommonLabels(t *testing.T) {
	got := common(map[string]string{"a": "1", "b": "2", "c": "3"}, map[string]string{"a": "1", "b": "x", "d": "4"})
	if len(got) != 1 || got["a"] != "1" {
		t.Errorf("got %v, want only a=1", got)
	}
}

func TestConfig(t *testing.T) {
	for name, tc := range map[string]struct {
		config Config
		want   string
	}{
		"allow":    {Config{AllowRegistries: []string{"http://x"}}, `"http://x"`},
		"empty":    {Config{AllowRegistries: []string{""}}, `""`},
		"path":     {Config{InsecureRegistries: []string{"a.b/c"}}, `"a.b/c"`},
		"port":     {Config{AllowRegistries: []string{"a.b:0"}}, `"a.b:0"`},
		"mirror":   {Config{Mirrors: map[string]string{"quay.io": "http://x"}}, `"quay.io=http://x"`},
		"twice":    {Config{Mirrors: map[string]string{"docker.io": "a.example", "index.docker.io": "b.example"}}, `"docker.io"`},
		"timeout":  {Config{Timeout: -1}, "-1ns"},
		"parallel": {Config{Parallel: -1}, "-1"},
	} {
		if _, err := New(tc.config); !errors.Is(err, ErrConfig) || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%s: %v, want ErrConfig with %s", name, err, tc.want)
		}
	}
	for s, want := range map[string][2]string{
		"quay.io=127.0.0.1:5000": {"quay.io", "127.0.0.1:5000"}, "QUAY.io=Mirror": {"quay.io", "mirror"},
		"index.docker.io=[::1]:5000": {"docker.io", "[::1]:5000"}, "localhost=localhost:5000": {"localhost", "localhost:5000"},
		"quay.io": {}, "=x": {}, "quay.io=": {}, "a=b=c": {}, "quay.io=a/b": {}, "quay.io=u@h": {}, "quay.io=127.1": {}, "a b=c": {},
	} {
		host, mirror, err := ParseMirror(s)
		if (err == nil) != (want[0] != "") || host != want[0] || mirror != want[1] {
			t.Errorf("%q: %q, %q, %v; want %q", s, host, mirror, err, want)
		}
	}
}

// Whatever a registry sends as a manifest or a configuration is refused with
// one of our sentinels or gives well-formed values.
func FuzzAnswers(f *testing.F) {
	digest := "sha256:" + strings.Repeat("1", 64)
	oci := "application/vnd.oci.image.manifest.v1+json"
	index := "application/vnd.oci.image.index.v1+json"
	f.Add([]byte(`{"schemaVersion":2,"config":{"mediaType":"application/vnd.oci.image.config.v1+json","digest":"`+digest+`","size":2},"layers":[{}]}`), oci, 1)
	f.Add([]byte(`{"schemaVersion":2,"manifests":[{"mediaType":"`+oci+`","digest":"`+digest+`","size":2,"platform":{"os":"linux","architecture":"arm64","variant":"v8"}}]}`), index, 0)
	f.Add([]byte(`{"os":"linux","architecture":"amd64","rootfs":{"type":"layers","diff_ids":["`+digest+`"]}}`), "", 1)
	f.Fuzz(func(t *testing.T, body []byte, header string, layers int) {
		m, err := parseManifest(body, header)
		if err == nil {
			if isIndex(m.MediaType) == isManifest(m.MediaType) || len(m.Layers) > 0 && len(m.Manifests) > 0 {
				t.Errorf("%q is taken for both an image and an index", body)
			}
			if entries, err := m.images(); isIndex(m.MediaType) && err == nil && (len(entries) == 0 || len(entries) > maxManifests) {
				t.Errorf("%d entries", len(entries))
			} else if err != nil && asFailure(err).kind == nil {
				t.Errorf("no sentinel in %v", err)
			}
		} else if !errors.Is(err, ErrInvalid) {
			t.Errorf("no ErrInvalid in %v", err)
		}
		c, ids, err := parseConfig(body, layers)
		if err != nil && !errors.Is(err, ErrInvalid) || err == nil && (len(ids) == 0 || len(ids) != layers) {
			t.Errorf("config: %v, %d diff IDs for %d layers", err, len(ids), layers)
		}
		if n := c.normal(); n != "" && !strings.Contains(n, "/") {
			t.Errorf("platform %q", n)
		}
	})
}
