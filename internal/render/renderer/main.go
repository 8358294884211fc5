// Package renderer is what runs inside "chartd render": Helm's engine, and
// what needs it at hand. It is the only room that imports the engine.
//
// Invariants: the process confines itself before it reads a byte; it answers
// one request and ends; a chart's fault is an answer, and whatever else goes
// wrong ends the process, which its pool understands. Rendering is Helm 3's
// "helm template": its defaults for the release and the cluster, dependencies
// and schema as there, no lookup, no name resolution.
package renderer

import (
	"encoding/json"
	"fmt"
	"io"
	"log"
	"runtime"
	"runtime/debug"

	"chartd.dev/chartd/internal/render"
)

// limits of this process, as its pool sets them on the command line.
type limits struct {
	cpu    int64 // seconds
	memory int64 // bytes
	output int64 // bytes
}

// maxStack is how deep a chart may recurse. Go's own limit, 1 GB, is more than
// all of the memory.
const maxStack = 128 << 20

// Main confines the process and answers the request on in.
func Main(cpu, memory, output int64, in io.Reader, out io.Writer) error {
	l := limits{cpu, memory, output}
	by := confine(l)
	runtime.GOMAXPROCS(1) // at most a core
	debug.SetGCPercent(400)
	debug.SetMemoryLimit(l.memory * 3 / 4)
	debug.SetMaxStack(maxStack)
	log.SetOutput(io.Discard) // Helm's warnings
	q, err := render.ReadRequest(in)
	if err != nil {
		return err
	}
	a, err := answer(l, q)
	if err != nil {
		return err
	}
	a.Version, a.Confined = render.WireVersion, by
	return json.NewEncoder(out).Encode(a)
}

func answer(l limits, q render.Request) (render.Answer, error) {
	var a render.Answer
	switch {
	case q.Op == render.OpRender && len(q.Packages) == 1:
		docs, err := renderOnce(q.Packages[0], q.Values, l)
		a.Manifests, a.Failure = docs, failure(err)
	case q.Op == render.OpTrace && len(q.Packages) == 1:
		t := traceOf(q.Packages[0], q.Values, l)
		a.Trace = &t
	case q.Op == render.OpProve && len(q.Packages) == 2:
		p := proofOf(q, l)
		a.Proof = &p
	default:
		return a, fmt.Errorf("operation %q with %d packages is unknown", q.Op, len(q.Packages))
	}
	return a, nil
}
