package rig

import (
	"context"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Proxy runs nginx in front of a server, once for each set of directives, and
// returns their URLs. It ends with the test.
func Proxy(t testing.TB, upstream string, directives ...string) (urls []string) {
	t.Helper()
	urls, err := startProxy(t, Program(t, "nginx"), upstream, directives)
	if err != nil {
		t.Fatal(err)
	}
	return urls
}

func startProxy(t testing.TB, nginx, upstream string, directives []string) (urls []string, err error) {
	dir := t.TempDir()
	ports, err := freePorts(len(directives))
	if err != nil {
		return nil, err
	}
	// Every directory that nginx would make elsewhere, for one that is not root.
	var conf strings.Builder
	fmt.Fprintf(&conf, "daemon off; master_process off; pid nginx.pid; error_log stderr;\nevents {}\nhttp {\n  access_log off;\n")
	for _, kind := range []string{"client_body", "proxy", "fastcgi", "uwsgi", "scgi"} {
		fmt.Fprintf(&conf, "  %s_temp_path %s;\n", kind, kind)
	}
	for i, d := range directives {
		urls = append(urls, fmt.Sprintf("http://127.0.0.1:%d", ports[i]))
		fmt.Fprintf(&conf, "  server { listen 127.0.0.1:%d; %s location / { proxy_pass %s; } }\n", ports[i], d, upstream)
	}
	conf.WriteString("}\n")
	file := filepath.Join(dir, "nginx.conf")
	if err := os.WriteFile(file, []byte(conf.String()), 0o600); err != nil {
		return nil, err
	}
	d, err := startDaemon(nginx, "-p", dir, "-e", "stderr", "-c", file)
	if err != nil {
		return nil, err
	}
	t.Cleanup(d.kill)
	return urls, d.until(context.WithoutCancel(t.Context()), func() bool {
		for _, url := range urls {
			c, err := net.Dial("tcp", strings.TrimPrefix(url, "http://"))
			if err != nil {
				return false
			}
			c.Close()
		}
		return true
	})
}
