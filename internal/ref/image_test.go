package ref_test

import (
	"errors"
	"strings"
	"testing"

	"chartd.dev/chartd/internal/ref"
)

const sum = "sha256:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"

func TestReference(t *testing.T) {
	for in, want := range map[string]string{
		"traefik":                         "docker.io/library/traefik",
		"traefik:v3":                      "docker.io/library/traefik:v3",
		"jupyterhub/k8s-hub:3.3.7":        "docker.io/jupyterhub/k8s-hub:3.3.7",
		"docker.io/traefik":               "docker.io/library/traefik",
		"index.docker.io/library/x":       "docker.io/library/x",
		"registry-1.docker.io/a/b":        "docker.io/a/b",
		"quay.io/jupyterhub/k8s-hub":      "quay.io/jupyterhub/k8s-hub",
		"localhost/x:1":                   "localhost/x:1",
		"localhost:5000/x":                "localhost:5000/x",
		"127.0.0.1:5000/a/b:t@" + sum:     "127.0.0.1:5000/a/b:t@" + sum,
		"[::1]:5000/a/b":                  "[::1]:5000/a/b",
		"[::1]/a":                         "[::1]/a",
		"a.io/x@" + sum:                   "a.io/x@" + sum,
		"a.io/x__y/z-w.v_u/a---b":         "a.io/x__y/z-w.v_u/a---b",
		"2130706433/x":                    "docker.io/2130706433/x", // a path, no address
		"xn--bcher-kva.example/x:_A.b-c9": "xn--bcher-kva.example/x:_A.b-c9",
	} {
		r, err := ref.ParseReference(in)
		if err != nil || r.String() != want {
			t.Errorf("ParseReference(%q) is %q, %v; want %q", in, r, err, want)
		}
	}
}

func TestReferenceRefused(t *testing.T) {
	long := strings.Repeat("a", 300)
	for _, in := range []string{
		"", ":", "@", "/", "a.io/", "/x", "a.io//x", "a.io/x/", "a.io/./x", "a.io/../x", "a.io/x y", "a.io/x\n", "a.io/x\x00",
		"A.io/x", "a.io/X", "Quay.io/x", "a.io/x:", "a.io/x:-t", "a.io/x:.t", "a.io/x:" + long, "a.io/" + long, long + ".io/x",
		"a.io/x___y", "a.io/x_-y", "a.io/x-_y", "a.io/x..y", "a.io/x.-y", "a.io/-x", "a.io/x-", "a.io/é",
		"a.io/x:t:u", "a.io/x@" + sum + "@" + sum, "user@a.io/x", "user:password@a.io/x", "https://a.io/x", "http:/x",
		// digests
		"a.io/x@", "a.io/x@sha1:da39a3ee5e6b4b0d3255bfef95601890afd80709", "a.io/x@" + sum[:70], "a.io/x@" + sum + "0",
		"a.io/x@" + strings.ToUpper(sum), "a.io/x@sha256:" + strings.ToUpper(sum[7:]), "a.io/x@sha256:" + strings.Repeat("0", 64),
		"a.io/x@sha512:" + strings.Repeat("ab", 64), "a.io/x@" + sum + " ",
		// hosts
		"a.io:0/x", "a.io:/x", "a.io:65536/x", "a.io:+80/x", "a.io:080/x", "a.io:80a/x", "a..io/x", ".io/x", "a.io./x", "-a.io/x", "a-.io/x",
		"a_b.io/x", "bücher.example/x", "127.1/x", "2130706433:80/x", "0x7f000001:80/x", "0x7f.1/x", "017700000001:80/x", "127.0.0.01/x",
		"256.0.0.1/x", "1.2.3.4.5/x", "[::1/x", "[]/x", "[::1]x/x", "[::1]:/x", "[127.0.0.1]/x", "[fe80::1%25eth0]/x", "[fe80::1%eth0]/x",
		"[0:0:0:0:0:0:0:1]/x", "[FE80::1]/x", "::1/x",
	} {
		if r, err := ref.ParseReference(in); !errors.Is(err, ref.ErrInvalid) {
			t.Errorf("ParseReference(%q) is %q, %v", in, r, err)
		} else if len(err.Error()) > 400 {
			t.Errorf("ParseReference(%.20q…) fails with %d bytes", in, len(err.Error()))
		}
	}
}

func TestRepositoryAndImage(t *testing.T) {
	for _, in := range []string{"a.io/x:t", "a.io/x@" + sum, "a.io/x:t@" + sum, ""} {
		if r, err := ref.ParseRepository(in); !errors.Is(err, ref.ErrInvalid) {
			t.Errorf("ParseRepository(%q) is %q, %v", in, r, err)
		}
	}
	for _, in := range []string{"a.io/x", "a.io/x:t", "a.io/x:t@" + sum, ""} {
		if i, err := ref.ParseImage(in); !errors.Is(err, ref.ErrInvalid) {
			t.Errorf("ParseImage(%q) is %q, %v", in, i, err)
		}
	}
	i, err := ref.ParseImage("x@" + sum)
	if err != nil || i.String() != "docker.io/library/x@"+sum || i.Repository.Host() != "docker.io" || i.Repository.Path() != "library/x" {
		t.Errorf("ParseImage is %q, %v", i, err)
	}
}

func TestRegistryAddressesThatTheDialerRefuses(t *testing.T) {
	// Well formed: whether they may be asked is the dialer's to say.
	for _, in := range []string{"169.254.169.254/x", "metadata.google.internal/x", "[::ffff:127.0.0.1]/x"} {
		if r, err := ref.ParseReference(in); err != nil || r.String() != in {
			t.Errorf("ParseReference(%q) is %q, %v", in, r, err)
		}
	}
}

func FuzzParseReference(f *testing.F) {
	for _, s := range []string{"traefik", "docker.io/traefik:v3", "[::1]:5000/a/b@" + sum, "a.io:5000/x__y/z:t@" + sum, "127.1/x", "a.io/x___y"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		r, err := ref.ParseReference(s)
		if err != nil {
			return
		}
		again, err := ref.ParseReference(r.String())
		if err != nil || again != r {
			t.Fatalf("%q is %q, and that is %q, %v", s, r, again, err)
		}
		if repo, err := ref.ParseRepository(r.Repository.String()); err != nil || repo != r.Repository {
			t.Fatalf("%q has the repository %q, and that is %q, %v", s, r.Repository, repo, err)
		}
	})
}
