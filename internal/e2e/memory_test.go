package e2e

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"chartd.dev/chartd/internal/api"
	"chartd.dev/chartd/internal/e2e/rig"
	"chartd.dev/chartd/internal/testtools"
)

const (
	mostMemory  = 512 << 20 // of the server, whatever is done to it
	memoryAfter = 30 * time.Second
)

// A few hundred kilobytes unpack to 87 MiB; those who ask for them and do not
// read, and those whose bodies never end, share a budget. Who behaves is served
// meanwhile, and the memory comes back.
func TestMemoryIsBoundedByABudget(t *testing.T) {
	s := must(rig.Start(t.Context(), rig.ServerConfig{Binary: testtools.Chartd(t), Data: filepath.Join(t.TempDir(), "data"),
		Args: []string{"--log-level", "error", "--render", "off"}}))
	t.Cleanup(s.Kill)
	fresh := ownMemory(t, s)
	pkg := swollen(t)
	post(t, s, pkg)
	plain := request(s, "GET", "/api/charts/swollen/1.0.0/templates", "")
	if n := readAll(t, s, plain); n < 87<<20 {
		t.Fatalf("the templates are %d bytes as JSON: too few to show anything", n)
	}
	honest := *s
	honest.Token = must(must(s.Client()).CreateToken(t.Context(), api.TokenRequest{Name: "honest", Scopes: []string{"read"}})).Secret
	watch := watchMemory(t, s)

	bodies, idle := 1_000, 0
	if n, err := strconv.Atoi(os.Getenv("CHARTD_CONNECTIONS")); err == nil {
		bodies, idle = n/2, n/2
	}
	var conns []net.Conn
	for range 20 {
		conns = append(conns, sendAndStall(t, s, plain))
	}
	for range bodies {
		const length = 1 << 20
		head := request(s, "POST", "/api/v1/tokens", fmt.Sprintf("Content-Type: application/json\r\nContent-Length: %d\r\n", length))
		conns = append(conns, sendAndStall(t, s, head))
	}
	for range idle {
		conns = append(conns, sendAndStall(t, s, plain[:20]))
	}
	var sent sync.WaitGroup
	body := bytes.Repeat([]byte(" "), 1<<20-1)
	for _, c := range conns[20 : 20+bodies] {
		sent.Go(func() { // the server may well have refused it
			_ = c.SetWriteDeadline(time.Now().Add(8 * time.Second))
			_, _ = c.Write(body)
		})
	}
	slow := 0
	for range 100 {
		start := time.Now()
		readAll(t, s, request(&honest, "GET", "/index.yaml", ""))
		readAll(t, s, request(&honest, "POST", "/api/v1/environments/no/one/gate", "Content-Type: application/json\r\nContent-Length: 2\r\n")+"{}")
		if time.Since(start) > time.Second {
			slow++
		}
	}
	if slow > 2 {
		t.Errorf("%d of 100 pairs of plain requests took more than a second", slow)
	}
	sent.Wait()
	if most := watch(); most > mostMemory {
		t.Errorf("the server had %d MiB, want at most %d", most>>20, mostMemory>>20)
	} else {
		t.Logf("%d bytes of a package, %d bodies and %d idle connections: %d MiB", len(pkg), bodies, idle, most>>20)
	}
	for _, c := range conns {
		c.Close()
	}
	end := time.Now()
	for ownMemory(t, s) > fresh+64<<20 {
		if time.Since(end) > memoryAfter {
			t.Fatalf("%v later the server has %d MiB, began with %d", memoryAfter, ownMemory(t, s)>>20, fresh>>20)
		}
		time.Sleep(time.Second)
	}
	t.Logf("back to %d MiB after %v", ownMemory(t, s)>>20, time.Since(end).Round(time.Second))
}

// swollen is a package that unpacks to a hundred times its size.
func swollen(t *testing.T) []byte {
	t.Helper()
	var buf bytes.Buffer
	z := must(gzip.NewWriterLevel(&buf, gzip.BestCompression))
	w := tar.NewWriter(z)
	add := func(name string, data []byte) {
		must(0, w.WriteHeader(&tar.Header{Name: "swollen/" + name, Mode: 0o644, Size: int64(len(data)), Typeflag: tar.TypeReg}))
		must(w.Write(data))
	}
	add("Chart.yaml", []byte("apiVersion: v2\nname: swollen\nversion: 1.0.0\n"))
	line := bytes.Repeat([]byte("#"), 1<<10)
	for i := range 20 {
		var f bytes.Buffer
		for f.Len() < 4<<20+400<<10 {
			fmt.Fprintf(&f, "%s%04x\n", line, rand.Uint32N(1<<16))
		}
		add(fmt.Sprintf("templates/%d.yaml", i), f.Bytes())
	}
	must(0, w.Close())
	must(0, z.Close())
	return buf.Bytes()
}

func request(s *rig.Server, method, path, headers string) string {
	host, _ := strings.CutPrefix(s.URL, "http://")
	return fmt.Sprintf("%s %s HTTP/1.1\r\nHost: %s\r\nAuthorization: Bearer %s\r\n%s\r\n", method, path, host, s.Token, headers)
}

func post(t *testing.T, s *rig.Server, pkg []byte) {
	t.Helper()
	req := must(http.NewRequestWithContext(t.Context(), http.MethodPost, s.URL+"/api/charts", bytes.NewReader(pkg)))
	req.Header.Set("Authorization", "Bearer "+s.Token)
	resp := must(http.DefaultClient.Do(req))
	defer resp.Body.Close()
	if text := must(io.ReadAll(resp.Body)); resp.StatusCode != http.StatusCreated {
		t.Fatalf("publish %d bytes: %s %s", len(pkg), resp.Status, text)
	}
}

// sendAndStall sends text and reads nothing, with a small window.
func sendAndStall(t *testing.T, s *rig.Server, text string) net.Conn {
	t.Helper()
	d := net.Dialer{Control: func(_, _ string, c syscall.RawConn) (err error) {
		if e := c.Control(func(fd uintptr) { err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_RCVBUF, 4<<10) }); e != nil {
			return e
		}
		return err
	}}
	host, _ := strings.CutPrefix(s.URL, "http://")
	c := must(d.DialContext(t.Context(), "tcp", host))
	t.Cleanup(func() { c.Close() })
	must(io.WriteString(c, text))
	return c
}

// readAll sends a request on a connection of its own and reads its whole answer.
func readAll(t *testing.T, s *rig.Server, text string) int64 {
	t.Helper()
	host, _ := strings.CutPrefix(s.URL, "http://")
	c := must(net.Dial("tcp", host))
	defer c.Close()
	must(io.WriteString(c, strings.Replace(text, "\r\n", "\r\nConnection: close\r\n", 1)))
	return must(io.Copy(io.Discard, c))
}

// watchMemory looks at the server's memory until it is asked for the most.
func watchMemory(t *testing.T, s *rig.Server) (most func() int64) {
	t.Helper()
	stop, result := make(chan struct{}), make(chan int64)
	go func() {
		var top int64
		tick := time.NewTicker(50 * time.Millisecond)
		defer tick.Stop()
		for {
			top = max(top, ownMemory(t, s))
			select {
			case <-stop:
				result <- top
				return
			case <-tick.C:
			}
		}
	}()
	return func() int64 { close(stop); return <-result }
}
