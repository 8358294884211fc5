package server

import (
	"crypto/sha256"
	"errors"
	"net/http"
	"net/netip"
	"sync/atomic"
	"time"

	"chartd.dev/chartd/internal/auth"
	"chartd.dev/chartd/internal/recent"
)

// guesses limits the credentials from an address that are wrong. A right one
// is never refused, whoever else is behind the same address; so one that could
// be right is looked up, unless it was just found to be wrong. Requests without
// a credential guess nothing and do not count.
type guesses struct {
	*limit
	wrong recent.Map[guess, time.Time] // refused until then without a look
	until atomic.Int64                 // the last of these times, in Unix nanoseconds
}

// guess is the hash of a credential and where it came from.
type guess [sha256.Size]byte

func newGuesses(r Rate, m *metrics) *guesses {
	l := newLimit("failed-auth", r, m)
	if l == nil {
		return nil
	}
	return &guesses{limit: l, wrong: recent.Map[guess, time.Time]{Size: maxCallers}}
}

// authenticate finds the caller of a request, within the limit.
func (s *Server) authenticate(c *call) (p auth.Principal, ok bool, err error) {
	headers := c.r.Header["Authorization"]
	if s.guesses != nil && len(headers) > 0 {
		if err := s.guesses.known(c.r, headers, s.Now); err != nil {
			return auth.Principal{}, true, err
		}
	}
	p, ok, err = s.Auth.Authenticate(c.ctx(), headers)
	if s.guesses != nil && errors.Is(err, auth.ErrUnauthorized) {
		err = s.guesses.failed(c.r, headers, s.Now(), err)
	}
	return p, ok, err
}

// known refuses a credential that was refused from the same address and cannot
// be answered 401 yet. Where none was lately it costs no look at the request.
func (g *guesses) known(r *http.Request, headers []string, clock func() time.Time) error {
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

// failed counts a wrong credential, and returns what to answer.
func (g *guesses) failed(r *http.Request, headers []string, now time.Time, why error) error {
	addr := addressOf(r)
	wait := g.take(caller{addr: addr}, now)
	if wait <= 0 {
		return why
	}
	end := now.Add(wait)
	g.wrong.Put(guessOf(addr, headers), end)
	for {
		last := g.until.Load()
		if last >= end.UnixNano() || g.until.CompareAndSwap(last, end.UnixNano()) {
			break
		}
	}
	return g.tooMany(addr, wait, why.Error())
}

func (g *guesses) tooMany(addr netip.Addr, wait time.Duration, why string) error {
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
