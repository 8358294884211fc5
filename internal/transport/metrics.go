package transport

import (
	"net/http"
	"net/http/pprof"
	"strconv"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

// Metrics are those of requests. What is registered beside them is served with
// them.
type Metrics struct {
	Registry *prometheus.Registry
	requests *prometheus.CounterVec
	seconds  *prometheus.HistogramVec
	inFlight prometheus.Gauge
	uploads  prometheus.Gauge
	limited  *prometheus.CounterVec
}

// NewMetrics returns metrics that have counted nothing.
func NewMetrics() *Metrics {
	m := &Metrics{
		Registry: prometheus.NewRegistry(),
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "chartd_http_requests_total", Help: "Requests answered, by route template, method and status.",
		}, []string{"route", "method", "status"}),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "chartd_http_request_duration_seconds", Help: "Time to answer, by route template and method.",
			Buckets: []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30},
		}, []string{"route", "method"}),
		inFlight: prometheus.NewGauge(prometheus.GaugeOpts{Name: "chartd_http_requests_in_flight", Help: "Requests being answered."}),
		uploads:  prometheus.NewGauge(prometheus.GaugeOpts{Name: "chartd_uploads_in_flight", Help: "Uploads being read or stored."}),
		limited: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "chartd_rate_limited_total", Help: "Requests refused by a limit, by its name.",
		}, []string{"limit"}),
	}
	m.Registry.MustRegister(m.requests, m.seconds, m.inFlight, m.uploads, m.limited,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	return m
}

// methods are the values of the label; every other method is the last one, so
// that the series stay few, whatever callers send.
var methods = [...]string{http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodDelete, "other"}

// answers counts the requests to one route. Each status has its series from
// its first answer on, which is looked up once.
type answers struct {
	metrics *Metrics
	route   string // the template, never the path: labels stay few
	known   [len(methods)]atomic.Pointer[[]counter]
}

type counter struct {
	status   int
	requests prometheus.Counter
	seconds  prometheus.Observer
}

func newAnswers(m *Metrics, route string) *answers { return &answers{metrics: m, route: route} }

func (a *answers) count(method string, status int, took time.Duration) {
	m := 0
	for m < len(methods)-1 && methods[m] != method {
		m++
	}
	c := a.counter(m, status)
	c.requests.Inc()
	c.seconds.Observe(took.Seconds())
}

func (a *answers) counter(method, status int) counter {
	var before []counter
	p := a.known[method].Load()
	if p != nil {
		before = *p
	}
	for _, c := range before {
		if c.status == status {
			return c
		}
	}
	label := methods[method]
	c := counter{status, a.metrics.requests.WithLabelValues(a.route, label, strconv.Itoa(status)), a.metrics.seconds.WithLabelValues(a.route, label)}
	list := append(before[:len(before):len(before)], c)
	a.known[method].CompareAndSwap(p, &list) // or another came first: the next request adds it
	return c
}

// Handler serves metrics and profiles; it belongs on a listener of its own.
func (m *Metrics) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(m.Registry, promhttp.HandlerOpts{}))
	mux.HandleFunc("/debug/pprof/", pprof.Index)
	mux.HandleFunc("/debug/pprof/cmdline", pprof.Cmdline)
	mux.HandleFunc("/debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("/debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("/debug/pprof/trace", pprof.Trace)
	return mux
}
