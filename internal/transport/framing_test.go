package transport

import (
	"bufio"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"
)

// Requests of two readings, after one that is right: each is 400, the
// connection is closed, and nothing of it gets to a handler.
func TestOneReadingOfARequest(t *testing.T) {
	const chunked = "Transfer-Encoding: chunked\r\n"
	for name, raw := range map[string]string{
		"length and chunks":        "POST /bad HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n" + chunked + "\r\n0\r\n\r\n",
		"chunks and length":        "POST /bad HTTP/1.1\r\nHost: a\r\n" + chunked + "content-length:5\r\n\r\n0\r\n\r\n",
		"two lengths":              "POST /bad HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
		"the same length twice":    "POST /bad HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nContent-Length: 1\r\n\r\na",
		"a list of lengths":        "POST /bad HTTP/1.1\r\nHost: a\r\nContent-Length: 1, 1\r\n\r\na",
		"length with a sign":       "POST /bad HTTP/1.1\r\nHost: a\r\nContent-Length: +5\r\n\r\nabcde",
		"length in hexadecimal":    "POST /bad HTTP/1.1\r\nHost: a\r\nContent-Length: 0x5\r\n\r\nabcde",
		"empty length":             "POST /bad HTTP/1.1\r\nHost: a\r\nContent-Length:\r\n\r\n",
		"length of 2^63":           "POST /bad HTTP/1.1\r\nHost: a\r\nContent-Length: 9223372036854775808\r\n\r\na",
		"space before the colon":   "POST /bad HTTP/1.1\r\nHost: a\r\nContent-Length : 5\r\n" + chunked + "\r\n0\r\n\r\n",
		"a length padded far":      "POST /bad HTTP/1.1\r\nHost: a\r\nContent-Length:" + strings.Repeat(" ", 100) + "5\r\n\r\nabcde",
		"chunks twice":             "POST /bad HTTP/1.1\r\nHost: a\r\n" + chunked + chunked + "\r\n0\r\n\r\n",
		"chunks of another coding": "POST /bad HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n",
		"chunks in HTTP/1.0":       "POST /bad HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n" + chunked + "\r\n0\r\n\r\n",
		"request line, LF alone":   "GET /bad HTTP/1.1\nHost: a\r\n\r\n",
		"header line, LF alone":    "GET /bad HTTP/1.1\r\nHost: a\nX: y\r\n\r\n",
		"empty line, LF alone":     "GET /bad HTTP/1.1\r\nHost: a\r\n\n",
		"a CR inside":              "GET /bad HTTP/1.1\r\nHost: a\r\nX: a\rContent-Length: 5\r\n\r\n",
		"a folded line":            "GET /bad HTTP/1.1\r\nHost: a\r\nX: a\r\n b\r\n\r\n",
		"a folded line, tab":       "GET /bad HTTP/1.1\r\nHost: a\r\nX: a\r\n\tContent-Length: 5\r\n\r\n",
		"the first line folded":    "GET /bad HTTP/1.1\r\n Host: a\r\n\r\n",
		"a folded length":          "POST /bad HTTP/1.1\r\nHost: a\r\nContent-Length:\r\n 5\r\n\r\nabcde",
		"two hosts":                "GET /bad HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n",
		"no host":                  "GET /bad HTTP/1.1\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) { ended(t, raw, "/good") })
	}
}

// net/http answers nothing to less than four bytes of another request.
func TestLineFeedInFrontEndsTheConnection(t *testing.T) {
	addr, seen := echo(t)
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	io.WriteString(c, "GET /good HTTP/1.1\r\nHost: a\r\n\r\n\nGET /bad HTTP/1.1\r\nHost: a\r\n\r\n")
	answers, err := io.ReadAll(c)
	if n := strings.Count(string(answers), "HTTP/1.1 200"); n > 1 {
		t.Errorf("%q, %v", answers, err)
	}
	if got := strings.Join(seen(), ","); got != "/good" {
		t.Errorf("handled %q", got)
	}
}

// Where a body is what has two readings, its handler gets no end of it.
func TestOneReadingOfAChunk(t *testing.T) {
	const head = "POST /bad HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
	for name, chunks := range map[string]string{
		"LF alone":           "5\nabcde\r\n0\r\n\r\n",
		"LF in an extension": "5;a\nb\r\nabcde\r\n0\r\n\r\n",
		"CR in an extension": "5;a\rb\r\nabcde\r\n0\r\n\r\n",
		"a sign":             "+5\r\nabcde\r\n0\r\n\r\n",
		"a prefix":           "0x5\r\nabcde\r\n0\r\n\r\n",
		"a space":            "5 \r\nabcde\r\n0\r\n\r\n",
		"2^64":               "10000000000000005\r\nabcde\r\n0\r\n\r\n",
		"no size":            "\r\nabcde\r\n0\r\n\r\n",
		"longer than said":   "5\r\nabcdef\r\n0\r\n\r\n",
		"no CR after it":     "5\r\nabcde\n0\r\n\r\n",
		"end, LF alone":      "5\r\nabcde\r\n0\n\r\n",
		"trailer, LF alone":  "5\r\nabcde\r\n0\r\nX: a\n\r\n",
		"trailer, folded":    "5\r\nabcde\r\n0\r\nX: a\r\n b\r\n\r\n",
	} {
		t.Run(name, func(t *testing.T) { ended(t, head+chunks, "/good", "/bad broken") })
	}
}

// ended sends a request that is right, then raw and another, and wants the last
// answer to be 400 and what got to the handler to be this.
func ended(t *testing.T, raw string, handled ...string) {
	t.Helper()
	addr, seen := echo(t)
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(10 * time.Second))
	r := bufio.NewReader(c)
	for i, send := range []string{"GET /good HTTP/1.1\r\nHost: a\r\n\r\n", raw} {
		if _, err := io.WriteString(c, send); err != nil {
			t.Fatal(err)
		}
		resp, err := http.ReadResponse(r, nil)
		if err != nil {
			t.Fatalf("answer %d: %v", i, err)
		}
		io.Copy(io.Discard, resp.Body)
		if i == 1 && (resp.StatusCode != http.StatusBadRequest || !resp.Close) {
			t.Errorf("%s, close %v, want 400 and closed", resp.Status, resp.Close)
		}
	}
	io.WriteString(c, "GET /smuggled HTTP/1.1\r\nHost: a\r\n\r\n") // it may be closed already
	if rest, err := io.ReadAll(r); len(rest) > 0 {
		t.Errorf("after the refusal: %q, %v", rest, err)
	}
	if got, want := strings.Join(seen(), ","), strings.Join(handled, ","); got != want {
		t.Errorf("handled %q, want %q", got, want)
	}
}

// echo serves what tells the path of each request, and whether its body ended.
func echo(t *testing.T) (addr string, seen func() []string) {
	t.Helper()
	l, err := Listen("127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	paths := make(chan string, 100)
	srv := NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			paths <- r.URL.Path + " broken"
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		paths <- r.URL.Path
		w.Write(body)
	}), slog.New(slog.DiscardHandler))
	go srv.Serve(l)
	t.Cleanup(func() { srv.Close() })
	return l.Addr().String(), func() (out []string) {
		for {
			select {
			case p := <-paths:
				out = append(out, p)
			case <-time.After(10 * time.Millisecond):
				return out
			}
		}
	}
}

// right is what clients send, one after another.
var right = []string{
	"GET /1 HTTP/1.1\r\nHost: a\r\n\r\n",
	"POST /2 HTTP/1.1\r\nHost: a\r\nContent-Length: 7\r\n\r\na\n b\r\nc",
	"\r\nPOST /3 HTTP/1.1\r\nHost: a\r\ntransfer-encoding:  Chunked \r\n\r\n5;x=y\r\na\nb\r\n\r\n00A\r\n0123456789\r\n0\r\nX: y\r\n\r\n",
	"PUT /4 HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\nX-Content-Length: 5\r\nX: " + strings.Repeat("x", 5000) + "\r\n\r\n",
	"POST /5 HTTP/1.1\r\nHost: a\r\nContent-Length: 10000\r\n\r\n" + strings.Repeat("\nGET", 2500),
	"GET /6?" + strings.Repeat("q", 200) + " HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
}

func TestWhatClientsSendIsRead(t *testing.T) {
	addr, seen := echo(t)
	c, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	c.SetDeadline(time.Now().Add(10 * time.Second))
	r := bufio.NewReader(c)
	go io.WriteString(c, strings.Join(right, "")) // without waiting for the answers
	for i, want := range []string{"", "a\n b\r\nc", "a\nb\r\n0123456789", "", strings.Repeat("\nGET", 2500), ""} {
		resp, err := http.ReadResponse(r, nil)
		if err != nil {
			t.Fatalf("answer %d: %v", i, err)
		}
		if got, err := io.ReadAll(resp.Body); resp.StatusCode != 200 || err != nil || string(got) != want {
			t.Errorf("answer %d: %s, %d bytes, want %d, %v", i, resp.Status, len(got), len(want), err)
		}
	}
	if got := strings.Join(seen(), ","); got != "/1,/2,/3,/4,/5,/6" {
		t.Errorf("handled %s", got)
	}
}

// However the bytes of a connection come, they are read alike.
func FuzzFraming(f *testing.F) {
	f.Add(strings.Join(right, ""), 7)
	f.Add("POST / HTTP/1.1\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", 1)
	f.Add("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffff\r\n", 3)
	f.Fuzz(func(t *testing.T, sent string, step int) {
		step = max(step, 1)
		var once, parts framing
		n, why := once.follow([]byte(sent))
		if n > len(sent) || n < len(sent) && why == nil {
			t.Fatalf("%d of %d bytes, %v", n, len(sent), why)
		}
		var err error
		at := 0
		for at < len(sent) && err == nil {
			var m int
			m, err = parts.follow([]byte(sent[at:min(len(sent), at+step)]))
			at += m
		}
		if (err == nil) != (why == nil) || err != nil && err.Error() != why.Error() {
			t.Fatalf("at once %v, in parts of %d %v", why, step, err)
		}
	})
}
