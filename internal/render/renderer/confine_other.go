//go:build !linux

package renderer

// confine has nothing to offer here: the pool's limit on time holds, and Go's
// own limit on memory.
func confine(limits) []string { return nil }
