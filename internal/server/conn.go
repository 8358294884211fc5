package server

import (
	"context"
	"net"
	"net/http"
	"syscall"
	"time"
)

// conn is a connection that costs an answer little: its deadlines are set when
// they are needed, small reads and writes do not bother the scheduler, and a
// header goes out together with the file that follows it.
type conn struct {
	*net.TCPConn
	raw     syscall.RawConn
	hold    bool // the next write is followed by a file
	in, out side
}

func newConn(tcp *net.TCPConn, raw syscall.RawConn) *conn {
	c := &conn{TCPConn: tcp, raw: raw}
	c.in.arm, c.out.arm = tcp.SetReadDeadline, tcp.SetWriteDeadline
	c.in.init()
	c.out.init()
	return c
}

// SetReadDeadline implements net.Conn.
func (c *conn) SetReadDeadline(t time.Time) error { return c.in.set(t) }

// SetWriteDeadline implements net.Conn.
func (c *conn) SetWriteDeadline(t time.Time) error { return c.out.set(t) }

// SetDeadline implements net.Conn.
func (c *conn) SetDeadline(t time.Time) error {
	if err := c.in.set(t); err != nil {
		return err
	}
	return c.out.set(t)
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
