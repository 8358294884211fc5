package transport

import (
	"crypto/sha256"
	"net/http"
	"net/netip"
	"sync/atomic"
	"time"

	"chartd.dev/chartd/internal/recent"
)

// Guesses limits the credentials from an address that are wrong. A right one
// is never refused, whoever else is behind the same address; so one that could
// be right is looked up, unless it was just found to be wrong. Requests without
// a credential guess nothing and do not count.
type Guesses struct {
	*Limit
	wrong recent.Map[guess, time.Time] // refused until then without a look
	until atomic.Int64                 // the last of these times, in Unix nanoseconds
}

// guess is the hash of a credential and where it came from.
type guess [sha256.Size]byte

// NewGuesses returns nil for no limit.
func NewGuesses(r Rate, m *Metrics) *Guesses {
	l := NewLimit("failed-auth", r, m)
	if l == nil {
		return nil
	}
	return &Guesses{Limit: l, wrong: recent.Map[guess, time.Time]{Size: maxCallers}}
}

// Known refuses a credential that was refused from the same address and cannot
// be answered 401 yet. Where none was lately it costs no look at the request.
func (g *Guesses) Known(r *http.Request, clock func() time.Time) error {
	headers := r.Header["Authorization"]
	if g == nil || len(headers) == 0 {
		return nil
	}
	until := g.until.Load()
	if until == 0 {
		return nil
	}
	now := clock()
	if now.UnixNano() >= until {
		return nil
	}
	addr := addressOf(r)
	end, ok := g.wrong.Find(guessOf(addr, headers))
	if !ok || !now.Before(end) {
		return nil
	}
	g.refused.Inc()
	return g.tooMany(addr, end.Sub(now), "it was refused a moment ago")
}

// Failed counts a wrong credential, and returns what to answer.
func (g *Guesses) Failed(r *http.Request, clock func() time.Time, why error) error {
	if g == nil {
		return why
	}
	addr, now := addressOf(r), clock()
	wait := g.take(bucket{addr: addr}, now)
	if wait <= 0 {
		return why
	}
	end := now.Add(wait)
	g.wrong.Put(guessOf(addr, r.Header["Authorization"]), end)
	for {
		last := g.until.Load()
		if last >= end.UnixNano() || g.until.CompareAndSwap(last, end.UnixNano()) {
			break
		}
	}
	return g.tooMany(addr, wait, why.Error())
}

func (g *Guesses) tooMany(addr netip.Addr, wait time.Duration, why string) error {
	return limited(wait, "--limit-%s is %s, and wrong credentials from %s are over it. This one is wrong, too (%s): mend it, or try again in %d s",
		g.name, g.rate, shownAddress(addr), why, seconds(wait))
}

func guessOf(addr netip.Addr, headers []string) guess {
	at := addr.As16()
	text := at[:]
	for _, h := range headers {
		text = append(append(text, h...), 0)
	}
	return sha256.Sum256(text)
}
