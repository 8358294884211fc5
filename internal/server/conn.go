package server

import (
	"context"
	"net"
	"net/http"
	"syscall"
)

// conn is a connection that sends an answer's header together with the file
// that follows it, and files that others read at the same time.
type conn struct {
	*net.TCPConn
	raw  syscall.RawConn
	hold bool // the next write is followed by a file
	work transfer
}

// Listen returns a listener for an http.Server that serves this package's
// handler and has Context as its ConnContext.
func Listen(l net.Listener) net.Listener { return listener{l} }

type listener struct{ net.Listener }

func (l listener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	tcp, ok := c.(*net.TCPConn)
	if err != nil || !ok {
		return c, err
	}
	raw, err := tcp.SyscallConn()
	if err != nil {
		return c, nil // one as any other
	}
	return newConn(tcp, raw), nil
}

type connKey struct{}

// Context notes the connection for the requests on it.
func Context(ctx context.Context, c net.Conn) context.Context {
	if c, ok := c.(*conn); ok {
		return context.WithValue(ctx, connKey{}, c)
	}
	return ctx
}

// holdHeader writes the header of an answer so that it goes out with the file
// that is written next.
func holdHeader(c *call) {
	to, ok := c.ctx().Value(connKey{}).(*conn)
	rec, wraps := c.w.(*recorder)
	if !ok || !wraps {
		return
	}
	if f, ok := rec.ResponseWriter.(http.Flusher); ok {
		to.hold = true
		f.Flush()
		to.hold = false
	}
}
