package main

import (
	"chartd.dev/chartd/lock/boltstore"
	"github.com/prometheus/client_golang/prometheus"
)

// databaseMetrics say how far lock.db is behind its log.
func databaseMetrics(db *boltstore.Store) []prometheus.Collector {
	gauge := func(name, help string, value func(boltstore.Stats) float64) prometheus.Collector {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, func() float64 { return value(db.Stats()) })
	}
	counter := func(name, help string, value func(boltstore.Stats) float64) prometheus.Collector {
		return prometheus.NewCounterFunc(prometheus.CounterOpts{Name: name, Help: help}, func() float64 { return value(db.Stats()) })
	}
	return []prometheus.Collector{
		gauge("chartd_database_log_bytes", "Bytes in the log of the lock database that lock.db does not have yet.",
			func(s boltstore.Stats) float64 { return float64(s.LogBytes) }),
		gauge("chartd_database_unflushed_updates", "Updates in the log of the lock database that lock.db does not have yet.",
			func(s boltstore.Stats) float64 { return float64(s.Unflushed) }),
		counter("chartd_database_flushes_total", "Flushes of the log into lock.db.",
			func(s boltstore.Stats) float64 { return float64(s.Flushes) }),
		counter("chartd_database_flush_failures_total", "Flushes of the log into lock.db that failed and are tried again.",
			func(s boltstore.Stats) float64 { return float64(s.FlushesFailed) }),
	}
}
