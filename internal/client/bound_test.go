package client

import (
	"strings"
	"testing"

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

func TestRetryAfterIsBounded(t *testing.T) {
	c := &Client{opts: Options{Backoff: 1 << 40}}
	for try := range 40 {
		if d := c.backoff(try); d <= 0 || d > maxWait {
			t.Fatalf("backoff of try %d is %v, want at most %v", try, d, maxWait)
		}
	}
}
