package transport

import (
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"sync"
	"time"

	"chartd.dev/chartd/internal/recent"
	"github.com/prometheus/client_golang/prometheus"
)

// maxCallers is how many callers a limit knows at least, and half of the most.
// Who was not seen for longest is forgotten first, and starts anew.
const maxCallers = 1 << 14

// Caller is whom a limit counts: a token, or an address where there is none.
type Caller struct {
	Token, Name string // its id, and what it is called
}

// bucket is whose requests are counted together.
type bucket struct {
	token string
	addr  netip.Addr
}

// Limit is a token bucket for each caller. It may be used concurrently.
type Limit struct {
	name    string // of its option, after "limit-"
	rate    Rate
	refused prometheus.Counter

	mu   sync.Mutex
	full recent.Map[bucket, time.Time] // when the bucket is full again
}

// NewLimit returns the limit of an option, which is called "limit-" and the
// name. It is nil for no limit.
func NewLimit(name string, r Rate, m *Metrics) *Limit {
	refused := m.limited.WithLabelValues(name)
	if r.N == 0 {
		return nil
	}
	return &Limit{name: name, rate: r, refused: refused, full: recent.Map[bucket, time.Time]{Size: maxCallers}}
}

// take counts a request. A positive wait says that it is one too many, which
// is not counted, and when the next one will not be.
func (l *Limit) take(who bucket, now time.Time) (wait time.Duration) {
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

// Admit refuses a request of an authorised caller that is one too many.
func (l *Limit) Admit(r *http.Request, who Caller, now func() time.Time) error {
	if l == nil {
		return nil
	}
	at := bucket{token: who.Token}
	if who.Token == "" {
		at.addr = addressOf(r)
	}
	wait := l.take(at, now())
	if wait <= 0 {
		return nil
	}
	name, otherwise := fmt.Sprintf("token %q", who.Name), "have it raised"
	if who.Token == "" {
		name, otherwise = shownAddress(at.addr)+" without a token", "send a token, which is counted by itself"
	}
	return limited(wait, "--limit-%s is %s for each caller, and %s is over it; try again in %d s, or %s", l.name, l.rate, name, seconds(wait), otherwise)
}

// addressOf is where a request comes from, as the journal has it. An IPv6
// network of 64 bits is one address: a single host may have all of it.
func addressOf(r *http.Request) netip.Addr {
	a, err := netip.ParseAddr(RemoteHost(r))
	if err != nil {
		return netip.Addr{} // they are all counted as one
	}
	a = a.Unmap().WithZone("")
	if a.Is6() {
		a = netip.PrefixFrom(a, 64).Masked().Addr()
	}
	return a
}

// RemoteHost is the host that a request comes from, as the connection has it.
func RemoteHost(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	return host
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
