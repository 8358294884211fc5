package server

import (
	"io"
	"net"
	"os"
	"syscall"

	"chartd.dev/chartd/storage"
)

// transfer is a system call that is under way on a connection, which the
// runtime repeats when the connection can take more.
type transfer struct {
	step func(fd uintptr) bool
	head []byte // to be written; nil: the file
	from int
	off  int64
	left int64
	sent int64
	err  error
}

func newConn(tcp *net.TCPConn, raw syscall.RawConn) *conn {
	c := &conn{TCPConn: tcp, raw: raw}
	c.work.step = c.work.do
	return c
}

// Write implements net.Conn.
func (c *conn) Write(p []byte) (int, error) {
	if !c.hold {
		return c.TCPConn.Write(p)
	}
	c.work.head, c.work.left = p, int64(len(p))
	n, err := c.run()
	return int(n), err
}

// ReadFrom implements io.ReaderFrom, for a part of a verified file.
func (c *conn) ReadFrom(r io.Reader) (int64, error) {
	part, ok := r.(*io.LimitedReader)
	if !ok {
		return c.TCPConn.ReadFrom(r)
	}
	f, ok := part.R.(*storage.File)
	if !ok {
		return c.TCPConn.ReadFrom(r)
	}
	fd, off := f.Place()
	c.work.from, c.work.off, c.work.left = int(fd), off, part.N
	n, err := c.run()
	f.Skip(n)
	part.N -= n
	return n, err
}

func (c *conn) run() (int64, error) {
	t := &c.work
	err := c.raw.Write(t.step)
	if err == nil {
		err = t.err
	}
	n := t.sent
	t.head, t.sent, t.err = nil, 0, nil
	return n, err
}

// do goes on until all is sent, and returns false when it has to wait.
func (t *transfer) do(fd uintptr) bool {
	for t.left > 0 {
		n, err := t.call(int(fd))
		switch err {
		case nil:
		case syscall.EINTR:
			continue
		case syscall.EAGAIN:
			return false
		default:
			t.err = os.NewSyscallError("send", err)
			return true
		}
		if n <= 0 {
			return true // the file ends early
		}
		t.sent += int64(n)
		t.left -= int64(n)
	}
	return true
}

func (t *transfer) call(fd int) (int, error) {
	if t.head != nil {
		return syscall.SendmsgN(fd, t.head[t.sent:], nil, nil, syscall.MSG_MORE|syscall.MSG_NOSIGNAL)
	}
	return syscall.Sendfile(fd, t.from, &t.off, int(t.left))
}
