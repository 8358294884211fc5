package server

import (
	"io"
	"os"
	"sync"
	"syscall"
	"unsafe"

	"chartd.dev/chartd/storage"
)

// small is what a call moves so quickly that the scheduler need not be told:
// being told, it takes the processor away from calls that last a little
// longer, which costs more than the call.
const small = 16 << 10

// side is one direction of a connection.
type side struct {
	deadline
	one  sync.Mutex // a call at a time
	call transfer
	step func(fd uintptr) bool
}

func (s *side) init() { s.step = s.call.do }

// make makes a call, again as long as only a former deadline ends it.
func (s *side) make(over func(func(fd uintptr) bool) error) (int64, error) {
	t := &s.call
	for {
		err := s.begin()
		if err != nil {
			return t.sent, err
		}
		if err = over(s.step); err == nil {
			err = t.err
		}
		if !s.end(err) {
			return t.sent, err
		}
	}
}

// transfer is what a system call moves, which the runtime repeats when the
// connection is ready for more.
type transfer struct {
	op   op
	p    []byte
	from int // a file
	off  int64
	left int64
	sent int64 // or received
	err  error
}

type op uint8

const (
	receive op = iota
	send
	sendMore // a file follows
	sendRest
)

// do goes on until all is sent or something is received, and returns false
// when it has to wait.
func (t *transfer) do(fd uintptr) bool {
	for t.left > 0 {
		n, err := t.call(fd)
		switch err {
		case nil:
		case syscall.EINTR:
			continue
		case syscall.EAGAIN:
			return false
		default:
			t.err = os.NewSyscallError(t.op.String(), err)
			return true
		}
		if n <= 0 {
			return true // the end of the file, or of what is received
		}
		t.sent += int64(n)
		t.left -= int64(n)
		if t.op == receive {
			return true
		}
	}
	return true
}

func (t *transfer) call(fd uintptr) (int, error) {
	switch {
	case t.op == sendRest:
		return syscall.Sendfile(int(fd), t.from, &t.off, int(t.left))
	case t.op == sendMore:
		return syscall.SendmsgN(int(fd), t.p[t.sent:], nil, nil, syscall.MSG_MORE|syscall.MSG_NOSIGNAL)
	case t.op == receive && len(t.p) > small:
		return syscall.Read(int(fd), t.p)
	case t.op == receive:
		return quick(syscall.SYS_READ, fd, t.p)
	case t.left > small:
		return syscall.Write(int(fd), t.p[t.sent:])
	}
	return quick(syscall.SYS_WRITE, fd, t.p[t.sent:])
}

// quick makes a call that does not wait, without telling the scheduler.
func quick(trap, fd uintptr, p []byte) (int, error) {
	n, _, err := syscall.RawSyscall(trap, fd, uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p)))
	if err != 0 {
		return 0, err
	}
	return int(n), nil
}

func (o op) String() string {
	if o == receive {
		return "read"
	}
	return "send"
}

// Read implements net.Conn.
func (c *conn) Read(p []byte) (int, error) {
	c.in.one.Lock()
	defer c.in.one.Unlock()
	c.in.call = transfer{op: receive, p: p, left: int64(len(p))}
	n, err := c.in.make(c.raw.Read)
	c.in.call.p = nil
	if n == 0 && err == nil && len(p) > 0 {
		err = io.EOF
	}
	return int(n), err
}

// Write implements net.Conn.
func (c *conn) Write(p []byte) (int, error) {
	c.out.one.Lock()
	defer c.out.one.Unlock()
	c.out.call = transfer{op: send, p: p, left: int64(len(p))}
	if c.hold {
		c.out.call.op = sendMore
	}
	n, err := c.out.make(c.raw.Write)
	c.out.call.p = nil
	return int(n), err
}

// ReadFrom implements io.ReaderFrom, for a part of a verified file.
func (c *conn) ReadFrom(r io.Reader) (int64, error) {
	part, ok := r.(*io.LimitedReader)
	if !ok {
		return io.Copy(struct{ io.Writer }{c}, r)
	}
	f, ok := part.R.(*storage.File)
	if !ok {
		return io.Copy(struct{ io.Writer }{c}, r)
	}
	c.out.one.Lock()
	defer c.out.one.Unlock()
	fd, off := f.Place()
	c.out.call = transfer{op: sendRest, from: int(fd), off: off, left: part.N}
	n, err := c.out.make(c.raw.Write)
	f.Skip(n)
	part.N -= n
	return n, err
}
