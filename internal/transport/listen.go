package transport

import (
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"
)

// Limits of a connection; a Handler moves the body's and the answer's on while
// they make progress.
const (
	readHeaderTimeout = 10 * time.Second
	readTimeout       = 60 * time.Second
	idleTimeout       = 60 * time.Second
	maxHeaderBytes    = 32 << 10
)

// NewServer returns a server of connections for a handler.
func NewServer(h http.Handler, log *slog.Logger) *http.Server {
	return &http.Server{
		Handler: h, ReadHeaderTimeout: readHeaderTimeout, ReadTimeout: readTimeout,
		WriteTimeout: sendStall, IdleTimeout: idleTimeout, MaxHeaderBytes: maxHeaderBytes,
		ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelWarn),
	}
}

// Listen takes connections at an address, and ends those whose requests have
// more than one reading.
func Listen(addr string) (net.Listener, error) {
	l, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, err
	}
	return listener{l.(*net.TCPListener)}, nil
}

type listener struct{ *net.TCPListener }

func (l listener) Accept() (net.Conn, error) {
	c, err := l.AcceptTCP()
	if err != nil {
		return nil, err
	}
	return &conn{TCPConn: c}, nil
}

// conn is a connection as net/http may read it. It is a TCPConn in all else, so
// that a file goes out without a copy.
type conn struct {
	*net.TCPConn
	framing framing
	refused error
}

// Read hands on what has one reading. The error after that is none of a
// connection's, so net/http answers 400 and closes it.
func (c *conn) Read(p []byte) (int, error) {
	if c.refused != nil {
		return 0, c.refused
	}
	n, err := c.TCPConn.Read(p)
	good, why := c.framing.follow(p[:n])
	if why == nil {
		return n, err
	}
	c.refused = fmt.Errorf("a request with more than one reading: %w", why)
	if good == 0 {
		return 0, c.refused
	}
	return good, nil
}
