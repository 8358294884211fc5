//go:build !linux

package server

import "io"

// side is one direction of a connection.
type side struct{ deadline }

func (*side) init() {}

// Read implements net.Conn.
func (c *conn) Read(p []byte) (n int, err error) {
	for {
		if err := c.in.begin(); err != nil {
			return 0, err
		}
		n, err = c.TCPConn.Read(p)
		if !c.in.end(err) {
			return n, err
		}
	}
}

// Write implements net.Conn.
func (c *conn) Write(p []byte) (sent int, err error) {
	for {
		if err := c.out.begin(); err != nil {
			return sent, err
		}
		n, err := c.TCPConn.Write(p[sent:])
		sent += n
		if !c.out.end(err) {
			return sent, err
		}
	}
}

// ReadFrom implements io.ReaderFrom.
func (c *conn) ReadFrom(r io.Reader) (int64, error) {
	return io.Copy(struct{ io.Writer }{c}, r)
}
