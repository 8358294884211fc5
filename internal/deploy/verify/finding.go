// Package verify compares a deploy repo with itself, and with what the server
// has pinned, the registries have and runs. It changes nothing, runs nothing
// but git, and tells what it found as data: each difference with its place and
// how to mend it, and what could not be compared.
package verify

import (
	"fmt"
	"strings"
)

// The kinds of difference.
const (
	DriftLock     = "lock"      // chartd.lock and .chartctl.yaml name other environments
	DriftPair     = "pair"      // chart and image as the files say them are not the locked pair
	DriftSite     = "site"      // one place differs, or cannot be read
	DriftOverride = "override"  // another image in values that are no site
	DriftHelmLock = "helm-lock" // Chart.lock or requirements.lock
	DriftPacked   = "packed"    // a package in charts/
	DriftPin      = "pin"       // what the server has pinned
	DriftTag      = "tag"       // what a registry has behind a tag today
	DriftDeployed = "deployed"  // what runs
	DriftRender   = "render"    // what Helm renders from the checkout
)

// Place is a line of a file of the repo; Line is 0 for the file as a whole.
type Place struct {
	File string `json:"file"`
	Line int    `json:"line,omitempty"`
}

func (p Place) String() string {
	if p.Line > 0 {
		return fmt.Sprintf("%s:%d", p.File, p.Line)
	}
	return p.File
}

// Finding is one difference. Its text is one line.
type Finding struct {
	Kind string   `json:"kind"`
	Envs []string `json:"environments"` // those that it concerns, sorted
	Place
	Found   string  `json:"found"`
	Want    string  `json:"want"`
	Message string  `json:"message"` // the difference as a sentence
	Mend    string  `json:"mend"`
	Also    []Place `json:"also,omitempty"` // other places that the sentence names
}

// String is the line: place, found, expected, how to mend, whom it concerns.
func (f Finding) String() string {
	return fmt.Sprintf("%s: %s. Mend: %s (%s)", f.Place, f.Message, f.Mend, envList(f.Envs))
}

// envList names a few environments and counts the others.
func envList(envs []string) string {
	const most = 3
	if len(envs) <= most+1 {
		return strings.Join(envs, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(envs[:most], ", "), len(envs)-most)
}

// Verdict is what was found.
type Verdict struct {
	Findings []Finding // sorted by place
	Notes    []string  // what could not be compared, and why; no difference
}
