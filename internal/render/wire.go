package render

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
)

// WireVersion is the version of the format between a pool and its processes:
// a line of JSON, and behind it the bytes whose sizes the line gives.
const WireVersion = 1

// maxLine bounds the line of a request.
const maxLine = 1 << 20

// Op is what a process is asked to do.
type Op string

// Operations.
const (
	OpRender Op = "render"
	OpTrace  Op = "trace"
	OpProve  Op = "prove"
)

// Request is what a process reads from its standard input.
type Request struct {
	Op       Op
	Packages [][]byte // one; OpProve: the original and the sealed one
	Values   [][]byte // values files that were given
	Bound    []Bound  // OpProve
}

type requestLine struct {
	Version  int     `json:"version"`
	Op       Op      `json:"op"`
	Packages []int64 `json:"packages"`
	Values   []int64 `json:"values,omitempty"`
	Bound    []Bound `json:"bound,omitempty"`
}

// reader is the request as a process reads it.
func (q Request) reader() (io.Reader, error) {
	line := requestLine{Version: WireVersion, Op: q.Op, Bound: q.Bound}
	var blobs []io.Reader
	add := func(data []byte) int64 {
		blobs = append(blobs, bytes.NewReader(data))
		return int64(len(data))
	}
	for _, p := range q.Packages {
		line.Packages = append(line.Packages, add(p))
	}
	for _, v := range q.Values {
		line.Values = append(line.Values, add(v))
	}
	head, err := json.Marshal(line)
	if err == nil && len(head) > maxLine {
		err = fmt.Errorf("the line of the request has %d bytes, at most %d", len(head), maxLine)
	}
	if err != nil {
		return nil, fmt.Errorf("write render request: %w", err)
	}
	return io.MultiReader(append([]io.Reader{bytes.NewReader(append(head, '\n'))}, blobs...)...), nil
}

// ReadRequest reads what a pool wrote.
func ReadRequest(r io.Reader) (Request, error) {
	in := bufio.NewReaderSize(r, maxLine+1)
	head, err := in.ReadSlice('\n')
	if err != nil {
		return Request{}, fmt.Errorf("read render request: %w", err)
	}
	var line requestLine
	if err := json.Unmarshal(head, &line); err != nil {
		return Request{}, fmt.Errorf("read render request: %w", err)
	}
	if line.Version != WireVersion {
		return Request{}, fmt.Errorf("read render request: version %d, this program reads %d", line.Version, WireVersion)
	}
	q := Request{Op: line.Op, Bound: line.Bound}
	for _, n := range line.Packages {
		if q.Packages, err = appendBlob(q.Packages, in, n); err != nil {
			return Request{}, err
		}
	}
	for _, n := range line.Values {
		if q.Values, err = appendBlob(q.Values, in, n); err != nil {
			return Request{}, err
		}
	}
	return q, nil
}

func appendBlob(blobs [][]byte, in io.Reader, n int64) ([][]byte, error) {
	var buf bytes.Buffer
	if _, err := io.CopyN(&buf, in, n); err != nil {
		return nil, fmt.Errorf("read render request: %w", err)
	}
	return append(blobs, buf.Bytes()), nil
}

// Answer is what a process writes, as one JSON value: one of the results, or
// why there is none.
type Answer struct {
	Version   int        `json:"version"`
	Confined  []string   `json:"confined,omitempty"` // by what
	Failure   *Failure   `json:"failure,omitempty"`
	Manifests []Manifest `json:"manifests,omitempty"`
	Trace     *Trace     `json:"trace,omitempty"`
	Proof     *Proof     `json:"proof,omitempty"`
}
