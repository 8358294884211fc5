package main

import (
	"fmt"
	"strings"
	"time"
)

// progress shows how far a long run has come, on standard error: a bar on a
// terminal, elsewhere (a CI log) a plain line every five seconds.
type progress struct {
	a        *app
	what     string
	terminal bool
	last     time.Time
	drawn    bool
}

func (a *app) progress(what string) *progress {
	return &progress{a: a, what: what, terminal: isTerminal(a.err) && a.getenv("TERM") != "dumb", last: a.now()}
}

func (p *progress) show(done, total int, current string) {
	every := 5 * time.Second
	if p.terminal {
		every = 100 * time.Millisecond
	}
	now := p.a.now()
	if now.Sub(p.last) < every && (done < total || !p.drawn) {
		return
	}
	p.last = now
	if !p.terminal {
		p.drawn = true
		fmt.Fprintf(p.a.err, "%s: %d of %d\n", p.what, done, total)
		return
	}
	const cells = 30
	full := 0
	if total > 0 {
		full = cells * done / total
	}
	bar := strings.Repeat("█", full) + strings.Repeat("░", cells-full)
	fmt.Fprintf(p.a.err, "\r\x1b[K%s %s %d/%d %s", p.what, bar, done, total, cut(clean(current), 40))
	p.drawn = true
}

// end takes the bar away, so that what follows starts on a line of its own.
func (p *progress) end() {
	if p.terminal && p.drawn {
		fmt.Fprint(p.a.err, "\r\x1b[K")
	}
	p.drawn = false
}
