package server

import (
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"runtime/debug"
	"time"
)

// state is what the layers of one request share.
type state struct {
	id  string
	to  *endpoint // nil: no route took it
	who string
	err error
}

// stateOf finds the state of a request through what it is answered with.
func stateOf(w http.ResponseWriter) *state {
	if rec, ok := w.(*recorder); ok {
		return &rec.state
	}
	return &state{}
}

// observe gives each request its id, one access line and its metrics, and
// keeps a panic in a handler from taking the process with it.
func (s *Server) observe(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		now := time.Now()
		// The connection's write deadline is as old as the request.
		rec := &recorder{ResponseWriter: w, start: now, moved: now}
		rec.id = requestID(first(r.Header["X-Request-Id"]))
		rec.set("X-Request-Id", rec.id)
		s.metrics.inFlight.Inc()
		defer s.end(rec, r)
		next.ServeHTTP(rec, r)
		rec.started()
	})
}

// end is deferred around a request.
func (s *Server) end(rec *recorder, r *http.Request) {
	v := recover()
	s.metrics.inFlight.Dec()
	aborted := v != nil && s.recovered(rec, r, v)
	s.finish(rec, r, time.Since(rec.start))
	if aborted {
		panic(http.ErrAbortHandler)
	}
}

// recovered answers a panic with 500; an answer that was cut off on purpose
// stays cut off.
func (s *Server) recovered(w *recorder, r *http.Request, v any) (abort bool) {
	st := &w.state
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

func (s *Server) finish(w *recorder, r *http.Request, took time.Duration) {
	st, status := &w.state, w.status
	if status == 0 {
		status = http.StatusOK // cut off before it began
	}
	to := s.nowhere
	if st.to != nil {
		to = st.to.answers
	}
	to.count(r.Method, status, took)
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

// Headers of every answer that may have a body; net/http copies them and nobody
// changes them.
var (
	noSniff    = []string{"nosniff"}
	noContent  = []string{"default-src 'none'; frame-ancestors 'none'"}
	noReferrer = []string{"no-referrer"}
)

func first(values []string) string {
	if len(values) == 0 {
		return ""
	}
	return values[0]
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
	return newID()
}

// newID is 128 bits in the alphabet of rand.Text. An id tells requests apart
// and keeps no secret, so it need not wait for the system's random bits.
func newID() string {
	const alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"
	var b [26]byte
	for half := range 2 {
		bits := rand.Uint64()
		for i := range 13 {
			b[13*half+i] = alphabet[bits&31]
			bits >>= 5
		}
	}
	return string(b[:])
}

// recorder notes what was answered, and lets an answer go on as long as it
// makes progress.
type recorder struct {
	http.ResponseWriter
	state
	call    call
	start   time.Time
	status  int
	bytes   int64
	moved   time.Time // when the write deadline was set
	values  [8]string // of headers
	headers int
}

// set is Set of a header in its canonical spelling, without an allocation for
// the few that most answers have.
func (w *recorder) set(name, value string) {
	h := w.Header()
	if w.headers == len(w.values) {
		h[name] = []string{value}
		return
	}
	i := w.headers
	w.headers++
	w.values[i] = value
	h[name] = w.values[i : i+1 : i+1]
}

func (w *recorder) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func (w *recorder) WriteHeader(status int) {
	if w.status == 0 {
		w.status = status
		if status != http.StatusNotModified {
			h := w.Header()
			h["X-Content-Type-Options"] = noSniff
			h["Content-Security-Policy"] = noContent
			h["Referrer-Policy"] = noReferrer
		}
	}
	w.ResponseWriter.WriteHeader(status)
}

// started answers 200 where nobody said anything else.
func (w *recorder) started() {
	if w.status == 0 {
		w.WriteHeader(http.StatusOK)
	}
}

// piece is what is sent on one deadline.
const piece = 256 << 10

// progress moves the write deadline on.
func (w *recorder) progress() {
	w.started()
	if now := time.Now(); now.Sub(w.moved) > time.Second {
		// A recorder in a test has no deadline to set; the server's own has.
		_ = http.NewResponseController(w.ResponseWriter).SetWriteDeadline(now.Add(sendStall))
		w.moved = now
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
