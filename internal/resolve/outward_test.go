package resolve_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"chartd.dev/chartd/internal/resolve"
)

func outward(t *testing.T, allow ...string) *resolve.Outward {
	t.Helper()
	o, err := resolve.NewOutward("allow-webhook", allow)
	if err != nil {
		t.Fatal(err)
	}
	return o
}

func TestOutwardChecksAddresses(t *testing.T) {
	plain, allowed := outward(t), outward(t, "10.1.2.3", "hooks.internal:8080", "169.254.169.254")
	for _, tt := range []struct {
		url            string
		plain, allowed bool
	}{
		{"https://example.edu/x", true, true},
		{"https://8.8.8.8/x", true, true},
		{"http://example.edu/x", false, false},
		{"https://10.1.2.3/x", false, true},
		{"http://10.1.2.3:9/x", false, true},
		{"https://10.1.2.4/x", false, false},
		{"https://127.0.0.1/x", false, false},
		{"https://[::1]:443/x", false, false},
		{"https://[::ffff:10.1.2.3]/x", false, false},
		{"https://hooks.internal:8080/x", false, true},
		{"https://hooks.internal/x", false, false},
		{"https://localhost/x", false, false},
		{"https://169.254.169.254/latest", false, false}, // not even by name
	} {
		u, err := url.Parse(tt.url)
		if err != nil {
			t.Fatal(err)
		}
		for o, want := range map[*resolve.Outward]bool{plain: tt.plain, allowed: tt.allowed} {
			err := o.Check(u)
			if (err == nil) != want || err != nil && !errors.Is(err, resolve.ErrAddress) {
				t.Errorf("%s: %v, want ok %v", tt.url, err, want)
			}
		}
	}
	if _, err := resolve.NewOutward("allow-webhook", []string{"not a host"}); err == nil {
		t.Error("an odd host is taken")
	}
}

// What a name resolves to is seen with the connection itself.
func TestOutwardConnectsWhereItMay(t *testing.T) {
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusNoContent) }))
	t.Cleanup(s.Close)
	u, err := url.Parse(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	get := func(o *resolve.Outward, host string) error {
		c := &http.Client{Transport: o}
		resp, err := c.Get("http://" + host + ":" + u.Port())
		if err == nil {
			resp.Body.Close()
		}
		return err
	}
	for _, host := range []string{"127.0.0.1", "localhost"} {
		err := get(outward(t), host)
		if !errors.Is(err, resolve.ErrAddress) || !strings.Contains(err.Error(), "--allow-webhook "+host) {
			t.Errorf("%s: %v", host, err)
		}
		if err := get(outward(t, host), host); err != nil {
			t.Errorf("%s, allowed: %v", host, err)
		}
	}
}
