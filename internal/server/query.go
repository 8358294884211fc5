package server

import (
	"fmt"
	"strconv"
	"strings"

	"chartd.dev/chartd/internal/transport"
)

const maxPage = 1000 // most items of a page

// param is a query parameter that is given at most once.
func (c *call) param(name string) (string, error) {
	values := c.R.URL.Query()[name]
	switch len(values) {
	case 0:
		return "", nil
	case 1:
		return values[0], nil
	}
	return "", transport.BadRequest("parameter %q is there %d times", name, len(values))
}

// number is a query parameter of plain digits, at most max.
func (c *call) number(name string, def, max uint64) (uint64, error) {
	text, err := c.param(name)
	if err != nil || text == "" {
		return def, err
	}
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil || n > max {
		return 0, transport.BadRequest("parameter %s=%q: want a number from 0 to %d", name, transport.Clip(text), max)
	}
	return n, nil
}

// limit is the size of a page.
func (c *call) limit() (int, error) {
	n, err := c.number("limit", 100, maxPage)
	if err == nil && n == 0 {
		return 0, transport.BadRequest("parameter limit=0: want a number from 1 to %d", maxPage)
	}
	return int(n), err
}

// flag is a query parameter that is true, false or absent.
func (c *call) flag(name string) (value, given bool, err error) {
	text, err := c.param(name)
	if err != nil || text == "" {
		return false, false, err
	}
	value, err = strconv.ParseBool(text)
	if err != nil {
		return false, false, transport.BadRequest("parameter %s=%q: want true or false", name, transport.Clip(text))
	}
	return value, true, nil
}

// base is the environment revision of If-Match: a number in quotes.
func (c *call) base() (uint64, error) {
	values := c.R.Header["If-Match"]
	if len(values) == 0 {
		return 0, fmt.Errorf(`%w: send If-Match with the environment's revision, such as "17", or "0" for the first pin`, errNeedMatch)
	}
	v := values[0]
	if len(values) == 1 && len(v) > 2 && v[0] == '"' && v[len(v)-1] == '"' {
		if n, err := strconv.ParseUint(v[1:len(v)-1], 10, 64); err == nil {
			return n, nil
		}
	}
	return 0, transport.BadRequest(`If-Match %s: want one revision in quotes, such as "17"`, transport.Clip(strings.Join(values, ", ")))
}

// needKey refuses a request without an Idempotency-Key.
func (c *call) needKey() error {
	if c.R.Header.Get("Idempotency-Key") == "" {
		return transport.BadRequest("there is no Idempotency-Key: send a random one, and the same again when you repeat the request")
	}
	return nil
}

func errNoBinding(id string) error {
	return fmt.Errorf("%w: there is no binding %q", transport.ErrNotFound, transport.Clip(id))
}
