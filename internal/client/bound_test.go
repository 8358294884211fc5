package client

import (
	"context"
	"net/http"
	"strings"
	"testing"
	"time"

	"chartd.dev/chartd/internal/api"
)

func TestReadBounded(t *testing.T) {
	if b, err := readBounded(strings.NewReader("1234"), 4); err != nil || len(b) != 4 {
		t.Errorf("exactly the bound: %q, %v", b, err)
	}
	_, err := readBounded(strings.NewReader("12345"), 4)
	if e, ok := err.(*api.Error); !ok || e.Code != api.CodeTooLarge {
		t.Errorf("one more: %v", err)
	}
}

func TestBackoffIsBounded(t *testing.T) {
	c := &Client{opts: Options{Backoff: 1 << 40}}
	for try := range 40 {
		if d := c.backoff(try); d <= 0 || d > maxWait {
			t.Fatalf("backoff of try %d is %v, want at most %v", try, d, maxWait)
		}
	}
}

func TestRetryAfterIsBounded(t *testing.T) {
	for _, c := range []struct {
		status int
		after  string
		want   time.Duration // negative: no more tries; 0: the usual backoff
	}{
		{429, "6", 6 * time.Second}, {429, "10", maxWait}, {429, "11", -1}, {429, "3600", -1},
		{429, "1000000000", -1}, {429, "99999999999999999999999", -1},
		{429, "", 0}, {429, "0", 0}, {429, "-1", 0}, {429, "soon", 0},
		{503, "5", 5 * time.Second}, {503, "3600", maxWait}, {503, "99999999999999999999999", maxWait}, {503, "", 0},
	} {
		resp := &http.Response{StatusCode: c.status, Header: http.Header{"Retry-After": {c.after}}}
		if got := retryAfter(resp, &api.Error{Code: codeOf(c.status)}); got != c.want {
			t.Errorf("%d with Retry-After %q: wait %v, want %v", c.status, c.after, got, c.want)
		}
	}
}

// Nobody's word but that of the server that saw the key counts for what an
// earlier try has done.
func TestRefused(t *testing.T) {
	for want, list := range map[bool][]api.Error{
		true: {{Status: 422, Code: api.CodeGate, Again: true}, {Status: 412, Code: api.CodeStale, Again: true}, {Status: 403, Code: api.CodeForbidden}, {Status: 429, Code: api.CodeRateLimited}},
		false: {{Status: 403, Code: api.CodeForbidden, Again: true}, {Status: 401, Code: api.CodeUnauthorized, Again: true}, {Status: 429, Again: true}, {Status: 408, Again: true},
			{Status: 404, Foreign: true}, {Status: 503, Code: api.CodeUnavailable}, {Code: api.CodeUnavailable}},
	} {
		for _, e := range list {
			if got := Refused(&e); got != want {
				t.Errorf("%+v: %v, want %v", e, got, want)
			}
		}
	}
	if Refused(context.Canceled) {
		t.Error("an interruption is no answer")
	}
}
