package server

import (
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"runtime/debug"
	"strconv"
	"time"
)

// state is what the layers of one request share.
type state struct {
	id    string
	route string // the template, never the path: labels stay few
	who   string
	err   error
}

type stateKey struct{}

func stateOf(r *http.Request) *state {
	st, _ := r.Context().Value(stateKey{}).(*state)
	if st == nil {
		return &state{}
	}
	return st
}

// observe gives each request its id, one access line and its metrics, and
// keeps a panic in a handler from taking the process with it.
func (s *Server) observe(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		st := &state{id: requestID(r.Header.Get("X-Request-Id")), route: "none"}
		r = r.WithContext(context.WithValue(r.Context(), stateKey{}, st))
		rec := &recorder{ResponseWriter: w}
		setHeaders(rec.Header(), st.id)
		start := time.Now()
		s.metrics.inFlight.Inc()
		defer func() {
			s.metrics.inFlight.Dec()
			aborted := s.recovered(rec, r, recover())
			s.finish(rec, r, st, time.Since(start))
			if aborted {
				panic(http.ErrAbortHandler)
			}
		}()
		next.ServeHTTP(rec, r)
	})
}

// recovered answers a panic with 500; an answer that was cut off on purpose
// stays cut off.
func (s *Server) recovered(w *recorder, r *http.Request, v any) (abort bool) {
	if v == nil {
		return false
	}
	st := stateOf(r)
	if v == http.ErrAbortHandler {
		return true
	}
	st.err = fmt.Errorf("panic: %v", v)
	s.Log.Error("handler panicked", "request_id", st.id, "panic", fmt.Sprint(v), "stack", string(debug.Stack()))
	if w.status != 0 {
		return true
	}
	writeError(w, r, problem{err: st.err})
	return false
}

func (s *Server) finish(w *recorder, r *http.Request, st *state, took time.Duration) {
	status := w.status
	if status == 0 {
		status = http.StatusOK
	}
	method := knownMethod(r.Method)
	s.metrics.requests.WithLabelValues(st.route, method, strconv.Itoa(status)).Inc()
	s.metrics.seconds.WithLabelValues(st.route, method).Observe(took.Seconds())
	level := slog.LevelInfo
	if st.err != nil && status >= 500 {
		level = slog.LevelError
	}
	if !s.Log.Enabled(r.Context(), level) {
		return
	}
	attrs := []slog.Attr{
		slog.String("request_id", st.id), slog.String("method", clip(r.Method)), slog.String("path", clip(r.URL.Path)),
		slog.Int("status", status), slog.Int64("bytes", w.bytes), slog.Duration("took", took.Round(time.Microsecond)),
		slog.String("remote", r.RemoteAddr), slog.String("who", st.who), slog.String("agent", clip(r.UserAgent())),
	}
	if st.err != nil {
		attrs = append(attrs, slog.String("error", st.err.Error()))
	}
	s.Log.LogAttrs(r.Context(), level, "request", attrs...)
}

func setHeaders(h http.Header, id string) {
	h.Set("X-Request-Id", id)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
	h.Set("Referrer-Policy", "no-referrer")
}

// requestID takes over a caller's id if it is plain, or makes one.
func requestID(given string) string {
	ok := given != "" && len(given) <= 64
	for i := 0; i < len(given) && ok; i++ {
		c := given[i]
		ok = c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '-' || c == '_' || c == '.'
	}
	if ok {
		return given
	}
	return rand.Text()
}

// knownMethod keeps the metric series few, whatever callers send.
func knownMethod(m string) string {
	switch m {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodDelete:
		return m
	}
	return "other"
}

// recorder notes what was answered, and lets an answer go on as long as it
// makes progress.
type recorder struct {
	http.ResponseWriter
	status int
	bytes  int64
	set    time.Time
}

func (w *recorder) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func (w *recorder) WriteHeader(status int) {
	if w.status == 0 {
		w.status = status
	}
	w.ResponseWriter.WriteHeader(status)
}

// piece is what is sent on one deadline.
const piece = 256 << 10

// progress moves the write deadline on.
func (w *recorder) progress() {
	if w.status == 0 {
		w.status = http.StatusOK
	}
	if now := time.Now(); now.Sub(w.set) > time.Second {
		// A recorder in a test has no deadline to set; the server's own has.
		_ = http.NewResponseController(w.ResponseWriter).SetWriteDeadline(now.Add(sendStall))
		w.set = now
	}
}

// Write sends in pieces, and moves the write deadline on before each.
func (w *recorder) Write(p []byte) (int, error) {
	sent := 0
	for {
		w.progress()
		n, err := w.ResponseWriter.Write(p[sent:min(sent+piece, len(p))])
		sent += n
		w.bytes += int64(n)
		if err != nil || sent == len(p) {
			return sent, err
		}
	}
}

// ReadFrom does the same for a file, which then never comes through here.
func (w *recorder) ReadFrom(r io.Reader) (sent int64, err error) {
	to, ok := w.ResponseWriter.(io.ReaderFrom)
	from, limited := r.(*io.LimitedReader)
	if !ok || !limited {
		return io.Copy(struct{ io.Writer }{w}, r)
	}
	for from.N > 0 {
		w.progress()
		part := io.LimitedReader{R: from.R, N: min(from.N, piece)}
		n, err := to.ReadFrom(&part)
		sent += n
		w.bytes += n
		from.N -= n
		if err != nil || n == 0 {
			return sent, err
		}
	}
	return sent, nil
}
