package render

// ProofVersion is the version of Proof as it is kept and sent.
const ProofVersion = 1

// Bound is one image that a seal pins.
type Bound struct {
	Role       string     `json:"role"`
	Repository string     `json:"repository"` // canonical, with its host
	Digest     string     `json:"digest"`     // sha256:…
	Feeds      [][]string `json:"feeds"`      // paths in the top chart's values of what feeds it
}

// Bind is what a seal has to make of a traced image.
func (i Image) Bind(repository, digest string) Bound {
	b := Bound{Role: i.Role, Repository: repository, Digest: digest}
	for _, f := range i.Feeds {
		if len(f.Values) > 0 {
			b.Feeds = append(b.Feeds, f.Values)
		}
	}
	return b
}

// ProveRequest asks whether a sealed package is its original with the digests
// in it, with each values file that the original renders with: the defaults,
// the files in ci/, and those given.
type ProveRequest struct {
	Original, Sealed []byte
	Bound            []Bound
	Values           [][]byte
}

// Proof is the answer. A seal is good where OK is true; else Faults say what
// it changes that it may not, or Failure why nothing could be proven.
type Proof struct {
	Version  int       `json:"version"`
	OK       bool      `json:"ok"`
	Failure  *Failure  `json:"failure,omitempty"`
	Attempts []Attempt `json:"attempts,omitempty"` // of the original
	// Overridden are the values files that set a bound image themselves: they
	// say nothing of the seal.
	Overridden []string `json:"overridden,omitempty"`
	Pinned     int      `json:"pinned"` // places that show a bound image by its digest
	Copies     int      `json:"copies"` // other places that follow: checksums, encoded copies
	Faults     []Fault  `json:"faults,omitempty"`
}

// Fault is one difference that a seal may not make.
type Fault struct {
	Values string `json:"values"` // as in Attempt
	Place  Place  `json:"place"`
	From   string `json:"from,omitempty"`
	To     string `json:"to,omitempty"`
	Why    string `json:"why"`
}
