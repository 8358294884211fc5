// Package config is the format of .chartctl.yaml, which says which
// environments a deploy repo holds and at which sites their pairs are written,
// and the search that proposes it.
package config
