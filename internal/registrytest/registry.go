// Package registrytest is what tests and the demo need of container
// registries: one in this process that can be made to misbehave, Debian's
// real one as a process of its own, and small images with known digests.
package registrytest

import (
	"bytes"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-containerregistry/pkg/registry"
)

// Registry is a registry in this process, on a free loopback port.
type Registry struct {
	Addr string // HOST:PORT

	server  *http.Server
	handler http.Handler

	mu       sync.Mutex
	fault    Fault
	requests []Request
}

// Request is one that arrived, whatever became of it.
type Request struct {
	Method, Path, Query string
	Header              http.Header
}

// Listen starts a registry; Close ends it.
func Listen() (*Registry, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	silent := log.New(io.Discard, "", 0)
	r := &Registry{Addr: hostOf(l), handler: registry.New(registry.Logger(silent))}
	r.server = &http.Server{Handler: r, ErrorLog: silent}
	go func() { _ = r.server.Serve(l) }()
	return r, nil
}

// New starts a registry for one test.
func New(t testing.TB) *Registry {
	t.Helper()
	r, err := Listen()
	if err != nil {
		t.Fatalf("start the registry: %v", err)
	}
	t.Cleanup(r.Close)
	return r
}

// Close ends the registry and its connections.
func (r *Registry) Close() { _ = r.server.Close() }

// Break makes every request go through f from now on; nil heals it.
func (r *Registry) Break(f Fault) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.fault = f
}

// Requests returns what arrived so far, oldest first.
func (r *Registry) Requests() []Request {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.requests)
}

// ServeHTTP implements http.Handler.
func (r *Registry) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	r.mu.Lock()
	fault := r.fault
	r.requests = append(r.requests, Request{req.Method, req.URL.Path, req.URL.RawQuery, req.Header.Clone()})
	r.mu.Unlock()
	if fault != nil && fault(w, req, r.handler) {
		return
	}
	r.handler.ServeHTTP(w, req)
}

// Fault answers a request in the registry's place; false passes it on.
type Fault func(w http.ResponseWriter, r *http.Request, next http.Handler) bool

// On restricts a fault to paths that contain part.
func On(part string, f Fault) Fault {
	return func(w http.ResponseWriter, r *http.Request, next http.Handler) bool {
		return strings.Contains(r.URL.Path, part) && f(w, r, next)
	}
}

// Times lets a fault happen n times, then heals.
func Times(n int, f Fault) Fault {
	var mu sync.Mutex
	return func(w http.ResponseWriter, r *http.Request, next http.Handler) bool {
		mu.Lock()
		n--
		over := n < 0
		mu.Unlock()
		return !over && f(w, r, next)
	}
}

// Status answers with a status and a text.
func Status(code int, header ...string) Fault {
	return func(w http.ResponseWriter, _ *http.Request, _ http.Handler) bool {
		for i := 0; i+1 < len(header); i += 2 {
			w.Header().Set(header[i], header[i+1])
		}
		w.WriteHeader(code)
		fmt.Fprintf(w, "status %d", code)
		return true
	}
}

// Body answers 200 with a body of a type.
func Body(contentType, body string) Fault {
	return func(w http.ResponseWriter, _ *http.Request, _ http.Handler) bool {
		w.Header().Set("Content-Type", contentType)
		_, _ = io.WriteString(w, body)
		return true
	}
}

// HTML answers 200 with a login page.
func HTML() Fault {
	return Body("text/html; charset=utf-8", "<!doctype html><title>Log in</title>")
}

// Reset breaks the connection without an answer.
func Reset() Fault {
	return func(w http.ResponseWriter, _ *http.Request, _ http.Handler) bool {
		if c, _, err := http.NewResponseController(w).Hijack(); err == nil {
			if tcp, ok := c.(*net.TCPConn); ok {
				_ = tcp.SetLinger(0)
			}
			_ = c.Close()
		}
		return true
	}
}

// Hang answers nothing until the client goes away.
func Hang() Fault {
	return func(_ http.ResponseWriter, r *http.Request, _ http.Handler) bool {
		<-r.Context().Done()
		return true
	}
}

// Trickle sends a header and one byte, then nothing until the client goes away.
func Trickle() Fault {
	return func(w http.ResponseWriter, r *http.Request, _ http.Handler) bool {
		w.Header().Set("Content-Type", "application/vnd.oci.image.manifest.v1+json")
		_, _ = io.WriteString(w, "{")
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
		return true
	}
}

// Huge sends n spaces with a status, in chunks, and stops when nobody reads.
func Huge(code int, contentType string, n int64) Fault {
	return func(w http.ResponseWriter, _ *http.Request, _ http.Handler) bool {
		w.Header().Set("Content-Type", contentType)
		w.WriteHeader(code)
		chunk := bytes.Repeat([]byte(" "), 64<<10)
		for ; n > 0; n -= int64(len(chunk)) {
			if _, err := w.Write(chunk[:min(n, int64(len(chunk)))]); err != nil {
				break
			}
		}
		return true
	}
}

// Alter lets the registry answer and changes the answer.
func Alter(change func(header http.Header, body []byte) []byte) Fault {
	return func(w http.ResponseWriter, r *http.Request, next http.Handler) bool {
		c := capture{header: http.Header{}, code: 200}
		next.ServeHTTP(&c, r)
		body := change(c.header, c.body.Bytes())
		for k, v := range c.header {
			w.Header()[k] = v
		}
		w.WriteHeader(c.code)
		_, _ = w.Write(body)
		return true
	}
}

// Lie makes the registry claim another digest than that of what it sends.
func Lie(digest string) Fault {
	return Alter(func(h http.Header, body []byte) []byte {
		h.Set("Docker-Content-Digest", digest)
		return body
	})
}

// Truncate ends the answer after n bytes and the connection with it.
func Truncate(n int) Fault {
	return Alter(func(h http.Header, body []byte) []byte {
		h.Set("Content-Length", strconv.Itoa(len(body)))
		return body[:min(n, len(body))]
	})
}

type capture struct {
	header http.Header
	code   int
	body   bytes.Buffer
}

func (c *capture) Header() http.Header         { return c.header }
func (c *capture) WriteHeader(code int)        { c.code = code }
func (c *capture) Write(p []byte) (int, error) { return c.body.Write(p) }
