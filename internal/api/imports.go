package api

import "chartd.dev/chartd/internal/ref"

// ImportResults answers an import of several packages: one result for each, in
// the order in which they were sent.
type ImportResults struct {
	Results []ImportResult `json:"results"`
}

// ImportResult is what became of one package: what it is published as, or why
// it is not. Status is what the package alone would have been answered with.
type ImportResult struct {
	Status     int           `json:"status"`
	Existed    bool          `json:"existed,omitempty"` // the same content was already published
	Name       string        `json:"name,omitempty"`
	Version    string        `json:"version,omitempty"`
	Package    ref.Digest    `json:"package,omitzero"`
	Seq        uint64        `json:"seq,omitempty"`
	State      string        `json:"state,omitempty"`
	Binding    ref.BindingID `json:"binding,omitzero"`     // the default one
	Provenance string        `json:"provenance,omitempty"` // why its provenance file was left out
	Warnings   []string      `json:"warnings,omitempty"`   // what is unusual about the package
	Error      *Error        `json:"error,omitempty"`
}
