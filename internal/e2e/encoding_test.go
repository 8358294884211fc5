package e2e

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"net/http"
	"os/exec"
	"strings"
	"testing"

	"github.com/klauspost/compress/zstd"

	"chartd.dev/chartd/internal/e2e/rig"
)

// answer is a body as it came over the wire.
type answer struct {
	status         int
	etag, encoding string
	body           []byte
}

// ask reads without letting the transport decode anything.
func ask(t *testing.T, url string, header ...string) answer {
	t.Helper()
	req := must(http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil))
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	client := &http.Client{Transport: &http.Transport{DisableCompression: true, DisableKeepAlives: true}}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatalf("GET %s %v: %v", url, header, err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatalf("GET %s %v: %v", url, header, err)
	}
	return answer{resp.StatusCode, resp.Header.Get("ETag"), resp.Header.Get("Content-Encoding"), body}
}

// oneMember is a gzip stream of one member, which is all that some readers
// take.
func oneMember(body []byte) ([]byte, error) {
	in := bytes.NewReader(body)
	z, err := gzip.NewReader(in)
	if err != nil {
		return nil, err
	}
	z.Multistream(false)
	out, err := io.ReadAll(z)
	if err == nil && in.Len() > 0 {
		err = fmt.Errorf("%d bytes follow the first gzip member", in.Len())
	}
	return out, err
}

func unzstd(body []byte) ([]byte, error) {
	d, err := zstd.NewReader(nil)
	if err != nil {
		return nil, err
	}
	defer d.Close()
	return d.DecodeAll(body, nil)
}

// byZlib checks the checksum and the length at the end of the member, too, and
// that nothing follows.
const byZlib = `import gzip, sys, zlib
raw = sys.stdin.buffer.read()
z = zlib.decompressobj(31)
out = z.decompress(raw) + z.flush()
if not z.eof or z.unused_data:
    sys.exit("the stream has no end, or something after it")
if out != gzip.decompress(raw):
    sys.exit("gzip and zlib disagree")
sys.stdout.buffer.write(out)`

// filter runs a program on the bytes.
func filter(name string, args ...string) func([]byte) ([]byte, error) {
	return func(in []byte) ([]byte, error) {
		var out, msg bytes.Buffer
		cmd := exec.Command(name, args...)
		cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(in), &out, &msg
		if err := cmd.Run(); err != nil {
			return nil, fmt.Errorf("%s %v: %w: %s", name, args, err, &msg)
		}
		return out.Bytes(), nil
	}
}

// wantPlain decodes what was answered in every way there is.
func wantPlain(t *testing.T, what string, got answer, plain []byte, decoders map[string]func([]byte) ([]byte, error)) {
	t.Helper()
	for by, decode := range decoders {
		out, err := decode(got.body)
		if err != nil || !bytes.Equal(out, plain) {
			t.Errorf("%s in %q, decoded by %s: %v; %d bytes, plain they are %d", what, got.encoding, by, err, len(out), len(plain))
		}
	}
}

// A compressed index is joined from segments that were compressed apart. In
// every generation, whoever decompresses it has to get the plain bytes.
func TestCompressedIsThePlainOne(t *testing.T) {
	gunzip := map[string]func([]byte) ([]byte, error){
		"Go": oneMember, "Python's zlib": filter(rig.Program(t, "python3"), "-c", byZlib), "gzip": filter(rig.Program(t, "gzip"), "-dc"),
	}
	decoders := map[string]map[string]func([]byte) ([]byte, error){"gzip": gunzip, "zstd": {"Go": unzstd}}
	curl := rig.Program(t, "curl")
	b := rig.New(t)
	id, _ := publishHub(t, b, "1.0.0")
	env := newEnv(t, b, "data8/prod")
	pin(t, b, env, 0, id)
	proxies := newProxies(t, b.Server.URL)
	seen := map[string]bool{}
	compare := func(path string) {
		plain := ask(t, b.Server.URL+path)
		if plain.status != http.StatusOK || plain.encoding != "" || plain.etag == "" {
			t.Fatalf("GET %s, nothing asked for: status %d, encoding %q, entity tag %q", path, plain.status, plain.encoding, plain.etag)
		}
		seen[string(plain.body)] = true
		for encoding, by := range decoders {
			got := ask(t, b.Server.URL+path, "Accept-Encoding", encoding)
			if got.encoding != encoding && path == "/index.yaml" {
				t.Errorf("GET %s asking for %s came in %q", path, encoding, got.encoding)
			}
			if got.encoding != "" {
				wantPlain(t, fmt.Sprintf("GET %s of %d bytes", path, len(plain.body)), got, plain.body, by)
			}
		}
		for _, args := range [][]string{{"--compressed"}, {"--compressed", "-H", "Accept-Encoding: gzip"}, {}} {
			wantCurl(t, curl, b.Server.URL+path, plain.body, args...)
		}
		for _, p := range proxies {
			p.check(t, curl, path, plain, decoders)
		}
	}
	next := 0
	// Sizes below, at and above what one segment holds.
	generations := []int{0, 1, 1, 120, 1, 40, 100, 1, 1}
	for _, more := range generations {
		publishPlain(t, b.Server, next, more)
		next += more
		compare("/index.yaml")
	}
	compare("/environments/data8/prod/index.yaml")
	pin(t, b, env, 1, id)
	compare("/environments/data8/prod/index.yaml")
	if want := len(generations) + 2; len(seen) != want {
		t.Errorf("%d indexes were compared, want %d that differ", len(seen), want)
	}
}

func wantCurl(t *testing.T, curl, url string, plain []byte, args ...string) {
	t.Helper()
	out, err := filter(curl, append(args, "-fsS", url)...)(nil)
	if err != nil || !bytes.Equal(out, plain) {
		t.Errorf("curl %v %s: %v; %d bytes, plain they are %d", args, url, err, len(out), len(plain))
	}
}

// proxy is a way in which nginx stands before a server.
type proxy struct {
	name, directives string
	url              string
	plainTo, zipTo   string // encoding for who asks for none, and for gzip
	large            bool   // zipTo holds for the repository's index only: chartd packs no small one
	weak             bool   // nginx packs or unpacks itself where the encodings differ
}

func newProxies(t *testing.T, upstream string) []*proxy {
	t.Helper()
	all := []*proxy{
		{name: "passing on", directives: "gzip off;", zipTo: "gzip", large: true},
		{name: "passing on in HTTP/1.1", directives: `proxy_http_version 1.1; proxy_set_header Connection "";`, zipTo: "gzip", large: true},
		{name: "without buffers", directives: "gzip off; proxy_buffering off;", zipTo: "gzip", large: true},
		{name: "packing", directives: `gzip on; gzip_types *; gzip_proxied any; gzip_min_length 1; gzip_http_version 1.0; proxy_set_header Accept-Encoding "";`, zipTo: "gzip", weak: true},
		{name: "unpacking", directives: "gzip off; gunzip on; proxy_set_header Accept-Encoding gzip;", zipTo: "gzip", large: true, weak: true},
	}
	var directives []string
	for _, p := range all {
		directives = append(directives, p.directives)
	}
	for i, url := range rig.Proxy(t, upstream, directives...) {
		all[i].url = url
	}
	return all
}

// check reads a path through the proxy, as it is and compressed, and asks once
// more with the entity tag that it got.
func (p *proxy) check(t *testing.T, curl, path string, plain answer, decoders map[string]map[string]func([]byte) ([]byte, error)) {
	t.Helper()
	wantCurl(t, curl, p.url+path, plain.body, "--compressed")
	for _, accept := range []string{"", "gzip", "zstd"} {
		got := ask(t, p.url+path, "Accept-Encoding", accept)
		what := fmt.Sprintf("nginx %s: %s for who takes %q", p.name, path, accept)
		if got.status != http.StatusOK {
			t.Fatalf("%s: status %d: %s", what, got.status, got.body)
		}
		want := map[string]string{"": p.plainTo, "gzip": p.zipTo}[accept]
		if _, ok := decoders[got.encoding]; got.encoding != "" && (!ok || got.encoding != accept) {
			t.Errorf("%s came in %q", what, got.encoding)
		}
		if accept != "zstd" && got.encoding != want && !(p.large && path != "/index.yaml" && got.encoding == "") {
			t.Errorf("%s came in %q, want %q: this proxy tests nothing", what, got.encoding, want)
		}
		if got.encoding == "" && !bytes.Equal(got.body, plain.body) {
			t.Errorf("%s: %d other bytes than chartd's %d", what, len(got.body), len(plain.body))
		}
		wantPlain(t, what, got, plain.body, decoders[got.encoding])
		if got.etag == "" || strings.HasPrefix(got.etag, "W/") && !p.weak {
			t.Errorf("%s: entity tag %q, chartd's is %q", what, got.etag, plain.etag)
		}
		again := ask(t, p.url+path, "Accept-Encoding", accept, "If-None-Match", got.etag)
		if again.status != http.StatusNotModified {
			t.Errorf("%s: asked again with its entity tag %s: status %d", what, got.etag, again.status)
		}
	}
}
