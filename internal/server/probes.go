package server

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"chartd.dev/chartd/internal/advice"
	"chartd.dev/chartd/internal/model"
)

const (
	readyFor = time.Second     // how long a verdict is good
	readyIn  = 3 * time.Second // how long a write may take
)

// readiness is the last verdict on whether writes can be kept. Probes share
// it, so that they cost the disk at most one write a second.
type readiness struct {
	mu   sync.Mutex
	at   time.Time
	last error
}

// check makes a small write of its own and asks what else could stop one.
func (r *readiness) check(ctx context.Context, s *Server) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if now := s.Now(); r.at.IsZero() || now.Sub(r.at) >= readyFor || now.Before(r.at) {
		// The verdict is everybody's: a probe that gives up does not spoil it.
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), readyIn)
		defer cancel()
		r.last = s.Lock.Ping(ctx)
		if r.last == nil && s.Ready != nil {
			r.last = s.Ready(ctx)
		}
		r.at = now
	}
	return r.last
}

func (s *Server) readyz(c *call, _ none) (healthy, error) {
	if err := s.ready.check(c.Context(), s); err != nil {
		s.readyGauge.Set(0)
		// The reason is the table's sentence; its status is not, here.
		if say := mappingOf(err).say; say != "" {
			err = errors.New(say)
		}
		return healthy{}, fmt.Errorf("%w: %w", errNotReady, err)
	}
	s.readyGauge.Set(1)
	return healthy{true, s.noteIndex(c.Context())}, nil
}

// noteIndex says which clients cannot read the whole index, and in the log once
// for each time that they become more.
func (s *Server) noteIndex(ctx context.Context) string {
	idx, err := s.Repo.Index(ctx)
	if err != nil {
		return ""
	}
	kinds, what := idx.Unread()
	if before := s.unread.Swap(int32(kinds)); kinds > int(before) {
		s.Log.Warn("the index is too large for some clients", "what", what)
	}
	return what
}

func (s *Server) healthz(*call, none) (healthy, error) { return healthy{Healthy: true}, nil }

func (s *Server) info(*call, none) (info, error) { return info{s.Version}, nil }

var welcomeText = `chartd: a Helm chart repository, and which chart and image run where.

  helm repo add NAME URL-OF-THIS-PAGE/charts/CHART     one chart: the small index
  helm repo add NAME URL-OF-THIS-PAGE                  all charts
  helm repo update
  ` + advice.Login.With(model.Facts{Server: "URL-OF-THIS-PAGE"}) + `

API: api/v1/openapi.json
`

func (s *Server) welcome(*call, none) (document, error) {
	return document{"text/plain; charset=utf-8", []byte(welcomeText)}, nil
}
