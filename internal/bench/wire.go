package main

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"strconv"
	"strings"
)

// conn is a bare HTTP/1.1 connection: on two cores the load must cost less
// than what it measures.
type conn struct {
	net.Conn
	r *bufio.Reader
	b bytes.Buffer
}

func dial(url string) (*conn, error) {
	c, err := net.Dial("tcp", hostOf(url))
	if err != nil {
		return nil, err
	}
	return &conn{Conn: c, r: bufio.NewReaderSize(c, 64<<10)}, nil
}

func hostOf(url string) string {
	_, rest, _ := strings.Cut(url, "://")
	host, _, _ := strings.Cut(rest, "/")
	return host
}

// ask sends one request and returns status, entity tag and the body's size.
func (c *conn) ask(method, path string, header map[string]string, body []byte) (status int, etag string, size int64, err error) {
	c.b.Reset()
	fmt.Fprintf(&c.b, "%s %s HTTP/1.1\r\nHost: bench\r\n", method, path)
	for k, v := range header {
		fmt.Fprintf(&c.b, "%s: %s\r\n", k, v)
	}
	if body != nil || method == http.MethodPost {
		fmt.Fprintf(&c.b, "Content-Length: %d\r\n", len(body))
	}
	c.b.WriteString("\r\n")
	c.b.Write(body)
	if _, err := c.Write(c.b.Bytes()); err != nil {
		return 0, "", 0, err
	}
	return c.answer(method)
}

func (c *conn) answer(method string) (status int, etag string, size int64, err error) {
	line, err := c.r.ReadSlice('\n')
	if err != nil {
		return 0, "", 0, err
	}
	if f := bytes.Fields(line); len(f) < 2 {
		return 0, "", 0, fmt.Errorf("no HTTP answer: %q", line)
	} else if status, err = strconv.Atoi(string(f[1])); err != nil {
		return 0, "", 0, err
	}
	for {
		line, err := c.r.ReadSlice('\n')
		if err != nil {
			return status, etag, size, err
		}
		line = bytes.TrimRight(line, "\r\n")
		if len(line) == 0 {
			break
		}
		k, v, _ := bytes.Cut(line, []byte(": "))
		switch {
		case bytes.EqualFold(k, []byte("Content-Length")):
			if size, err = strconv.ParseInt(string(v), 10, 64); err != nil {
				return status, etag, size, err
			}
		case bytes.EqualFold(k, []byte("ETag")):
			etag = string(v)
		case bytes.EqualFold(k, []byte("Transfer-Encoding")):
			return status, etag, size, fmt.Errorf("chunked answers are not read here")
		}
	}
	if method != http.MethodHead && status != http.StatusNotModified {
		_, err = io.CopyN(io.Discard, c.r, size)
	}
	return status, etag, size, err
}
