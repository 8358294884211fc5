package transport

import (
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
	"time"
)

// ServeHTTP gives each request its id, one access line and its metrics, and
// keeps a panic in a handler from taking the process with it.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	now := time.Now()
	// The connection's write deadline is as old as the request.
	c := &Call{ResponseWriter: w, R: r, ID: requestID(first(r.Header["X-Request-Id"])), handler: h, start: now, moved: now}
	c.Set("X-Request-Id", c.ID)
	h.Metrics.inFlight.Inc()
	defer h.end(c)
	if err := checkPath(r); err != nil {
		c.refuse(err)
		return
	}
	h.dispatch(c)
	c.started()
}

// end is deferred around a request.
func (h *Handler) end(c *Call) {
	v := recover()
	h.Metrics.inFlight.Dec()
	aborted := v != nil && c.recovered(v)
	if c.hold != nil {
		c.hold.Free()
	}
	h.finish(c, time.Since(c.start))
	if aborted {
		panic(http.ErrAbortHandler)
	}
}

// recovered answers a panic with 500; an answer that was cut off on purpose
// stays cut off.
func (c *Call) recovered(v any) (abort bool) {
	if v == http.ErrAbortHandler {
		return true
	}
	c.err = fmt.Errorf("panic: %v", v)
	c.handler.Log.Error("handler panicked", "request_id", c.ID, "panic", fmt.Sprint(v), "stack", string(debug.Stack()))
	if c.Started() {
		return true
	}
	c.refuse(c.err)
	return false
}

func (h *Handler) finish(c *Call, took time.Duration) {
	status := c.status
	if status == 0 {
		status = http.StatusOK // cut off before it began
	}
	to := h.nowhere
	if c.to != nil {
		to = c.to.answers
	}
	to.count(c.R.Method, status, took)
	level := slog.LevelInfo
	if c.err != nil && status >= 500 {
		level = slog.LevelError
	}
	if !h.Log.Enabled(c.Context(), level) {
		return
	}
	attrs := []slog.Attr{
		slog.String("request_id", c.ID), slog.String("method", Clip(c.R.Method)), slog.String("path", Clip(c.R.URL.Path)),
		slog.Int("status", status), slog.Int64("bytes", c.bytes), slog.Duration("took", took.Round(time.Microsecond)),
		slog.String("remote", c.R.RemoteAddr), slog.String("who", c.Who), slog.String("agent", Clip(c.R.UserAgent())),
	}
	if c.err != nil {
		attrs = append(attrs, slog.String("error", c.err.Error()))
	}
	h.Log.LogAttrs(c.Context(), level, "request", attrs...)
}

func first(values []string) string {
	if len(values) == 0 {
		return ""
	}
	return values[0]
}
