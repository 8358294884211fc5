// Package client is the Go client of the HTTP API, version 1.
//
// Every error that an answer, the network or TLS caused is an *api.Error, so
// that its code decides what happens next. Every write carries one random
// Idempotency-Key, the same over all retries, so a repetition is known to the
// server; nothing else than reads and such writes is sent twice. Credentials
// go to the configured server only. What is downloaded is compared with the
// digest that names it, and every answer is read up to a bound.
package client

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"chartd.dev/chartd/internal/api"
)

// Bounds on what is read from a server, in bytes.
const (
	maxJSON    = 64 << 20
	maxError   = 1 << 20
	maxPackage = 128 << 20
)

// Options of a Client. Server is required.
type Options struct {
	Server    string // http or https URL, with the base path where the server has one
	Token     string // "" for anonymous
	UserAgent string
	// HTTPClient, if set, supplies the transport; its redirect policy is replaced.
	HTTPClient *http.Client
	Retries    int           // after the first try; 0 is the default of 3, negative none
	Backoff    time.Duration // before the first retry, doubled for each next; 0 is 200 ms
	Timeout    time.Duration // of one try, streams excepted; 0 is 5 minutes
}

// Client talks to one server. It is safe for concurrent use.
type Client struct {
	base    *url.URL
	opts    Options
	http    *http.Client
	retries int
}

// ParseServer reads a server's address: an http or https URL without query,
// fragment or credentials. The result has no trailing slash.
func ParseServer(s string) (*url.URL, error) {
	u, err := url.Parse(s)
	switch {
	case err != nil:
		return nil, fail(api.CodeUsage, "server %q is not a URL", s)
	case u.Scheme != "http" && u.Scheme != "https" || u.Host == "":
		return nil, fail(api.CodeUsage, "server %q is not an http or https URL such as https://charts.example.edu", s)
	case u.User != nil:
		return nil, fail(api.CodeUsage, "server %q holds credentials: give the token by --token-file or CHARTCTL_TOKEN", u.Redacted())
	case u.RawQuery != "" || u.Fragment != "":
		return nil, fail(api.CodeUsage, "server %q has a query or a fragment: give the address alone", s)
	}
	u.Host = strings.ToLower(u.Host)
	u.Path, u.RawPath = strings.TrimRight(u.Path, "/"), ""
	return u, nil
}

// New returns a client. It sends nothing.
func New(o Options) (*Client, error) {
	base, err := ParseServer(o.Server)
	if err != nil {
		return nil, err
	}
	if strings.ContainsFunc(o.Token, func(r rune) bool { return r <= ' ' || r >= 0x7f }) {
		return nil, fail(api.CodeUnauthorized, "the token holds spaces or characters that no token has: give it as the server printed it")
	}
	if o.UserAgent == "" {
		o.UserAgent = "chartd-client"
	}
	if o.Backoff == 0 {
		o.Backoff = 200 * time.Millisecond
	}
	if o.Timeout == 0 {
		o.Timeout = 5 * time.Minute
	}
	c := &Client{base: base, opts: o, retries: o.Retries, http: &http.Client{Transport: transport()}}
	if o.Retries == 0 {
		c.retries = 3
	}
	if o.HTTPClient != nil {
		copied := *o.HTTPClient
		c.http = &copied
	}
	c.http.CheckRedirect = c.redirect
	c.http.Jar = nil
	return c, nil
}

func transport() http.RoundTripper {
	return &http.Transport{
		Proxy:                 http.ProxyFromEnvironment,
		DialContext:           (&net.Dialer{Timeout: 10 * time.Second}).DialContext,
		ForceAttemptHTTP2:     true,
		TLSHandshakeTimeout:   10 * time.Second,
		ResponseHeaderTimeout: 2 * time.Minute,
		IdleConnTimeout:       60 * time.Second,
		MaxIdleConnsPerHost:   16,
		// Helm's packages are compressed already, and a bound on the answer
		// is then a bound on memory.
		DisableCompression: true,
	}
}

// Server returns the server's address.
func (c *Client) Server() string { return c.base.String() }

// redirect allows redirects of reads within the same origin. A redirected
// write would become a GET, and another origin would get the token.
func (c *Client) redirect(next *http.Request, via []*http.Request) error {
	first := via[0]
	switch {
	case next.URL.Scheme != c.base.Scheme || !strings.EqualFold(next.URL.Host, c.base.Host):
		return fail(api.CodeInvalid, "%s redirects to another origin, %s://%s: if that is the server, use it as the server's address", c.base, next.URL.Scheme, next.URL.Host)
	case first.Method != http.MethodGet && first.Method != http.MethodHead:
		return fail(api.CodeInvalid, "%s redirects a %s to %s: give the address that answers itself", c.base, first.Method, next.URL.Redacted())
	case len(via) >= 10:
		return fail(api.CodeInvalid, "%s redirects in circles", c.base)
	}
	return nil
}

// NewKey returns a random Idempotency-Key.
func NewKey() string {
	var b [16]byte
	rand.Read(b[:]) // never fails: the runtime ends the process instead
	return hex.EncodeToString(b[:])
}

// request is one call; its body is kept so that a retry sends the same bytes.
type request struct {
	method  string
	path    string // below the base path, escaped
	query   url.Values
	body    []byte
	content string
	ifMatch *uint64
	key     string
	once    bool // never sent twice
	asks    bool // has the server ask a registry, and wait for it, before it answers
	stream  bool // no time limit on the whole answer
}

func get(format string, a ...any) request {
	return request{method: http.MethodGet, path: path(format, a...)}
}

// post is a write with a key of its own.
func post(body any, format string, a ...any) request {
	r := request{method: http.MethodPost, path: path(format, a...), key: NewKey()}
	if body != nil {
		b, err := json.Marshal(body)
		if err != nil {
			panic(err) // wire types always marshal
		}
		r.body, r.content = b, "application/json"
	}
	return r
}

// path escapes each argument as one path element.
func path(format string, a ...any) string {
	for i, v := range a {
		a[i] = url.PathEscape(fmt.Sprint(v))
	}
	return fmt.Sprintf(format, a...)
}

// call sends r and decodes the answer into out, which may be nil. It returns
// the status of a successful answer.
func (c *Client) call(ctx context.Context, r request, out any) (int, error) {
	var status int
	err := c.do(ctx, r, func(resp *http.Response) error {
		status = resp.StatusCode
		if out == nil {
			return nil
		}
		b, err := readBounded(resp.Body, maxJSON)
		if err != nil {
			return err
		}
		if err := json.Unmarshal(b, out); err != nil || string(bytes.TrimSpace(b)) == "null" {
			return &api.Error{Code: api.CodeInvalid, Status: status,
				Message: fmt.Sprintf("%s answered %s with something that is not the API's JSON: is the address right?", c.base, r.path)}
		}
		return nil
	})
	return status, err
}

// ask is call for an answer of one type, where the status says nothing more.
func ask[T any](ctx context.Context, c *Client, r request) (T, error) {
	var out T
	_, err := c.call(ctx, r, &out)
	return out, err
}

// page asks for the part of a list that is beyond a mark, of a size; zero is the
// beginning, and the server's default.
func page(key string, mark uint64, limit int) url.Values {
	q := url.Values{}
	if mark > 0 {
		q.Set(key, strconv.FormatUint(mark, 10))
	}
	if limit > 0 {
		q.Set("limit", strconv.Itoa(limit))
	}
	return q
}

// do sends r, again where that is safe and promises something, and hands a
// successful answer to use. An answer that breaks off while it is read counts
// as a connection error.
func (c *Client) do(ctx context.Context, r request, use func(*http.Response) error) error {
	for try := 0; ; try++ {
		wait, err := c.once(ctx, r, use)
		if e, ok := errors.AsType[*api.Error](err); ok {
			e.Again = try > 0
		}
		if err == nil || r.once || try >= c.retries || wait < 0 {
			return err
		}
		if wait == 0 {
			wait = c.backoff(try)
		}
		t := time.NewTimer(wait)
		select {
		case <-ctx.Done():
			t.Stop()
			return err
		case <-t.C:
		}
	}
}

// once makes one try. A negative wait says that another is useless, zero that
// the usual backoff applies.
func (c *Client) once(ctx context.Context, r request, use func(*http.Response) error) (time.Duration, error) {
	if !r.stream {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, c.opts.Timeout)
		defer cancel()
	}
	req, err := c.build(ctx, r)
	if err != nil {
		return -1, err
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return c.transportError(ctx, r, err)
	}
	defer resp.Body.Close()
	if resp.StatusCode/100 != 2 {
		e := c.answerError(resp)
		if r.asks && resp.StatusCode != http.StatusTooManyRequests {
			return -1, e // the server has waited already, up to its own limit
		}
		return retryAfter(resp, e), e
	}
	err = use(resp)
	if broken, ok := err.(*brokenBody); ok {
		return c.transportError(ctx, r, broken.error)
	}
	return -1, err
}

func (c *Client) build(ctx context.Context, r request) (*http.Request, error) {
	target := c.base.String() + r.path
	if len(r.query) > 0 {
		target += "?" + r.query.Encode()
	}
	var body io.Reader
	if r.body != nil {
		body = bytes.NewReader(r.body)
	}
	req, err := http.NewRequestWithContext(ctx, r.method, target, body)
	if err != nil {
		return nil, fail(api.CodeInvalid, "build request for %q: %v", target, err)
	}
	req.Header.Set("User-Agent", c.opts.UserAgent)
	if r.content != "" {
		req.Header.Set("Content-Type", r.content)
	}
	if r.key != "" {
		req.Header.Set("Idempotency-Key", r.key)
	}
	if r.ifMatch != nil {
		req.Header.Set("If-Match", strconv.Quote(strconv.FormatUint(*r.ifMatch, 10)))
	}
	if c.opts.Token != "" {
		req.Header.Set("Authorization", "Bearer "+c.opts.Token)
	}
	return req, nil
}
