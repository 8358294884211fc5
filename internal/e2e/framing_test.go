package e2e

import (
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"chartd.dev/chartd/internal/e2e/rig"
)

// A request that a proxy could read in another way is answered 400 by a real
// server, and what it hides is not.
func TestNoRequestHidesAnother(t *testing.T) {
	addr := strings.TrimPrefix(rig.New(t).Server.URL, "http://")
	const hidden = "GET /healthz HTTP/1.1\r\nHost: a\r\n\r\n"
	for name, raw := range map[string]string{
		"length and chunks": "GET /healthz HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
		"LF alone":          "GET /healthz HTTP/1.1\nHost: a\n\n",
		"a folded line":     "GET /healthz HTTP/1.1\r\nHost: a\r\nX: a\r\n b\r\n\r\n",
	} {
		c, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		c.SetDeadline(time.Now().Add(10 * time.Second))
		if _, err := io.WriteString(c, raw+hidden); err != nil {
			t.Fatal(err)
		}
		answers, err := io.ReadAll(c)
		c.Close()
		if got := string(answers); !strings.HasPrefix(got, "HTTP/1.1 400 ") || strings.Count(got, "HTTP/1.1 ") != 1 {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
}
