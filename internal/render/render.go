// Package render renders chart packages apart: each request runs in a process
// of its own, "chartd render", which is handed the package on its standard
// input and has neither network nor files nor environment.
//
// Invariants: a package costs at most Limits, and past them the process is
// killed; at most Config.Concurrency processes run at a time, and no caller
// waits for more than one request of each other one; a package that does not
// render is a result (Failure) and never an error. An error means that the
// caller's context ended or that no process could be started.
//
// The process answers one request. It renders as often as the request takes:
// Trace and Prove run there whole, next to Helm's engine, so what a chart
// prints is parsed under the same limits and only facts come back. Prove is how
// two packages are compared: it is given both, renders both with the same
// values, and says what differs.
package render

import (
	"log/slog"
	"runtime"
	"time"
)

// Limits bounds one process. Zero fields take their default.
type Limits struct {
	CPU    time.Duration // processor time, counted in whole seconds: 10 s
	Memory int64         // bytes of writable memory: 512 MiB
	Output int64         // bytes of rendered text, and of an answer: 16 MiB
	Wall   time.Duration // three times CPU
}

// DefaultLimits are the limits of a server that sets none.
func DefaultLimits() Limits {
	return Limits{CPU: 10 * time.Second, Memory: 512 << 20, Output: 16 << 20, Wall: 30 * time.Second}
}

func (l Limits) orDefault() Limits {
	d := DefaultLimits()
	if l.CPU == 0 {
		l.CPU = d.CPU
	}
	if l.Memory == 0 {
		l.Memory = d.Memory
	}
	if l.Output == 0 {
		l.Output = d.Output
	}
	if l.Wall == 0 {
		l.Wall = 3 * l.CPU
	}
	return l
}

// Config says how to render.
type Config struct {
	Program     string // a chartd; the running one where it is empty
	Dir         string // an empty directory to run in; one is made where it is empty
	Limits      Limits
	Concurrency int // processes at a time; one a core where it is 0
	Log         *slog.Logger
}

func (c Config) orDefault() Config {
	c.Limits = c.Limits.orDefault()
	if c.Program == "" {
		c.Program = ownProgram()
	}
	if c.Concurrency == 0 {
		c.Concurrency = runtime.NumCPU()
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	return c
}

// Reason says why a package was not rendered.
type Reason string

// Reasons. What ChartFault says is the chart's own: a template that fails, a
// value that is missing, a Kubernetes version that it does not want.
const (
	ChartFault  Reason = "chart"
	TimeLimit   Reason = "time limit"
	MemoryLimit Reason = "memory limit"
	OutputLimit Reason = "output limit"
	Crashed     Reason = "renderer crashed"

	// What a server says that did not try.
	Off      Reason = "rendering is off"
	Imported Reason = "imported, and not rendered yet"
)

// Failure is a package, or one values file of it, that was not rendered.
type Failure struct {
	Reason  Reason `json:"reason"`
	Message string `json:"message,omitempty"` // the chart's own sentence, or what ended the process
}

func (f Failure) String() string {
	if f.Message == "" {
		return "not rendered: " + string(f.Reason)
	}
	return "not rendered: " + string(f.Reason) + ": " + f.Message
}
