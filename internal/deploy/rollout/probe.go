package rollout

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"time"

	"chartd.dev/chartd/internal/api"
)

const (
	probeTry   = 10 * time.Second // longest time for one try
	probeFirst = time.Second      // between the first two tries; doubled for each next
	probeMost  = 30 * time.Second
)

// Probing is a question to a URL, such as a hub's /hub/health.
type Probing struct {
	URL      string
	Retries  int           // tries after the first one
	Deadline time.Duration // longest time for all tries
}

// Probe asks until the URL answers with a status of 200 to 299, and says how
// that went. The error is of a question that cannot be, or of a caller that gave
// up; a URL that never answers is a check that failed.
func Probe(ctx context.Context, p Probing) (api.Check, error) {
	u, err := url.Parse(p.URL)
	switch {
	case err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "":
		return api.Check{}, api.Errorf(api.CodeUsage, "probe %q is not an http or https URL such as https://staging.example.edu/hub/health", p.URL)
	case u.User != nil:
		return api.Check{}, api.Errorf(api.CodeUsage, "probe %q holds credentials, and would be kept with the report: give a URL that answers without", u.Redacted())
	case p.Retries < 0 || p.Deadline <= 0:
		return api.Check{}, api.Errorf(api.CodeUsage, "probe %q: --retries may not be negative, and --deadline must be positive", p.URL)
	}
	limited, cancel := context.WithTimeout(ctx, p.Deadline)
	defer cancel()
	hc := &http.Client{Timeout: probeTry, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	check := api.Check{Name: "probe"}
	wait := probeFirst
	for try := 0; ; try++ {
		check.OK, check.Detail = probeOnce(limited, hc, u.String())
		if check.OK {
			return check, nil
		}
		if ctx.Err() != nil {
			return check, ctx.Err()
		}
		if try == p.Retries || !pause(limited, wait) {
			if try == 0 {
				check.Detail += ", tried once"
			} else {
				check.Detail += fmt.Sprintf(", tried %d times", try+1)
			}
			return check, ctx.Err()
		}
		wait = min(2*wait, probeMost)
	}
}

// pause waits, and reports whether there is time for another try.
func pause(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

func probeOnce(ctx context.Context, hc *http.Client, target string) (bool, string) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, target, nil)
	if err != nil {
		return false, err.Error()
	}
	resp, err := hc.Do(req)
	if err != nil {
		var timeout interface{ Timeout() bool }
		if errors.As(err, &timeout) && timeout.Timeout() {
			return false, "no answer in time"
		}
		var where *url.Error
		if errors.As(err, &where) {
			err = where.Err
		}
		return false, err.Error()
	}
	resp.Body.Close()
	switch {
	case resp.StatusCode/100 == 2:
		return true, resp.Status
	case resp.Header.Get("Location") != "":
		return false, fmt.Sprintf("%s to %s, and redirects are not followed", resp.Status, resp.Header.Get("Location"))
	}
	return false, resp.Status
}
