package server

import (
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"strconv"
	"sync"
	"time"

	"chartd.dev/chartd/internal/auth"
	"chartd.dev/chartd/internal/recent"
	"github.com/prometheus/client_golang/prometheus"
)

// Limits are what one caller may ask for: a token, or an address where there
// is no valid one.
type Limits struct {
	FailedAuth Rate // credentials that are no valid token, of an address
	Publish    Rate // uploads: packages, provenance files, imports
	Pin        Rate
	Read       Rate
}

// maxCallers is how many callers a limit knows at least, and half of the most.
// Who was not seen for longest is forgotten first, and starts anew.
const maxCallers = 1 << 14

// caller is whom a limit counts.
type caller struct {
	token string // its id
	addr  netip.Addr
}

// limit is a token bucket for each caller. It may be used concurrently.
type limit struct {
	name    string // of its option, after "limit-"
	rate    Rate
	refused prometheus.Counter

	mu   sync.Mutex
	full recent.Map[caller, time.Time] // when the bucket is full again
}

// newLimit returns nil for no limit.
func newLimit(name string, r Rate, m *metrics) *limit {
	refused := m.limited.WithLabelValues(name)
	if r.N == 0 {
		return nil
	}
	return &limit{name: name, rate: r, refused: refused, full: recent.Map[caller, time.Time]{Size: maxCallers}}
}

// take counts a request. A positive wait says that it is one too many, which
// is not counted, and when the next one will not be.
func (l *limit) take(who caller, now time.Time) (wait time.Duration) {
	each := l.rate.Per / time.Duration(l.rate.N)
	l.mu.Lock()
	defer l.mu.Unlock()
	full, _ := l.full.Find(who)
	if empty := now.Add(l.rate.Per); full.After(empty) {
		full = empty // the clock was set back
	}
	if full.Before(now) {
		full = now
	}
	full = full.Add(each)
	if wait = full.Sub(now) - l.rate.Per; wait > 0 {
		l.refused.Inc()
		return wait
	}
	l.full.Put(who, full)
	return 0
}

// admit refuses a request of an authorised caller that is one too many.
func (l *limit) admit(c *call, now time.Time) error {
	who := caller{token: c.who.TokenID}
	if c.who.Anonymous {
		who.addr = addressOf(c.r)
	}
	wait := l.take(who, now)
	if wait <= 0 {
		return nil
	}
	name, otherwise := fmt.Sprintf("token %q", c.who.Name), "have it raised"
	if c.who.Anonymous {
		name, otherwise = shownAddress(who.addr)+" without a token", "send a token, which is counted by itself"
	}
	return limited(wait, "--limit-%s is %s for each caller, and %s is over it; try again in %d s, or %s", l.name, l.rate, name, seconds(wait), otherwise)
}

// limitError is errLimited with the time after which to try again.
type limitError struct {
	text string
	wait time.Duration
}

func limited(wait time.Duration, format string, a ...any) error {
	return &limitError{fmt.Sprintf(format, a...), wait}
}

func (e *limitError) Error() string { return errLimited.Error() + ": " + e.text }
func (e *limitError) Unwrap() error { return errLimited }

// seconds is a wait as Retry-After has it, never too short.
func seconds(wait time.Duration) int64 { return int64((wait + time.Second - 1) / time.Second) }

// retryAfter is the Retry-After header of an error that is answered 429.
func retryAfter(err error) string {
	var l *limitError
	if errors.As(err, &l) {
		return strconv.FormatInt(seconds(l.wait), 10)
	}
	return "1"
}

// limits are those of all routes.
type limits struct{ publish, pin, read *limit }

func newLimits(c Limits, m *metrics) limits {
	return limits{
		publish: newLimit("publish", c.Publish, m),
		pin:     newLimit("pin", c.Pin, m),
		read:    newLimit("read", c.Read, m),
	}
}

// of is the limit of a route; nil: none. Probes have none, and neither has
// what few people do seldom.
func (l limits) of(a access) *limit {
	switch {
	case a.kind == open:
	case a.kind == anyone || a.action == auth.Read:
		return l.read
	case a.action == auth.Publish || a.action == auth.Import:
		return l.publish
	case a.action == auth.Pin:
		return l.pin
	}
	return nil
}

// addressOf is where a request comes from, as the journal has it. An IPv6
// network of 64 bits is one address: a single host may have all of it.
func addressOf(r *http.Request) netip.Addr {
	a, err := netip.ParseAddr(remoteHost(r.RemoteAddr))
	if err != nil {
		return netip.Addr{} // they are all counted as one
	}
	a = a.Unmap().WithZone("")
	if a.Is6() {
		a = netip.PrefixFrom(a, 64).Masked().Addr()
	}
	return a
}

func shownAddress(a netip.Addr) string {
	switch {
	case !a.IsValid():
		return "an unknown address"
	case a.Is6():
		return netip.PrefixFrom(a, 64).String()
	}
	return a.String()
}
